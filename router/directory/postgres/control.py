"""The control plane's side of a directory in PostgreSQL: any function over its rows, in one transaction.

The law of the room: once a function has begun it runs to its end, whoever stops waiting for it, because it is in a
thread that nobody can take out of it. What it returns is confirmed: where commits wait for standbys, what was only read
is marked behind, so that nothing is reported that could be lost with this server.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from router.directory.postgres.control_bridge import Bridge
from router.directory.postgres.control_journal import PostgresJournalRows
from router.directory.postgres.control_tenants import PostgresTenantRows
from router.directory.postgres.control_transfers import PostgresTransferRows
from router.directory.postgres.feed import Sharing, standing_of
from router.directory.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from router.directory.postgres.feed import Feed, Standing
    from router.directory.postgres.session import Transaction
    from router.directory.postgres.store import PostgresStore

T = TypeVar("T")


class PostgresControlTransaction(PostgresTenantRows, PostgresTransferRows, PostgresJournalRows):
    """See `router.control.ports.ControlTransaction`."""

    def __init__(self, bridge: Bridge) -> None:
        PostgresTenantRows.__init__(self, bridge)
        PostgresTransferRows.__init__(self, bridge)
        PostgresJournalRows.__init__(self, bridge)


class PostgresControlStore:
    """See `router.control.ports.ControlStore`. `store` is its own, so that no gateway waits for its connections; it is
    closed with this. `threads`: how many functions may run at a time.
    """

    def __init__(self, store: PostgresStore, *, threads: int) -> None:
        self._store = store
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="control")
        self._running: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def transact(self, work: Callable[[PostgresControlTransaction], T]) -> T:
        """See the protocol."""

        async def alone(feed: Feed) -> T:
            result = await self._in_thread(Bridge(asyncio.get_running_loop(), feed.transaction, feed), work)
            # A commit without any writing waits for no standby, and what was found there is reported all the same.
            await feed.transaction.mark()
            return result

        return await self._to_the_end(self._store.write(alone))

    async def read(self, work: Callable[[PostgresControlTransaction], T]) -> T:
        """See the protocol."""

        async def look(transaction: Transaction) -> tuple[T, Standing]:
            result = await self._in_thread(Bridge(asyncio.get_running_loop(), transaction, None), work)
            return result, await standing_of(transaction)

        return await self._to_the_end(self._confirmed(look))

    async def close(self) -> None:
        """Give back what the store holds. Pending calls end with `StoreError`."""
        self._closed = True
        await self._store.close()
        if self._running:
            await asyncio.wait(self._running)
        self._executor.shutdown(wait=False)

    async def _confirmed(self, look: Callable[[Transaction], Coroutine[Any, Any, tuple[T, Standing]]]) -> T:
        result, standing = await self._store.read(look)
        if standing.waits:
            await self._store.write(partial(_confirm, generation=standing.generation), Sharing.FREE)
        return result

    async def _in_thread(self, bridge: Bridge, work: Callable[[PostgresControlTransaction], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, work, PostgresControlTransaction(bridge))

    async def _to_the_end(self, work: Coroutine[Any, Any, T]) -> T:
        if self._closed:
            work.close()
            raise StoreError("this control store was closed")
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # Nobody hears of its end any more, and an exception that nobody hears of is not an error of the loop's.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise


async def _confirm(feed: Feed, *, generation: int | None) -> None:
    """What was read is confirmed only by the history that it was read of: a successor may never have had it."""
    if feed.generation != generation:
        raise StoreError(f"{feed.transaction.source.name}: is being failed over: try again")
    await feed.transaction.confirm()
