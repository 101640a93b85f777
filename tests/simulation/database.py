"""The simulated directory: its transactions, and the machines it lives on.

A `State` is what a snapshot shows; a transaction makes a new one of it and never changes the old one, so that a
replica, a zombie (an old primary that still answers) and a promoted standby are places in one list of states. The
transactions keep the store protocol's contract; `test_simulated_store.py` holds them to what SQLite answers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from router.directory.store import Answer, Position, Renewed, StoreError, WorkspaceRecord, WriteRefusedError
from router.model.barrier import BarrierView, Registration, holds
from router.model.losses import Ending, Losses, LostGateway, UnansweredRequest
from router.model.placement import Absence, Alias, Change, Entry, Fact, Kind, Placement, Version, WorkspaceId
from router.model.transfer import Refusal, Transfer, TransferEvent, TransferId, TransferState, advance

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.directory.store import Newcomer, Renewal
    from router.model.barrier import Silent
    from router.model.region import RegionName

GENERATIONS_APART = 1_000
"""Of two generations, as a directory's own are: by time, not by ones."""


@dataclass(slots=True)
class State:
    """A directory at one moment. Its collections are never changed in place."""

    generation: int = 1
    timeline: int = 1
    opened: bool = True
    quarantine_until: float = 0.0
    floor: int = 1
    changes: tuple[Change, ...] = ()
    facts: dict[Entry, Fact] = None  # type: ignore[assignment]  # given at once: a default factory is slow
    rows: dict[str, Registration] = None  # type: ignore[assignment]  # as above
    transfers: dict[TransferId, Transfer] = None  # type: ignore[assignment]  # as above
    lost: tuple[tuple[TransferId | None, LostGateway], ...] = ()
    unanswered: tuple[tuple[TransferId | None, UnansweredRequest], ...] = ()
    started: int = 0
    """Transfers that were ever started: it goes on counting whatever a failover loses."""

    def copy(self) -> State:
        """The beginning of a transaction."""
        return State(
            self.generation,
            self.timeline,
            self.opened,
            self.quarantine_until,
            self.floor,
            self.changes,
            self.facts,
            self.rows,
            self.transfers,
            self.lost,
            self.unanswered,
            self.started,
        )

    @property
    def head(self) -> int:
        """The `seq` of the newest change."""
        return len(self.changes)

    def fact(self, entry: Entry) -> Fact:
        """The fact named `entry`, or its absence."""
        found = self.facts.get(entry)
        return Absence(entry, Version(self.generation, 0)) if found is None else _in(found, self.generation)

    def view(self) -> BarrierView:
        """What the barrier is judged by."""
        return BarrierView(self.generation, self.quarantine_until, tuple(self.rows.values()))

    def running(self, workspace: str) -> Transfer | None:
        """The running transfer of `workspace`."""
        for transfer in self.transfers.values():
            if transfer.workspace == workspace and transfer.state.running:
                return transfer
        return None

    def placement(self, workspace: str) -> Placement | None:
        """Where `workspace` lives, if it is there."""
        found = self.facts.get(Entry(Kind.WORKSPACE, workspace))
        return found if isinstance(found, Placement) else None


def _in(fact: Fact, generation: int) -> Fact:
    """`fact` as the directory names it now: its number is stored, its generation is the present one."""
    if fact.version.generation == generation:
        return fact
    return replace(fact, version=Version(generation, fact.version.number))


# Transactions. Each may change `state`, which nobody else sees yet.


def commit(state: State, fact: Fact) -> int:
    """Write one change, and return its `seq`."""
    seq = len(state.changes) + 1
    state.changes = (*state.changes, Change(seq, fact))
    state.facts = {**state.facts, fact.entry: fact}
    return seq


def successor(state: State, entry: Entry) -> Version:
    """The version of the next fact named `entry`."""
    number = state.fact(entry).version.number + 1 if entry.kind is Kind.WORKSPACE else state.head + 1
    return Version(state.generation, number)


def place(state: State, workspace: WorkspaceId, region: RegionName, transfer: Transfer | None = None) -> int:
    """Put a workspace into a region, one epoch further."""
    version = successor(state, Entry(Kind.WORKSPACE, workspace))
    return commit(state, Placement(workspace, region, version, None if transfer is None else transfer.running))


def remove(state: State, entry: Entry) -> int:
    """Leave a tombstone."""
    return commit(state, Absence(entry, successor(state, entry)))


def name(state: State, entry: Entry, *, workspace: WorkspaceId | None = None, region: RegionName | None = None) -> int:
    """Let a subdomain or a key name something."""
    return commit(state, Alias(entry, successor(state, entry), workspace, region))


def lookup(state: State, entry: Entry) -> Answer:
    """See `LookupStore.lookup`."""
    return Answer(state.fact(entry), state.generation, state.head, state.opened)


def register(state: State, newcomer: Newcomer, now: float) -> None:
    """See `RegistrationStore.register`."""
    if newcomer.incarnation in state.rows:
        raise StoreError("an incarnation is never used twice")
    applied = state.head if newcomer.applies else 0
    row = Registration(
        newcomer.incarnation, newcomer.gateway, newcomer.host, newcomer.lease, state.generation, applied, now, 0
    )
    state.rows = {**state.rows, newcomer.incarnation: row}


def position(state: State) -> Position:
    """See `RegistrationStore.position`."""
    return Position(state.generation, state.head)


def renew(state: State, renewal: Renewal, now: float) -> Renewed | None:
    """See `RegistrationStore.renew`. A reader that cannot follow is told the rest of the feed and finds the gap."""
    row = state.rows.get(renewal.incarnation)
    if row is None:
        return None
    generation, since = renewal.position.generation, renewal.position.seq
    applied = min(renewal.applied, state.head)
    renewed = Registration(
        row.incarnation, row.gateway, row.host, row.lease, generation, applied, now, row.renewals + 1
    )
    state.rows = {**state.rows, row.incarnation: renewed}
    _keep_unanswered(state, renewal.unanswered)
    first = max(since, state.floor - 1)
    changes = state.changes[first : first + renewal.limit]
    if changes and changes[0].fact.version.generation != state.generation:
        changes = tuple(Change(seq, _in(fact, state.generation)) for seq, fact in changes)
    return Renewed(state.generation, state.floor, state.head, state.opened, changes)


def unregister(state: State, incarnation: str, unanswered: tuple[UnansweredRequest, ...]) -> None:
    """See `RegistrationStore.unregister`."""
    state.rows = {kept: row for kept, row in state.rows.items() if kept != incarnation}
    _keep_unanswered(state, unanswered)


def start_transfer(state: State, transfer: Transfer, losses_since: float) -> Transfer:
    """See `TransferStore.start_transfer`."""
    source = state.placement(transfer.workspace)
    if source is None:
        raise WriteRefusedError(["is not in the directory: put it first"])
    if source.transfer is not None:
        raise WriteRefusedError(["is in transfer"])
    if source.region == transfer.destination:
        raise WriteRefusedError(["lives there already"])
    started = replace(transfer, source=source.region, lock_seq=state.head + 1)
    state.lost += tuple(
        (started.id, lost) for lost in dict.fromkeys(lost for _, lost in state.lost) if lost.at >= losses_since
    )
    state.unanswered += tuple(
        (started.id, one)
        for one in dict.fromkeys(one for _, one in state.unanswered)
        if one.workspace == started.workspace and one.ended_at >= losses_since
    )
    _write(state, started)
    return started


def advance_transfer(
    state: State, transfer: TransferId, event: TransferEvent, now: float, reason: str | None
) -> Transfer | Refusal | None:
    """See `TransferStore.advance_transfer`."""
    found = state.transfers.get(transfer)
    if found is None:
        return None
    advanced = advance(found, event, now=now, reason=reason)
    if isinstance(advanced, Transfer):
        _write(state, advanced)
    return advanced


def evaluate(
    state: State, transfer: TransferId, now: float, silent: tuple[Silent, ...]
) -> tuple[Transfer, BarrierView] | None:
    """See `TransferStore.evaluate`."""
    found = state.transfers.get(transfer)
    if found is None:
        return None
    if found.state is TransferState.LOCKING:
        for row in silent:
            forget(state, row.incarnation, Ending.EXPIRED, row.renewals, now)
    view = state.view()
    if found.state is TransferState.LOCKING and holds(found, view, now=now):
        flipped = advance(found, TransferEvent.BARRIER_HOLDS, now=now)
        assert isinstance(flipped, Transfer)
        _write(state, flipped)
        return flipped, view
    return found, view


def forget(state: State, incarnation: str, ending: Ending, renewals: int | None, now: float) -> bool:
    """See `TransferStore.forget`."""
    row = state.rows.get(incarnation)
    if row is None or renewals not in {None, row.renewals}:
        return False
    state.rows = {kept: other for kept, other in state.rows.items() if kept != incarnation}
    lost = LostGateway(incarnation, row.gateway, row.host, ending, now)
    running: list[TransferId | None] = [one.id for one in state.transfers.values() if one.state.running]
    state.lost += tuple((transfer, lost) for transfer in running or [None])
    return True


def losses(state: State, transfer: TransferId) -> Losses:
    """See `TransferStore.losses`."""
    return Losses(
        tuple(lost for listed, lost in state.lost if listed == transfer),
        tuple(dict.fromkeys(one for listed, one in state.unanswered if listed == transfer)),
    )


def list_transfers(state: State, workspace: WorkspaceId | None, running: bool) -> tuple[Transfer, ...]:
    """See `TransferStore.list_transfers`."""
    return tuple(
        transfer
        for transfer in reversed(state.transfers.values())
        if workspace in {None, transfer.workspace} and (transfer.state.running or not running)
    )


def get_workspace(state: State, workspace: WorkspaceId) -> WorkspaceRecord | None:
    """See `WorkspaceStore.get_workspace`."""
    found = state.placement(workspace)
    return None if found is None else WorkspaceRecord(found)


def _keep_unanswered(state: State, unanswered: Iterable[UnansweredRequest]) -> None:
    for request in unanswered:
        running = state.running(request.workspace)
        state.unanswered += ((None if running is None else running.id, request),)


def _write(state: State, transfer: Transfer) -> None:
    state.transfers = {**state.transfers, transfer.id: transfer}
    place(state, transfer.workspace, transfer.home, transfer)


class Cluster:
    """A primary, a replica behind it, and what failover makes of them.

    `wal` is every state that was committed on the present timeline's history; `durable` is the newest that no
    failover loses (a synchronous standby has it); `replayed` is what the replica shows.
    """

    def __init__(self, state: State, *, synchronous: bool, quarantine: float) -> None:
        self.wal = [state]
        self.synchronous = synchronous
        self.durable = 0
        self.replayed = 0
        self.timeline = state.timeline
        self.zombie: State | None = None
        self._quarantine = quarantine

    @property
    def primary(self) -> State:
        """What the primary shows."""
        return self.wal[-1]

    @property
    def replica(self) -> State:
        """What the replica shows."""
        return self.wal[self.replayed]

    def begin(self, now: float) -> State:
        """A transaction that will write: a generation that is over is found out by it, and ended."""
        state = self.primary.copy()
        if state.timeline != self.timeline:
            self.rotate(state, now)
        return state

    def rotate(self, state: State, now: float) -> None:
        """Begin another generation: rows may have been lost, so no barrier holds for as long as one may be trusted."""
        state.timeline = self.timeline
        state.generation += GENERATIONS_APART
        state.quarantine_until = now + self._quarantine

    def commit(self, state: State, *, synchronous: bool = True) -> None:
        """End a transaction that wrote."""
        self.wal.append(state)
        if synchronous and self.synchronous:
            self.durable = len(self.wal) - 1

    def promote(self, newest: int, *, zombie: bool) -> None:
        """The standby takes over, with what it has: the states up to `newest`. The old primary may go on answering."""
        self.zombie = self.primary if zombie else None
        self.wal[newest].started = self.primary.started
        del self.wal[newest + 1 :]
        self.durable = newest
        self.replayed = min(self.replayed, newest)
        self.timeline += 1


def empty() -> State:
    """A directory in which nothing is."""
    return State(facts={}, rows={}, transfers={})
