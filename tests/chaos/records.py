"""What one region has done, in a database of its own: the fence, the data, and a record of all that was ever executed.

The law of the room: everything is one transaction at a time, as in a backend's database, so the record's order is the
order in which things happened; and nothing is answered before it is on the disk. The fence is looked at in the
transaction that writes: it refuses what is committed too late, however early its request came.
"""

from __future__ import annotations

import sqlite3
import time
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_SCHEMA = """
CREATE TABLE record (
    number INTEGER PRIMARY KEY, outcome TEXT, name TEXT, workspace TEXT, request TEXT, epoch INTEGER, at REAL
);
CREATE TABLE data (workspace TEXT, name TEXT, PRIMARY KEY (workspace, name)) WITHOUT ROWID;
CREATE TABLE fence (workspace TEXT PRIMARY KEY, closed_by TEXT, closed_epoch INTEGER, highest_epoch INTEGER);
"""


class Outcome(StrEnum):
    """What became of a write."""

    EXECUTED = "executed"
    CLOSED = "closed"
    STALE = "stale"


class Write(NamedTuple):
    """One write, as its request asks for it."""

    name: str
    workspace: str
    request: str
    epoch: int


class Recorded(NamedTuple):
    """One line of the record. `at`: just before it was committed, on the clock that all processes here share."""

    outcome: Outcome
    name: str
    workspace: str
    request: str
    at: float


class Records:
    """The database of one region, which `fences` or not. Its calls block; one at a time, from any thread."""

    def __init__(self, path: Path, *, fences: bool) -> None:
        self._fences = fences
        self._base = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._base.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; {_SCHEMA}")

    def execute(self, writes: Sequence[Write]) -> list[Outcome]:
        """Execute all that the fence lets through, in one transaction."""
        with self._base:
            self._base.execute("BEGIN IMMEDIATE")
            return [self._execute(write) for write in writes]

    def close(self, workspace: str, transfer: str, epoch: int) -> bool:
        """Close the workspace for the transfer that locked it at `epoch`. `False`: the call is out of date."""
        with self._base:
            self._base.execute("BEGIN IMMEDIATE")
            closed_by, closed_epoch, highest = self._fence(workspace)
            if closed_by == transfer:
                return True
            if epoch < highest or (closed_by is not None and epoch <= closed_epoch):
                return False
            self._put_fence(workspace, transfer, epoch, epoch)
            return True

    def open(self, workspace: str, epoch: int, transfer: str | None = None) -> bool:
        """Let writes of `epoch` and later in. `False`: another transfer than that has closed it.

        A destination's old copy is gone with the data that is put in its place, so there whoever closed it may have.
        """
        with self._base:
            self._base.execute("BEGIN IMMEDIATE")
            closed_by, _, highest = self._fence(workspace)
            if transfer not in {None, closed_by}:
                return False
            self._put_fence(workspace, None, 0, max(epoch, highest))
            return True

    def take(self, workspace: str) -> list[str]:
        """A copy of the workspace's data."""
        rows = self._base.execute("SELECT name FROM data WHERE workspace = ?", (workspace,))
        return [name for (name,) in rows]

    def put(self, workspace: str, names: Iterable[str]) -> None:
        """Put that in the place of all data of the workspace."""
        with self._base:
            self._base.execute("BEGIN IMMEDIATE")
            self._base.execute("DELETE FROM data WHERE workspace = ?", (workspace,))
            self._base.executemany("INSERT INTO data VALUES (?, ?)", ((workspace, name) for name in names))

    def _execute(self, write: Write) -> Outcome:
        outcome = self._judge(write) if self._fences else Outcome.EXECUTED
        if outcome is Outcome.EXECUTED:
            self._base.execute("INSERT OR IGNORE INTO data VALUES (?, ?)", (write.workspace, write.name))
        self._base.execute(
            "INSERT INTO record (outcome, name, workspace, request, epoch, at) VALUES (?, ?, ?, ?, ?, ?)",
            (outcome, write.name, write.workspace, write.request, write.epoch, time.monotonic()),
        )
        return outcome

    def _judge(self, write: Write) -> Outcome:
        closed_by, _, highest = self._fence(write.workspace)
        if closed_by is not None:
            return Outcome.CLOSED
        if write.epoch < highest:
            return Outcome.STALE
        if write.epoch > highest:
            self._put_fence(write.workspace, None, 0, write.epoch)
        return Outcome.EXECUTED

    def _fence(self, workspace: str) -> tuple[str | None, int, int]:
        row = self._base.execute(
            "SELECT closed_by, closed_epoch, highest_epoch FROM fence WHERE workspace = ?", (workspace,)
        ).fetchone()
        return (None, 0, 0) if row is None else row

    def _put_fence(self, workspace: str, closed_by: str | None, closed_epoch: int, highest: int) -> None:
        self._base.execute(
            "INSERT OR REPLACE INTO fence VALUES (?, ?, ?, ?)", (workspace, closed_by, closed_epoch, highest)
        )


class Books(NamedTuple):
    """What is left of a region when its process has ended: its record in order, and the data of each workspace."""

    record: tuple[Recorded, ...]
    data: dict[str, frozenset[str]]


def read_books(path: Path) -> Books:
    """The books of the region whose database that is."""
    base = sqlite3.connect(path)
    record = base.execute("SELECT outcome, name, workspace, request, at FROM record ORDER BY number")
    lines = tuple(Recorded(Outcome(outcome), *rest) for outcome, *rest in record)
    data: dict[str, set[str]] = {}
    for workspace, name in base.execute("SELECT workspace, name FROM data"):
        data.setdefault(workspace, set()).add(name)
    base.close()
    return Books(lines, {workspace: frozenset(names) for workspace, names in data.items()})
