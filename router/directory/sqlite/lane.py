"""One thread, one connection: where SQLite's blocking calls run while the event loop goes on.

A call whose awaiter is cancelled before its turn is dropped; once its transaction has begun it runs to its end, because
half of it cannot be taken back and nobody could say which half.
"""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

from router.directory.sqlite.errors import from_sqlite
from router.directory.sqlite.file import transaction
from router.directory.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.directory.sqlite.file import DatabaseFile, Identity

READ: Final = "BEGIN"
WRITE: Final = "BEGIN IMMEDIATE"

T = TypeVar("T")


class Lane:
    """Runs transactions of one kind (`begin` is `READ` or `WRITE`), one at a time, in the order they were asked for."""

    def __init__(self, file: DatabaseFile, begin: str) -> None:
        self._file = file
        self._begin = begin
        self._connection: sqlite3.Connection | None = None
        self._identity: Identity | None = None
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="directory")
        self._closed = False

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` in one transaction. Raises `StoreError`, and whatever `work` raises, after rolling back."""
        self._require_open()
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._transact, work)

    def close(self) -> asyncio.Future[None]:
        """Give back the thread and the connection. What has not begun yet ends with `StoreError`. Called once."""
        self._closed = True
        # Behind what is queued, and in the thread that opened the connection.
        closing = asyncio.get_running_loop().run_in_executor(self._executor, self._disconnect)
        self._executor.shutdown(wait=False)
        return closing

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._require_open()
        connection = self._connected()
        try:
            with transaction(connection, self._begin):
                return work(connection)
        except sqlite3.Error as error:
            # Whatever it was, the next call starts from the file as it is then.
            self._disconnect()
            raise from_sqlite(error, self._file.path) from error

    def _connected(self) -> sqlite3.Connection:
        """A connection to the file that is at the path now. While none is there the old one waits: it may come back."""
        found = self._file.identity()
        if self._connection is None or found != self._identity:
            self._disconnect()
            self._connection, self._identity = self._file.open()
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _require_open(self) -> None:
        if self._closed:
            raise StoreError(f"{self._file.path}: this store was closed")
