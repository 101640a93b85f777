"""Serving until a signal says stop, on uvloop where it can be installed.

The end has an order that loses no request. First the process says that it is not ready, and goes on as before for
`gateway.drain_delay`, because whoever balances needs that long to look away. Then the listeners are closed and every
answer is the last one of its connection (`router.gateway.server`). A second signal, or Ctrl-C, skips the delay.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from typing import TYPE_CHECKING, Any

from router.runtime.process import Running, Served, running, running_control, running_workers
from router.runtime.reload import Reloading
from router.runtime.role import Role
from router.telemetry.lifecycle import Lifecycle

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from router.runtime.source import Configuration, Source

_log = logging.getLogger(__name__)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run `main` on the fastest loop there is."""
    try:
        import uvloop  # noqa: PLC0415 - may not be installable here
    except ImportError:
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    else:
        loop_factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main)


async def serve(
    source: Source, present: Configuration, *, role: Role = Role.ALL, workers: int = 1, log_level: str = "info"
) -> None:
    """Serve until SIGTERM or SIGINT, then drain. Raises `OSError` for an address that can't be listened on.

    `present`: what was read from `source`; whenever that says something else, it is taken over. With more than one of
    `workers` each is a process of its own, with that `log_level`.
    """
    lifecycle = Lifecycle(present.digest)
    process: Running | Served
    with stop_signal() as stopped:
        async with contextlib.AsyncExitStack() as stack:
            if not role.has_gateway:
                process = await stack.enter_async_context(running_control(present.settings, lifecycle))
            elif workers == 1:
                process = await stack.enter_async_context(running(present.settings, lifecycle, role=role))
            else:
                process = await stack.enter_async_context(
                    running_workers(source.path, present, lifecycle, workers=workers, role=role, log_level=log_level)
                )
            reloading = Reloading(source, present, process.adopt, lifecycle)
            where = (
                ("listening on", process.listen),
                ("ops on", process.ops_listen),
                ("control on", process.control_listen),
            )
            _log.info("%s", ", ".join(f"{what} {', '.join(each)}" for what, each in where if each))
            async with reloading.when_asked():
                await stopped.wait()
            process.retire()
            delay = reloading.settings.serving.drain_delay
            _log.info("not ready any more; draining in %g s", delay)
            await stopped.linger(delay)
            _log.info("draining")
    _log.info("ended")


class StopSignal:
    """Whether the process was asked to stop, and whether somebody can't wait: Ctrl-C, or a second signal."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._hurried = asyncio.Event()

    def received(self, number: signal.Signals) -> None:
        """SIGTERM or SIGINT has come."""
        if number is signal.SIGINT or self._asked.is_set():
            self._hurried.set()
        self._asked.set()

    async def wait(self) -> None:
        """Return once it was asked to stop."""
        await self._asked.wait()

    async def linger(self, seconds: float) -> None:
        """Return after `seconds`, or when somebody can't wait."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurried.wait()


@contextlib.contextmanager
def stop_signal() -> Iterator[StopSignal]:
    """SIGTERM and SIGINT. To be entered first: a signal during the start must not end the process."""
    loop = asyncio.get_running_loop()
    stopped = StopSignal()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.received, number)
    try:
        yield stopped
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
