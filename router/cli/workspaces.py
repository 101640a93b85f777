"""`workspace put|get|list|delete`: one workspace, or a look at all of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import click

from router.cli.drafts import demand, read_draft, read_region, read_workspace
from router.cli.errors import CommandError, Flaw
from router.cli.options import config_option, json_option
from router.cli.output import print_fields, print_json, print_table
from router.cli.session import directory, settings_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from router.directory.store import WorkspaceDraft, WorkspaceRecord, WorkspaceStore
    from router.model.placement import WorkspaceId
    from router.model.region import RegionName
    from router.settings.values import Settings

_PAGE: Final = 1000


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
    settings = settings_of(config)
    texts = {"workspace": workspace, "region": region, "subdomain": subdomain, "plan": plan, "owner": owner}
    draft = read_draft(texts, settings.table)
    if isinstance(draft, tuple):
        raise CommandError(draft)
    changed, record = asyncio.run(_put(settings, draft))
    if as_json:
        print_json({**_fields(record), "changed": changed})
    else:
        click.echo(f"{record.placement.workspace}: {'put' if changed else 'unchanged'}")


@click.command()
@click.argument("workspace")
@config_option
@json_option
def get(workspace: str, config: Path, as_json: bool) -> None:
    """Show one workspace."""
    settings = settings_of(config)
    fields = _fields(asyncio.run(_get(settings, demand(read_workspace(workspace, settings.table)))))
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
    settings = settings_of(config)
    wanted = None if region is None else demand(read_region(region, settings.table))
    asyncio.run(_list(settings, wanted, limit, as_json=as_json))


@click.command()
@click.argument("workspace")
@config_option
@json_option
def delete(workspace: str, config: Path, as_json: bool) -> None:
    """Delete one workspace.

    Its subdomain and its API keys name nothing from then on.
    """
    settings = settings_of(config)
    wanted = demand(read_workspace(workspace, settings.table))
    asyncio.run(_delete(settings, wanted))
    if as_json:
        print_json({"workspace": wanted, "deleted": True})
    else:
        click.echo(f"{wanted}: deleted")


async def _put(settings: Settings, draft: WorkspaceDraft) -> tuple[bool, WorkspaceRecord]:
    async with directory(settings) as store:
        changed = await store.put_workspaces([draft])
        record = await store.get_workspace(draft.workspace)
    if record is None:
        raise _absent(draft.workspace)
    return changed > 0, record


async def _get(settings: Settings, workspace: WorkspaceId) -> WorkspaceRecord:
    async with directory(settings) as store:
        record = await store.get_workspace(workspace)
    if record is None:
        raise _absent(workspace)
    return record


async def _list(settings: Settings, region: RegionName | None, limit: int | None, *, as_json: bool) -> None:
    async with directory(settings) as store:
        records = _records(store, region, limit)
        if as_json:
            # One by one: a directory may be large, and its reader may want the first few only.
            async for record in records:
                print_json(_fields(record))
        else:
            print_table(_COLUMNS, [tuple(_fields(record).values()) async for record in records])


async def _records(
    store: WorkspaceStore, region: RegionName | None, limit: int | None
) -> AsyncIterator[WorkspaceRecord]:
    after: WorkspaceId | None = None
    left = limit
    while left is None or left > 0:
        size = _PAGE if left is None else min(_PAGE, left)
        page = await store.list_workspaces(region=region, after=after, limit=size)
        for record in page:
            yield record
        if len(page) < size:
            return
        after = page[-1].placement.workspace
        left = None if left is None else left - size


async def _delete(settings: Settings, workspace: WorkspaceId) -> None:
    async with directory(settings) as store:
        if not await store.delete_workspace(workspace):
            raise _absent(workspace)


_COLUMNS: Final = ("workspace", "region", "epoch", "subdomain", "plan", "owner", "transfer")


def _fields(record: WorkspaceRecord) -> dict[str, object]:
    placement = record.placement
    transfer = None if placement.transfer is None else placement.transfer.id
    values = (placement.workspace, placement.region, placement.epoch, record.subdomain, record.plan, record.owner)
    return dict(zip(_COLUMNS, (*values, transfer), strict=True))


def _absent(workspace: WorkspaceId) -> CommandError:
    return CommandError([Flaw("", f"workspace {workspace} is not in the directory", "put it first, or correct the id")])
