"""What happens by itself when its hour has come: deadlines of transfers, the end of backups' locks, old answers.

Any number of schedulers may run, in any number of processes: each look is one transaction that ends only what has not
ended yet, so nothing is ended twice. None is needed for a deadline to hold: a call that comes too late keeps it itself.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from router.control.audit import Act
from router.control.lifecycle import BATCH, Lifecycle
from router.control.post import UNKNOWN, give_up_unknown
from router.directory.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.control.options import ControlOptions
    from router.control.ports import ControlStore, ControlTransaction
    from router.directory.ports import Clock
    from router.model.journal import DeliveryState
    from router.model.transfer import TransferState

NAME: Final = "scheduler"
"""Who it is in the audit log."""
INTERVAL: Final = 1.0
"""Seconds between two looks: how late a deadline may be kept."""
KEPT_ANSWERS: Final = 86_400.0
"""Seconds that the answer to a request with an idempotency key is kept."""
_SWEEP: Final = 600.0
"""Seconds between two looks for answers that are older, and for events that are for nobody."""
LOOK: Final = 10.0
"""Seconds between two looks at how everything stands."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How transfers and events stand. `seen_at` is monotonic, `locking_since` wall time, both in seconds."""

    seen_at: float
    transfers: Mapping[TransferState, int]
    locking_since: float | None
    deliveries: Mapping[tuple[str, DeliveryState], int]


_log = logging.getLogger(__name__)


class Scheduler:
    """Looks again and again, until it is cancelled."""

    def __init__(self, store: ControlStore, clock: Clock, options: ControlOptions) -> None:
        self._store = store
        self._clock = clock
        self._options = options
        self._swept_at: float | None = None
        self._failing = False
        self.standing: Standing | None = None
        """As it was seen last."""

    def adopt(self, options: ControlOptions) -> None:
        """Look by `options` from now on."""
        self._options = options

    async def run(self) -> None:
        """Never ends by itself, and of no error."""
        while True:
            if not await self._try():
                await self._clock.sleep(INTERVAL)

    async def keep_hours(self) -> bool:
        """End what is due, and return whether there may be more. Raises `StoreError`."""
        now = self._clock.wall()
        hour = await self._store.read(lambda tx: tx.next_hour())
        more = False
        if hour is not None and hour <= now:
            more = await self._store.transact(lambda tx: self._end(tx, now))
        if self._swept_at is None or self._clock.monotonic() >= self._swept_at + _SWEEP:
            await self._store.transact(lambda tx: self._sweep(tx, now))
            self._swept_at = self._clock.monotonic()
        if self.standing is None or self._clock.monotonic() >= self.standing.seen_at + LOOK:
            self.standing = await self._store.read(self._look)
        return more

    def _sweep(self, tx: ControlTransaction, now: float) -> None:
        tx.forget_answers(now - KEPT_ANSWERS)
        count = give_up_unknown(tx, self._options.destinations, now=now)
        if count:
            _log.error("%d events are dead: %s", count, UNKNOWN)

    def _look(self, tx: ControlTransaction) -> Standing:
        return Standing(self._clock.monotonic(), tx.transfer_counts(), tx.locking_since(), tx.delivery_counts())

    def _end(self, tx: ControlTransaction, now: float) -> bool:
        lifecycle = Lifecycle(tx, Act(NAME, now), self._options)
        failed, expired = lifecycle.fail_overdue(), lifecycle.expire_backups()
        for transfer in failed:
            _log.warning("transfer %s failed: its deadline is over", transfer.id)
        for backup in expired:
            _log.info("the backup of transfer %s in %s has expired", backup.transfer, backup.region)
        return max(len(failed), len(expired)) >= BATCH

    async def _try(self) -> bool:
        try:
            more = await self.keep_hours()
        except Exception as error:  # a bug must not end the loop: no deadline would be kept any more
            if not self._failing:
                traceback = None if isinstance(error, StoreError) else error
                _log.warning("deadlines cannot be kept: %s", error, exc_info=traceback)
            self._failing = True
            return False
        if self._failing:
            _log.info("deadlines are kept again")
        self._failing = False
        return more
