"""Transfers: each call reads, decides by the model's tables, and writes the transfer, the placement and the feed.

The law of the room: what a job acts upon is confirmed. A state that somebody else has written may be visible though the
standbys have not got it (his wait for them was cancelled), so whoever finds it and reports it writes a mark behind it.
`locking` needs none: nobody may act upon that.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from router.directory.postgres.losses import adopt, forget
from router.directory.postgres.registrations import view
from router.directory.postgres.workspaces import place, stored_workspaces
from router.directory.rows import TRANSFER_FIELDS, transfer_of
from router.directory.rules import Stored, start_problems
from router.directory.store import WriteRefusedError
from router.model.barrier import holds
from router.model.losses import Ending
from router.model.transfer import Refusal, Transfer, TransferEvent, TransferId, TransferState, advance

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.directory.postgres.feed import Feed
    from router.directory.postgres.session import Transaction
    from router.model.barrier import BarrierView, Silent
    from router.model.placement import WorkspaceId

SELECT: Final = f"SELECT {TRANSFER_FIELDS} FROM transfer"  # noqa: S608 - constants only
_VALUES: Final = ", ".join(f"%({field})s" for field in TRANSFER_FIELDS.split(", "))


class Found(NamedTuple):
    """What was read. `certain`: nothing of it can be lost with this server as far as it is acted upon."""

    transfers: tuple[Transfer, ...]
    certain: bool


async def start_transfer(feed: Feed, transfer: Transfer, *, losses_since: float) -> Transfer:
    """Insert it as `locking`, with its source, the seq of its lock and what was lost since then.

    Raises `WriteRefusedError`.
    """
    stored = (await stored_workspaces(feed.transaction, [transfer.workspace])).get(transfer.workspace, Stored())
    known = await get_transfer(feed.transaction, transfer.id) is not None
    problems = list(start_problems(transfer, stored, known=known))
    source = stored.region
    if problems or source is None:
        raise WriteRefusedError([f"workspace {transfer.workspace!r} {problem}" for problem in problems])
    seq = feed.take_seq()
    started = replace(transfer, source=source, lock_seq=seq, state=TransferState.LOCKING, ended_at=None, reason=None)
    await feed.transaction.run(
        f"INSERT INTO transfer ({TRANSFER_FIELDS}) VALUES ({_VALUES})",  # noqa: S608 - constants only
        {**asdict(started), "state": started.state.value},
    )
    await adopt(feed.transaction, started.id, started.workspace, since=losses_since)
    await place(feed, seq, started.workspace, source, started.id)
    return started


async def advance_transfer(
    feed: Feed, transfer: TransferId, event: TransferEvent, *, now: float, reason: str | None
) -> Transfer | Refusal | None:
    """What `event` makes of the transfer, written; or why it makes nothing of it."""
    found = await get_transfer(feed.transaction, transfer)
    if found is None:
        return None
    advanced = advance(found, event, now=now, reason=reason)
    if isinstance(advanced, Transfer):
        await _write(feed, advanced)
    else:
        await feed.transaction.mark()
    return advanced


async def look(transaction: Transaction, transfer: TransferId) -> tuple[Found, BarrierView]:
    """The transfer, if there is one, and what its barrier is judged by; nothing is written."""
    return await read_transfers(transaction, transfer=transfer), await view(transaction)


async def evaluate(
    feed: Feed, transfer: TransferId, *, now: float, silent: Iterable[Silent]
) -> tuple[Transfer, BarrierView] | None:
    """Make it `transferring` if it is `locking` and the barrier holds by the rows of this very transaction.

    The feed's row is held alone, so no lock and no loss comes in between. Registrations come and go beside it: one that
    is not seen here because it is not committed reads its position after its commit, behind the lock.
    """
    found = await get_transfer(feed.transaction, transfer)
    if found is None:
        return None
    if found.state is TransferState.LOCKING:
        for row in silent:
            await forget(feed.transaction, row.incarnation, ending=Ending.EXPIRED, renewals=row.renewals, now=now)
    seen = await view(feed.transaction)
    if holds(found, seen, now=now):
        # Only from `locking`: in any other state the table refuses.
        advanced = advance(found, TransferEvent.BARRIER_HOLDS, now=now)
        if isinstance(advanced, Transfer):
            await _write(feed, advanced)
            return advanced, seen
    if found.state is not TransferState.LOCKING:
        await feed.transaction.mark()
    return found, seen


async def get_transfer(transaction: Transaction, transfer: TransferId) -> Transfer | None:
    """The transfer, or `None`."""
    row = await transaction.row(f"{SELECT} WHERE id = %(id)s", {"id": transfer})
    return None if row is None else transfer_of(row)


async def read_transfers(
    transaction: Transaction,
    *,
    transfer: TransferId | None = None,
    workspace: WorkspaceId | None = None,
    running: bool = False,
) -> Found:
    """The newest first: that one, those of a workspace, or all."""
    rows = await transaction.rows(
        f"{SELECT} WHERE (%(transfer)s::text IS NULL OR id = %(transfer)s::text) "
        "AND (%(workspace)s::text IS NULL OR workspace = %(workspace)s::text) "
        f"AND (NOT {str(running).lower()} OR state IN ('locking', 'transferring')) ORDER BY lock_seq DESC",
        {"transfer": transfer, "workspace": workspace},
    )
    transfers = tuple(transfer_of(row) for row in rows)
    if all(found.state is TransferState.LOCKING for found in transfers):
        return Found(transfers, certain=True)
    row = await transaction.row("SELECT current_setting('synchronous_standby_names') = ''")
    return Found(transfers, certain=row is not None and row[0])


async def _write(feed: Feed, transfer: Transfer) -> None:
    await feed.transaction.run(
        "UPDATE transfer SET state = %(state)s, ended_at = %(ended_at)s, reason = %(reason)s WHERE id = %(id)s",
        {
            "state": transfer.state.value,
            "ended_at": transfer.ended_at,
            "reason": transfer.reason,
            "id": transfer.id,
        },
    )
    lock = transfer.id if transfer.state.running else None
    await place(feed, feed.take_seq(), transfer.workspace, transfer.home, lock)
