"""The control plane of a process: its API, its scheduler and its dispatchers, started together and ended together.

The law of the room: it shares nothing with the gateway but the directory and, on loopback, the ops listener: no request
of a client waits for it, and it works in a process whose gateway can't.
"""

from __future__ import annotations

import contextlib
import random
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import web

from router.control.access import Access
from router.control.api.application import ControlApi
from router.control.api.calls import Site
from router.control.post import Post
from router.control.scheduler import Scheduler
from router.control.webhooks import WebhookSender
from router.gateway.sites import BACKLOG
from router.gateway.tls import ServerTls
from router.model.transfer import TransferState
from router.runtime.directories import host_locks_of, open_control_store
from router.runtime.listeners import own_sockets, show
from router.runtime.rooms import cancel
from router.telemetry.control_metrics import ControlMetrics, ControlNumbers
from router.telemetry.ops import ops_runner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from router.directory.ports import Clock, TaskSpawner
    from router.settings.values import ControlSettings, Settings


class ControlPlane(NamedTuple):
    """What runs. `listen`: its own addresses, if it has any; `prepare`: gives what makes it go on by other settings and
    can't fail, so that all planes do or none. Raises `OSError` if their files can't be used. `metrics`: to be
    registered where a process shows its own.
    """

    listen: tuple[str, ...]
    prepare: Callable[[Settings], Callable[[], None]]
    metrics: ControlMetrics | None = None


@contextlib.asynccontextmanager
async def control_plane(
    settings: Settings, ops: web.Application, clock: Clock, spawner: TaskSpawner
) -> AsyncIterator[ControlPlane]:
    """A control plane, until the block ends. Without listeners of its own its paths are added to `ops`, which must not
    have been started. Raises `OSError` for an address that can't be listened on.
    """
    control = settings.control
    async with contextlib.AsyncExitStack() as stack:
        store = open_control_store(settings.directory, clock)
        stack.push_async_callback(store.close)
        scheduler = Scheduler(store, clock, control.options)
        stack.push_async_callback(cancel, spawner.spawn(scheduler.run(), "scheduler"))
        sender = WebhookSender()
        stack.push_async_callback(sender.close)
        # The pauses are spread, which is no secret.
        post = Post(store, sender, clock=clock, spawner=spawner, random=random.Random())  # noqa: S311 - see above
        post.adopt(control.destinations)
        stack.push_async_callback(post.close)
        access = Access(control.tokens, open_to_loopback=control.open_to_loopback)
        locks = host_locks_of(settings.directory)
        api = ControlApi(Site(store, access, control.options, clock, settings.directory.options, locks))
        tls = None if control.identity is None else ServerTls(control.identity)

        def prepare(wanted: Settings) -> Callable[[], None]:
            identity = wanted.control.identity
            return partial(adopt, wanted, None if tls is None or identity is None else tls.prepare(identity))

        def adopt(wanted: Settings, show_identity: Callable[[], None] | None) -> None:
            if show_identity is not None:
                show_identity()
            scheduler.adopt(wanted.control.options)
            api.adopt(wanted.control.options)
            access.adopt(wanted.control.tokens, open_to_loopback=wanted.control.open_to_loopback)
            post.adopt(wanted.control.destinations)

        listen: tuple[str, ...] = ()
        if control.serves and not control.listen:
            ops.add_routes(api.routes())
        elif control.serves:
            application = web.Application()
            application.add_routes(api.routes())
            listen = await stack.enter_async_context(_listening(application, control, tls))
        yield ControlPlane(
            listen, prepare, ControlMetrics(partial(_numbers, scheduler, post, clock, clock.monotonic()))
        )


@contextlib.asynccontextmanager
async def _listening(
    application: web.Application, control: ControlSettings, tls: ServerTls | None
) -> AsyncIterator[tuple[str, ...]]:
    with own_sockets(control.listen) as sockets:
        runner = ops_runner(application)
        await runner.setup()
        try:
            for sock in sockets:
                context = None if tls is None else tls.context
                await web.SockSite(runner, sock, ssl_context=context, backlog=BACKLOG).start()
            yield tuple(map(show, sockets))
        finally:
            await runner.cleanup()


def _numbers(scheduler: Scheduler, post: Post, clock: Clock, begun: float) -> ControlNumbers:
    attempts = {
        (name, result): count
        for name, delivered, failed in post.attempts()
        for result, count in (("delivered", delivered), ("failed", failed))
    }
    seen = scheduler.standing
    if seen is None:
        return ControlNumbers(clock.monotonic() - begun, attempts=attempts)
    return ControlNumbers(
        clock.monotonic() - seen.seen_at,
        {state.value: seen.transfers.get(state, 0) for state in TransferState},
        0.0 if seen.locking_since is None else max(0.0, clock.wall() - seen.locking_since),
        {(name, state.value): count for (name, state), count in seen.deliveries.items()},
        attempts,
    )
