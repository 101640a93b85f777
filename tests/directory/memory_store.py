"""A directory in memory, behind the real protocol, whose every call a test can delay, fail or answer from the past."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from router.directory.store import Answer, Newcomer, Position, Renewal, Renewed, StoreError
from router.model.barrier import BarrierView, Registration, Silent, holds
from router.model.losses import Ending, Losses, LostGateway, UnansweredRequest
from router.model.placement import Absence, Alias, Change, Entry, Kind, Placement, Version, WorkspaceId
from router.model.region import RegionName
from router.model.transfer import Refusal, Transfer, TransferEvent, TransferId, TransferState, advance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from router.model.placement import Fact

W1 = WorkspaceId("64a687e29ae1f428e7ebe301")
W2 = WorkspaceId("64a687e29ae1f428e7ebe302")
EU = RegionName("eu")
US = RegionName("us")


def workspace_entry(workspace: WorkspaceId) -> Entry:
    return Entry(Kind.WORKSPACE, workspace)


class Gate:
    """Holds up calls of one kind: before they are executed, or with their answers ready."""

    def __init__(self, *, answers: bool) -> None:
        self.answers = answers
        self.waiting: list[asyncio.Future[None]] = []

    async def pass_through(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(turn)
        await turn

    def release(self) -> None:
        """Let everybody through who waits now."""
        turns, self.waiting = self.waiting, []
        for turn in turns:
            if not turn.done():
                turn.set_result(None)


@dataclass
class MemoryStore:
    """The truth is the history of changes; a snapshot is a prefix of it. Nothing is ever forgotten but `floor`."""

    generation: int = 1
    opened: bool = True
    floor: int = 1
    history: list[Change] = field(default_factory=list)
    rows: dict[str, Registration] = field(default_factory=dict)
    transfers: dict[TransferId, Transfer] = field(default_factory=dict)
    lost: dict[TransferId | None, dict[str, LostGateway]] = field(default_factory=dict)
    unanswered: dict[TransferId | None, dict[UnansweredRequest, None]] = field(default_factory=dict)
    replica_seq: int | None = None
    calls: Counter[str] = field(default_factory=Counter)
    renewals: list[Renewal] = field(default_factory=list)
    asked: list[tuple[Entry, bool]] = field(default_factory=list)
    _gates: dict[str, Gate] = field(default_factory=dict)
    _failures: dict[str, str] = field(default_factory=dict)

    # What a test does

    @property
    def head(self) -> int:
        return len(self.history)

    def commit(self, fact: Fact) -> int:
        """Commit a change, and return its `seq`."""
        self.history.append(Change(self.head + 1, fact))
        return self.head

    def place(self, workspace: WorkspaceId, region: RegionName) -> int:
        """Put a workspace into `region`, one epoch further."""
        return self.commit(Placement(workspace, region, self._successor(workspace_entry(workspace))))

    def remove(self, workspace: WorkspaceId) -> int:
        """Delete a workspace: a tombstone."""
        entry = workspace_entry(workspace)
        return self.commit(Absence(entry, self._successor(entry)))

    def alias(self, entry: Entry, *, workspace: WorkspaceId | None = None, region: RegionName | None = None) -> int:
        """Let a subdomain or a key name something."""
        return self.commit(Alias(entry, Version(self.generation, self.head + 1), workspace, region))

    def snapshot(self, entry: Entry, seq: int | None = None) -> Fact:
        """The fact as of `seq`, by default the newest."""
        for change in reversed(self.history[: self.head if seq is None else seq]):
            if change.fact.entry == entry:
                return change.fact
        return Absence(entry, Version(self.generation, 0))

    @contextmanager
    def held(self, call: str, *, answers: bool = False) -> Iterator[Gate]:
        """Hold calls up: unexecuted, or (`answers`) executed with the answer under way. All pass at the end."""
        gate = self._gates[call] = Gate(answers=answers)
        try:
            yield gate
        finally:
            del self._gates[call]
            gate.release()

    @contextmanager
    def failing(self, *calls: str) -> Iterator[None]:
        """Let these calls fail."""
        for call in calls:
            self._failures[call] = f"the directory is down ({call})"
        try:
            yield
        finally:
            for call in calls:
                del self._failures[call]

    # LookupStore, RegistrationStore

    async def lookup(self, entry: Entry, *, primary: bool) -> Answer:
        self.asked.append((entry, primary))
        gate = await self._arrive("lookup")
        seq = self.head if primary or self.replica_seq is None else self.replica_seq
        answer = Answer(self.snapshot(entry, seq), self.generation, seq, self.opened)
        await self._leave(gate)
        return answer

    async def register(self, newcomer: Newcomer) -> None:
        gate = await self._arrive("register")
        if newcomer.incarnation in self.rows:
            raise StoreError("an incarnation is never used twice")
        applied = self.head if newcomer.applies else 0
        self.rows[newcomer.incarnation] = Registration(
            newcomer.incarnation, newcomer.gateway, newcomer.host, newcomer.lease, self.generation, applied, 0.0, 0
        )
        await self._leave(gate)

    async def position(self) -> Position:
        gate = await self._arrive("position")
        position = Position(self.generation, self.head)
        await self._leave(gate)
        return position

    async def renew(self, renewal: Renewal) -> Renewed | None:
        self.renewals.append(renewal)
        gate = await self._arrive("renew")
        renewed: Renewed | None = None
        row = self.rows.get(renewal.incarnation)
        if row is not None:
            self.rows[renewal.incarnation] = replace(
                row, applied=renewal.applied, generation=renewal.position.generation, renewals=row.renewals + 1
            )
            first = max(renewal.position.seq, self.floor - 1)
            self._keep_unanswered(renewal.unanswered)
            changes = tuple(self.history[first : first + renewal.limit])
            renewed = Renewed(self.generation, self.floor, self.head, self.opened, changes)
        await self._leave(gate)
        return renewed

    async def unregister(self, incarnation: str, *, unanswered: Iterable[UnansweredRequest] = ()) -> None:
        gate = await self._arrive("unregister")
        self.rows.pop(incarnation, None)
        self._keep_unanswered(unanswered)
        await self._leave(gate)

    async def registrations(self) -> BarrierView:
        gate = await self._arrive("registrations")
        view = BarrierView(self.generation, 0.0, tuple(self.rows.values()))
        await self._leave(gate)
        return view

    # TransferStore

    async def start_transfer(self, transfer: Transfer, *, losses_since: float = math.inf) -> Transfer:
        source = self.snapshot(workspace_entry(transfer.workspace))
        assert isinstance(source, Placement)
        transfer = replace(transfer, source=source.region, lock_seq=self.head + 1)
        self.lost[transfer.id] = {
            name: lost for listed in self.lost.values() for name, lost in listed.items() if lost.at >= losses_since
        }
        self.unanswered[transfer.id] = {
            one: None
            for listed in self.unanswered.values()
            for one in listed
            if one.workspace == transfer.workspace and one.ended_at >= losses_since
        }
        self._record(transfer)
        return transfer

    async def advance_transfer(
        self, transfer: TransferId, event: TransferEvent, *, now: float, reason: str | None = None
    ) -> Transfer | Refusal | None:
        found = self.transfers.get(transfer)
        if found is None:
            return None
        result = advance(found, event, now=now, reason=reason)
        if isinstance(result, Transfer):
            self._record(result)
        return result

    async def evaluate(
        self, transfer: TransferId, *, now: float, silent: Iterable[Silent] = ()
    ) -> tuple[Transfer, BarrierView] | None:
        gate = await self._arrive("evaluate")
        found = self.transfers.get(transfer)
        if found is None:
            return None
        if found.state is TransferState.LOCKING:
            for row in silent:
                self._forget(row.incarnation, Ending.EXPIRED, row.renewals, now)
        view = BarrierView(self.generation, 0.0, tuple(self.rows.values()))
        if found.state is TransferState.LOCKING and holds(found, view, now=now):
            result = advance(found, TransferEvent.BARRIER_HOLDS, now=now)
            assert isinstance(result, Transfer)
            found = result
            self._record(found)
        await self._leave(gate)
        return found, view

    async def get_transfer(self, transfer: TransferId) -> Transfer | None:
        return self.transfers.get(transfer)

    async def list_transfers(self, *, workspace: WorkspaceId | None, running: bool) -> tuple[Transfer, ...]:
        gate = await self._arrive("list_transfers")
        found = tuple(
            transfer
            for transfer in reversed(self.transfers.values())
            if workspace in {None, transfer.workspace} and (transfer.state.running or not running)
        )
        await self._leave(gate)
        return found

    async def forget(self, incarnation: str, *, ending: Ending, renewals: int | None = None) -> bool:
        gate = await self._arrive("forget")
        forgotten = self._forget(incarnation, ending, renewals, 0.0)
        await self._leave(gate)
        return forgotten

    async def losses(self, transfer: TransferId) -> Losses:
        gate = await self._arrive("losses")
        losses = Losses(tuple(self.lost.get(transfer, {}).values()), tuple(self.unanswered.get(transfer, {})))
        await self._leave(gate)
        return losses

    def _forget(self, incarnation: str, ending: Ending, renewals: int | None, now: float) -> bool:
        row = self.rows.get(incarnation)
        if row is None or renewals not in {None, row.renewals}:
            return False
        del self.rows[incarnation]
        running: list[TransferId | None] = [one.id for one in self.transfers.values() if one.state.running]
        for transfer in running or [None]:
            lost = LostGateway(incarnation, row.gateway, row.host, ending, now)
            self.lost.setdefault(transfer, {})[incarnation] = lost
        return True

    def _keep_unanswered(self, unanswered: Iterable[UnansweredRequest]) -> None:
        running = {one.workspace: one.id for one in self.transfers.values() if one.state.running}
        for request in unanswered:
            self.unanswered.setdefault(running.get(request.workspace), {})[request] = None

    def _record(self, transfer: Transfer) -> None:
        self.transfers[transfer.id] = transfer
        version = self._successor(workspace_entry(transfer.workspace))
        self.commit(Placement(transfer.workspace, transfer.home, version, transfer.running))

    def _successor(self, entry: Entry) -> Version:
        return Version(self.generation, self.snapshot(entry).version.number + 1)

    async def _arrive(self, call: str) -> Gate | None:
        self.calls[call] += 1
        if call in self._failures:
            raise StoreError(self._failures[call])
        gate = self._gates.get(call)
        if gate is not None and not gate.answers:
            await gate.pass_through()
        return gate

    async def _leave(self, gate: Gate | None) -> None:
        if gate is not None and gate.answers:
            await gate.pass_through()
