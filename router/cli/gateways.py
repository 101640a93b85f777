"""`gateway list|forget`: the registrations that transfers wait for."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from router.cli.desk import desk
from router.cli.options import config_option, json_option
from router.cli.output import print_fields, print_json, print_table, say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from router.cli.desk import Fields

_COLUMNS: Final = ("gateway", "host", "incarnation", "lease", "applied", "head", "renewed", "trusts_until")


@click.command("list")
@config_option
@json_option
def list_(config: Path, as_json: bool) -> None:
    """List the registered gateways: whom transfers wait for.

    `applied` is how far a gateway has followed the change feed with nothing older in flight, `head` how far it goes; a
    transfer waits for those that are behind its lock. `trusts_until`: it writes no longer than that if it is never
    renewed again.
    """
    listed = asyncio.run(_list(config))
    if as_json:
        for fields in listed:
            print_json(fields)
        return
    print_table(_COLUMNS, [_cells(fields) for fields in listed])


@click.command()
@click.argument("incarnation")
@config_option
@json_option
def forget(incarnation: str, config: Path, as_json: bool) -> None:
    """Forget a gateway whose process is dead, so that transfers do not wait for its lease.

    Watches it first, and refuses while it still renews. Forgetting stops no process: one that lives and can't reach
    the directory may write to the old regions until its lease has lapsed. Forget only what you know to be dead, or
    wait until the time that this command prints before you copy.
    """
    fields = asyncio.run(_forget(config, incarnation.strip()))
    until = fields["may_write_until"]
    if as_json:
        print_json(fields)
    else:
        print_fields(fields.items())
    if until is not None:
        say(
            f"warning: unless its process is dead, requests of gateway {fields['gateway']} may write until {until}; "
            "mend: kill it, or copy nothing before then"
        )


async def _list(config: Path) -> Sequence[Fields]:
    async with desk(config) as at:
        return await at.list_gateways()


async def _forget(config: Path, incarnation: str) -> Fields:
    async with desk(config) as at:
        return await at.forget_gateway(incarnation)


def _cells(fields: Fields) -> tuple[object, ...]:
    applied = fields["applied"] if fields["counts"] else f"{fields['applied']} (another generation)"
    age = datetime.now(UTC) - datetime.fromisoformat(fields["renewed_at"])
    renewed = f"{max(0.0, age.total_seconds()):.0f} s ago"
    shown = {**fields, "lease": f"{fields['lease']:g} s", "applied": applied, "renewed": renewed}
    return tuple(shown[name] for name in _COLUMNS)
