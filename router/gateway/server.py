"""The server: makes client connections for aiohttp's sites, sweeps their deadlines, and drains them at the end.

aiohttp runs the listeners (`ServerRunner` and its sites) and calls this factory for each connection; client bytes do
not pass through its parser or `RequestHandler`. The README's *Decisions* say why.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final, cast

from aiohttp import web

from router.gateway.client import ClientConnection
from router.gateway.guests import Guests
from router.gateway.sockets import reset_on_close
from router.gateway.trust import NOBODY, UNKNOWN
from router.model.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from router.gateway.handler import Gateway
    from router.gateway.trust import Peer

SWEEP_SECONDS: Final = 0.25
"""Between two looks at the deadlines: one timer for all of them, instead of one for each request."""

DRAIN_QUIET: Final = 1.0
"""Seconds that a connection must have been idle before a drain ends it. A request that crosses the end of its
connection is lost, and its client may not be able to repeat it: so a client that asks more often than this is told by
its next answer instead."""


class GatewayServer(web.Server):
    """aiohttp's server with our own protocol. Made inside a running loop. `turned_away` counts connections."""

    def __init__(self, gateway: Gateway, turned_away: Callable[[], None]) -> None:
        super().__init__(_never_called)
        self.gateway = gateway
        self._turned_away = turned_away
        self._arrivals: set[asyncio.Task[None]] = set()
        self._arriving = Guests()
        self._timer = self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def __call__(self) -> Any:
        """A protocol for a new connection."""
        return self.connection(NOBODY)

    def connection(self, peer: Peer) -> asyncio.Protocol:
        """A protocol for a new connection from `peer`; `NOBODY`: its transport knows."""
        return _Surplus() if self.is_full() else cast(asyncio.Protocol, ClientConnection(self.gateway, peer))

    def is_full(self) -> bool:
        """Whether there is room for no connection more, and who has come is turned away."""
        limit = self.gateway.options.max_connections
        if limit is None or len(self.gateway.connections) + len(self._arrivals) < limit:
            return False
        self._turned_away()
        return True

    def arrive(self, introduction: Coroutine[Any, Any, None]) -> None:
        """Count a connection that is no client's yet, until `introduction` has made it one or ended it."""
        arrival = self._loop.create_task(introduction, name="arrival")
        self._arrivals.add(arrival)
        arrival.add_done_callback(self._arrivals.discard)

    @contextlib.contextmanager
    def arriving(self, peer: Peer) -> Iterator[bool]:
        """Count what arrives from `peer` beside what it has already. Whether it may have that many."""
        if peer.trusted or peer.address == UNKNOWN:
            yield True
            return
        self._arriving.limit(self.gateway.options.max_connections_per_client, 0)
        guest = self._arriving.find(peer.address)
        may_stay = self._arriving.arrive(guest)
        try:
            if not may_stay:
                self._turned_away()
            yield may_stay
        finally:
            self._arriving.leave(guest)

    @property
    def connections(self) -> list[Any]:
        """The connections that are open."""
        return list(self.gateway.connections)

    def pre_shutdown(self) -> None:
        """The listeners are closed: every answer says from now on that it is the last of its connection."""
        self.gateway.draining = True
        for client in list(self.gateway.connections):
            if client.request is not None:
                client.drain()
        self._end_quiet()

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - aiohttp's signature
        """Wait until the last connection has ended, at most `timeout` seconds or the gateway's own limit; then end the
        rest.
        """
        gateway = self.gateway
        limit = gateway.options.shutdown_timeout
        try:
            async with asyncio.timeout(limit if timeout is None else min(timeout, limit)):
                await gateway.emptied()
        except TimeoutError:
            for client in list(gateway.connections):
                client.abort(Fault.SHUTDOWN)
            await gateway.emptied()
        arrivals = list(self._arrivals)
        for arrival in arrivals:
            arrival.cancel()
        await asyncio.gather(*arrivals, return_exceptions=True)
        await gateway.pools.close()
        self._timer.cancel()

    def _sweep(self) -> None:
        self._timer = self._loop.call_later(SWEEP_SECONDS, self._sweep)
        self.gateway.sweep()
        if self.gateway.draining:
            # Two turns later: what has come while the loop was busy is read in between, and is no silence.
            self._loop.call_soon(self._loop.call_soon, self._end_quiet)

    def _end_quiet(self) -> None:
        """End the connections on which nothing has happened for a while."""
        now = self._loop.time()
        for client in list(self.gateway.connections):
            if client.request is None and now - client.moved_at > DRAIN_QUIET:
                client.drain()


class _Surplus(asyncio.Protocol):
    """A connection more than this process may have: an answer would cost more than it did."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        sock = transport.get_extra_info("socket")
        if sock is not None:
            reset_on_close(sock)
        cast(asyncio.Transport, transport).abort()


async def _never_called(request: web.BaseRequest) -> web.StreamResponse:
    raise AssertionError("client bytes do not pass through aiohttp's handler")
