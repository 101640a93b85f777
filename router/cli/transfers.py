"""`transfer start|show|list|complete|fail|abort`: the transfer service, asked on the directory itself.

A transfer is named by its own id, or by its workspace's while it runs. Each command evaluates the lock barrier itself,
so that no gateway is needed for a transfer to go on.
"""

from __future__ import annotations

import asyncio
import getpass
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import click

from router.cli.drafts import demand, read_workspace
from router.cli.errors import CommandError
from router.cli.options import config_option, json_option
from router.cli.output import print_fields, print_json, print_table, rfc3339, say
from router.cli.session import directory, settings_of
from router.control.transfers import Refused, TransferService
from router.directory.hostlock import host_locks
from router.directory.ports import SystemClock
from router.model.region import RegionName
from router.model.transfer import DEFAULT_DURATION
from router.routing.table import Action

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from router.control.transfers import Outcome, TransferStatus
    from router.model.placement import WorkspaceId
    from router.model.transfer import Transfer
    from router.routing.table import RoutingTable
    from router.settings.values import Settings

_HOUR: Final = 3600.0

_transfer_argument = click.argument("transfer", metavar="TRANSFER")


@click.command()
@click.argument("workspace")
@config_option
@click.option("--to", "destination", required=True, metavar="REGION", help="Where it moves.")
@click.option("--requested-by", help="Who asked for it.  [default: the user of this process]")
@click.option(
    "--hours",
    type=click.FloatRange(0, min_open=True),
    default=DEFAULT_DURATION / _HOUR,
    show_default=True,
    help="Until its deadline, which clients are told.",
)
@json_option
def start(
    workspace: str, config: Path, *, destination: str, requested_by: str | None, hours: float, as_json: bool
) -> None:
    """Lock a workspace and begin to move it.

    From now on every request for WORKSPACE is answered 423. Copy only when the state is `transferring`: then no
    gateway writes to the old region any more. Waits for that for two seconds; see `transfer show` for more.
    """
    settings = settings_of(config)
    moving = demand(read_workspace(workspace, settings.table))
    status = _run(
        settings,
        lambda service: service.start(
            moving, RegionName(destination), requested_by=requested_by or _this_user(), duration=hours * _HOUR
        ),
    )
    _print(status, as_json=as_json)
    for service in _redirected(settings.table):
        say(
            f"warning: service {service} redirects: who follows an old redirect reaches the region past any lock; "
            "mend: close the workspace at its source before copying"
        )


@click.command()
@_transfer_argument
@config_option
@json_option
def show(transfer: str, config: Path, as_json: bool) -> None:
    """Show a transfer, and what it waits for.

    TRANSFER is its id, or its workspace's: then the running one, else the last.
    """
    _print(_run(settings_of(config), lambda service: service.show(_name(transfer))), as_json=as_json)


@click.command("list")
@config_option
@click.option("--workspace", help="Only those of one workspace.")
@click.option("--running", is_flag=True, help="Only those that have not ended.")
@json_option
def list_(config: Path, workspace: str | None, running: bool, as_json: bool) -> None:
    """List transfers, the newest first."""
    settings = settings_of(config)
    wanted = None if workspace is None else demand(read_workspace(workspace, settings.table))
    statuses = asyncio.run(_list(settings, wanted, running=running))
    if as_json:
        for status in statuses:
            print_json(_object(status))
        return
    head = ("id", "workspace", "source", "destination", "state", "started_at", "ended_at", "reason")
    print_table(head, [tuple(_fields(status.transfer)[name] for name in head) for status in statuses])


@click.command()
@_transfer_argument
@config_option
@json_option
def complete(transfer: str, config: Path, as_json: bool) -> None:
    """The data has arrived: end a transfer well.

    From now on the workspace lives at the destination. TRANSFER is its id, or its workspace's. Refused while it is
    still locking.
    """
    _print(_run(settings_of(config), lambda service: service.complete(_name(transfer))), as_json=as_json)


@click.command()
@_transfer_argument
@config_option
@click.option("--reason", required=True, help="Why, in one line.")
@json_option
def fail(transfer: str, config: Path, reason: str, as_json: bool) -> None:
    """End a transfer; the workspace stays where it was.

    TRANSFER is its id, or its workspace's.
    """
    _print(_run(settings_of(config), lambda service: service.fail(_name(transfer), reason=reason)), as_json=as_json)


@click.command()
@_transfer_argument
@config_option
@json_option
def abort(transfer: str, config: Path, as_json: bool) -> None:
    """Call a transfer off while it is still locking.

    Nothing can have been copied, and the workspace stays where it is. TRANSFER is its id, or its workspace's.
    """
    _print(_run(settings_of(config), lambda service: service.abort(_name(transfer))), as_json=as_json)


@asynccontextmanager
async def _service(settings: Settings) -> AsyncIterator[TransferService]:
    table = settings.table
    async with directory(settings) as store:
        locks = host_locks(settings.directory.file)
        yield TransferService(store, locks, SystemClock(), home=table.policy.home, regions=table.regions)


def _run(settings: Settings, command: Callable[[TransferService], Awaitable[Outcome]]) -> TransferStatus:
    """The outcome of one command. Raises `CommandError` if it is a refusal."""

    async def ask() -> Outcome:
        async with _service(settings) as service:
            return await command(service)

    outcome = asyncio.run(ask())
    if isinstance(outcome, Refused):
        raise CommandError(outcome.problems)
    return outcome


async def _list(settings: Settings, workspace: WorkspaceId | None, *, running: bool) -> tuple[TransferStatus, ...]:
    async with _service(settings) as service:
        return await service.list(workspace=workspace, running=running)


def _this_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # In a container the user may have a number only.
        return f"user {os.getuid()}"


def _name(transfer: str) -> str:
    return transfer.strip().lower()


def _redirected(table: RoutingTable) -> tuple[str, ...]:
    """The services of which some request is redirected."""
    hosts = (*table.exact_hosts.values(), *table.suffix_hosts.values(), table.any_host)
    services = {prefix.service.name: prefix.service for prefixes in hosts for prefix in prefixes}
    routed = {route.service for route in table.policy.routes if route.action is Action.REDIRECT}
    return tuple(
        name
        for name, service in services.items()
        if service.region is None and (service.action is Action.REDIRECT or {name, None} & routed)
    )


def _print(status: TransferStatus, *, as_json: bool) -> None:
    if as_json:
        print_json(_object(status))
        return
    print_fields(_fields(status.transfer).items())
    for obstacle in status.obstacles(SystemClock().wall()):
        say(f"still locking: {obstacle}")


def _object(status: TransferStatus) -> dict[str, object]:
    obstacles = status.obstacles(SystemClock().wall())
    return {**_fields(status.transfer), "obstacles": list(obstacles), "changed": status.changed}


def _fields(transfer: Transfer) -> dict[str, object]:
    return {
        "id": transfer.id,
        "workspace": transfer.workspace,
        "source": transfer.source,
        "destination": transfer.destination,
        "state": transfer.state.value,
        "requested_by": transfer.requested_by,
        "started_at": rfc3339(transfer.started_at),
        "deadline": rfc3339(transfer.deadline),
        "ended_at": None if transfer.ended_at is None else rfc3339(transfer.ended_at),
        "reason": transfer.reason,
    }
