"""The rows of the gateways: made once, renewed together with the reading of the feed, gone when the gateway is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.directory.postgres.feed import CHANGES_BEHIND, changes_of, info_of
from router.directory.postgres.losses import keep_unanswered
from router.directory.store import Position, Renewed
from router.model.barrier import BarrierView, Registration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.directory.postgres.session import Transaction
    from router.directory.store import Newcomer, Renewal
    from router.model.losses import UnansweredRequest

_ALONE_WITH: Final = "SELECT pg_advisory_xact_lock(hashtextextended(%(incarnation)s, 0))"

_RENEW: Final = (
    "WITH renewed AS (UPDATE registration SET generation = %(generation)s, applied = least(%(applied)s, feed.head), "  # noqa: S608 - constants only
    "renewed_at = %(now)s, renewals = renewals + 1 FROM feed WHERE incarnation = %(incarnation)s RETURNING 1), "
    f"news AS ({CHANGES_BEHIND}) "
    "SELECT feed.generation, feed.floor, feed.head, feed.opened, news.* FROM renewed, feed LEFT JOIN news "
    "ON feed.generation = %(generation)s AND feed.floor <= %(seq)s + 1 ORDER BY news.seq"
)


async def register(transaction: Transaction, newcomer: Newcomer, *, now: float) -> None:
    """Insert the row at the head: its gateway has nothing in flight that was decided on anything older."""
    await transaction.rows(_ALONE_WITH, {"incarnation": newcomer.incarnation})
    await transaction.run(
        "INSERT INTO registration (incarnation, gateway, host, lease, generation, applied, renewed_at, renewals) "
        "SELECT %(incarnation)s, %(gateway)s, %(host)s, %(lease)s, generation, "
        "CASE WHEN %(applies)s THEN head ELSE 0 END, %(now)s, 0 FROM feed",
        {
            "incarnation": newcomer.incarnation,
            "gateway": newcomer.gateway,
            "host": newcomer.host,
            "lease": newcomer.lease,
            "applies": newcomer.applies,
            "now": now,
        },
    )


async def position(transaction: Transaction) -> Position:
    """The head."""
    info = await info_of(transaction)
    return Position(info.generation, info.head)


async def renew(transaction: Transaction, renewal: Renewal, *, now: float) -> Renewed | None:
    """Update the row and return the feed of the same snapshot; `None` if there is no such row.

    One statement: in a READ COMMITTED transaction each has a snapshot of its own, and generation, floor, head and rows
    must be of one. If the update has to wait for somebody who holds the row, the rest remains as of the beginning:
    older, and of one piece. (REPEATABLE READ would do as well, but would fail there and have to be tried again.)

    What is acknowledged beyond the head was applied in a history that this database does not know, so it counts up to
    the head only. A position of another generation or behind the floor cannot be followed, and is brought nothing.
    """
    rows = await transaction.rows(
        _RENEW,
        {
            "incarnation": renewal.incarnation,
            "generation": renewal.position.generation,
            "applied": renewal.applied,
            "seq": renewal.position.seq,
            "limit": renewal.limit,
            "now": now,
        },
    )
    if not rows:
        return None
    await keep_unanswered(transaction, renewal.unanswered, now=now)
    generation, floor, head, opened = rows[0][:4]
    news = [row[4:] for row in rows if row[4] is not None]
    return Renewed(generation, floor, head, opened, changes_of(news, generation))


async def remove(
    transaction: Transaction, incarnation: str, unanswered: Sequence[UnansweredRequest], *, now: float
) -> None:
    """Delete the row, if it is there, and keep what its gateway leaves behind.

    The insertion may still be waiting for its standbys though its gateway has given it up: its lock is waited for, else
    the row would appear when nobody looks after it any more.
    """
    await transaction.rows(_ALONE_WITH, {"incarnation": incarnation})
    await transaction.run("DELETE FROM registration WHERE incarnation = %(incarnation)s", {"incarnation": incarnation})
    await keep_unanswered(transaction, unanswered, now=now)


async def view(transaction: Transaction) -> BarrierView:
    """What the lock barrier is judged by."""
    info = await info_of(transaction)
    rows = await transaction.rows(
        "SELECT incarnation, gateway, host, lease, generation, applied, renewed_at, renewals "
        "FROM registration ORDER BY incarnation"
    )
    return BarrierView(info.generation, info.quarantine_until, tuple(Registration(*row) for row in rows))
