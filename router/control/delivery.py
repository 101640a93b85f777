"""The delivery of events: from the table to their destinations, as often as it takes, by any number of processes.

Theory. Who attempts what is settled in the store. 1 A process *claims* what is due: of each destination and workspace
the oldest pending event only, so a workspace's events arrive in order, and for a time of its own, so nobody attempts
the same meanwhile. 2 It attempts them. 3 It *settles* each: delivered, due again after a pause that doubles, or dead
after a day. Killed before 2, it has sent nothing, and behind it the event is sent again when the claim is over: every
event arrives at least once, with the same id, by which a receiver knows it again. A process that stood still for longer
than its claim may send an event once more behind a later one; it settles nothing then.

Each destination has a dispatcher of its own: one that takes its time holds up nobody else's events.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import TYPE_CHECKING, Final

from router.directory.store import StoreError
from router.model.journal import Delivery, DeliveryState

if TYPE_CHECKING:
    from random import Random

    from router.control.ports import ControlStore
    from router.control.webhooks import Attempt, Destination, WebhookSender
    from router.directory.ports import Clock
    from router.model.journal import Claim

GIVE_UP: Final = 86_400.0
"""Seconds from the first attempt until an event is dead for a destination."""
FIRST_PAUSE: Final = 5.0
LONGEST_PAUSE: Final = 3600.0
JITTER: Final = 0.2
"""By how much of itself a pause is spread, so that those who failed together do not come back together."""
CLAIM: Final = 60.0
"""Seconds that a claim lasts: several times as long as an attempt may take."""
AT_A_TIME: Final = 10
POLL: Final = 1.0
"""Seconds between two looks for what is due."""

_log = logging.getLogger(__name__)


class Dispatcher:
    """Delivers what is due to one destination of this process's configuration, until it is cancelled."""

    def __init__(
        self,
        store: ControlStore,
        sender: WebhookSender,
        destination: Destination,
        clock: Clock,
        random: Random,
    ) -> None:
        self._store = store
        self._sender = sender
        self._destination = destination
        self._clock = clock
        self._random = random
        self._failing = False
        self.delivered = 0
        """Attempts that were taken by the destination, and below those that were not."""
        self.failed = 0

    async def run(self) -> None:
        """Never ends by itself, and of no error."""
        while True:
            if not await self._try():
                await self._clock.sleep(POLL)

    async def deliver(self) -> int:
        """Attempt what is due, `AT_A_TIME` at most, and return how many that were. Raises `StoreError`."""
        names, now, holder = (self._destination.name,), self._clock.wall(), secrets.token_hex(8)
        if not await self._store.read(lambda tx: tx.is_due(names, now=now)):
            return 0
        # 1
        claims = await self._store.transact(
            lambda tx: tx.claim(names, now=now, held_until=now + CLAIM, holder=holder, limit=AT_A_TIME)
        )
        await asyncio.gather(*(self._deliver(claim) for claim in claims))
        return len(claims)

    async def _deliver(self, claim: Claim) -> None:
        begun = self._clock.wall()
        # 2
        attempt = await self._sender.send(self._destination, claim.event, now=begun)
        if attempt.delivered:
            self.delivered += 1
        else:
            self.failed += 1
        settled = self._settled(claim, attempt, begun)
        # 3
        await self._store.transact(lambda tx: tx.settle(claim, settled))
        if settled.state is DeliveryState.DEAD:
            _log.error("event %s is dead for %s: %s", claim.event.id, claim.destination, settled.trouble)
        elif not attempt.delivered:
            _log.warning("event %s did not reach %s: %s", claim.event.id, claim.destination, settled.trouble)

    def _settled(self, claim: Claim, attempt: Attempt, begun: float) -> Delivery:
        now, attempts = self._clock.wall(), claim.attempts + 1
        first = begun if claim.first_attempt_at is None else claim.first_attempt_at
        due_at = now + self._pause(attempts)
        state = DeliveryState.PENDING
        if attempt.delivered:
            state = DeliveryState.DELIVERED
        elif due_at >= first + GIVE_UP:
            state = DeliveryState.DEAD
        return Delivery(
            claim.event.number,
            claim.destination,
            state,
            attempts,
            due_at,
            first_attempt_at=first,
            ended_at=None if state is DeliveryState.PENDING else now,
            status=attempt.status,
            trouble=attempt.trouble,
        )

    def _pause(self, attempts: int) -> float:
        """Seconds until the next attempt after so many."""
        doubled = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempts - 1, 20))
        return doubled * (1 + JITTER * self._random.uniform(-1, 1))

    async def _try(self) -> int:
        try:
            attempted = await self.deliver()
        except Exception as error:  # a bug must not end the loop: nobody would be told of anything any more
            if not self._failing:
                traceback = None if isinstance(error, StoreError) else error
                _log.warning("events for %s cannot be delivered: %s", self._destination.name, error, exc_info=traceback)
            self._failing = True
            return 0
        if self._failing:
            _log.info("events for %s are delivered again", self._destination.name)
        self._failing = False
        return attempted
