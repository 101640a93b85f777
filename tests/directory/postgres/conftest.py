"""A fresh directory in PostgreSQL: on the server that all tests share, on one that may be stopped, and on a pair."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import pytest

from router.directory.postgres.maintenance import migrate
from router.directory.postgres.options import PostgresOptions
from router.directory.postgres.store import PostgresStore
from tests.directory.feeds import draft
from tests.directory.manual_clock import ManualClock
from tests.directory.postgres.pair import Pair
from tests.directory.sites import PostgresSite
from tests.postgres_server import PostgresServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Own(NamedTuple):
    """A server of a test's own, and a store of the directory in its database `postgres`."""

    server: PostgresServer
    store: PostgresStore


@pytest.fixture
async def database() -> AsyncIterator[PostgresSite]:
    """On the shared server."""
    site = await PostgresSite.make()
    yield site
    await site.close()


@pytest.fixture
async def own() -> AsyncIterator[Own]:
    """On a server of its own."""
    server = await asyncio.to_thread(PostgresServer().initialize().start)
    options = PostgresOptions(server.url("postgres"))
    await migrate(options, clock=ManualClock())
    store = PostgresStore(options, clock=ManualClock())
    yield Own(server, store)
    await store.close()
    await asyncio.to_thread(server.remove)


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """W1 is there, and the standby has followed."""
    primary = await asyncio.to_thread(PostgresServer().initialize().start)
    await migrate(PostgresOptions(primary.url("postgres")), clock=ManualClock())
    pair = Pair(primary, await asyncio.to_thread(lambda: PostgresServer().copy(primary).start()))
    await pair.store().put_workspaces([draft(1)])
    await pair.until_followed()
    yield pair
    await pair.close()
