"""Transfers: each call reads, decides by the model's tables, and writes the transfer, the placement and the feed."""

from __future__ import annotations

from dataclasses import astuple, replace
from typing import TYPE_CHECKING, Any, Final

from router.directory.sqlite.registrations import view
from router.directory.sqlite.workspaces import in_transfer, place
from router.directory.store import WriteRefusedError
from router.model.barrier import holds
from router.model.placement import WorkspaceId
from router.model.region import RegionName
from router.model.transfer import Refusal, Transfer, TransferEvent, TransferId, TransferState, advance

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from router.directory.sqlite.feed import Feed
    from router.model.barrier import BarrierView

_COLUMNS: Final = (
    "id, workspace, source, destination, state, requested_by, started_at, deadline, lock_seq, ended_at, reason"
)
"""In the order of the fields of `Transfer`."""

_SELECT: Final = f"SELECT {_COLUMNS} FROM transfer"  # noqa: S608 - constants only


def start_transfer(feed: Feed, transfer: Transfer) -> Transfer:
    """Insert it as `locking`, with its source and the seq of its lock. Raises `WriteRefusedError`."""
    found = feed.connection.execute(
        "SELECT region, transfer FROM workspace WHERE id = ? AND region IS NOT NULL", (transfer.workspace,)
    ).fetchone()
    problems = list(_problems(feed.connection, transfer, found))
    if problems:
        raise WriteRefusedError([f"workspace {transfer.workspace!r} {problem}" for problem in problems])
    source = RegionName(found[0])
    seq = feed.take_seq()
    started = replace(transfer, source=source, lock_seq=seq, state=TransferState.LOCKING, ended_at=None, reason=None)
    feed.connection.execute(
        f"INSERT INTO transfer ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - constants only
        astuple(started),
    )
    place(feed, seq, started.workspace, source, started.id)
    return started


def advance_transfer(
    feed: Feed, transfer: TransferId, event: TransferEvent, *, now: float, reason: str | None
) -> Transfer | Refusal | None:
    """What `event` makes of the transfer, written; or why it makes nothing of it."""
    found = get_transfer(feed.connection, transfer)
    if found is None:
        return None
    advanced = advance(found, event, now=now, reason=reason)
    if isinstance(advanced, Transfer):
        _write(feed, advanced)
    return advanced


def evaluate(feed: Feed, transfer: TransferId, *, now: float) -> tuple[Transfer, BarrierView] | None:
    """Make it `transferring` if it is `locking` and the barrier holds by the rows of this very transaction."""
    found = get_transfer(feed.connection, transfer)
    if found is None:
        return None
    seen = view(feed.connection)
    if holds(found, seen, now=now):
        # Only from `locking`: in any other state the table refuses.
        advanced = advance(found, TransferEvent.BARRIER_HOLDS, now=now)
        if isinstance(advanced, Transfer):
            _write(feed, advanced)
            return advanced, seen
    return found, seen


def get_transfer(connection: sqlite3.Connection, transfer: TransferId) -> Transfer | None:
    """The transfer, or `None`."""
    row = connection.execute(f"{_SELECT} WHERE id = ?", (transfer,)).fetchone()
    return None if row is None else _transfer(row)


def list_transfers(
    connection: sqlite3.Connection, *, workspace: WorkspaceId | None, running: bool
) -> tuple[Transfer, ...]:
    """The newest first."""
    rows = connection.execute(
        f"{_SELECT} WHERE (:workspace IS NULL OR workspace = :workspace) "
        "AND (NOT :running OR state IN ('locking', 'transferring')) ORDER BY lock_seq DESC",
        {"workspace": workspace, "running": running},
    )
    return tuple(_transfer(row) for row in rows)


def _problems(
    connection: sqlite3.Connection, transfer: Transfer, found: tuple[str, str | None] | None
) -> Iterator[str]:
    if get_transfer(connection, transfer.id) is not None:
        yield f"cannot be moved under the id {transfer.id}, which another transfer has: make a new one"
    if found is None:
        yield "is not in the directory: put it first"
        return
    region, running = found
    if running is not None:
        yield in_transfer(running)
    if region == transfer.destination:
        yield f"lives in {region!r} already"


def _write(feed: Feed, transfer: Transfer) -> None:
    feed.connection.execute(
        "UPDATE transfer SET state = ?, ended_at = ?, reason = ? WHERE id = ?",
        (transfer.state, transfer.ended_at, transfer.reason, transfer.id),
    )
    lock = transfer.id if transfer.state.running else None
    place(feed, feed.take_seq(), transfer.workspace, transfer.home, lock)


def _transfer(row: tuple[Any, ...]) -> Transfer:
    id_, workspace, source, destination, state, *rest = row
    return Transfer(
        TransferId(id_),
        WorkspaceId(workspace),
        RegionName(source),
        RegionName(destination),
        TransferState(state),
        *rest,
    )
