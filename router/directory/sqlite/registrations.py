"""The rows of the gateways: made once, renewed together with the reading of the feed, gone when the gateway is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.directory.sqlite.feed import changes_after, info_of
from router.directory.sqlite.losses import keep_unanswered
from router.directory.store import Position, Renewed
from router.model.barrier import BarrierView, Registration

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from router.directory.store import Newcomer, Renewal
    from router.model.losses import UnansweredRequest


def register(connection: sqlite3.Connection, newcomer: Newcomer, *, now: float) -> None:
    """Insert the row at the head: its gateway has nothing in flight that was decided on anything older."""
    connection.execute(
        "INSERT INTO registration (incarnation, gateway, host, lease, generation, applied, renewed_at, renewals) "
        "SELECT ?, ?, ?, ?, generation, iif(?, head, 0), ?, 0 FROM feed",
        (newcomer.incarnation, newcomer.gateway, newcomer.host, newcomer.lease, newcomer.applies, now),
    )


def position(connection: sqlite3.Connection) -> Position:
    """The head."""
    info = info_of(connection)
    return Position(info.generation, info.head)


def renew(connection: sqlite3.Connection, renewal: Renewal, *, now: float) -> Renewed | None:
    """Update the row and return the feed of the same snapshot; `None` if there is no such row.

    What is acknowledged beyond the head was applied in a history that this file does not know (a copy was put back), so
    it counts up to the head only: else the gateway would seem to have applied locks that are still to come.
    """
    info = info_of(connection)
    updated = connection.execute(
        "UPDATE registration SET generation = ?, applied = ?, renewed_at = ?, renewals = renewals + 1 "
        "WHERE incarnation = ?",
        (renewal.position.generation, min(renewal.applied, info.head), now, renewal.incarnation),
    )
    if not updated.rowcount:
        return None
    keep_unanswered(connection, renewal.unanswered, now=now)
    # A position of another generation or behind the floor cannot be followed: by what else is in it the answer says so.
    followed = renewal.position.generation == info.generation and renewal.position.seq + 1 >= info.floor
    changes = changes_after(connection, renewal.position, renewal.limit) if followed else ()
    return Renewed(info.generation, info.floor, info.head, info.opened, changes)


def remove(
    connection: sqlite3.Connection, incarnation: str, unanswered: Iterable[UnansweredRequest], *, now: float
) -> None:
    """Delete the row, if it is there, and keep what its gateway leaves behind."""
    connection.execute("DELETE FROM registration WHERE incarnation = ?", (incarnation,))
    keep_unanswered(connection, unanswered, now=now)


def view(connection: sqlite3.Connection) -> BarrierView:
    """What the lock barrier is judged by."""
    info = info_of(connection)
    rows = connection.execute(
        "SELECT incarnation, gateway, host, lease, generation, applied, renewed_at, renewals "
        "FROM registration ORDER BY incarnation"
    )
    return BarrierView(info.generation, info.quarantine_until, tuple(Registration(*row) for row in rows))
