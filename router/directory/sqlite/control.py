"""The control plane's side of the SQLite file: any function over its rows, in one transaction.

It has lanes of its own, beside those of `SqliteStore`: a long import must stand in no gateway's queue of renewals. The
file's one write lock is still shared, so whoever writes for seconds makes everybody's writes wait that long.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from router.directory.rows import KEPT_CHANGES
from router.directory.sqlite.control_journal import SqliteJournalRows
from router.directory.sqlite.control_tenants import SqliteTenantRows
from router.directory.sqlite.control_transfers import SqliteTransferRows
from router.directory.sqlite.feed import Feed
from router.directory.sqlite.file import DatabaseFile
from router.directory.sqlite.lane import READ, WRITE, Lane
from router.directory.sqlite.maintenance import BUSY_TIMEOUT

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")


class SqliteControlTransaction(SqliteTenantRows, SqliteTransferRows, SqliteJournalRows):
    """See `router.control.ports.ControlTransaction`."""

    def __init__(self, feed: Feed) -> None:
        SqliteTenantRows.__init__(self, feed)
        SqliteTransferRows.__init__(self, feed)
        SqliteJournalRows.__init__(self, feed)


class SqliteControlStore:
    """See `router.control.ports.ControlStore`. The parameters are those of `SqliteStore`; none is opened before use."""

    def __init__(
        self,
        path: Path,
        *,
        keep_changes: int = KEPT_CHANGES,
        busy_timeout: float = BUSY_TIMEOUT,
        directory_id: str | None = None,
    ) -> None:
        self._keep_changes = keep_changes
        self._file = DatabaseFile(path.absolute(), busy_timeout, directory_id)
        self._reader = Lane(self._file, READ)
        self._writer = Lane(self._file, WRITE)
        self._closing: asyncio.Future[tuple[None, None]] | None = None

    async def transact(self, work: Callable[[SqliteControlTransaction], T]) -> T:
        """See the protocol."""
        return await self._writer.run(lambda connection: work(self._transaction(connection)))

    async def read(self, work: Callable[[SqliteControlTransaction], T]) -> T:
        """See the protocol."""
        return await self._reader.run(lambda connection: work(self._transaction(connection)))

    async def close(self) -> None:
        """Give back what the store holds. Pending calls end with `StoreError`."""
        if self._closing is None:
            self._closing = asyncio.gather(self._reader.close(), self._writer.close())
            self._closing.add_done_callback(lambda _: self._file.close())
        # Cancelled or not: connections are closed by the threads that opened them, and by nobody later.
        await asyncio.shield(self._closing)

    def _transaction(self, connection: sqlite3.Connection) -> SqliteControlTransaction:
        return SqliteControlTransaction(Feed(connection, self._keep_changes))
