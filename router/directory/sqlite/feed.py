"""The change feed inside a transaction: its one row, `seq`, the changes.

The law of the room: every change of a fact is written here in the transaction that makes it, with the payload of that
moment. Its `seq` is taken under the feed's one row and the writer holds the file's write lock, so nobody can see a
`seq` before all lower ones are committed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.directory.rows import CHANGE_COLUMNS, TRANSFER_COLUMNS, fact
from router.directory.store import DirectoryInfo
from router.model.placement import Change

if TYPE_CHECKING:
    import sqlite3

    from router.directory.rows import Payload
    from router.directory.store import Position

PRUNED_PER_CHANGE: Final = 2
"""More than one, so that a feed that has grown too long shrinks again; few, so that no writer pays for all of it."""

_CHANGES: Final = (
    f"SELECT c.seq, {CHANGE_COLUMNS}, {TRANSFER_COLUMNS} "  # noqa: S608 - constants only
    "FROM change c LEFT JOIN transfer t ON t.id = c.transfer WHERE c.seq > ? ORDER BY c.seq LIMIT ?"
)


class Feed:
    """The feed as one write transaction sees it. The newest `keep` changes are kept."""

    def __init__(self, connection: sqlite3.Connection, keep: int) -> None:
        self.connection = connection
        self._keep = keep

    def take_seq(self) -> int:
        """The next `seq`, and room for it: the oldest changes beyond those to keep go, a few at a time."""
        seq, floor = self.connection.execute(
            "UPDATE feed SET head = head + 1, floor = max(floor, min(floor + ?, head + 2 - ?)) RETURNING head, floor",
            (PRUNED_PER_CHANGE, self._keep),
        ).fetchone()
        self.connection.execute("DELETE FROM change WHERE seq < ?", (floor,))
        return int(seq)

    def write(self, seq: int, number: int, payload: Payload) -> None:
        """Write the change taken as `seq`: the fact is `payload` from now on, in its version `number`."""
        self.connection.execute(
            "INSERT INTO change (seq, number, kind, name, region, workspace, superseded, transfer) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (seq, number, *payload),
        )


def info_of(connection: sqlite3.Connection) -> DirectoryInfo:
    """The feed's row, and the schema it stands in."""
    directory_id, generation, opened, quarantine_until, head, floor, schema = connection.execute(
        "SELECT directory_id, generation, opened, quarantine_until, head, floor, "
        "(SELECT max(version) FROM schema_version) FROM feed"
    ).fetchone()
    return DirectoryInfo(directory_id, generation, bool(opened), quarantine_until, head, floor, schema)


def changes_after(connection: sqlite3.Connection, position: Position, limit: int) -> tuple[Change, ...]:
    """At most `limit` changes behind `position`, which must be of the present generation."""
    rows = connection.execute(_CHANGES, (position.seq, limit))
    return tuple(Change(row[0], fact(row[1:], position.generation)) for row in rows)
