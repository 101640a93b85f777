"""PostgreSQL around a failover: who still has a connection to the old primary, or to a standby."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

import pytest

from router.directory.postgres.control import PostgresControlStore
from router.directory.postgres.feed import Sharing
from router.directory.postgres.options import PostgresOptions
from router.directory.postgres.store import PostgresStore
from router.directory.store import StoreError
from router.model.placement import Entry, Kind
from tests.directory.feeds import US, W1, draft, transfer_of
from tests.directory.postgres.gates import raw

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from router.directory.postgres.feed import Feed
    from tests.directory.postgres.pair import Pair

T = TypeVar("T")

LOOKUP = Entry(Kind.WORKSPACE, W1)


class OvertakenStore(PostgresStore):
    """Between what it reads and what it writes next its primary is lost."""

    def __init__(self, pair: Pair) -> None:
        hosts = ",".join(quote(str(server.folder), safe="") for server in (pair.primary, pair.standby))
        super().__init__(PostgresOptions(f"postgresql://postgres@{hosts}/postgres"), clock=pair.clock)
        self._pair = pair

    async def write(self, work: Callable[[Feed], Awaitable[T]], sharing: Sharing = Sharing.ALONE) -> T:
        await asyncio.to_thread(self._pair.standby.start)
        await self._pair.lose_primary()
        return await super().write(work, sharing)


class Address:
    """A folder that leads to one of two servers: connections that are there stay where they lead."""

    def __init__(self, path: Path, target: Path) -> None:
        self._path = path
        self.url = f"postgresql://postgres@{quote(str(path), safe='')}/postgres"
        path.symlink_to(target)

    def move(self, target: Path) -> None:
        self._path.unlink()
        self._path.symlink_to(target)


@asynccontextmanager
async def closing(store: PostgresControlStore) -> AsyncIterator[PostgresControlStore]:
    try:
        yield store
    finally:
        await store.close()


async def test_what_only_a_lost_primary_knew_is_not_confirmed_by_its_successor(pair: Pair) -> None:
    await asyncio.to_thread(pair.standby.stop)
    await pair.wait_for_standbys("*")
    # Visible there, and nowhere else.
    await pair.store(accept_loss=True).start_transfer(transfer_of(W1, US))
    async with closing(PostgresControlStore(OvertakenStore(pair), threads=1)) as control:
        with pytest.raises(StoreError, match="is being failed over: try again"):
            await control.read(lambda tx: tx.transfers(limit=1))


async def test_who_has_connections_to_an_old_primary_that_lives_on_leaves_it(pair: Pair) -> None:
    address = Address(pair.primary.folder / "address", pair.primary.folder)
    store = pair.store_at(address.url, patience=1.0)
    assert (await store.lookup(LOOKUP, primary=True)).seq == 1
    await store.put_workspaces([draft(2)])
    await pair.wait_for_standbys("*")
    await pair.until_followed()
    await asyncio.to_thread(pair.standby.promote)
    address.move(pair.standby.folder)
    # The one that was used last: it waits there for a standby that there is no more.
    with pytest.raises(StoreError, match="did not answer within 3 s"):
        await store.put_workspaces([draft(3)])

    await store.put_workspaces([draft(4)])
    successor = await pair.store_on_standby().info()
    found = await store.lookup(LOOKUP, primary=True)
    assert (found.generation, found.seq) == (successor.generation, successor.head)
    await pair.wait_for_standbys("")


async def test_a_standby_is_no_primary_whatever_the_url_says(pair: Pair) -> None:
    url = pair.standby.url("postgres") + "?target_session_attrs=any"
    store = pair.store_at(url)
    refused = r"takes no writes, it is a standby: name the primary in directory\.url"
    for read in (store.position, store.registrations, partial(store.lookup, LOOKUP, primary=True)):
        with pytest.raises(StoreError, match=refused):
            await read()
    with pytest.raises(StoreError, match=refused):
        await store.put_workspaces([draft(2)])


async def test_whoever_asks_again_and_again_while_the_standby_is_gone_leaves_one_session_waiting(pair: Pair) -> None:
    hasty = pair.store(accept_loss=True)
    transfer = await hasty.start_transfer(transfer_of(W1, US))
    await hasty.evaluate(transfer.id, now=0.0)
    await asyncio.to_thread(pair.standby.stop)
    await pair.wait_for_standbys("*")
    store = pair.store_at(pair.primary.url("postgres"), patience=0.2)
    async with closing(PostgresControlStore(store, threads=1)) as control:
        for _ in range(3):
            with pytest.raises(StoreError):
                await store.get_transfer(transfer.id)
            with pytest.raises(StoreError):
                await control.read(lambda tx: tx.transfers(limit=1))
    async with raw(pair.primary.url("postgres")) as connection:
        cursor = await connection.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
        assert await cursor.fetchone() == (1,)
    await pair.wait_for_standbys("")
