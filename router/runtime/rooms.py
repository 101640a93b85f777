"""The rooms of one gateway process, built from the settings, and the doors through which clients come to them.

The law of the room: what needs another is started after it and ended before it. The doors are opened last, so that no
client waits for something that is not there yet; they are shut first, and only when the last request has ended is the
registration given up, because until then this gateway may still write.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import socket
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import web

from router.directory.directory import CachedDirectory, assemble
from router.directory.evaluator import BarrierEvaluator
from router.directory.ledger import Ledger, Onlooker
from router.directory.ports import SystemClock, TaskSpawner
from router.directory.registration import Identity
from router.directory.watch import Watch
from router.gateway.handler import Gateway
from router.gateway.server import GatewayServer
from router.gateway.sites import GatewaySite
from router.gateway.tls import ServerTls
from router.routing.table import Mode
from router.runtime.directories import MaintainedStore, host_locks_of, listening, open_store
from router.runtime.listeners import show
from router.runtime.reporting import reporting
from router.runtime.standing import directory_numbers, pool_numbers
from router.telemetry.directory_metrics import DirectoryMetrics
from router.telemetry.metrics import Metrics
from router.telemetry.pool_metrics import PoolMetrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from router.directory.hostlock import HostLocks
    from router.runtime.listeners import Doors
    from router.settings.values import Settings


class GatewayHealth:
    """Why this process should get no traffic now: the readiness probe's answer, and the metrics of the directory."""

    def __init__(self, directory: CachedDirectory) -> None:
        self._directory = directory
        self.draining = False

    def retire(self) -> None:
        """Get no more traffic than there is."""
        self.draining = True

    def not_ready(self) -> tuple[str, ...]:
        """One phrase a reason; empty: it should get traffic."""
        state = self._directory.state
        checks = (
            (self.draining, "draining"),
            (state.incarnation is None, "not registered with the directory"),
            (state.incarnation is not None and not state.trusted, "no lease of the directory"),
            (not state.opened, "the directory is not opened"),
            (not state.caught_up, "the feed is not caught up"),
        )
        return tuple(reason for holds, reason in checks if holds)

    @property
    def cache_entries(self) -> int:
        """See `router.telemetry.metrics.DirectoryGauges`."""
        return self._directory.cached

    @property
    def feed_lag(self) -> float:
        """See `router.telemetry.metrics.DirectoryGauges`."""
        return self._directory.state.lag


class Rooms(NamedTuple):
    """A gateway and all it needs, without any door."""

    store: MaintainedStore
    locks: HostLocks
    directory: CachedDirectory
    gateway: Gateway
    metrics: Metrics
    health: GatewayHealth
    tls: ServerTls | None

    def adopt(self, settings: Settings) -> None:
        """Go on by `settings`. Raises `OSError` if their files can't be used, and goes on as before.

        What may fail comes first: certificates were judged a moment ago, and are files.
        """
        if self.tls is not None and settings.serving.identity is not None:
            self.tls.renew(settings.serving.identity)
        self.gateway.adopt(settings.table, settings.gateway)
        self.metrics.adopt(settings.table.regions)


@contextlib.asynccontextmanager
async def rooms(settings: Settings, name: str) -> AsyncIterator[Rooms]:
    """The rooms of a gateway that registers as `name`, until the block ends. Raises `OSError` for a certificate."""
    async with contextlib.AsyncExitStack() as stack:
        clock = SystemClock()
        spawner = TaskSpawner()
        stack.push_async_callback(spawner.close)
        store = open_store(settings.directory, clock)
        stack.push_async_callback(store.close)
        locks = host_locks_of(settings.directory)
        evaluator = BarrierEvaluator(store, locks, clock, Watch(clock, settings.directory.options))
        stack.push_async_callback(cancel, spawner.spawn(evaluator.run(), "barrier evaluator"))
        directory = assemble(
            store,
            store,
            identity=Identity(name, socket.gethostname()),
            locks=locks,
            options=settings.directory.options,
            clock=clock,
            spawner=spawner,
            random=random.Random(),  # noqa: S311 - spreads retries, no secret
            ledger_of=Onlooker if settings.table.policy.mode is Mode.OBSERVE else Ledger,
        )
        directory.start()
        stack.push_async_callback(directory.close)
        news = listening(store, directory.wake)
        if news is not None:
            stack.push_async_callback(cancel, spawner.spawn(news, "directory listener"))
        health = GatewayHealth(directory)
        metrics = Metrics(settings.table.regions, health)
        metrics.registry.register(DirectoryMetrics(partial(directory_numbers, directory, evaluator, clock)))
        reports = await stack.enter_async_context(reporting(settings.telemetry, name))
        metrics.registry.register(reports)
        gateway = Gateway(
            settings.table,
            directory,
            settings.gateway,
            recorder=metrics,
            clock=clock,
            spawner=spawner,
            reporter=reports,
        )
        metrics.registry.register(PoolMetrics(partial(pool_numbers, gateway)))
        tls = None if settings.serving.identity is None else ServerTls(settings.serving.identity)
        yield Rooms(store, locks, directory, gateway, metrics, health, tls)


@contextlib.asynccontextmanager
async def opened_doors(rooms: Rooms, doors: Doors, *, prefixed: bool) -> AsyncIterator[tuple[str, ...]]:
    """Let clients in, until the block ends and the last one has left; where they come. `prefixed`: a PROXY header
    comes first.
    """
    server = GatewayServer(rooms.gateway, rooms.metrics.turned_away)
    # The server knows the present limit of its drain.
    runner = web.ServerRunner(server, shutdown_timeout=math.inf)
    await runner.setup()
    try:
        for sock in doors.plain:
            await GatewaySite(runner, server, sock, prefixed=prefixed).start()
        for sock in doors.tls:
            assert rooms.tls is not None
            await GatewaySite(runner, server, sock, context=rooms.tls.context, prefixed=prefixed).start()
        yield tuple(map(show, (*doors.plain, *doors.tls)))
    finally:
        rooms.health.retire()
        await runner.cleanup()


async def cancel(task: asyncio.Task[None]) -> None:
    """Cancel `task`, and wait until it has ended."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
