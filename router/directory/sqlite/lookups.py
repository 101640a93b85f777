"""What a miss of the cached directory asks: one fact, and of which snapshot it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.directory.rows import TRANSFER_COLUMNS, fact
from router.directory.sqlite.feed import info_of
from router.directory.store import Answer
from router.model.placement import Absence, Kind, Version

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from router.model.placement import Entry

_NO_TRANSFER: Final = "NULL, NULL, NULL, NULL, NULL"

_QUERIES: Final[Mapping[Kind, str]] = {
    Kind.WORKSPACE: (
        f"SELECT 'workspace', w.id, w.epoch, w.region, NULL, 0, {TRANSFER_COLUMNS} "  # noqa: S608 - constants only
        "FROM workspace w LEFT JOIN transfer t ON t.id = w.transfer WHERE w.id = ?"
    ),
    Kind.SUBDOMAIN: (
        f"SELECT 'subdomain', label, seq, NULL, workspace, 0, {_NO_TRANSFER} "  # noqa: S608 - constants only
        "FROM subdomain WHERE label = ?"
    ),
    Kind.KEY: (
        "SELECT 'key', digest, seq, region, workspace, "  # noqa: S608 - constants only
        f"superseded_by IS NOT NULL, {_NO_TRANSFER} FROM api_key WHERE digest = ?"
    ),
}
"""Each gives the columns that `router.directory.rows.fact` reads."""


def answer(connection: sqlite3.Connection, entry: Entry) -> Answer:
    """The fact named `entry` in this transaction's snapshot; what was never known is an absence with number 0."""
    info = info_of(connection)
    row = connection.execute(_QUERIES[entry.kind], (entry.name,)).fetchone()
    found = Absence(entry, Version(info.generation, 0)) if row is None else fact(row, info.generation)
    return Answer(found, info.generation, info.head, info.opened)
