"""One router process: every room built from the settings, started in order, ended in the reverse order.

The law of the room: what needs another is started after it and ended before it. The listeners come last, so that no
client waits for something that is not there yet; they go first, and only when the last request has ended is the
registration given up, because until then this gateway may still write.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import web

from router.directory.directory import CachedDirectory, assemble
from router.directory.evaluator import BarrierEvaluator
from router.directory.hostlock import host_locks
from router.directory.ports import SystemClock, TaskSpawner
from router.directory.registration import Identity
from router.directory.sqlite.store import SqliteStore
from router.gateway.handler import Gateway
from router.gateway.server import GatewayServer
from router.telemetry.metrics import Metrics
from router.telemetry.ops import ops_application, ops_runner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from router.settings.grammar import Address
    from router.settings.values import Settings

_log = logging.getLogger(__name__)


class Running(NamedTuple):
    """A process that serves. Addresses are `host:port`, with the ports that the kernel gave for 0."""

    listen: tuple[str, ...]
    ops_listen: tuple[str, ...]
    gateway: Gateway
    directory: CachedDirectory
    store: SqliteStore


class _Health:
    """Why this process should get no traffic now: the readiness probe's answer, and the metrics of the directory."""

    def __init__(self, directory: CachedDirectory) -> None:
        self._directory = directory
        self.draining = False

    def not_ready(self) -> tuple[str, ...]:
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
        return self._directory.cached

    @property
    def feed_lag(self) -> float:
        return self._directory.state.lag


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """A process that serves `settings`, until the block ends.

    A directory that can't be used is no error: the gateway answers 503 until it can. Raises `OSError` for an address
    that can't be listened on.
    """
    async with contextlib.AsyncExitStack() as stack:
        clock = SystemClock()
        spawner = TaskSpawner()
        stack.push_async_callback(spawner.close)
        database = settings.directory.file
        store = SqliteStore(database, clock=clock, directory_id=settings.directory.id)
        stack.push_async_callback(store.close)
        locks = host_locks(database)
        evaluator = BarrierEvaluator(store, locks, clock)
        stack.push_async_callback(_cancel, spawner.spawn(evaluator.run(), "barrier evaluator"))
        directory = assemble(
            store,
            store,
            identity=Identity(socket.gethostname(), socket.gethostname()),
            locks=locks,
            options=settings.directory.options,
            clock=clock,
            spawner=spawner,
            random=random.Random(),  # noqa: S311 - spreads retries, no secret
        )
        directory.start()
        stack.push_async_callback(directory.close)
        health = _Health(directory)
        metrics = Metrics(settings.table.regions, health)
        gateway = Gateway(settings.table, directory, settings.gateway, recorder=metrics, clock=clock, spawner=spawner)
        ops = ops_runner(ops_application(metrics, health))
        await ops.setup()
        stack.push_async_callback(ops.cleanup)
        await _listen(ops, settings.ops_listen)
        runner = web.ServerRunner(GatewayServer(gateway), shutdown_timeout=settings.gateway.shutdown_timeout)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await _listen(runner, settings.listen)
        stack.callback(setattr, health, "draining", True)
        yield Running(_addresses(runner), _addresses(ops), gateway, directory, store)


async def _listen(runner: web.BaseRunner, addresses: tuple[Address, ...]) -> None:
    for address in addresses:
        await web.TCPSite(runner, address.host, address.port, backlog=1024).start()


def _addresses(runner: web.BaseRunner) -> tuple[str, ...]:
    return tuple(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port, *_ in runner.addresses)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
