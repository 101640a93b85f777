"""What a miss of the cached directory asks: one fact, and of which snapshot it is. One statement, so one snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.directory.postgres.errors import RESTORE
from router.directory.rows import TRANSFER_COLUMNS, fact
from router.directory.store import Answer, StoreUnreadableError
from router.model.placement import Absence, Kind, Version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.directory.postgres.session import Session
    from router.model.placement import Entry, Fact

_FEED: Final = "SELECT feed.generation, feed.head, feed.opened"
_NO_TRANSFER: Final = "NULL, NULL, NULL, NULL, NULL"

_QUERIES: Final[Mapping[Kind, str]] = {
    Kind.WORKSPACE: (
        f"{_FEED}, CASE WHEN w.id IS NOT NULL THEN 'workspace' END, w.id, w.epoch, w.region, NULL, false, "
        f"{TRANSFER_COLUMNS} "
        "FROM feed LEFT JOIN workspace w ON w.id = %(name)s LEFT JOIN transfer t ON t.id = w.transfer"
    ),
    Kind.SUBDOMAIN: (
        f"{_FEED}, CASE WHEN s.label IS NOT NULL THEN 'subdomain' END, s.label, s.seq, NULL, s.workspace, false, "
        f"{_NO_TRANSFER} FROM feed LEFT JOIN subdomain s ON s.label = %(name)s"
    ),
    Kind.KEY: (
        f"{_FEED}, CASE WHEN k.digest IS NOT NULL THEN 'key' END, k.digest, k.seq, k.region, k.workspace, "
        f"k.superseded_by IS NOT NULL, {_NO_TRANSFER} FROM feed LEFT JOIN api_key k ON k.digest = %(name)s"
    ),
}
"""Each gives generation, head and opened, then the columns that `router.directory.rows.fact` reads, or nulls."""


async def answer(session: Session, entry: Entry) -> Answer:
    """The fact named `entry`; what was never known is an absence with number 0. Raises `StoreError`."""
    name = entry.name if storable(entry.name) else ""
    row = await session.ask(_QUERIES[entry.kind], {"name": name})
    if row is None:
        raise StoreUnreadableError(f"{session.source.name}: has lost its feed: {RESTORE}")
    generation, head, opened, *columns = row
    return Answer(_fact(entry, tuple(columns), generation), generation, head, opened)


def storable(text: str) -> bool:
    """Whether PostgreSQL could hold such a text at all. What it could not hold is not there."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def _fact(entry: Entry, row: tuple[Any, ...], generation: int) -> Fact:
    return Absence(entry, Version(generation, 0)) if row[0] is None else fact(row, generation)
