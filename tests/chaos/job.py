"""The job: it moves workspaces to and fro, as the README tells the author of one to, and notes where each was when.

The law of the room: whatever fails is asked again until it is answered, and an answer is noted only when it has come.
The job has no way to the directory that an operator's has not: the store, the rules of a transfer, the list of losses.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING, Final, TypeVar

from router.directory.evaluator import evaluate_transfer
from router.directory.store import StoreError, WriteRefusedError
from router.directory.watch import Watch
from router.model.transfer import Refusal, Transfer, TransferEvent, TransferId, TransferState
from tests.chaos.history import History, Stay
from tests.chaos.plan import HOME, MOVERS, OPTIONS, REGIONS, WORKSPACES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from random import Random

    from router.directory.hostlock import HostLocks
    from router.directory.ports import Clock
    from router.directory.store import Store
    from router.model.placement import WorkspaceId
    from router.model.region import RegionName
    from tests.chaos.regions import Backend

T = TypeVar("T")

_PAUSE: Final = 0.1
_HOUR: Final = 3600.0
_ABORTS: Final = 0.01
"""How many of its looks at a transfer that is locking end in calling it off."""
_FAILS: Final = 0.1
"""How many moves fail after everything was copied."""


class Job:
    """Moves `WORKSPACES` until `stop`. `histories` is where each was; `transfers` counts what was begun."""

    def __init__(
        self,
        store: Store,
        locks: HostLocks,
        clock: Clock,
        backends: Mapping[RegionName, Backend],
        chance: Random,
        *,
        fences: bool,
    ) -> None:
        self.histories = {
            workspace: History([Stay(REGIONS[number % len(REGIONS)])]) for number, workspace in enumerate(WORKSPACES)
        }
        self.transfers = 0
        self._store = store
        self._locks = locks
        self._clock = clock
        self._watch = Watch(clock, OPTIONS)
        self._backends = backends
        self._chance = chance
        self._fences = fences
        self._stopping = False

    def stop(self) -> None:
        """Begin no more moves."""
        self._stopping = True

    async def work(self) -> None:
        """Move workspaces, several at a time, and return when the last move has ended."""
        async with asyncio.TaskGroup() as group:
            for number in range(MOVERS):
                group.create_task(self._move_some(WORKSPACES[number::MOVERS]))

    async def _move_some(self, workspaces: tuple[WorkspaceId, ...]) -> None:
        while not self._stopping:
            await self._move(self._chance.choice(workspaces))
            await asyncio.sleep(self._chance.uniform(0.0, 0.3))

    async def _move(self, workspace: WorkspaceId) -> None:
        stays = self.histories[workspace].stays
        source = stays[-1].region
        destination = self._chance.choice([name for name in REGIONS if name not in {HOME, source}])
        transfer = await self._start(workspace, source, destination)
        self.transfers += 1
        if not await self._until_locked(transfer):
            return
        stays[-1].until = time.monotonic()
        stays[-1].losses = await self._insist(lambda: self._store.losses(transfer.id))
        epoch = await self._epoch(workspace)
        await self._copy(transfer, epoch, stays[-1])
        if self._chance.random() < _FAILS:
            # The transfer first: whatever comes under its lock is refused by gateways and by the region.
            stays.append(await self._end(transfer, TransferEvent.FAIL, source))
            if self._fences:
                await self._backends[source].open(workspace, await self._epoch(workspace), transfer.id)
        else:
            if self._fences:
                await self._backends[destination].open(workspace, epoch)
            stays.append(await self._end(transfer, TransferEvent.COMPLETE, destination))

    async def _copy(self, transfer: Transfer, epoch: int, stay: Stay) -> None:
        source, workspace = self._backends[transfer.source], transfer.workspace
        if self._fences:
            await source.close(workspace, transfer.id, epoch)
        elif stay.losses.requests or stay.losses.gateways:
            await source.settle(workspace)
        stay.copied = time.monotonic()
        await self._backends[transfer.destination].put(workspace, await source.take(workspace))

    async def _start(self, workspace: WorkspaceId, source: RegionName, destination: RegionName) -> Transfer:
        now = self._clock.wall()
        id_ = TransferId(secrets.token_hex(8))
        wanted = Transfer(
            id_, workspace, source, destination, TransferState.LOCKING, "chaos", now, now + _HOUR, lock_seq=0
        )

        async def start() -> Transfer:
            try:
                return await self._store.start_transfer(wanted, losses_since=now - OPTIONS.unanswered_window)
            except WriteRefusedError:
                # An attempt of which no answer came has done it.
                begun = await self._store.get_transfer(id_)
                if begun is None:
                    raise
                return begun

        started = await self._insist(start)
        assert started.source == source, f"{workspace} lives in {started.source}, and should in {source}"
        return started

    async def _until_locked(self, transfer: Transfer) -> bool:
        """Return when it is transferring, or has been called off."""
        while True:
            evaluation = await self._insist(
                lambda: evaluate_transfer(self._store, self._locks, self._clock, self._watch, transfer.id)
            )
            assert evaluation is not None
            if evaluation[0].state is TransferState.TRANSFERRING:
                return True
            if self._chance.random() < _ABORTS and await self._advance(transfer, TransferEvent.ABORT):
                return False
            await asyncio.sleep(_PAUSE)

    async def _end(self, transfer: Transfer, event: TransferEvent, region: RegionName) -> Stay:
        since = time.monotonic()
        assert await self._advance(transfer, event)
        return Stay(region, since)

    async def _advance(self, transfer: Transfer, event: TransferEvent) -> bool:
        """Whether that is what became of it; an abort may come too late."""
        advanced = await self._insist(
            lambda: self._store.advance_transfer(transfer.id, event, now=self._clock.wall(), reason="chaos")
        )
        if advanced is Refusal.TOO_LATE_TO_ABORT:
            return False
        assert isinstance(advanced, Transfer) or advanced is Refusal.UNCHANGED, f"{event} of {transfer}: {advanced}"
        return True

    async def _epoch(self, workspace: WorkspaceId) -> int:
        found = await self._insist(lambda: self._store.get_workspace(workspace))
        assert found is not None
        return found.placement.epoch

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer, however often it has to be asked for."""
        while True:
            try:
                return await ask()
            except StoreError:
                await asyncio.sleep(_PAUSE)
