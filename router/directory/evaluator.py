"""The barrier's evaluator: makes `locking` transfers `transferring` once every gateway has applied their lock.

The predicate and the flip are one transaction of the store. This only asks for it, again and again, and takes away the
one obstacle that would otherwise stand for a whole lease: the row of a process of this host that is proved dead.
Any number of evaluators may run, in gateways and in commands; none is needed for safety.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, TypeAlias

from router.directory.store import StoreError
from router.model.barrier import waits_for
from router.model.transfer import TransferState

if TYPE_CHECKING:
    from router.directory.hostlock import HostLocks
    from router.directory.ports import Clock
    from router.directory.store import TransferStore
    from router.model.barrier import BarrierView
    from router.model.transfer import Transfer, TransferId

Evaluation: TypeAlias = "tuple[Transfer, BarrierView]"
"""What a transfer is now, and what was seen of the registrations it waits for."""

INTERVAL: Final = 0.1
"""Seconds between two evaluations while something is locking: this delays a transfer that nothing else holds up."""
IDLE_INTERVAL: Final = 0.5
"""Seconds between two looks for something that is locking."""

_log = logging.getLogger(__name__)


async def evaluate_transfer(
    store: TransferStore, locks: HostLocks, clock: Clock, transfer: TransferId
) -> Evaluation | None:
    """Evaluate one transfer; `None` if there is no such transfer. Raises `StoreError`."""
    seen = await store.evaluate(transfer, now=clock.wall())
    if seen is None or seen[0].state is not TransferState.LOCKING:
        return seen
    dead = [row.incarnation for row in waits_for(*seen) if locks.prove_dead(row.incarnation)]
    if not dead:
        return seen
    for incarnation in dead:
        await store.forget_dead(incarnation)
        # Only now: without its file the death could not be proved again, had the store failed.
        locks.discard(incarnation)
        _log.info("forgot registration %s: its process is dead", incarnation)
    return await store.evaluate(transfer, now=clock.wall())


async def evaluate_all(store: TransferStore, locks: HostLocks, clock: Clock) -> tuple[Evaluation, ...]:
    """Evaluate every `locking` transfer once. Raises `StoreError`."""
    running = await store.list_transfers(workspace=None, running=True)
    evaluations = []
    for transfer in running:
        if transfer.state is TransferState.LOCKING:
            evaluation = await evaluate_transfer(store, locks, clock, transfer.id)
            if evaluation is not None:
                evaluations.append(evaluation)
    return tuple(evaluations)


class BarrierEvaluator:
    """Evaluates again and again, until it is cancelled."""

    def __init__(self, store: TransferStore, locks: HostLocks, clock: Clock) -> None:
        self._store = store
        self._locks = locks
        self._clock = clock
        self._failing = False

    async def run(self) -> None:
        """Never ends by itself, and of no error."""
        while True:
            await self._clock.sleep(INTERVAL if await self._evaluate() else IDLE_INTERVAL)

    async def _evaluate(self) -> bool:
        """Evaluate all, and return whether something is still locking."""
        try:
            evaluations = await evaluate_all(self._store, self._locks, self._clock)
        except Exception as error:  # a bug must not end the loop: no transfer would ever begin to copy again
            if not self._failing:
                traceback = None if isinstance(error, StoreError) else error
                _log.warning("transfers cannot be evaluated: %s", error, exc_info=traceback)
            self._failing = True
            return False
        if self._failing:
            _log.info("transfers are evaluated again")
        self._failing = False
        for transfer, _ in evaluations:
            if transfer.state is TransferState.TRANSFERRING:
                _log.info("transfer %s is transferring: every gateway has applied its lock", transfer.id)
        return any(transfer.state is TransferState.LOCKING for transfer, _ in evaluations)
