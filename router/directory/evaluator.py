"""The barrier's evaluator: makes `locking` transfers `transferring` once every gateway has applied their lock.

The predicate and the flip are one transaction of the store. This only asks for it, again and again, and takes away what
would otherwise stand in the way for ever: the row of a process of this host that is proved dead, and one that was
watched in silence for longer than its lease. Any number of evaluators may run, in gateways and in commands, each with
its own watch; none is needed for safety.

Those in gateways watch all the time, so that a gateway which fell silent before a transfer began is not waited for from
then on only. A command's watch begins with the command.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from router.directory.store import Store, StoreError, TransferStore
from router.model.barrier import BarrierView, waits_for
from router.model.losses import Ending
from router.model.transfer import TransferState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from router.directory.hostlock import HostLocks
    from router.directory.ports import Clock
    from router.directory.watch import Watch
    from router.model.barrier import Silent
    from router.model.transfer import Transfer, TransferId

Evaluation: TypeAlias = "tuple[Transfer, BarrierView]"
"""What a transfer is now, and what was seen of the registrations it waits for."""

NOTHING_SEEN: Final = BarrierView(0, 0.0, ())
INTERVAL: Final = 0.1
"""Seconds between two evaluations while something is locking: this delays a transfer that nothing else holds up."""
IDLE_INTERVAL: Final = 0.5
"""Seconds between two looks for something that is locking."""
WATCH_INTERVAL: Final = 5.0
"""Seconds between two looks at the registrations while nothing is locking: so much later a silent one is given up."""
TELL_AFTER: Final = 5.0
TELL_EVERY: Final = 60.0
"""Seconds that a transfer waits before the log says for whom, and between two times that it does."""

_log = logging.getLogger(__name__)


class BarrierStore(TransferStore, Protocol):
    """What an evaluator asks of a store."""

    async def registrations(self) -> BarrierView:
        """See `router.directory.store.RegistrationStore`."""


async def evaluate_transfer(
    store: TransferStore, locks: HostLocks, clock: Clock, watch: Watch, transfer: TransferId
) -> Evaluation | None:
    """Evaluate one transfer; `None` if there is no such transfer. Raises `StoreError`."""
    silent = watch.silent()
    seen = await store.evaluate(transfer, now=clock.wall(), silent=silent)
    if seen is None:
        return None
    watch.saw(seen[1])
    _tell_expired(silent, seen[1])
    if seen[0].state is not TransferState.LOCKING:
        return seen
    dead = [row.incarnation for row in waits_for(*seen) if locks.prove_dead(row.incarnation)]
    if not dead:
        return seen
    await _forget(store, locks, dead)
    return await store.evaluate(transfer, now=clock.wall())


async def forget_dead(store: Store, locks: HostLocks) -> None:
    """Forget every registration whose process is proved dead, whether or not anything waits for it. Raises
    `StoreError`.
    """
    rows = (await store.registrations()).registrations
    await _forget(store, locks, [row.incarnation for row in rows if locks.prove_dead(row.incarnation)])


async def _forget(store: TransferStore, locks: HostLocks, dead: Iterable[str]) -> None:
    for incarnation in dead:
        await store.forget(incarnation, ending=Ending.DEAD)
        # Only now: without its file the death could not be proved again, had the store failed.
        locks.discard(incarnation)
        _log.info("forgot registration %s: its process is dead", incarnation)


async def evaluate_all(store: TransferStore, locks: HostLocks, clock: Clock, watch: Watch) -> tuple[Evaluation, ...]:
    """Evaluate every `locking` transfer once. Raises `StoreError`."""
    running = await store.list_transfers(workspace=None, running=True)
    evaluations = []
    for transfer in _locking(running):
        evaluation = await evaluate_transfer(store, locks, clock, watch, transfer.id)
        if evaluation is not None:
            evaluations.append(evaluation)
    return tuple(evaluations)


@dataclass(frozen=True, slots=True)
class Standing:
    """How the transfers of a directory stand, for metrics: so many `locking` and `transferring`, and how many gateways
    some of them wait for. `view`: the registrations as they were seen last.
    """

    locking: int = 0
    transferring: int = 0
    waited_for: int = 0
    view: BarrierView = NOTHING_SEEN


class BarrierEvaluator:
    """Evaluates and watches again and again, until it is cancelled. `standing` is what it saw last."""

    def __init__(self, store: BarrierStore, locks: HostLocks, clock: Clock, watch: Watch) -> None:
        self._store = store
        self._locks = locks
        self._clock = clock
        self._watch = watch
        self._watched_at = -WATCH_INTERVAL
        self._tell_at: dict[TransferId, float] = {}
        self._failing = False
        self.standing = Standing()

    async def run(self) -> None:
        """Never ends by itself, and of no error."""
        while True:
            await self._clock.sleep(INTERVAL if await self._evaluate() else IDLE_INTERVAL)

    async def _evaluate(self) -> bool:
        """Evaluate all, and return whether something is still locking."""
        try:
            running = await self._store.list_transfers(workspace=None, running=True)
            evaluations = [
                evaluation
                for transfer in _locking(running)
                if (evaluation := await self._evaluate_one(transfer.id)) is not None
            ]
            await self._look(evaluations, running)
        except Exception as error:  # a bug must not end the loop: no transfer would ever begin to copy again
            if not self._failing:
                traceback = None if isinstance(error, StoreError) else error
                _log.warning("transfers cannot be evaluated: %s", error, exc_info=traceback)
            self._failing = True
            return False
        if self._failing:
            _log.info("transfers are evaluated again")
        self._failing = False
        self._tell(evaluations)
        return self.standing.locking > 0

    async def _evaluate_one(self, transfer: TransferId) -> Evaluation | None:
        return await evaluate_transfer(self._store, self._locks, self._clock, self._watch, transfer)

    async def _look(self, evaluations: Sequence[Evaluation], running: Sequence[Transfer]) -> None:
        """Watch the registrations, which every evaluation does already, and note how everything stands."""
        now = self._clock.monotonic()
        view = self.standing.view
        if evaluations:
            view, self._watched_at = evaluations[-1][1], now
        elif now - self._watched_at >= WATCH_INTERVAL:
            view, self._watched_at = await self._store.registrations(), now
            self._watch.saw(view)
        locking = [found for found in evaluations if found[0].state is TransferState.LOCKING]
        waited_for = {row.incarnation for found in locking for row in waits_for(*found)}
        begun = (
            len(running) - len(evaluations) + sum(found[0].state is TransferState.TRANSFERRING for found in evaluations)
        )
        self.standing = Standing(len(locking), begun, len(waited_for), view)

    def _tell(self, evaluations: Iterable[Evaluation]) -> None:
        now = self._clock.monotonic()
        before, self._tell_at = self._tell_at, {}
        for transfer, view in evaluations:
            if transfer.state is TransferState.TRANSFERRING:
                _log.info("transfer %s is transferring: every gateway has applied its lock", transfer.id)
            elif transfer.state is TransferState.LOCKING:
                due = before.get(transfer.id, now + TELL_AFTER)
                if now >= due:
                    due = now + TELL_EVERY
                    for waiting in self._watch.waiting(transfer, view):
                        _log.warning("transfer %s is still locking: %s", transfer.id, waiting.line(self._clock.wall()))
                self._tell_at[transfer.id] = due


def _locking(transfers: Iterable[Transfer]) -> list[Transfer]:
    return [transfer for transfer in transfers if transfer.state is TransferState.LOCKING]


def _tell_expired(silent: Iterable[Silent], view: BarrierView) -> None:
    left = {row.incarnation for row in view.registrations}
    for row in silent:
        if row.incarnation not in left:
            _log.warning("registration %s is gone: it was not renewed for longer than its lease", row.incarnation)
