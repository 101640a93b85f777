"""Connections to one source: how many there may be, how a dead one is noticed, how one is given up.

Theory. Whoever needs a connection waits for a turn, for a bounded time, then takes an idle one or makes one; so why
none can be made is told at once to whoever needed it, and an outage ends for the first caller behind it. (psycopg's own
pool connects in the background: its callers learn nothing but that time has passed, and its attempts become rare while
an outage lasts.) Making one outlives the caller who asked: with the first of several hosts gone it takes longer than a
lookup may, and the next caller finds it made.

An idle connection that has something to read was closed by the other side, or is about to be: it is not used. One whose
call is given up is *severed*: its socket is shut down, and what the server was doing there goes on or is undone without
anybody hearing of it. It is never sent a cancel request, because one that meets a commit in its wait for the standbys
would make that commit visible without them.

Unlike the rest of `directory`, what is waited for here are sockets: by the loop's own time, in tasks of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import select
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import psycopg
from psycopg.pq import TransactionStatus

from router.directory.postgres.errors import from_psycopg, gone
from router.directory.store import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from router.directory.postgres.source import Source

Row: TypeAlias = tuple[Any, ...]

MAX_AGE: Final = 1800.0
"""Seconds after which an idle connection is not used any more: another host may have become the better one."""


@dataclass(eq=False, slots=True)
class Link:
    """One connection. `warned`: the server has warned of something since this was last set to `False`."""

    connection: psycopg.AsyncConnection[Row]
    source: Source
    born: float
    warned: bool = field(default=False)

    @property
    def idle(self) -> bool:
        """Whether it is in no transaction and can be used again."""
        connection = self.connection
        return not connection.closed and connection.info.transaction_status == TransactionStatus.IDLE

    async def execute(self, query: str, parameters: dict[str, Any] | None, limit: float) -> psycopg.AsyncCursor[Row]:
        """Do what `query` says. After `limit` seconds, or when the caller is cancelled, the connection is severed.

        Parameters are put into the text here, so nothing is prepared and several statements may share one message: what
        a pooler in transaction mode can pass on. Raises `StoreError`.
        """
        cursor = psycopg.AsyncClientCursor(self.connection)
        task = asyncio.ensure_future(cursor.execute(query, parameters))
        # From the start: a caller who is cancelled in the very turn in which it fails never asks how it ended.
        task.add_done_callback(_ignore_failure)
        try:
            done, _ = await asyncio.wait({task}, timeout=limit)
        finally:
            if not task.done():
                await self._sever(task)
        if not done:
            raise gone(self.source, limit)
        try:
            return task.result()
        except psycopg.Error as error:
            raise from_psycopg(error, self.source) from error

    def shut_down(self) -> None:
        """Nothing comes or goes any more: whoever waits for the other side is told that it has closed."""
        with contextlib.suppress(OSError, psycopg.Error):
            own = socket.socket(fileno=os.dup(self.connection.pgconn.socket))
            with own:
                own.shutdown(socket.SHUT_RDWR)

    async def close(self) -> None:
        """Give it back to the system, without waiting for anything. May be repeated."""
        with contextlib.suppress(psycopg.Error):
            await self.connection.close()

    async def _sever(self, task: asyncio.Future[Any]) -> None:
        self.shut_down()
        await asyncio.wait({task})


async def connect(source: Source) -> Link:
    """A new connection, outside any transaction. Raises `StoreError`."""
    try:
        connection: psycopg.AsyncConnection[Row] = await psycopg.AsyncConnection.connect(
            source.conninfo, autocommit=True, prepare_threshold=None
        )
    except (psycopg.Error, UnicodeError) as error:
        if isinstance(error, psycopg.Error):
            raise from_psycopg(error, source) from error
        raise StoreError(f"{source.name}: its host cannot be looked up: correct {source.setting}") from error
    link = Link(connection, source, asyncio.get_running_loop().time())

    def note(notice: psycopg.errors.Diagnostic) -> None:
        link.warned = link.warned or notice.severity_nonlocalized == "WARNING"

    connection.add_notice_handler(note)
    return link


class Pool:
    """At most `size` connections to `source`. `wait`: seconds for a turn. `inspect` judges each new one.

    Making a pool connects nothing.
    """

    def __init__(self, source: Source, *, size: int, wait: float, inspect: Callable[[Link], Awaitable[None]]) -> None:
        self.source = source
        self._size = size
        self._wait = wait
        self._inspect = inspect
        self._turns = asyncio.Semaphore(size)
        self._idle: list[Link] = []
        self._lent: set[Link] = set()
        self._making: set[asyncio.Task[Link]] = set()
        self._left_at = -math.inf
        self._closed = False

    @contextlib.asynccontextmanager
    async def link(self) -> AsyncIterator[Link]:
        """A connection outside any transaction. It is kept if it is so again afterwards. Raises `StoreError`."""
        await self._take_turn()
        link = await self._usable() or await self._made()
        self._lent.add(link)
        try:
            yield link
        finally:
            self._lent.discard(link)
            await self._put_back(link)

    async def close(self) -> None:
        """Close all. Calls under way end with `StoreError`. May be repeated."""
        self._closed = True
        for task in self._making:
            task.cancel()
        for link in self._lent:
            link.shut_down()
        if self._making:
            await asyncio.wait(self._making)
        # Behind that: what was made for a caller who has gone is among them.
        while self._idle:
            await self._idle.pop().close()

    def leave(self) -> None:
        """Use no connection again that is there now: the URL may lead to another server meanwhile."""
        self._left_at = asyncio.get_running_loop().time()

    def require_open(self) -> None:
        """Raise `StoreError` once this was closed."""
        if self._closed:
            raise self._was_closed()

    def _was_closed(self) -> StoreError:
        return StoreError(f"{self.source.name}: this store was closed")

    async def _take_turn(self) -> None:
        self.require_open()
        try:
            async with asyncio.timeout(self._wait):
                await self._turns.acquire()
        except TimeoutError:
            raise StoreError(
                f"{self.source.name}: all {self._size} connections were in use for {self._wait:g} s: "
                "see what keeps it busy, or raise directory.pool_size"
            ) from None

    async def _usable(self) -> Link | None:
        """The idle one that was used last, so that those which are not needed grow old."""
        while self._idle:
            link = self._idle.pop()
            aged = asyncio.get_running_loop().time() - link.born > MAX_AGE
            if not aged and link.born > self._left_at and not _has_news(link.connection):
                return link
            await link.close()
        return None

    async def _made(self) -> Link:
        """A new one. The turn is given back if there is none; if only the caller goes, when there is one or none."""
        making = asyncio.create_task(self._make(), name=f"connect to {self.source.name}")
        self._making.add(making)
        making.add_done_callback(self._making.discard)
        try:
            await asyncio.wait({making})
        except asyncio.CancelledError:
            making.add_done_callback(self._keep)
            raise
        if making.cancelled():
            self._turns.release()
            raise self._was_closed()
        error = making.exception()
        if error is not None:
            self._turns.release()
            raise error
        return making.result()

    async def _make(self) -> Link:
        link = await connect(self.source)
        try:
            await self._inspect(link)
            self.require_open()
        except BaseException:
            await link.close()
            raise
        return link

    def _keep(self, making: asyncio.Task[Link]) -> None:
        self._turns.release()
        if not making.cancelled() and making.exception() is None:
            self._idle.append(making.result())

    async def _put_back(self, link: Link) -> None:
        try:
            if link.idle and not self._closed:
                self._idle.append(link)
            else:
                await link.close()
        finally:
            self._turns.release()


def _has_news(connection: psycopg.AsyncConnection[Row]) -> bool:
    """Whether there is something to read on an idle connection, be it only its end."""
    try:
        poll = select.poll()
        poll.register(connection.pgconn.socket, select.POLLIN)
        return bool(poll.poll(0))
    except (OSError, psycopg.Error):
        return True


def _ignore_failure(task: asyncio.Future[Any]) -> None:
    """Whoever still waits for it is told; nobody else has to be."""
    if not task.cancelled():
        task.exception()
