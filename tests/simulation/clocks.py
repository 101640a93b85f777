"""Time in the simulation, and how each process sees it: clocks that drift, stand still, and are set by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.loop import SimulatedLoop


class Time:
    """The true time, in seconds. Only the schedule lets it pass."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = 0.0


class ProcessClock:
    """Implements `router.directory.ports.Clock` for one process. `rate`: its seconds in a true one.

    The wall clock is held to the true time by others, and goes wrong in steps only.
    """

    def __init__(self, time: Time, loop: SimulatedLoop, rate: float) -> None:
        self.rate = rate
        self._time = time
        self._loop = loop
        # All three begin at different values, as they do in life.
        self._monotonic = 100.0
        self._elapsed = 5_000.0
        self._wall = 1_700_000_000.0

    def monotonic(self) -> float:
        """See `Clock`."""
        return self._monotonic + self._time.now * self.rate

    def elapsed(self) -> float:
        """See `Clock`."""
        return self._elapsed + self._time.now * self.rate

    def wall(self) -> float:
        """See `Clock`."""
        return self._wall + self._time.now

    async def sleep(self, seconds: float) -> None:
        """See `Clock`."""
        await self._loop.sleep_until(self.monotonic() + seconds)

    # What happens to clocks

    def missed_suspension(self, seconds: float) -> None:
        """The machine was suspended so long: the clock of pace has stood still."""
        self._monotonic -= seconds * self.rate

    def missed_freeze(self, seconds: float) -> None:
        """The virtual machine was frozen so long: only the wall clock, set right afterwards, knows."""
        self._monotonic -= seconds * self.rate
        self._elapsed -= seconds * self.rate

    def step_wall(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self._wall += seconds
