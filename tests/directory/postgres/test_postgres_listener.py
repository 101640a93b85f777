"""The listener: what it hears, and how it finds out that it hears nothing."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from router.directory.postgres.listener import Listener
from router.directory.postgres.source import read_source
from router.directory.store import StoreError
from router.model.transfer import TransferEvent
from tests.directory.feeds import US, W1, draft, transfer_of
from tests.directory.manual_clock import ManualClock, settle
from tests.directory.postgres.relay import Relay
from tests.postgres_server import on_shared, url_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

    from router.directory.postgres.store import PostgresStore
    from tests.directory.postgres.conftest import Own
    from tests.directory.sites import PostgresSite


class RestingClock(ManualClock):
    """Says when somebody sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self.resting = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.resting.set()
        await super().sleep(seconds)

    async def rest(self) -> float:
        """Wait until somebody sleeps, let him sleep out, and return how long that was."""
        await self.resting.wait()
        self.resting.clear()
        await settle()
        seconds = self.next_wake
        assert seconds is not None
        await self.advance(seconds)
        return seconds


class Ear:
    """A listener that runs, and what it has woken."""

    def __init__(self, store: PostgresStore, url: str, heartbeat: float) -> None:
        self.woken = asyncio.Event()
        self.clock = RestingClock()
        self.listener = Listener(
            read_source(url, "directory.listen_url"),
            notify=store.notify,
            wake=self.woken.set,
            clock=self.clock,
            heartbeat=heartbeat,
        )

    async def until_heard(self) -> None:
        await self.woken.wait()
        self.woken.clear()


@asynccontextmanager
async def listening(store: PostgresStore, url: str, *, heartbeat: float = 20.0) -> AsyncIterator[Ear]:
    ear = Ear(store, url, heartbeat)
    task = asyncio.create_task(ear.listener.run())
    yield ear
    task.cancel()
    await asyncio.wait([task])


async def test_every_change_wakes_whoever_listens(database: PostgresSite) -> None:
    store = database.connect()
    async with listening(store, url_of(database.database)) as ear:
        await ear.until_heard()
        await store.put_workspaces([draft(1)])
        await ear.until_heard()
        transfer = await store.start_transfer(transfer_of(W1, US))
        await ear.until_heard()
        await store.advance_transfer(transfer.id, TransferEvent.ABORT, now=0.0)
        await ear.until_heard()
        await store.open_directory(restored=True)
        await ear.until_heard()


async def test_what_changes_nothing_wakes_nobody(database: PostgresSite) -> None:
    store = database.connect()
    await store.put_workspaces([draft(1)])
    async with listening(store, url_of(database.database)) as ear:
        await ear.until_heard()
        await store.put_workspaces([draft(1)])
        await store.position()
        await store.notify("region_router_of_somebody_else")
        # What comes first in order is heard first: nothing was in front of this.
        assert not ear.woken.is_set()
        await store.put_workspaces([draft(2)])
        await ear.until_heard()


async def test_a_connection_that_swallows_everything_is_noticed_and_replaced(own: Own) -> None:
    server, store = own
    async with (
        Relay(server.folder / ".s.PGSQL.5432").running() as relay,
        listening(store, relay.url("postgres"), heartbeat=0.3) as ear,
    ):
        await ear.until_heard()
        assert ear.listener.listening
        relay.swallows = True
        await ear.clock.resting.wait()
        assert not ear.listener.listening
        relay.swallows = False
        await ear.clock.rest()
        await ear.until_heard()
        assert ear.listener.listening
        assert relay.accepted == 2
        await store.put_workspaces([draft(1)])
        await ear.until_heard()


async def test_a_url_that_leads_to_another_database_is_found_out(
    database: PostgresSite, caplog: pytest.LogCaptureFixture
) -> None:
    on_shared(f"CREATE DATABASE {database.database}_other")
    caplog.set_level(logging.INFO)
    async with listening(database.connect(), url_of(f"{database.database}_other"), heartbeat=0.05) as ear:
        for _ in range(2):
            await ear.clock.rest()
        assert not ear.woken.is_set()
    (told,) = (record.message for record in caplog.records if "polling only" in record.message)
    assert "a notification did not arrive within 0.05 s: name the primary itself, not a pooler" in told
    on_shared(f"DROP DATABASE {database.database}_other WITH (FORCE)")


async def test_a_server_that_is_down_is_asked_again_more_and_more_rarely(database: PostgresSite) -> None:
    url = "postgresql://postgres@%2Fnowhere/router"
    async with listening(database.connect(), url) as ear:
        pauses = [await ear.clock.rest() for _ in range(8)]
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


async def test_a_pulse_that_cannot_be_sent_is_told_and_ends_nothing(database: PostgresSite) -> None:
    async def fail(_: str) -> None:
        raise StoreError("the primary is gone")

    clock = RestingClock()
    source = read_source(url_of(database.database), "directory.listen_url")
    listener = Listener(source, notify=fail, wake=lambda: None, clock=clock, heartbeat=1.0)
    task = asyncio.create_task(listener.run())
    await clock.resting.wait()
    assert not listener.listening
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])


async def test_without_a_url_to_listen_at_there_is_no_listener(database: PostgresSite) -> None:
    assert database.connect().listener(lambda: None) is None
    assert database.connect(listen_url=url_of(database.database)).listener(lambda: None) is not None
