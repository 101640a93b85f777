"""Time and tasks as this room sees them: injected, so that a deterministic simulation can drive the real code.

The law of the room: nothing in `directory` reads a clock, sleeps or starts a task except through these two.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Coroutine


_BOOTTIME: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock(Protocol):
    """Three times, in seconds. `monotonic` for pace, `elapsed` and `wall` for trust, `wall` for what people read."""

    def monotonic(self) -> float:
        """Seconds that stand still while the machine is suspended: pace and ages."""

    def elapsed(self) -> float:
        """Seconds that go on while the machine is suspended (CLOCK_BOOTTIME)."""

    def wall(self) -> float:
        """Seconds since 1970."""

    async def sleep(self, seconds: float) -> None:
        """Return after about `seconds`."""


class Spawner(Protocol):
    """Starts background work and keeps it alive until it ends."""

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Start `work`, which handles its own errors."""


class SystemClock:
    """The clock of this machine. The system's own functions, unwrapped: the lease reads two clocks for each request."""

    monotonic = staticmethod(time.monotonic)
    # Where the system has no CLOCK_BOOTTIME the wall clock alone notices a suspension.
    elapsed = staticmethod(partial(time.clock_gettime, _BOOTTIME))
    wall = staticmethod(time.time)

    async def sleep(self, seconds: float) -> None:
        """See `Clock`."""
        await asyncio.sleep(seconds)


class TaskSpawner:
    """Starts asyncio tasks and holds a reference to each, because the loop holds only weak ones."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """See `Spawner`."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Cancel what still runs and wait until it has ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
