"""The kinds of directory that must pass the contract suite, each behind the few things a test does with one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from router.directory.sqlite import SqliteStore, migrate
from router.directory.store import Store
from tests.directory.manual_clock import ManualClock

if TYPE_CHECKING:
    from pathlib import Path

    from router.directory.store import DirectoryInfo


class MaintainedStore(Store, Protocol):
    """A store with what its adapter adds for maintenance."""

    async def info(self) -> DirectoryInfo: ...

    async def open_directory(self, *, restored: bool) -> DirectoryInfo: ...


class Site(Protocol):
    """One directory, freshly made and not opened, that several processes may use at the same time."""

    clock: ManualClock

    def connect(self, *, keep_changes: int = 100_000) -> MaintainedStore:
        """A store as another process would make it. Closed at the end of the test."""

    async def close(self) -> None:
        """Close all that was connected."""


class SqliteSite:
    """A file."""

    def __init__(self, path: Path) -> None:
        self.clock = ManualClock()
        self.path = path
        self.stores: list[SqliteStore] = []
        migrate(path, clock=self.clock)

    def connect(self, *, keep_changes: int = 100_000, busy_timeout: float = 30.0) -> SqliteStore:
        store = SqliteStore(self.path, clock=self.clock, keep_changes=keep_changes, busy_timeout=busy_timeout)
        self.stores.append(store)
        return store

    async def close(self) -> None:
        for store in self.stores:
            await store.close()
