"""The pool: connections to origins, and the requests that wait for one.

The law of the room: one pool per origin (address, TLS name and client certificate all the same), bounded both in its
connections and in who may wait for one. A connection goes back only if it is clean and leads to where the origin's name
still points; the last one used is the next one used, so that the others can grow old. While the origin's circuit is
open nobody is dialled for, but what is connected is used. Dialling is the only thing here that makes a task.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, cast

import aiohappyeyeballs

from router.gateway.breaker import Breaker, State
from router.gateway.resolving import Name, Names, SystemResolver, in_turn
from router.gateway.sockets import prepare_upstream
from router.gateway.tls import FileContext, renewed
from router.gateway.upstream import Upstream
from router.gateway.upstream_tls import TlsUpstream
from router.model.fault import Fault

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable

    from router.gateway.breaker import Permit
    from router.gateway.options import GatewayOptions
    from router.gateway.resolving import Resolver
    from router.model.region import Endpoint, Origin, TlsFiles

_log = logging.getLogger(__name__)

HAPPY_EYEBALLS_DELAY: Final = 0.25
"""Seconds before the next address is tried beside the first (RFC 8305 §8)."""


_SHOWS_NOTHING: Final = frozenset({Fault.SHUTDOWN, Fault.INTERNAL})
"""How a dial may end that says nothing of the region."""

_FAULTS: Final[tuple[tuple[type[Exception], Fault], ...]] = (
    (TimeoutError, Fault.CONNECT_TIMEOUT),
    (ssl.SSLError, Fault.TLS_FAILED),
    (OSError, Fault.CONNECT_FAILED),
)
"""What a dial raises, the first that fits; anything else is a bug of ours."""


class Waiter(Protocol):
    """Who wants a connection: an exchange."""

    def connected(self, upstream: Upstream) -> None:
        """Here is one. It is the waiter's now."""

    def not_connected(self, fault: Fault) -> None:
        """There will be none."""


class _Waiting(NamedTuple):
    """Who waits, whether for a connection that was never used, and since when."""

    waiter: Waiter
    fresh: bool
    since: float


class PoolStanding(NamedTuple):
    """How many connections are in use, idle and being dialled, and how many requests wait for one."""

    busy: int
    idle: int
    dialling: int
    waiting: int


class OriginPool:
    """The connections to one origin. Times are the loop's, in seconds; `context` is what TLS is spoken with, if it is.

    `dial` begins to connect; each call leads to one of `dialled` and `not_dialled`, with the permit that it was given.
    """

    def __init__(
        self,
        origin: Origin,
        options: GatewayOptions,
        now: Callable[[], float],
        dial: Callable[[OriginPool, Permit], None],
        context: ssl.SSLContext | None,
    ) -> None:
        self.origin = origin
        self.context = context
        self.dials = 0
        self.idle: list[Upstream] = []
        self._connections: set[Upstream] = set()
        self._options = options
        self._breaker = Breaker(options.breaker_failures, options.breaker_open)
        self._limited = options.max_in_flight < options.pool_size + options.pool_queue
        self._addresses: frozenset[str] | None = None
        self._now = now
        self._dial = dial
        self._dialling = 0
        self._waiting: deque[_Waiting] = deque()

    @property
    def open(self) -> int:
        """Connections that are there or being made."""
        return len(self._connections) + self._dialling

    @property
    def in_flight(self) -> int:
        """Requests that have a connection or wait for one."""
        return len(self._connections) - len(self.idle) + len(self._waiting)

    @property
    def standing(self) -> PoolStanding:
        """For a scrape."""
        idle = len(self.idle)
        return PoolStanding(len(self._connections) - idle, idle, self._dialling, len(self._waiting))

    def acquire(self, waiter: Waiter, now: float, *, fresh: bool) -> Upstream | None:
        """An idle connection at once, or `None`: then `waiter` is called later. `fresh` forbids a used connection."""
        if self._limited and self.in_flight >= self._options.max_in_flight:
            waiter.not_connected(Fault.IN_FLIGHT_FULL)
            return None
        while self.idle and not fresh:
            upstream = self.idle.pop()
            if upstream.usable:
                return upstream
            upstream.abort()
        fault = self._refusal()
        if fault is not None:
            waiter.not_connected(fault)
            return None
        self._waiting.append(_Waiting(waiter, fresh, now))
        self._dial_if_needed()
        return None

    def withdraw(self, waiter: object) -> None:
        """`waiter` waits no longer."""
        if self._waiting:
            self._waiting = deque(waiting for waiting in self._waiting if waiting.waiter is not waiter)

    def release(self, upstream: Upstream, now: float) -> None:
        """Take `upstream` back, clean, for the next who waits or for later."""
        upstream.detach()
        if upstream.retired or not upstream.usable:
            upstream.abort()
            return
        upstream.reused = True
        upstream.idle_since = now
        for index, waiting in enumerate(self._waiting):
            if not waiting.fresh:
                del self._waiting[index]
                waiting.waiter.connected(upstream)
                return
        if len(self._waiting) > self._dialling and self.open >= self._options.pool_size:
            # Only requests that must not use it wait, and it takes the place of a connection that they could use.
            upstream.abort()
        else:
            self.idle.append(upstream)

    def forget(self, upstream: Upstream) -> None:
        """See `router.gateway.upstream.Home`."""
        self._connections.discard(upstream)
        if upstream in self.idle:
            self.idle.remove(upstream)
        self._dial_if_needed()

    def dialled(self, upstream: Upstream, permit: Permit) -> None:
        """A dial has ended with a connection. The one who has waited longest gets it."""
        if not upstream.usable:
            # The region has closed it already; its end may have come before this.
            upstream.abort()
            self.not_dialled(upstream.fault, permit)
            return
        self._dialling -= 1
        if self._breaker.state is not State.CLOSED:
            _log.info("%s can be connected to again", self.origin)
        self._breaker.succeeded()
        self._connections.add(upstream)
        upstream.retired = self._addresses is not None and upstream.address not in self._addresses
        if self._waiting:
            self._waiting.popleft().waiter.connected(upstream)
            # The circuit may have kept others from being dialled for.
            self._dial_if_needed()
        else:
            self.idle.append(upstream)

    def not_dialled(self, fault: Fault, permit: Permit) -> None:
        """A dial has failed, for the one who has waited longest: each waits for just one."""
        self._dialling -= 1
        if fault in _SHOWS_NOTHING:
            self._breaker.abandoned(permit)
        else:
            was = self._breaker.state
            self._breaker.failed(permit, self._now())
            if self._breaker.state is State.OPEN and was is State.CLOSED:
                _log.warning("%s cannot be connected to: its circuit is open", self.origin)
        if self._waiting:
            self._waiting.popleft().waiter.not_connected(fault)
        self._dial_if_needed()

    def move(self, addresses: frozenset[str]) -> None:
        """The origin's name points to `addresses` alone from now on: what leads elsewhere is closed as it gets idle."""
        self._addresses = addresses
        for upstream in self._connections:
            upstream.retired = upstream.address not in addresses
        for upstream in [upstream for upstream in self.idle if upstream.retired]:
            self.idle.remove(upstream)
            upstream.abort()

    def leave(self) -> None:
        """Nobody new will come here: who waits is served, and each connection is closed as it gets idle."""
        self.move(frozenset())

    def expire(self, now: float) -> None:
        """Close what has been idle for too long: sooner than the region would, and the oldest first. Send away who has
        waited for too long; the first ones are not queued any more, each of them is being dialled for.
        """
        oldest = now - self._options.pool_idle_timeout
        while self.idle and self.idle[0].idle_since < oldest:
            self.idle.pop(0).abort()
        earliest = now - self._options.pool_wait_timeout
        queued = islice(self._waiting, self._dialling, None)
        for waiting in [waiting for waiting in queued if waiting.since < earliest]:
            if waiting in self._waiting:  # the end of one may have ended another
                self._waiting.remove(waiting)
                waiting.waiter.not_connected(Fault.POOL_FULL)

    def close(self) -> None:
        """Close what is idle."""
        while self.idle:
            self.idle.pop().abort()

    def _refusal(self) -> Fault | None:
        """Why a request can't wait for a connection that is to be made or to become idle."""
        if self.open < self._options.pool_size:
            return None if self._breaker.admits(self._now()) else Fault.CIRCUIT_OPEN
        return Fault.POOL_FULL if len(self._waiting) - self._dialling >= self._options.pool_queue else None

    def _dial_if_needed(self) -> None:
        """Dial once for each who waits, as far as there is room; an idle connection that nobody may use makes some."""
        while len(self._waiting) > self._dialling:
            if self.open >= self._options.pool_size:
                if self.idle:
                    # Its end, `forget`, comes back here.
                    self.idle.pop(0).abort()
                return
            permit = self._breaker.begin(self._now())
            if permit is None:
                self._send_away()
                return
            self._dialling += 1
            self._dial(self, permit)

    def _send_away(self) -> None:
        """The circuit is open. Who has queued for a busy connection goes on waiting, but not if there is none."""
        while len(self._waiting) > self._dialling and not self._connections:
            waiting = self._waiting.pop()
            waiting.waiter.not_connected(Fault.CIRCUIT_OPEN)


def _limits(options: GatewayOptions) -> tuple[float, ...]:
    """What a pool is made with."""
    return (
        *(options.pool_size, options.pool_queue, options.pool_idle_timeout, options.pool_wait_timeout),
        *(options.max_in_flight, options.breaker_failures, options.breaker_open),
    )


class Pools:
    """All origins' pools, and how their connections are made."""

    def __init__(self, options: GatewayOptions, now: Callable[[], float], resolver: Resolver | None = None) -> None:
        self._options = options
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._names = Names(resolver or SystemResolver(), options.resolve_every, now, self._moved)
        self._pools: dict[Origin, OriginPool] = {}
        self._leaving: list[OriginPool] = []
        self._by_endpoint: dict[Endpoint, OriginPool] = {}
        self._contexts: dict[TlsFiles, FileContext] = {}
        self._dials: set[asyncio.Task[None]] = set()

    def of(self, endpoint: Endpoint) -> OriginPool:
        """The pool of the origin of `endpoint`: several endpoints may have one. The first time it may raise what
        `router.gateway.tls.client_context` raises.
        """
        return self._by_endpoint.get(endpoint) or self._find(endpoint)

    def standing(self, endpoints: Iterable[Endpoint]) -> PoolStanding:
        """Of the origins of `endpoints` together, each of them once."""
        pools = {endpoint.origin: self.of(endpoint) for endpoint in endpoints}
        return PoolStanding(*map(sum, zip(*(pool.standing for pool in pools.values()), strict=True)))

    def adopt(self, options: GatewayOptions, endpoints: Iterable[Endpoint]) -> None:
        """From now on connect to the origins of `endpoints` alone, as `options` and the files that they name say now.

        An origin's pool goes on if nothing is different for it; else it is left, and its connections are used up.
        Raises what `router.gateway.tls.client_context` raises, and has changed nothing then.
        """
        endpoints = tuple(endpoints)
        files = {endpoint.origin.tls for endpoint in endpoints if endpoint.origin.scheme == "https"}
        contexts = {each: renewed(each, self._contexts.get(each)) for each in files}
        stays = {
            origin: pool
            for origin in (endpoint.origin for endpoint in endpoints)
            if (pool := self._pools.get(origin)) is not None
            and _limits(options) == _limits(self._options)
            and (origin.scheme != "https" or pool.context is contexts[origin.tls].context)
        }
        left = [pool for origin, pool in self._pools.items() if origin not in stays]
        self._options, self._contexts, self._pools, self._by_endpoint = options, contexts, stays, {}
        self._names.adopt(options.resolve_every, {Name(end.origin.host, end.origin.port) for end in endpoints})
        for endpoint in endpoints:
            self._find(endpoint)
        for pool in left:
            self._leaving.append(pool)
            pool.leave()

    def sweep(self, now: float) -> None:
        """Close what has been idle for too long, and see where the origins are now."""
        if self._leaving:
            self._leaving = [pool for pool in self._leaving if pool.open]
        for pool in (*self._pools.values(), *self._leaving):
            pool.expire(now)
        self._names.refresh(now)

    async def close(self) -> None:
        """Close what is idle and give up dialling."""
        dials = list(self._dials)
        for task in dials:
            task.cancel()
        await asyncio.gather(*dials, return_exceptions=True)
        for pool in (*self._pools.values(), *self._leaving):
            pool.close()
        await self._names.close()

    def _find(self, endpoint: Endpoint) -> OriginPool:
        origin = endpoint.origin
        pool = self._pools.get(origin)
        if pool is None:
            context = self._context(origin.tls) if origin.scheme == "https" else None
            pool = self._pools[origin] = OriginPool(origin, self._options, self._now, self._start_dial, context)
        self._by_endpoint[endpoint] = pool
        return pool

    def _context(self, files: TlsFiles) -> ssl.SSLContext:
        known = self._contexts.get(files)
        if known is None:
            known = self._contexts[files] = renewed(files, None)
        return known.context

    def _moved(self, name: Name, addresses: frozenset[str]) -> None:
        for pool in self._pools.values():
            if (pool.origin.host, pool.origin.port) == name:
                pool.move(addresses)

    def _start_dial(self, pool: OriginPool, permit: Permit) -> None:
        task = self._loop.create_task(self._dial(pool, permit), name=f"dial {pool.origin}")
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)

    async def _dial(self, pool: OriginPool, permit: Permit) -> None:
        try:
            async with asyncio.timeout(self._options.connect_timeout):
                upstream = await self._connect(pool)
        except asyncio.CancelledError:
            pool.not_dialled(Fault.SHUTDOWN, permit)
            raise
        except Exception as error:
            fault = next((fault for kind, fault in _FAULTS if isinstance(error, kind)), Fault.INTERNAL)
            if fault is Fault.INTERNAL:
                _log.exception("dialling %s failed", pool.origin)
            else:
                _log.log(fault.level, "dialling %s failed: %s", pool.origin, str(error) or "no answer in time")
            pool.not_dialled(fault, permit)
        else:
            upstream.idle_since = self._now()
            pool.dialled(upstream, permit)

    async def _connect(self, pool: OriginPool) -> Upstream:
        """Resolve, race the addresses (RFC 8305), make the protocol, shake hands. Raises `OSError`, `ssl.SSLError`."""
        origin = pool.origin
        addresses = await self._names.addresses(Name(origin.host, origin.port))
        pool.dials += 1
        # uvloop has no happy_eyeballs_delay of its own.
        sock = await aiohappyeyeballs.start_connection(
            in_turn(addresses, pool.dials), happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY, interleave=1, loop=self._loop
        )
        try:
            prepare_upstream(sock)
            upstream = self._make(pool, sock)
            # A protocol by what it does: the library knows it by its base class only.
            await self._loop.create_connection(lambda: cast(asyncio.Protocol, upstream), sock=sock)
        except BaseException:
            sock.close()
            raise
        if isinstance(upstream, TlsUpstream):
            try:
                await upstream.secured()
            except BaseException:
                upstream.abort()
                raise
        return upstream

    def _make(self, pool: OriginPool, sock: socket.socket) -> Upstream:
        if pool.context is None:
            return Upstream(pool.origin, pool, self._loop, sock)
        return TlsUpstream(pool.origin, pool, self._loop, sock, pool.context)
