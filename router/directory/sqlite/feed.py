"""The change feed inside a transaction: its one row, `seq`, the changes.

The law of the room: every change of a fact is written here in the transaction that makes it, with the payload of that
moment. Its `seq` is taken under the feed's one row and the writer holds the file's write lock, so nobody can see a
`seq` before all lower ones are committed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from router.directory.store import DirectoryInfo
from router.model.placement import Absence, Alias, Change, Entry, Fact, Kind, Placement, Version, WorkspaceId
from router.model.transfer import RunningTransfer

if TYPE_CHECKING:
    import sqlite3

    from router.directory.store import Position
    from router.model.region import RegionName

PRUNED_PER_CHANGE: Final = 2
"""More than one, so that a feed that has grown too long shrinks again; few, so that no writer pays for all of it."""

TRANSFER_COLUMNS: Final = "t.id, t.source, t.destination, t.started_at, t.deadline"

_CHANGES: Final = (
    "SELECT c.seq, c.kind, c.name, c.number, c.region, c.workspace, c.superseded, "  # noqa: S608 - constants only
    f"{TRANSFER_COLUMNS} FROM change c LEFT JOIN transfer t ON t.id = c.transfer WHERE c.seq > ? ORDER BY c.seq LIMIT ?"
)


class Payload(NamedTuple):
    """A fact as it stands in a row of the feed: neither region nor workspace is an absence."""

    kind: Kind
    name: str
    region: RegionName | None = None
    workspace: WorkspaceId | None = None
    superseded: bool = False
    transfer: str | None = None


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


def fact(row: tuple[Any, ...], generation: int) -> Fact:
    """The fact of a row: kind, name, number, region, workspace, superseded, then `TRANSFER_COLUMNS`."""
    kind, name, number, region, workspace, superseded, *running = row
    entry, version = Entry(Kind(kind), name), Version(generation, number)
    if region is None and workspace is None:
        return Absence(entry, version)
    if entry.kind is Kind.WORKSPACE:
        transfer = None if running[0] is None else RunningTransfer(*running)
        return Placement(WorkspaceId(name), region, version, transfer)
    return Alias(entry, version, workspace, region, bool(superseded))
