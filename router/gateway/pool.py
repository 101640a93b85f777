"""The pool: connections to origins, and the requests that wait for one.

The law of the room: one pool per origin (address, TLS name and client certificate all the same), bounded both in its
connections and in who may wait for one. A connection goes back only if it is clean; the last one used is the next one
used, so that the others can grow old. Dialling is the only thing here that makes a task.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, Protocol

import aiohappyeyeballs
from aiohttp import ThreadedResolver

from router.gateway.sockets import prepare_upstream
from router.gateway.upstream import PlainUpstream, TlsUpstream, Upstream
from router.model.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.gateway.options import GatewayOptions
    from router.model.region import Endpoint, Origin, TlsFiles

_log = logging.getLogger(__name__)

_AddrInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]


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


class OriginPool:
    """The connections to one origin. Times are the loop's, in seconds."""

    def __init__(self, origin: Origin, options: GatewayOptions, dial: Callable[[OriginPool], None]) -> None:
        self.origin = origin
        self.idle: list[Upstream] = []
        self._connections: set[Upstream] = set()
        self._options = options
        self._dial = dial
        self._dialling = 0
        self._waiting: deque[_Waiting] = deque()

    @property
    def open(self) -> int:
        """Connections that are there or being made."""
        return len(self._connections) + self._dialling

    def acquire(self, waiter: Waiter, now: float, *, fresh: bool) -> Upstream | None:
        """An idle connection at once, or `None`: then `waiter` is called later. `fresh` forbids a used connection."""
        while self.idle and not fresh:
            upstream = self.idle.pop()
            if upstream.usable:
                return upstream
            upstream.abort()
        if self.open >= self._options.pool_size and len(self._waiting) - self._dialling >= self._options.pool_queue:
            waiter.not_connected(Fault.POOL_FULL)
            return None
        self._waiting.append(_Waiting(waiter, fresh, now))
        self._dial_if_needed()
        return None

    def withdraw(self, waiter: Waiter) -> None:
        """`waiter` waits no longer."""
        if self._waiting:
            self._waiting = deque(waiting for waiting in self._waiting if waiting.waiter is not waiter)

    def release(self, upstream: Upstream, now: float) -> None:
        """Take `upstream` back, clean, for the next who waits or for later."""
        upstream.detach()
        if not upstream.usable:
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

    def dialled(self, upstream: Upstream) -> None:
        """A dial has ended with a connection. The one who has waited longest gets it."""
        if not upstream.usable:
            # The region has closed it already; its end may have come before this.
            upstream.abort()
            self.not_dialled(Fault.CLOSED_EARLY)
            return
        self._dialling -= 1
        self._connections.add(upstream)
        if self._waiting:
            self._waiting.popleft().waiter.connected(upstream)
        else:
            self.idle.append(upstream)

    def not_dialled(self, fault: Fault) -> None:
        """A dial has failed, for the one who has waited longest: each waits for just one."""
        self._dialling -= 1
        if self._waiting:
            self._waiting.popleft().waiter.not_connected(fault)
        self._dial_if_needed()

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

    def _dial_if_needed(self) -> None:
        """Dial once for each who waits, as far as there is room; an idle connection that nobody may use makes some."""
        while len(self._waiting) > self._dialling:
            if self.open >= self._options.pool_size:
                if self.idle:
                    # Its end, `forget`, comes back here.
                    self.idle.pop(0).abort()
                return
            self._dialling += 1
            self._dial(self)


class Pools:
    """All origins' pools, and how their connections are made."""

    def __init__(self, options: GatewayOptions, now: Callable[[], float]) -> None:
        self._options = options
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._resolver = ThreadedResolver()
        self._pools: dict[Origin, OriginPool] = {}
        self._by_endpoint: dict[Endpoint, OriginPool] = {}
        self._contexts: dict[TlsFiles, ssl.SSLContext] = {}
        self._dials: set[asyncio.Task[None]] = set()

    def of(self, endpoint: Endpoint) -> OriginPool:
        """The pool of the origin of `endpoint`: several endpoints may have one."""
        return self._by_endpoint.get(endpoint) or self._find(endpoint)

    def sweep(self, now: float) -> None:
        """Close what has been idle for too long."""
        for pool in self._pools.values():
            pool.expire(now)

    async def close(self) -> None:
        """Close what is idle and give up dialling."""
        dials = list(self._dials)
        for task in dials:
            task.cancel()
        await asyncio.gather(*dials, return_exceptions=True)
        for pool in self._pools.values():
            pool.close()
        await self._resolver.close()

    def _find(self, endpoint: Endpoint) -> OriginPool:
        origin = endpoint.origin
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = OriginPool(origin, self._options, self._start_dial)
        self._by_endpoint[endpoint] = pool
        return pool

    def _start_dial(self, pool: OriginPool) -> None:
        task = self._loop.create_task(self._dial(pool), name=f"dial {pool.origin}")
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)

    async def _dial(self, pool: OriginPool) -> None:
        try:
            async with asyncio.timeout(self._options.connect_timeout):
                upstream = await self._connect(pool)
        except asyncio.CancelledError:
            pool.not_dialled(Fault.SHUTDOWN)
            raise
        except TimeoutError:
            pool.not_dialled(Fault.CONNECT_TIMEOUT)
        except ssl.SSLError:
            pool.not_dialled(Fault.TLS_FAILED)
        except OSError:
            pool.not_dialled(Fault.CONNECT_FAILED)
        except Exception:
            _log.exception("dialling %s failed", pool.origin)
            pool.not_dialled(Fault.INTERNAL)
        else:
            upstream.idle_since = self._now()
            pool.dialled(upstream)

    async def _connect(self, pool: OriginPool) -> Upstream:
        """Resolve, race the addresses (RFC 8305), and make the protocol. Raises `OSError`, `ssl.SSLError`."""
        origin = pool.origin
        # uvloop has no happy_eyeballs_delay of its own.
        sock = await aiohappyeyeballs.start_connection(
            await self._resolve(origin), happy_eyeballs_delay=0.25, interleave=1, loop=self._loop
        )
        try:
            prepare_upstream(sock)
            if origin.scheme == "http":
                _, plain = await self._loop.create_connection(
                    lambda: PlainUpstream(origin, pool, self._loop, sock), sock=sock
                )
                return plain
            _, secured = await self._loop.create_connection(
                lambda: TlsUpstream(origin, pool, self._loop),
                sock=sock,
                ssl=self._context(origin.tls),
                server_hostname=origin.server_name or origin.host,
            )
        except BaseException:
            sock.close()
            raise
        return secured

    async def _resolve(self, origin: Origin) -> list[_AddrInfo]:
        results = await self._resolver.resolve(origin.host, origin.port, family=socket.AddressFamily.AF_UNSPEC)
        infos: list[_AddrInfo] = []
        for result in results:
            address = (result["host"], result["port"])
            family = result["family"]
            full = (*address, 0, 0) if family == socket.AF_INET6 else address
            infos.append((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", full))
        return infos

    def _context(self, files: TlsFiles) -> ssl.SSLContext:
        context = self._contexts.get(files)
        if context is None:
            context = ssl.create_default_context(cafile=files.ca)
            context.set_alpn_protocols(["http/1.1"])
            if files.cert is not None:
                context.load_cert_chain(files.cert, files.key)
            self._contexts[files] = context
        return context
