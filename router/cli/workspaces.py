"""`workspace put|get|list|delete`: one workspace, or a look at all of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import click

from router.cli.desk import desk
from router.cli.options import config_option, json_option
from router.cli.output import print_fields, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from router.cli.desk import Fields

_COLUMNS: Final = ("workspace", "region", "epoch", "subdomain", "plan", "owner", "transfer")


@click.command()
@click.argument("workspace")
@config_option
@click.option("--region", required=True, help="Where it lives. Only a transfer moves it later.")
@click.option("--subdomain", help="The label of its own host.")
@click.option("--plan", help="Its plan.")
@click.option("--owner", help="The id of its owner.")
@json_option
def put(
    workspace: str,
    config: Path,
    *,
    region: str,
    subdomain: str | None,
    plan: str | None,
    owner: str | None,
    as_json: bool,
) -> None:
    """Put one workspace, or change what is known of it.

    What is left out is left as it is.
    """
    texts = {"workspace": workspace, "region": region, "subdomain": subdomain, "plan": plan, "owner": owner}
    fields = asyncio.run(_put(config, texts))
    if as_json:
        print_json(fields)
    else:
        click.echo(f"{fields['workspace']}: {'put' if fields['changed'] else 'unchanged'}")


@click.command()
@click.argument("workspace")
@config_option
@json_option
def get(workspace: str, config: Path, as_json: bool) -> None:
    """Show one workspace."""
    fields = asyncio.run(_get(config, workspace))
    if as_json:
        print_json(fields)
    else:
        print_fields(fields.items())


@click.command("list")
@config_option
@click.option("--region", help="Only those that live there.")
@click.option("--limit", type=click.IntRange(1), help="At most so many.")
@json_option
def list_(config: Path, region: str | None, limit: int | None, as_json: bool) -> None:
    """List workspaces in the order of their ids."""
    asyncio.run(_list(config, region, limit, as_json=as_json))


@click.command()
@click.argument("workspace")
@config_option
@json_option
def delete(workspace: str, config: Path, as_json: bool) -> None:
    """Delete one workspace.

    Its subdomain and its API keys name nothing from then on.
    """
    fields = asyncio.run(_delete(config, workspace))
    if as_json:
        print_json(fields)
    else:
        click.echo(f"{fields['workspace']}: deleted")


async def _put(config: Path, texts: Mapping[str, str | None]) -> Fields:
    async with desk(config) as at:
        return await at.put_workspace(texts)


async def _get(config: Path, workspace: str) -> Fields:
    async with desk(config) as at:
        return await at.get_workspace(workspace)


async def _list(config: Path, region: str | None, limit: int | None, *, as_json: bool) -> None:
    async with desk(config) as at:
        listed = at.list_workspaces(region, limit)
        if as_json:
            # One by one: a directory may be large, and its reader may want the first few only.
            async for fields in listed:
                print_json(fields)
        else:
            print_table(_COLUMNS, [tuple(fields[name] for name in _COLUMNS) async for fields in listed])


async def _delete(config: Path, workspace: str) -> Fields:
    async with desk(config) as at:
        return await at.delete_workspace(workspace)
