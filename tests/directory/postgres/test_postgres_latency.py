"""How soon three gateways know of a change: each is a cached directory on a store of its own, on real clocks.

A request in flight is told in the step in which its gateway takes a change in, so that is when it is known there.
"""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from statistics import median
from typing import TYPE_CHECKING

from router.directory.directory import assemble
from router.directory.hostlock import FileHostLocks
from router.directory.locate import Found, Missing
from router.directory.options import DirectoryOptions
from router.directory.ports import SystemClock, TaskSpawner
from router.directory.postgres.options import PostgresOptions
from router.directory.postgres.store import PostgresStore
from router.directory.registration import Identity
from router.model.transfer import TransferEvent
from tests.directory.feeds import US, W1, draft, transfer_of
from tests.directory.rig import target_of
from tests.postgres_server import url_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest

    from router.directory.directory import CachedDirectory
    from tests.directory.sites import PostgresSite

GATEWAYS = 3
POLL_INTERVAL = 0.25
SAMPLES = 21


class InFlight:
    """A request decided on what a gateway knows of `W1`; `told` is when that was superseded."""

    def __init__(self) -> None:
        self.told: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def superseded(self) -> None:
        self.told.set_result(time.perf_counter())

    def term_ended(self) -> None:
        self.told.set_exception(RuntimeError("the term ended"))


@asynccontextmanager
async def gateway(
    number: int, place: Path, options: PostgresOptions, interval: float
) -> AsyncIterator[CachedDirectory]:
    """A cached directory as a process has it, with its listener if there is a URL for that."""
    clock, spawner = SystemClock(), TaskSpawner()
    store = PostgresStore(options, clock=clock)
    directory = assemble(
        store,
        store,
        identity=Identity(f"gateway-{number}", "host"),
        locks=FileHostLocks(place),
        options=DirectoryOptions(poll_interval=interval),
        clock=clock,
        spawner=spawner,
        random=Random(number),
    )
    directory.start()
    listener = store.listener(directory.wake)
    if listener is not None:
        spawner.spawn(listener.run(), "listener")
    try:
        while not (directory.state.ready and (listener is None or listener.listening)):  # noqa: ASYNC110 - no bell
            await asyncio.sleep(0.01)
        yield directory
    finally:
        await directory.close()
        await spawner.close()
        await store.close()


async def enter(directory: CachedDirectory) -> InFlight:
    """A request of W1 that is decided now."""
    target = target_of(W1)
    lookup = directory.locate(target)
    while isinstance(lookup, Missing):
        await directory.fetch(lookup)
        lookup = directory.locate(target, fetched=True)
    assert isinstance(lookup, Found)
    request = InFlight()
    ticket = directory.ledger.enter(lookup.holds, request)
    request.told.add_done_callback(lambda _: directory.ledger.leave(ticket))
    return request


async def measure(database: PostgresSite, place: Path, *, listens: bool, interval: float) -> list[float]:
    """Seconds from before each change was asked for until the last of the gateways knew of it."""
    url = url_of(database.database)
    options = PostgresOptions(url, listen_url=url if listens else None)
    writer = database.connect()
    await writer.put_workspaces([draft(1)])
    await writer.open_directory(restored=False)
    chance, taken = Random(1), []
    async with AsyncExitStack() as stack:
        directories = [
            await stack.enter_async_context(gateway(number, place, options, interval)) for number in range(GATEWAYS)
        ]
        for number in range(SAMPLES):
            await asyncio.sleep(chance.uniform(0.0, min(interval, POLL_INTERVAL)))
            requests = [await enter(directory) for directory in directories]
            started = time.perf_counter()
            transfer = await writer.start_transfer(transfer_of(W1, US, name=f"t{number}"))
            told = await asyncio.gather(*(request.told for request in requests))
            taken.append(max(told) - started)
            await writer.advance_transfer(transfer.id, TransferEvent.FAIL, now=0.0, reason="a sample")
            # Each has the end of it too before the next begins.
            ended = await writer.position()
            while any(directory.state.position != ended for directory in directories):
                for directory in directories:
                    directory.wake()
                await asyncio.sleep(0.005)
    return taken


def show(capsys: pytest.CaptureFixture[str], how: str, taken: list[float]) -> None:
    ordered = sorted(taken)
    with capsys.disabled():
        print(
            f"\nan invalidation reaches {GATEWAYS} gateways by {how} within {1000 * median(ordered):.1f} ms in the "
            f"median, {1000 * ordered[math.ceil(0.95 * len(ordered)) - 1]:.1f} ms at p95 (of {len(ordered)})"
        )


async def test_a_notification_brings_a_change_to_three_gateways_within_50_ms(
    database: PostgresSite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Nobody polls within the time that is measured.
    taken = await measure(database, tmp_path, listens=True, interval=60.0)
    show(capsys, "NOTIFY", taken)
    assert median(taken) < 0.05


async def test_polling_brings_a_change_to_three_gateways_within_twice_its_interval(
    database: PostgresSite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = await measure(database, tmp_path, listens=False, interval=POLL_INTERVAL)
    show(capsys, f"polling every {POLL_INTERVAL:g} s", taken)
    assert median(taken) < 2 * POLL_INTERVAL
