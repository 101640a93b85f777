"""Waiting with a limit: the one place of this room where work races against the clock.

The law of the room: a race is run with the injected clock and spawner alone (never `asyncio.sleep`, `wait_for` or the
loop's own time), so that a simulation decides who wins.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from router.directory.ports import Clock, Spawner

T = TypeVar("T")


async def within(seconds: float, work: Callable[[], Awaitable[T]], *, clock: Clock, spawner: Spawner, name: str) -> T:
    """What `work` returns, if it does within `seconds`.

    At the end of its time the work is cancelled and *not* waited for: a store that is slow to let go must not hold its
    caller. Cancelling the caller cancels the work. Raises `TimeoutError`, and whatever `work` raises.
    """
    result: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    async def run() -> None:
        try:
            value = await work()
        except asyncio.CancelledError:
            result.cancel()
            raise
        except Exception as error:
            if not result.done():
                result.set_exception(error)
        else:
            if not result.done():
                result.set_result(value)

    async def expire() -> None:
        await clock.sleep(seconds)
        if not result.done():
            result.set_exception(TimeoutError())

    tasks = (spawner.spawn(run(), name), spawner.spawn(expire(), f"{name}: limit"))
    try:
        return await result
    finally:
        for task in tasks:
            task.cancel()
        if result.done() and not result.cancelled():
            result.exception()  # a caller cancelled just now never saw it, and asyncio would complain of that


class Alarm:
    """A pause that can be cut short. One waits, any may ring; a ring while nobody waits ends the next wait at once."""

    def __init__(self, clock: Clock, spawner: Spawner) -> None:
        self._clock = clock
        self._spawner = spawner
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """End the present or the next wait."""
        self._rung.set()

    async def wait(self, seconds: float) -> None:
        """Return after `seconds`, or when rung."""
        if not self._rung.is_set():
            timer = self._spawner.spawn(self._ring_after(seconds), "alarm")
            try:
                await self._rung.wait()
            finally:
                timer.cancel()
        self._rung.clear()

    async def _ring_after(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._rung.set()
