"""The lease: a gateway's right to trust its cache.

Theory. The directory counts a gateway's silence from the moment it *executed* the last renewal; the gateway counts from
just before it *sent* it, which is earlier. So the gateway stops first, however long the renewal or its answer took.
Silence is measured by the larger of two clocks, one that goes on while the machine is suspended and the wall clock: a
virtual machine that was frozen may have missed the first, a clock that was set back the second.

The law: a lapse is final for its term. Once `alive` has said no it says no until `begin`, even if a clock is set
back or the answer to a renewal that was sent in time arrives late.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.directory.ports import Clock


class Moment(NamedTuple):
    """A moment on both clocks that trust is measured by, in seconds."""

    elapsed: float
    wall: float


_NEVER = Moment(-math.inf, -math.inf)


class Lease:
    """Trust for `seconds` from the sending of the last acknowledged renewal. `on_lapse` is called once per lapse."""

    def __init__(self, clock: Clock, seconds: float, on_lapse: Callable[[], None]) -> None:
        self._elapsed = clock.elapsed
        self._wall = clock.wall
        self._seconds = seconds
        self._on_lapse = on_lapse
        self._until = _NEVER
        self._fresh = False

    def begin(self) -> None:
        """A new term, which has no trust before its first renewal."""
        self._until = _NEVER
        self._fresh = True

    def revoke(self) -> None:
        """End all trust, until `begin`."""
        self._until = _NEVER
        self._fresh = False

    def moment(self) -> Moment:
        """Now: to be taken just before a renewal is sent."""
        return Moment(self._elapsed(), self._wall())

    def renewed(self, sent: Moment) -> bool:
        """The renewal sent at `sent` was acknowledged. `False`: too late, the lease has lapsed or was revoked."""
        if not self._fresh and not self.alive():
            return False
        self._fresh = False
        self._until = Moment(sent.elapsed + self._seconds, sent.wall + self._seconds)
        return self.alive()

    def alive(self) -> bool:
        """Whether the cache may be trusted now. Called before each write to a region: two clocks, two comparisons."""
        until = self._until
        if self._elapsed() < until.elapsed and self._wall() < until.wall:
            return True
        if until is not _NEVER:
            self._until = _NEVER
            self._on_lapse()
        return False

    @property
    def lapsed(self) -> bool:
        """Whether this term had its time: it was renewed and is not alive, or it was revoked."""
        return not self._fresh and not self.alive()

    def remaining(self) -> float:
        """Seconds until it lapses unless renewed; infinite before the first renewal of a term."""
        if self._fresh:
            return math.inf
        return max(0.0, min(self._until.elapsed - self._elapsed(), self._until.wall - self._wall()))
