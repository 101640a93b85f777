"""How one process stands with its directory and its regions, as the numbers that are scraped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.model.transfer import TransferState
from router.telemetry.directory_metrics import DirectoryNumbers
from router.telemetry.pool_metrics import PoolNumbers

if TYPE_CHECKING:
    from router.directory.directory import CachedDirectory
    from router.directory.evaluator import BarrierEvaluator
    from router.directory.ports import Clock
    from router.gateway.handler import Gateway


def directory_numbers(directory: CachedDirectory, evaluator: BarrierEvaluator, clock: Clock) -> DirectoryNumbers:
    """One reading."""
    state, standing = directory.state, evaluator.standing
    return DirectoryNumbers(
        lease_left=state.lease_left,
        terms_ended={why.value: number for why, number in state.terms_ended.items()},
        renewal_failures=state.failures,
        lookup_failures={why.value: number for why, number in directory.failures.items()},
        generation=0 if state.position is None else state.position.generation,
        quarantine=max(0.0, standing.view.quarantine_until - clock.wall()),
        gateways=len(standing.view.registrations),
        transfers={
            TransferState.LOCKING.value: standing.locking,
            TransferState.TRANSFERRING.value: standing.transferring,
        },
        barrier_waiting=standing.waited_for,
        unanswered=len(directory.unanswered),
        unanswered_forgotten=directory.unanswered.forgotten,
    )


def pool_numbers(gateway: Gateway) -> dict[str, PoolNumbers]:
    """One reading."""
    return {
        region: PoolNumbers({"busy": busy, "idle": idle, "dialling": dialling}, waiting)
        for region, (busy, idle, dialling, waiting) in gateway.pools_standing().items()
    }
