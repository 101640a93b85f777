"""A clock that stands still until a test advances it, and the patience to let tasks run as far as they can."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count

SETTLING_ROUNDS = 60
"""More turns of the loop than any chain of tasks in this room needs to come to rest."""


async def settle() -> None:
    """Let every task run until it waits for the clock, the store or the test."""
    for _ in range(SETTLING_ROUNDS):
        await asyncio.sleep(0)


class ManualClock:
    """Implements `router.directory.ports.Clock`. All three times start at different values, as they do in life."""

    def __init__(self) -> None:
        self._monotonic = 100.0
        self._elapsed = 5_000.0
        self._wall = 1_700_000_000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def monotonic(self) -> float:
        return self._monotonic

    def elapsed(self) -> float:
        return self._elapsed

    def wall(self) -> float:
        return self._wall

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic + seconds, next(self._order), woken))
        await woken

    @property
    def next_wake(self) -> float | None:
        """Seconds until somebody who still sleeps would wake."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] - self._monotonic if self._sleepers else None

    async def advance(self, seconds: float) -> None:
        """Let time pass, stopping at each sleeper's hour and letting it work."""
        await settle()
        end = self._monotonic + seconds
        while (wait := self.next_wake) is not None and self._monotonic + wait <= end:
            self.jump(max(0.0, wait))
            heapq.heappop(self._sleepers)[2].set_result(None)
            await settle()
        self.jump(end - self._monotonic)
        await settle()

    def jump(self, seconds: float) -> None:
        """All clocks go on, and nobody notices yet: the process was stopped."""
        self._monotonic += seconds
        self.suspend(seconds)

    def suspend(self, seconds: float) -> None:
        """The machine was suspended: only the clocks of trust go on."""
        self._elapsed += seconds
        self._wall += seconds

    def freeze(self, seconds: float) -> None:
        """The virtual machine was stopped by its host: only the wall clock, set right afterwards, knows."""
        self._wall += seconds

    def set_wall_back(self, seconds: float) -> None:
        """Somebody sets the wall clock back."""
        self._wall -= seconds
