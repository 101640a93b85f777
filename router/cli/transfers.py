"""`transfer preview|start|show|list|complete|fail|abort`: what people and scripts do with a workspace's move.

A transfer is named by its own id, or by its workspace's while it runs. On the directory itself each command evaluates
the lock barrier, so that no gateway is needed for a transfer to go on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

import click

from router.cli.desk import desk, this_user
from router.cli.options import config_option, json_option
from router.cli.output import print_fields, print_json, print_table, say
from router.cli.shown import PLAIN

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from router.cli.desk import Desk, Fields

T = TypeVar("T")

_HOUR: Final = 3600.0
_COLUMNS: Final = ("id", "workspace", "source", "destination", "state", "percent", "started_at", "ended_at", "reason")

_transfer_argument = click.argument("transfer", metavar="TRANSFER")
_workspace_argument = click.argument("workspace", metavar="WORKSPACE")
_to_option = click.option("--to", "destination", required=True, metavar="REGION", help="Where it moves.")
_requested_by_option = click.option(
    "--requested-by",
    help="Who asked for it: you vouch that it was them. Where the owner is known, only they may.  "
    "[default: the user of this process]",
)


@click.command()
@_workspace_argument
@config_option
@_to_option
@_requested_by_option
@json_option
def preview(workspace: str, config: Path, *, destination: str, requested_by: str | None, as_json: bool) -> None:
    """Say what a move would do, and what forbids it.

    Changes nothing. Exits with 1 if the move would be refused.
    """
    requested_by = requested_by or this_user()
    fields = _ask(config, lambda at: at.preview(workspace, destination, requested_by))
    if as_json:
        print_json(fields)
    else:
        click.echo("allowed" if fields["allowed"] else "refused:")
        for refusal in fields["refusals"]:
            click.echo(f"  {refusal['type'].rpartition('/')[2]}: {refusal['detail']}")
        click.echo("what it does:")
        for effect in fields["effects"]:
            click.echo(f"  {effect}")
        for warning in fields["warnings"]:
            say(f"warning: {warning}")
    if not fields["allowed"]:
        click.get_current_context().exit(1)


@click.command()
@_workspace_argument
@config_option
@_to_option
@_requested_by_option
@click.option(
    "--hours",
    type=click.FloatRange(0, min_open=True),
    help="Until its deadline, which clients are told, and at which it fails by itself. Not with --url.  "
    "[default: control.transfer_duration]",
)
@json_option
def start(
    workspace: str, config: Path, *, destination: str, requested_by: str | None, hours: float | None, as_json: bool
) -> None:
    """Lock a workspace and begin to move it.

    From now on every request for WORKSPACE is answered 423. Copy only when the state is `transferring`: then no
    gateway writes to the old region any more. Waits for that for two seconds; see `transfer watch` for more.
    """
    requested_by = requested_by or this_user()
    duration = None if hours is None else hours * _HOUR

    async def begin(at: Desk) -> tuple[Fields, Fields]:
        # Asked before: what a move would do is what its warnings are about.
        seen = await at.preview(workspace, destination, requested_by)
        return seen, await at.start(workspace, destination, requested_by, duration)

    seen, fields = _ask(config, begin)
    _print(fields, as_json=as_json)
    for warning in seen["warnings"]:
        say(f"warning: {warning}")


@click.command()
@_transfer_argument
@config_option
@json_option
def show(transfer: str, config: Path, as_json: bool) -> None:
    """Show a transfer, what it waits for, and what nobody knows the end of.

    TRANSFER is its id, or its workspace's: then the running one, else the last. Listed are the requests that were sent
    to a region and got no whole answer, and gateways that can't name theirs any more. Copy when the source can't be
    executing any of them.
    """
    _print(_ask(config, lambda at: at.show(_name(transfer))), as_json=as_json)


@click.command("list")
@config_option
@click.option("--workspace", help="Only those of one workspace.")
@click.option("--running", is_flag=True, help="Only those that have not ended.")
@json_option
def list_(config: Path, workspace: str | None, running: bool, as_json: bool) -> None:
    """List transfers, the newest first."""
    listed = _ask(config, lambda at: at.list_transfers(workspace, running=running))
    if as_json:
        for fields in listed:
            print_json(fields)
        return
    print_table(_COLUMNS, [tuple(fields[name] for name in _COLUMNS) for fields in listed])


@click.command()
@_transfer_argument
@config_option
@json_option
def complete(transfer: str, config: Path, as_json: bool) -> None:
    """The data has arrived: end a transfer well.

    From now on the workspace lives at the destination. TRANSFER is its id, or its workspace's. Refused while it is
    still locking.
    """
    _print(_ask(config, lambda at: at.complete(_name(transfer))), as_json=as_json)


@click.command()
@_transfer_argument
@config_option
@click.option("--reason", required=True, help="Why, in one line.")
@json_option
def fail(transfer: str, config: Path, reason: str, as_json: bool) -> None:
    """End a transfer; the workspace stays where it was.

    TRANSFER is its id, or its workspace's.
    """
    _print(_ask(config, lambda at: at.fail(_name(transfer), reason)), as_json=as_json)


@click.command()
@_transfer_argument
@config_option
@json_option
def abort(transfer: str, config: Path, as_json: bool) -> None:
    """Call a transfer off while it is still locking.

    Nothing can have been copied, and the workspace stays where it is. TRANSFER is its id, or its workspace's.
    """
    _print(_ask(config, lambda at: at.abort(_name(transfer))), as_json=as_json)


def _ask(config: Path, question: Callable[[Desk], Awaitable[T]]) -> T:
    """What the desk answers to one command."""

    async def ask() -> T:
        async with desk(config) as at:
            return await question(at)

    return asyncio.run(ask())


def _name(transfer: str) -> str:
    return transfer.strip().lower()


def _print(fields: Fields, *, as_json: bool) -> None:
    if as_json:
        print_json(fields)
        return
    print_fields((name, fields[name]) for name in PLAIN)
    for obstacle in fields["obstacles"]:
        say(f"still locking: {obstacle}")
    for rows in (fields["lost_gateways"], fields["unanswered_requests"]):
        if rows:
            click.echo()
            print_table(tuple(rows[0]), [tuple(row.values()) for row in rows])
