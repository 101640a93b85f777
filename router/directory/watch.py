"""The watch: which registrations have been silent for longer than their gateways can have trusted them.

Theory. A gateway counts its trust from just before it *sent* a renewal that the directory executed later. So whoever
has seen a row, and finds it not renewed after its whole lease, knows that its gateway has stopped by itself; be its
process paused, cut off or gone. No clock is compared with another: how long a row was unchanged is counted on the
watcher's own clock, from just *after* it was seen, and the two clocks' rates may differ by `drift`. `margin` is for
what goes out late: what a region's host has not acknowledged when a process is stopped, its kernel sends on for a
while. A watcher whose own machine was suspended counts less than the truth, which is the safe side.

That a row is silent is a claim about the past. The store compares again in the transaction that acts on it: a gateway
that was woken in between either renewed first, or is refused and ends its term.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from router.model.barrier import Silent, waits_for
from router.model.timestamp import rfc3339

if TYPE_CHECKING:
    from router.directory.options import DirectoryOptions
    from router.directory.ports import Clock
    from router.model.barrier import BarrierView, Registration
    from router.model.transfer import Transfer


def allowance(row: Registration, options: DirectoryOptions) -> float:
    """Seconds that `row` may be unchanged before the barrier goes on without it."""
    return row.lease * (1.0 + options.clock_drift) + options.lease_margin


class Waiting(NamedTuple):
    """A registration that holds a transfer up, and until when at most if it is never renewed again (since 1970)."""

    row: Registration
    until: float

    def line(self, now: float) -> str:
        """One phrase for people."""
        row = self.row
        return (
            f"gateway {row.gateway} on host {row.host} has not applied the lock (incarnation {row.incarnation}, "
            f"renewed {max(0.0, now - row.renewed_at):.1f} s ago; if never again, given up at {rfc3339(self.until)} at "
            "the latest)"
        )


class _Sight(NamedTuple):
    row: Registration
    since: float


class Watch:
    """What one process has seen of the registrations, and since when. Begins anew with each process."""

    def __init__(self, clock: Clock, options: DirectoryOptions) -> None:
        self._clock = clock
        self._options = options
        self._sights: dict[str, _Sight] = {}

    def saw(self, view: BarrierView) -> None:
        """To be called with what a store has just answered, without an await in between."""
        now = self._clock.monotonic()
        before, self._sights = self._sights, {}
        for row in view.registrations:
            sight = before.get(row.incarnation)
            unchanged = sight is not None and sight.row.renewals == row.renewals
            self._sights[row.incarnation] = sight if sight is not None and unchanged else _Sight(row, now)

    def silent(self) -> tuple[Silent, ...]:
        """The rows that have been unchanged for too long. To be asked just before the store is."""
        now = self._clock.monotonic()
        return tuple(
            Silent(row.incarnation, row.renewals)
            for row, since in self._sights.values()
            if now - since >= allowance(row, self._options)
        )

    def waiting(self, transfer: Transfer, view: BarrierView) -> tuple[Waiting, ...]:
        """Whom `transfer` waits for by what `view` shows, and until when."""
        return tuple(Waiting(row, self._gives_up_at(row)) for row in waits_for(transfer, view))

    def _gives_up_at(self, row: Registration) -> float:
        """By the clocks of whoever wrote the row and of this process: to be read by people, never acted upon. Watchers
        that run all the time have seen the last renewal. Where none has, this one began when it saw the row.
        """
        now = self._clock.wall()
        known_to_all = row.renewed_at + allowance(row, self._options)
        sight = self._sights.get(row.incarnation)
        seen_for = 0.0 if sight is None else self._clock.monotonic() - sight.since
        return known_to_all if known_to_all > now else now + max(0.0, allowance(row, self._options) - seen_for)
