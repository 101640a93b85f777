"""The circuit breaker of one origin: whether another connection to it may be tried. Pure, its time is handed in.

Theory. A region that cannot be connected to costs each request a whole connect deadline. After so many failed connects
in a row the circuit opens, and requests are told at once; after a pause one of them is the probe that finds out.

| state | a connect may begin | left by |
|---|---|---|
| CLOSED | always | so many failures in a row → OPEN |
| OPEN | not before the pause is over, then one → PROBING | a connect that succeeds → CLOSED |
| PROBING | no | success → CLOSED; failure → OPEN; the probe given up → OPEN, its pause over |

Only connects count. What a region answers, be it 503 or garbage, shows that it can be reached: no such event is here.

Connects run side by side and end late. Each has a permit, the number of the era that it began in; every change of state
begins another era. A failure counts only in its own era, so that what was begun before the circuit opened can't end a
probe; a success counts always, because a region that was reached can be reached.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NewType

Permit = NewType("Permit", int)


class State(Enum):
    """Of a circuit."""

    CLOSED = auto()
    OPEN = auto()
    PROBING = auto()


class Breaker:
    """One circuit. It opens after `failures` failed connects in a row, for `pause` seconds before each probe."""

    __slots__ = ("_era", "_failed", "_failures", "_pause", "_until", "state")

    def __init__(self, failures: int, pause: float) -> None:
        self.state = State.CLOSED
        self._failures = failures
        self._pause = pause
        self._failed = 0
        self._until = 0.0
        self._era = 0

    def admits(self, now: float) -> bool:
        """Whether `begin` would permit a connect."""
        return self.state is State.CLOSED or (self.state is State.OPEN and now >= self._until)

    def begin(self, now: float) -> Permit | None:
        """The permit of a connect that begins now, or `None`. Each permit is handed back to one of the three below."""
        if not self.admits(now):
            return None
        if self.state is State.OPEN:
            self._enter(State.PROBING)
        return Permit(self._era)

    def succeeded(self) -> None:
        """A connect has succeeded."""
        self._failed = 0
        if self.state is not State.CLOSED:
            self._enter(State.CLOSED)

    def failed(self, permit: Permit, now: float) -> None:
        """A connect has failed."""
        if permit != self._era or self.state is State.OPEN:
            return
        self._failed += 1
        if self.state is State.PROBING or self._failed >= self._failures:
            self._until = now + self._pause
            self._enter(State.OPEN)

    def abandoned(self, permit: Permit) -> None:
        """A connect was given up: it has shown nothing."""
        if permit == self._era and self.state is State.PROBING:
            # The pause that came before the probe is over: another may follow at once.
            self._enter(State.OPEN)

    def _enter(self, state: State) -> None:
        self.state = state
        self._era += 1
