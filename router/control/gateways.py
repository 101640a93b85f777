"""The registered gateways as an operator sees them, and how one that will never come back is forgotten.

Theory. A registration holds up every transfer until its gateway has applied the lock, or has been silent for its whole
lease. That wait is for safety: a gateway that cannot reach the directory still trusts its cache, and goes on writing
until its lease has lapsed. Whoever *knows* that its process is dead may spare everybody the wait by forgetting it. A
gateway that renews is not dead, whatever its operator believes, and is not forgotten: so the row is watched first, and
the deletion compares what was watched, in the transaction that also writes the audit log.

The law of the room: an expected outcome is a value; `StoreError` alone is raised.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from router.control.audit import record
from router.control.problems import ControlProblem, Declined, decline
from router.directory.watch import allowance
from router.model.losses import Ending

if TYPE_CHECKING:
    from router.control.audit import Act
    from router.control.ports import ControlStore, ControlTransaction
    from router.directory.hostlock import HostLocks
    from router.directory.options import DirectoryOptions
    from router.directory.ports import Clock
    from router.model.barrier import Registration


@dataclass(frozen=True, slots=True)
class GatewayStatus:
    """One registration. `head`: how far the feed goes; `trusts_until`: it may write until then at most if it is never
    renewed again, seconds since 1970; `counts`: what it has applied counts in the directory's present generation.
    """

    row: Registration
    head: int
    trusts_until: float
    counts: bool


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A registration that is gone. `may_write_until`: unless its process is dead its requests may still write until
    then, seconds since 1970; `None` where it was proved dead.
    """

    row: Registration
    ending: Ending
    may_write_until: float | None


@dataclass(frozen=True, slots=True)
class Sighting:
    """A registration that was watched: proved dead, or silent for longer than any that lives."""

    row: Registration
    ending: Ending


Watched: TypeAlias = Sighting | Declined


def list_gateways(tx: ControlTransaction, options: DirectoryOptions) -> tuple[GatewayStatus, ...]:
    """All registrations, by gateway and host."""
    head, view = tx.head(), tx.barrier()
    rows = sorted(view.registrations, key=lambda row: (row.gateway, row.host, row.incarnation))
    return tuple(
        GatewayStatus(row, head, row.renewed_at + allowance(row, options), row.generation == view.generation)
        for row in rows
    )


async def watch_gateway(
    store: ControlStore, locks: HostLocks, clock: Clock, options: DirectoryOptions, incarnation: str
) -> Watched:
    """Watch the registration `incarnation` for as long as one that lives is never silent. Raises `StoreError`."""
    row = await _find(store, incarnation)
    if row is None:
        return no_gateway(incarnation)
    if locks.prove_dead(incarnation):
        return Sighting(row, Ending.DEAD)
    # Longer than a gateway that reaches the directory ever takes from one renewal to the next.
    give_up = clock.monotonic() + 4 * options.poll_interval + options.renewal_timeout
    while clock.monotonic() < give_up:
        await clock.sleep(options.poll_interval)
        again = await _find(store, incarnation)
        if again is None:
            return no_gateway(incarnation)
        if again.renewals != row.renewals:
            return _still_renews(row)
    return Sighting(row, Ending.FORGOTTEN)


def forget_gateway(
    tx: ControlTransaction, act: Act, options: DirectoryOptions, sighting: Sighting
) -> Forgotten | Declined:
    """Take the row away, if it is as it was seen: a dead one's whatever it says, any other if it was not renewed."""
    row, ending = sighting.row, sighting.ending
    renewals = None if ending is Ending.DEAD else row.renewals
    if not tx.forget(row.incarnation, ending=ending, now=act.now, renewals=renewals):
        there = any(other.incarnation == row.incarnation for other in tx.barrier().registrations)
        return _still_renews(row) if there else no_gateway(row.incarnation)
    forgotten = {"gateway": row.gateway, "host": row.host, "ending": ending}
    record(tx, act, "gateway.forget", f"gateway:{row.incarnation}", before=forgotten)
    return Forgotten(row, ending, None if ending is Ending.DEAD else row.renewed_at + allowance(row, options))


def no_gateway(incarnation: str) -> Declined:
    """Nothing has that name; it may have left, or been forgotten."""
    return decline(ControlProblem.NO_GATEWAY, f"There is no registration {incarnation!r}.")


async def _find(store: ControlStore, incarnation: str) -> Registration | None:
    rows = (await store.read(lambda tx: tx.barrier())).registrations
    return next((row for row in rows if row.incarnation == incarnation), None)


def _still_renews(row: Registration) -> Declined:
    text = f"Gateway {row.gateway} on host {row.host} still renews its registration {row.incarnation}."
    return decline(ControlProblem.STILL_RENEWS, text)
