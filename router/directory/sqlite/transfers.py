"""Transfers: each call reads, decides by the model's tables, and writes the transfer, the placement and the feed."""

from __future__ import annotations

from dataclasses import astuple, replace
from typing import TYPE_CHECKING, Final

from router.directory.rows import TRANSFER_FIELDS, transfer_of
from router.directory.rules import start_problems
from router.directory.sqlite.losses import adopt, forget
from router.directory.sqlite.registrations import view
from router.directory.sqlite.workspaces import place, stored_workspace
from router.directory.store import WriteRefusedError
from router.model.barrier import holds
from router.model.losses import Ending
from router.model.transfer import Refusal, Transfer, TransferEvent, TransferId, TransferState, advance

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from router.directory.sqlite.feed import Feed
    from router.model.barrier import BarrierView, Silent
    from router.model.placement import WorkspaceId

SELECT: Final = f"SELECT {TRANSFER_FIELDS} FROM transfer"  # noqa: S608 - constants only
"""Conditions go behind it; `transfer_of` reads its rows."""


def start_transfer(feed: Feed, transfer: Transfer, *, losses_since: float) -> Transfer:
    """Insert it as `locking`, with its source, the seq of its lock and what was lost since then.

    Raises `WriteRefusedError`.
    """
    stored = stored_workspace(feed.connection, transfer.workspace)
    known = get_transfer(feed.connection, transfer.id) is not None
    problems = list(start_problems(transfer, stored, known=known))
    source = stored.region
    if problems or source is None:
        raise WriteRefusedError([f"workspace {transfer.workspace!r} {problem}" for problem in problems])
    seq = feed.take_seq()
    started = replace(transfer, source=source, lock_seq=seq, state=TransferState.LOCKING, ended_at=None, reason=None)
    feed.connection.execute(
        f"INSERT INTO transfer ({TRANSFER_FIELDS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - constants only
        astuple(started),
    )
    adopt(feed.connection, started.id, started.workspace, since=losses_since)
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


def evaluate(
    feed: Feed, transfer: TransferId, *, now: float, silent: Iterable[Silent]
) -> tuple[Transfer, BarrierView] | None:
    """Make it `transferring` if it is `locking` and the barrier holds by the rows of this very transaction."""
    found = get_transfer(feed.connection, transfer)
    if found is None:
        return None
    if found.state is TransferState.LOCKING:
        for row in silent:
            forget(feed.connection, row.incarnation, ending=Ending.EXPIRED, renewals=row.renewals, now=now)
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
    row = connection.execute(f"{SELECT} WHERE id = ?", (transfer,)).fetchone()
    return None if row is None else transfer_of(row)


def list_transfers(
    connection: sqlite3.Connection, *, workspace: WorkspaceId | None, running: bool
) -> tuple[Transfer, ...]:
    """The newest first."""
    rows = connection.execute(
        f"{SELECT} WHERE (:workspace IS NULL OR workspace = :workspace) "
        "AND (NOT :running OR state IN ('locking', 'transferring')) ORDER BY lock_seq DESC",
        {"workspace": workspace, "running": running},
    )
    return tuple(transfer_of(row) for row in rows)


def _write(feed: Feed, transfer: Transfer) -> None:
    feed.connection.execute(
        "UPDATE transfer SET state = ?, ended_at = ?, reason = ? WHERE id = ?",
        (transfer.state, transfer.ended_at, transfer.reason, transfer.id),
    )
    lock = transfer.id if transfer.state.running else None
    place(feed, feed.take_seq(), transfer.workspace, transfer.home, lock)
