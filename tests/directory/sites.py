"""The kinds of directory that must pass the contract suite, each behind the few things a test does with one."""

from __future__ import annotations

import atexit
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from router.directory.postgres.maintenance import migrate as migrate_database
from router.directory.postgres.options import PostgresOptions
from router.directory.postgres.store import PostgresStore
from router.directory.sqlite import SqliteStore, migrate
from router.directory.store import Store
from tests.directory.manual_clock import ManualClock
from tests.postgres_server import on_shared, url_of

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


class PostgresSite:
    """A database of its own, a copy of one that was made a directory once."""

    def __init__(self, database: str) -> None:
        self.clock = ManualClock()
        self.database = database
        self.stores: list[PostgresStore] = []

    @classmethod
    async def make(cls) -> PostgresSite:
        """A fresh directory."""
        if not _TEMPLATES:
            _TEMPLATES.append(await _make_template())
        database = f"{_TEMPLATES[0]}_{next(_DATABASES)}"
        on_shared(f"CREATE DATABASE {database} TEMPLATE {_TEMPLATES[0]}")
        return cls(database)

    def connect(self, *, keep_changes: int = 100_000, **options: Any) -> PostgresStore:
        settings = PostgresOptions(url_of(self.database), **options)
        store = PostgresStore(settings, clock=self.clock, keep_changes=keep_changes)
        self.stores.append(store)
        return store

    async def close(self) -> None:
        for store in self.stores:
            await store.close()
        on_shared(f"DROP DATABASE {self.database} WITH (FORCE)")


async def _make_template() -> str:
    name = f"router_{uuid4().hex[:12]}"
    on_shared(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
    atexit.register(on_shared, f"DROP DATABASE {name} WITH (FORCE)")
    await migrate_database(PostgresOptions(url_of(name)), clock=ManualClock())
    return name


_TEMPLATES: list[str] = []
_DATABASES = count(1)
