"""`migrate` and `directory open|show`: a directory's life before and between its gateways."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from router.cli.options import config_option, json_option
from router.cli.output import print_fields, print_json
from router.cli.session import directory, settings_of
from router.directory.ports import SystemClock
from router.model.timestamp import rfc3339
from router.runtime.directories import migrate as migrate_directory

if TYPE_CHECKING:
    from router.directory.store import DirectoryInfo
    from router.settings.values import Settings


@click.command()
@config_option
@json_option
def migrate(config: Path, as_json: bool) -> None:
    """Make the directory, or bring it to this release's schema.

    All migrations or none. Gateways may go on running.
    """
    settings = settings_of(config)
    applied = migrate_directory(settings.directory, SystemClock())
    if as_json:
        names = [{"version": migration.version, "title": migration.title} for migration in applied]
        print_json({_kind(settings): settings.directory.name, "applied": names})
    elif applied:
        for migration in applied:
            click.echo(f"applied {migration.version:04} {migration.title}")
    else:
        click.echo("nothing to do")


@click.command("open")
@config_option
@click.option("--restored", is_flag=True, help="It was put back from a copy: begin another generation.")
@json_option
def open_(config: Path, restored: bool, as_json: bool) -> None:
    """Open the directory for traffic: its workspaces are in.

    Until then gateways answer 503, because a directory that is still empty would make everybody unknown.
    After putting a copy back use --restored: gateways begin anew, and transfers wait for one lease.
    """
    settings = settings_of(config)
    _print(settings, asyncio.run(_open(settings, restored=restored)), as_json=as_json)


@click.command()
@config_option
@json_option
def show(config: Path, as_json: bool) -> None:
    """Show what the directory says of itself."""
    settings = settings_of(config)
    _print(settings, asyncio.run(_show(settings)), as_json=as_json)


async def _open(settings: Settings, *, restored: bool) -> DirectoryInfo:
    async with directory(settings) as store:
        options = settings.directory.options
        longest = options.lease * (1.0 + options.clock_drift) + options.lease_margin
        return await store.open_directory(restored=restored, lease=longest)


async def _show(settings: Settings) -> DirectoryInfo:
    async with directory(settings) as store:
        return await store.info()


def _print(settings: Settings, info: DirectoryInfo, *, as_json: bool) -> None:
    fields = {
        "directory_id": info.directory_id,
        "generation": info.generation,
        "opened": info.opened,
        "quarantine_until": rfc3339(info.quarantine_until) if info.quarantine_until else None,
        "head": info.head,
        "floor": info.floor,
        "schema": info.schema,
        _kind(settings): settings.directory.name,
    }
    if as_json:
        print_json(fields)
    else:
        print_fields(fields.items())


def _kind(settings: Settings) -> str:
    """What the directory's name is the name of."""
    return "file" if isinstance(settings.directory.place, Path) else "database"
