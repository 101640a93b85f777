"""Serving until a signal says stop, on uvloop where it can be installed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from typing import TYPE_CHECKING, Any

from router.runtime.process import running

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from router.settings.values import Settings

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


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain. Raises `OSError` for an address that can't be listened on."""
    with stop_signal() as stopped:
        async with running(settings) as process:
            _log.info("listening on %s, ops on %s", ", ".join(process.listen), ", ".join(process.ops_listen))
            await stopped.wait()
            _log.info("draining")
    _log.info("ended")


@contextlib.contextmanager
def stop_signal() -> Iterator[asyncio.Event]:
    """An event that SIGTERM or SIGINT sets. To be entered first: a signal during the start must not end the process."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    try:
        yield stopped
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
