"""One router process that serves by itself: its planes, and the ops listener from which both are seen.

The law of the room: the ops listener is there before what it shows and after it, so that a probe is answered while a
gateway drains; the planes know nothing of each other.
"""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import web
from prometheus_client import CollectorRegistry

from router.directory.evaluator import BarrierEvaluator
from router.directory.ports import SystemClock, TaskSpawner
from router.directory.watch import Watch
from router.gateway.sites import BACKLOG
from router.runtime.control import ControlPlane, control_plane
from router.runtime.directories import host_locks_of, open_store
from router.runtime.listeners import own_doors, own_sockets, shared_doors, show
from router.runtime.role import Role
from router.runtime.rooms import cancel, opened_doors, rooms
from router.runtime.supervisor import Supervisor
from router.telemetry.lifecycle import Lifecycle
from router.telemetry.merging import Fleet
from router.telemetry.ops import ops_application, ops_runner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from router.directory.directory import CachedDirectory
    from router.gateway.handler import Gateway
    from router.runtime.directories import MaintainedStore
    from router.runtime.source import Configuration
    from router.settings.values import Settings

_NO_DIGEST = "none"
"""Of a configuration that came from no file."""


class Served(NamedTuple):
    """A process that serves. Addresses are `host:port`, with the ports that the kernel gave for 0, or `unix:/path`.

    - `retire`: it goes on serving, and says that it is not ready from now on.
    - `adopt`: it goes on by another configuration. Raises `ConfigError`, or `OSError` if its files can't be used, and
      goes on as before.
    """

    listen: tuple[str, ...]
    ops_listen: tuple[str, ...]
    control_listen: tuple[str, ...]
    retire: Callable[[], None]
    adopt: Callable[[Configuration], Awaitable[None]]


class Running(NamedTuple):
    """A process with a gateway: as `Served`, and what is inside."""

    listen: tuple[str, ...]
    ops_listen: tuple[str, ...]
    control_listen: tuple[str, ...]
    retire: Callable[[], None]
    adopt: Callable[[Configuration], Awaitable[None]]
    gateway: Gateway
    directory: CachedDirectory
    store: MaintainedStore


@contextlib.asynccontextmanager
async def running(
    settings: Settings, lifecycle: Lifecycle | None = None, *, role: Role = Role.ALL
) -> AsyncIterator[Running]:
    """A process with a gateway, until the block ends. `lifecycle` is shown with its metrics.

    A directory that can't be used is no error: the gateway answers 503 until it can. Raises `OSError` for an address
    that can't be listened on.
    """
    async with contextlib.AsyncExitStack() as stack:
        inside = await stack.enter_async_context(rooms(settings, socket.gethostname()))
        inside.metrics.registry.register(lifecycle or Lifecycle(_NO_DIGEST))
        # All of them before any is used: one that is taken must not be found out when clients are there.
        ops_sockets = stack.enter_context(own_sockets(settings.ops_listen))
        doors = stack.enter_context(own_doors(settings))
        application = ops_application(inside.metrics.registry, inside.health)
        control = await stack.enter_async_context(_control(settings, application, role))
        if control.metrics is not None:
            inside.metrics.registry.register(control.metrics)
        ops_listen = await stack.enter_async_context(listening_ops(application, ops_sockets))
        prefixed = settings.serving.proxy_protocol
        listen = await stack.enter_async_context(opened_doors(inside, doors, prefixed=prefixed))

        async def adopt(wanted: Configuration) -> None:
            # What may fail comes first: both planes go on by it, or none does.
            control_adopts = control.prepare(wanted.settings)
            inside.adopt(wanted.settings)
            control_adopts()

        yield Running(
            listen,
            ops_listen,
            control.listen,
            inside.health.retire,
            adopt,
            inside.gateway,
            inside.directory,
            inside.store,
        )


@contextlib.asynccontextmanager
async def running_workers(
    path: Path, present: Configuration, lifecycle: Lifecycle, *, workers: int, role: Role, log_level: str
) -> AsyncIterator[Served]:
    """Several gateway processes, until the block ends; this one serves what is shown of all of them, and the control
    plane. `path`: of the configuration. Raises `OSError` for an address that can't be listened on.
    """
    settings = present.settings
    async with contextlib.AsyncExitStack() as stack:
        registry, fleet = CollectorRegistry(), Fleet()
        registry.register(fleet)
        registry.register(lifecycle)
        ops_sockets = stack.enter_context(own_sockets(settings.ops_listen))
        doors = stack.enter_context(shared_doors(settings, workers))
        supervisor = Supervisor(path, present, doors, log_level=log_level, fleet=fleet, lifecycle=lifecycle)
        application = ops_application(registry, supervisor, refresh=supervisor.refresh)
        control = await stack.enter_async_context(_control(settings, application, role))
        if control.metrics is not None:
            registry.register(control.metrics)
        ops_listen = await stack.enter_async_context(listening_ops(application, ops_sockets))
        listen = tuple(map(show, (*doors[0].plain, *doors[0].tls)))
        await stack.enter_async_context(supervisor.running())

        async def adopt(wanted: Configuration) -> None:
            control_adopts = control.prepare(wanted.settings)
            await supervisor.adopt(wanted)
            control_adopts()

        yield Served(listen, ops_listen, control.listen, supervisor.retire, adopt)


class ControlHealth:
    """Whether a process without a gateway should get traffic."""

    def __init__(self) -> None:
        self._draining = False

    def retire(self) -> None:
        """Get no more traffic than there is."""
        self._draining = True

    def not_ready(self) -> tuple[str, ...]:
        """One phrase a reason; empty: it should get traffic."""
        return ("draining",) if self._draining else ()


@contextlib.asynccontextmanager
async def running_control(settings: Settings, lifecycle: Lifecycle) -> AsyncIterator[Served]:
    """A process with the control plane alone, until the block ends. It evaluates the lock barrier too: transfers must
    go on where no gateway shares its host. Raises `OSError` for an address that can't be listened on.
    """
    async with contextlib.AsyncExitStack() as stack:
        clock, spawner = SystemClock(), TaskSpawner()
        stack.push_async_callback(spawner.close)
        store = open_store(settings.directory, clock)
        stack.push_async_callback(store.close)
        evaluator = BarrierEvaluator(
            store, host_locks_of(settings.directory), clock, Watch(clock, settings.directory.options)
        )
        stack.push_async_callback(cancel, spawner.spawn(evaluator.run(), "barrier evaluator"))
        registry, health = CollectorRegistry(), ControlHealth()
        lifecycle.workers = 0
        registry.register(lifecycle)
        ops_sockets = stack.enter_context(own_sockets(settings.ops_listen))
        application = ops_application(registry, health)
        control = await stack.enter_async_context(_control(settings, application, Role.CONTROL))
        if control.metrics is not None:
            registry.register(control.metrics)
        ops_listen = await stack.enter_async_context(listening_ops(application, ops_sockets))

        async def adopt(wanted: Configuration) -> None:
            control.prepare(wanted.settings)()

        yield Served((), ops_listen, control.listen, health.retire, adopt)


@contextlib.asynccontextmanager
async def listening_ops(
    application: web.Application, sockets: tuple[socket.socket, ...]
) -> AsyncIterator[tuple[str, ...]]:
    """Show the application on `sockets`, until the block ends; where."""
    runner = ops_runner(application)
    await runner.setup()
    try:
        for sock in sockets:
            await web.SockSite(runner, sock, backlog=BACKLOG).start()
        yield tuple(map(show, sockets))
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def _control(settings: Settings, application: web.Application, role: Role) -> AsyncIterator[ControlPlane]:
    if not role.has_control:
        yield ControlPlane((), lambda _: lambda: None)
        return
    spawner = TaskSpawner()
    try:
        async with control_plane(settings, application, SystemClock(), spawner) as control:
            yield control
    finally:
        await spawner.close()
