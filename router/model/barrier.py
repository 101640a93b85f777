"""The lock barrier's predicate: for whom a transfer still waits.

Theory. A lock is a change of the feed at some `seq`. A gateway has *applied* it when every request that it decided
before it is gone, and says so in each renewal of its registration. When every registration has applied the lock, no
gateway will write another byte under the old placement and none is in flight: `locking` may become `transferring`.
Safety makes the transfer wait, never the traffic drop.

An acknowledgement counts only in the present generation: a directory that was restored or failed over may know nothing
of what was acknowledged before. And because such a directory may have lost registrations too, a generation other than
the first waits one longest lease before any flip.

A registration that is never renewed again holds a transfer up until it *expires*: whoever watched it unchanged on a
clock of its own, for longer than its gateway can have trusted it, names it `Silent`. That is a claim about the past
only, so the transaction of the flip compares once more, and revokes the row before it goes on without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from router.model.transfer import Transfer


@dataclass(frozen=True, slots=True)
class Registration:
    """One gateway worker's row: the random, never reused `incarnation`, and how far it has applied the feed."""

    incarnation: str
    gateway: str
    host: str
    lease: float
    generation: int
    applied: int
    renewed_at: float
    renewals: int


@dataclass(frozen=True, slots=True)
class Silent:
    """A registration that was watched unchanged, at this number of renewals, for longer than its lease allows."""

    incarnation: str
    renewals: int


@dataclass(frozen=True, slots=True)
class BarrierView:
    """What one evaluation saw, in one snapshot. `quarantine_until`: seconds since 1970, 0 in the first generation."""

    generation: int
    quarantine_until: float
    registrations: tuple[Registration, ...]


def waits_for(transfer: Transfer, view: BarrierView) -> tuple[Registration, ...]:
    """The registrations that have not applied the lock of `transfer` in the directory's present generation."""
    return tuple(row for row in view.registrations if not _applied(row, transfer, view.generation))


def holds(transfer: Transfer, view: BarrierView, *, now: float) -> bool:
    """Whether `transfer` may become `transferring` by what `view` shows at `now` (seconds since 1970)."""
    return now >= view.quarantine_until and not waits_for(transfer, view)


def _applied(row: Registration, transfer: Transfer, generation: int) -> bool:
    return row.generation == generation and row.applied >= transfer.lock_seq
