"""A pool whose origin can't be connected to: who is told at once, who probes, and who goes on waiting."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import pytest

from router.gateway.options import GatewayOptions
from router.gateway.pool import OriginPool, Pools
from router.model.fault import Fault
from router.model.region import Endpoint, Origin, PublicUrl
from tests.gateway.origin import blackhole
from tests.gateway.taker import Taker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PAUSE = 10.0


class Clock:
    """Moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@contextlib.asynccontextmanager
async def pooled(port: int, clock: Clock, *, size: int = 8) -> AsyncIterator[OriginPool]:
    """The pool of an origin on that port."""
    options = GatewayOptions(connect_timeout=0.1, pool_size=size, breaker_failures=1, breaker_open=PAUSE)
    pools = Pools(options, clock)
    yield pools.of(Endpoint(Origin("http", "127.0.0.1", port), PublicUrl("http", "x", "x"), b""))
    await pools.close()


class Listener:
    """An origin that takes connections until it refuses them."""

    def __init__(self, server: asyncio.Server) -> None:
        self.server = server
        self.port: int = server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        self.server.close()


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    one = Listener(await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0))
    yield one
    one.refuse()


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_after_the_pause_one_request_probes_and_the_others_are_told_at_once(clock: Clock) -> None:
    with blackhole() as port:
        async with pooled(port, clock) as pool:
            assert await Taker(pool).outcome is Fault.CONNECT_TIMEOUT
            assert Taker(pool).outcome.result() is Fault.CIRCUIT_OPEN
            clock.now = PAUSE
            probe = Taker(pool)
            assert probe.waits
            assert Taker(pool).outcome.result() is Fault.CIRCUIT_OPEN
            assert await probe.outcome is Fault.CONNECT_TIMEOUT
            clock.now = 2 * PAUSE - 1
            assert Taker(pool).outcome.result() is Fault.CIRCUIT_OPEN


async def test_a_probe_that_connects_lets_everybody_in(clock: Clock) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        async with pooled(port, clock) as pool:
            assert await Taker(pool).outcome is Fault.CONNECT_FAILED
            reserved.listen()
            clock.now = PAUSE
            connections = [await Taker(pool).connection(), await Taker(pool).connection()]
            for upstream in connections:
                upstream.abort()


async def test_who_queues_for_a_busy_connection_goes_on_waiting(listener: Listener, clock: Clock) -> None:
    async with pooled(listener.port, clock, size=2) as pool:
        kept, lost = await Taker(pool).connection(), await Taker(pool).connection()
        first, second = Taker(pool), Taker(pool)
        listener.refuse()
        lost.abort()
        assert await first.outcome is Fault.CONNECT_FAILED
        assert second.waits
        pool.release(kept, clock.now)
        assert await second.connection() is kept
        kept.abort()


async def test_nobody_queues_where_there_is_no_connection_to_wait_for(listener: Listener, clock: Clock) -> None:
    async with pooled(listener.port, clock, size=1) as pool:
        lost = await Taker(pool).connection()
        first, second, third = (Taker(pool) for _ in range(3))
        listener.refuse()
        lost.abort()
        outcomes = [await taker.outcome for taker in (first, second, third)]
        assert outcomes == [Fault.CONNECT_FAILED, Fault.CIRCUIT_OPEN, Fault.CIRCUIT_OPEN]
