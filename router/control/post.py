"""The post of a process: a dispatcher for each destination of its configuration, as the configuration changes.

The law of the room: nobody is told whom the configuration does not name. So a destination that is taken out gets
nothing any more, and what is still pending for it is dead at once, with that reason, for whoever looks why it never
came. A process that never knew the destination gives it up after a day, when nobody else has delivered it either.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Final, NamedTuple

from router.control.delivery import GIVE_UP, Dispatcher
from router.directory.store import StoreError
from router.model.journal import DeliveryState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from random import Random

    from router.control.ports import ControlStore, ControlTransaction
    from router.control.webhooks import Destination, WebhookSender
    from router.directory.ports import Clock, Spawner

TAKEN_OUT: Final = "the destination was taken out of the configuration"
UNKNOWN: Final = "no process knows this destination any more"

_log = logging.getLogger(__name__)


class _Round(NamedTuple):
    destination: Destination
    dispatcher: Dispatcher
    work: asyncio.Task[None]


class Post:
    """The dispatchers. `adopt` starts the first; `close` ends all."""

    def __init__(
        self, store: ControlStore, sender: WebhookSender, *, clock: Clock, spawner: Spawner, random: Random
    ) -> None:
        self._store = store
        self._sender = sender
        self._clock = clock
        self._spawner = spawner
        self._random = random
        self._rounds: dict[str, _Round] = {}

    def adopt(self, destinations: Collection[Destination]) -> None:
        """Deliver to these from now on, and to nobody else. What is under way to others is cut."""
        wanted = {one.name: one for one in destinations}
        gone = [name for name in self._rounds if name not in wanted]
        for name, known in list(self._rounds.items()):
            if not _same(known.destination, wanted.get(name)):
                known.work.cancel()
                del self._rounds[name]
        for name, destination in wanted.items():
            if name not in self._rounds:
                dispatcher = Dispatcher(self._store, self._sender, destination, self._clock, self._random)
                work = self._spawner.spawn(dispatcher.run(), f"events for {name}")
                self._rounds[name] = _Round(destination, dispatcher, work)
        if gone:
            self._spawner.spawn(self._give_up(gone), "give up events")

    def attempts(self) -> Iterator[tuple[str, int, int]]:
        """Each destination with the attempts that were delivered and that failed, since it is known here."""
        for name, known in self._rounds.items():
            yield name, known.dispatcher.delivered, known.dispatcher.failed

    async def close(self) -> None:
        """Deliver nothing any more. What is under way is cut, and delivered again by whoever comes next."""
        ending = [known.work for known in self._rounds.values()]
        for work in ending:
            work.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _give_up(self, names: Collection[str]) -> None:
        now = self._clock.wall()
        try:
            count = await self._store.transact(
                lambda tx: tx.strand(names, due_before=math.inf, now=now, trouble=TAKEN_OUT)
            )
        except StoreError as error:
            _log.warning("events for %s are given up a day from now: %s", ", ".join(names), error)
            return
        if count:
            _log.warning("%d events are dead for %s: %s", count, ", ".join(names), TAKEN_OUT)


def give_up_unknown(tx: ControlTransaction, known: Collection[str], *, now: float) -> int:
    """Let what nobody has attempted for a day be dead, where this process does not know whom it is for."""
    pending = {name for name, state in tx.delivery_counts() if state is DeliveryState.PENDING}
    unknown = pending.difference(known)
    return tx.strand(unknown, due_before=now - GIVE_UP, now=now, trouble=UNKNOWN) if unknown else 0


def _same(known: Destination, wanted: Destination | None) -> bool:
    """Whether nothing changes for it. A secret is read from its file for each attempt."""
    return wanted is not None and (known.url, known.secret.path) == (wanted.url, wanted.secret.path)
