"""Which store keeps the configured directory: the one place that knows both kinds.

psycopg is loaded when a directory in PostgreSQL is used, and not before: it is an extra, and a large one.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from router.control.ports import ControlStore
from router.directory.hostlock import FileHostLocks
from router.directory.sqlite import SqliteStore
from router.directory.sqlite import migrate as migrate_file
from router.directory.sqlite.control import SqliteControlStore
from router.directory.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from router.directory.migrate import Migration
    from router.directory.ports import Clock
    from router.directory.store import DirectoryInfo
    from router.settings.values import DirectorySettings


class MaintainedStore(Store, Protocol):
    """A store, with what both kinds have for maintenance."""

    async def info(self) -> DirectoryInfo:
        """What the directory says of itself. Raises `StoreError`."""

    async def open_directory(self, *, restored: bool, lease: float) -> DirectoryInfo:
        """Open it for traffic; with `restored` in another generation. `lease` in seconds. Raises `StoreError`."""


def open_store(settings: DirectorySettings, clock: Clock) -> MaintainedStore:
    """The store of `settings`. Nothing is opened or connected yet."""
    if isinstance(settings.place, Path):
        return SqliteStore(settings.place, clock=clock, directory_id=settings.id)
    from router.directory.postgres.store import PostgresStore  # noqa: PLC0415 - see above

    options = settings.options
    return PostgresStore(
        settings.place,
        clock=clock,
        directory_id=settings.id,
        longest_lease=options.lease * (1.0 + options.clock_drift) + options.lease_margin,
    )


class ClosableStore(ControlStore, Protocol):
    """A control store, to be closed."""

    async def close(self) -> None:
        """Give back what it holds."""


def open_control_store(settings: DirectorySettings, clock: Clock) -> ClosableStore:
    """The control plane's side of the configured directory. Nothing is opened or connected yet."""
    if isinstance(settings.place, Path):
        return SqliteControlStore(settings.place, directory_id=settings.id)
    # psycopg is an extra, and a large one: loaded only where it is used.
    from router.directory.postgres.control import PostgresControlStore  # noqa: PLC0415 - see above
    from router.directory.postgres.store import PostgresStore  # noqa: PLC0415 - see above

    store = open_store(settings, clock)
    assert isinstance(store, PostgresStore)
    return PostgresControlStore(store, threads=settings.place.pool_size)


def listening(store: MaintainedStore, wake: Callable[[], None]) -> Coroutine[None, None, None] | None:
    """Work that calls `wake` when the directory has news, until it is cancelled; where there is such a thing."""
    if isinstance(store, SqliteStore):
        return None
    from router.directory.postgres.store import PostgresStore  # noqa: PLC0415 - see above

    listener = store.listener(wake) if isinstance(store, PostgresStore) else None
    return None if listener is None else listener.run()


def host_locks_of(settings: DirectorySettings) -> FileHostLocks:
    """The locks by which the gateways of this host prove that they live."""
    return FileHostLocks(settings.locks)


def migrate(settings: DirectorySettings, clock: Clock) -> tuple[Migration, ...]:
    """Make the directory, or bring it to this release's schema. Blocks. Raises `StoreError`."""
    if isinstance(settings.place, Path):
        return migrate_file(settings.place, clock=clock)
    from router.directory.postgres.maintenance import migrate as migrate_database  # noqa: PLC0415 - see above

    return asyncio.run(migrate_database(settings.place, clock=clock))
