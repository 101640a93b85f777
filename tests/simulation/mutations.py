"""The rules of the protocol, each taken away in turn: what the simulation must notice.

A mutation replaces a part of the product's code (or, for what the directory's transactions owe, of the simulated
directory) by one that lacks the rule. Each is a hole that somebody could leave in good faith. `mutants` says which
property each of them breaks, and where that is found.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias
from unittest import mock

from router.directory import directory as directory_module
from router.directory import registration as registration_module
from router.directory.cache import Admission, PlacementCache
from router.directory.directory import CachedDirectory
from router.directory.feed import find_break
from router.directory.lease import Lease, Moment
from router.directory.ledger import EndedTerm, Ledger
from router.directory.locate import Found, Missing, join
from router.directory.registration import Registration
from router.gateway.upstream import Upstream
from router.model import barrier
from router.model.losses import Ending
from router.model.placement import Absence, Alias, Entry, Kind
from router.model.transfer import TransferEvent, TransferState
from router.routing.values import Located
from tests.simulation import database
from tests.simulation.network import EXECUTIONS, Connection, Execution
from tests.simulation.world import World

if TYPE_CHECKING:
    from router.directory.store import Position, Renewal, Renewed
    from router.routing.values import Target
    from tests.simulation.database import State

Patch: TypeAlias = Any
"""What `mock.patch` makes: it is entered to replace something, and left to put it back."""


def _replace(owner: Any, name: str, mutated: Any) -> Patch:
    return mock.patch.object(owner, name, mutated)


# --- the lease


def trust_from_the_reply() -> list[Patch]:
    """Trust runs from the moment the renewal was answered, and not from before it was sent."""
    renewed = Lease.renewed
    return [_replace(Lease, "renewed", lambda self, sent: renewed(self, self.moment()))]


def one_clock() -> list[Patch]:
    """Trust is measured by the clock that a frozen machine misses."""
    init = Lease.__init__

    def mutated(self: Lease, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        self._wall = self._elapsed

    return [_replace(Lease, "__init__", mutated)]


def _no_term() -> list[Patch]:
    """A lapse is not final: the next renewal makes the same term trusted again."""

    def renewed(self: Lease, sent: Moment) -> bool:
        self._fresh = False
        self._until = Moment(sent.elapsed + self._seconds, sent.wall + self._seconds)
        return True

    return [_replace(Lease, "renewed", renewed), _replace(Lease, "lapsed", property(lambda self: False))]


def no_term_and_no_revoke() -> list[Patch]:
    """A lapse is not final, and the flip passes over a silent row without taking it away."""

    def evaluate(state: State, transfer: Any, now: float, silent: Any) -> Any:
        rows, passed = state.rows, {row.incarnation for row in silent}
        state.rows = {name: row for name, row in rows.items() if name not in passed}
        result = _EVALUATE(state, transfer, now, ())
        state.rows = rows
        return result

    return [*_no_term(), _replace(database, "evaluate", evaluate)]


def upsert_and_no_term() -> list[Patch]:
    """A renewal makes its row again where it is gone, and the term goes on."""

    def renew(state: State, renewal: Renewal, now: float) -> Renewed | None:
        if renewal.incarnation not in state.rows:
            row = barrier.Registration(renewal.incarnation, "g", "host", 4.0, state.generation, 0, now, 0)
            state.rows = {**state.rows, row.incarnation: row}
        return _RENEW(state, renewal, now)

    return [*_no_term(), _replace(database, "renew", renew)]


def separate_poll_and_renewal() -> list[Patch]:
    """The feed is polled, which renews trust; the row is renewed by another transaction that nobody waits for."""

    async def renew(self: Connection, renewal: Renewal) -> Any:
        self._send("renew", (renewal,)).future.cancel()
        return await self._ask("poll", renewal)

    def poll(state: State, now: float, renewal: Renewal) -> Any:
        copy = state.copy()
        if renewal.incarnation not in copy.rows:
            row = barrier.Registration(renewal.incarnation, "g", "host", 4.0, state.generation, 0, now, 0)
            copy.rows = {row.incarnation: row}
        return _RENEW(copy, renewal, now)

    return [_replace(Connection, "renew", renew), mock.patch.dict(EXECUTIONS, {"poll": Execution(poll, False)})]


# --- the registration


def row_taken_over() -> list[Patch]:
    """A gateway that registers takes the rows of its name away, as if their processes were dead."""
    register = Registration._register

    async def mutated(self: Registration) -> Any:
        view = await self._ask(self._store.registrations)
        for row in view.registrations:
            if row.gateway == self._identity.gateway:
                await self._ask(partial(self._store.unregister, row.incarnation))
        return await register(self)

    return [_replace(Registration, "_register", mutated)]


def reused_incarnation() -> list[Patch]:
    """An incarnation is named by its gateway, and registering takes over the row that is there."""

    def register(state: State, newcomer: Any, now: float) -> None:
        state.rows = {name: row for name, row in state.rows.items() if name != newcomer.incarnation}
        _REGISTER(state, newcomer, now)

    return [
        _replace(World, "name_incarnation", lambda self, process: process.gateway),
        _replace(database, "register", register),
    ]


class _PositionReadBefore:
    """A store whose position was read before the registration's commit."""

    def __init__(self, store: Any, position: Position) -> None:
        self._store = store
        self._position = position

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def position(self) -> Position:
        return self._position


def position_in_the_snapshot() -> list[Patch]:
    """The start position is the one that the registration's own transaction saw, and not one read behind its commit."""
    register = Registration._register

    async def mutated(self: Registration) -> Any:
        store = self._store
        early = await self._ask(store.position)
        self._store = _PositionReadBefore(store, early)
        try:
            return await register(self)
        finally:
            self._store = store

    return [_replace(Registration, "_register", mutated)]


def early_unregister() -> list[Patch]:
    """A row goes when its term ends, though requests of that term are still in flight."""

    async def drained(self: EndedTerm) -> None:
        return

    return [_replace(EndedTerm, "drained", drained)]


# --- the cache and the feed


def deciding_on_the_awaited_value() -> list[Patch]:
    """After a lookup, what it brought is decided upon, and not what the cache says by then."""
    locate, admit = CachedDirectory.locate, CachedDirectory._admit
    awaited: dict[tuple[int, Entry], Any] = {}

    def mutated_admit(self: CachedDirectory, ticket: Any, answer: Any) -> bool:
        accepted = admit(self, ticket, answer)
        if accepted:
            awaited[id(self), answer.fact.entry] = answer.fact
        return accepted

    def mutated_locate(self: CachedDirectory, target: Target, *, fetched: bool = False) -> Any:
        lookup = locate(self, target, fetched=fetched)
        if fetched and isinstance(lookup, Found):
            read = self._cache.get
            return join(
                target, lambda entry: awaited.pop((id(self), entry), None) or read(entry), lookup.located.source
            )
        return lookup

    return [_replace(CachedDirectory, "locate", mutated_locate), _replace(CachedDirectory, "_admit", mutated_admit)]


def absence_without_epoch() -> list[Patch]:
    """That something is not there has no version: it takes the place of whatever is known."""
    finish = PlacementCache.finish_lookup

    def mutated(self: PlacementCache, ticket: Any, answer: Any) -> Admission:
        admission = finish(self, ticket, answer)
        if admission is Admission.ACCEPTED and isinstance(answer.fact, Absence):
            self._store(answer.fact.entry, answer.fact)
        return admission

    return [_replace(PlacementCache, "finish_lookup", mutated)]


def no_floor() -> list[Patch]:
    """A replica's answer is taken however old it is."""
    begin = PlacementCache.begin_lookup
    return [_replace(PlacementCache, "begin_lookup", lambda self, entry: replace(begin(self, entry), floor=0))]


def change_under_a_lookup_dropped() -> list[Patch]:
    """A change of something that is being looked up is not kept, since nobody has it cached."""
    apply = PlacementCache.apply

    def mutated(self: PlacementCache, change: Any) -> None:
        entry = change.fact.entry
        pinned = self._pinned.get(entry)
        if pinned is not None and pinned.fact is None and self.get(entry) is None:
            del self._pinned[entry]
            apply(self, change)
            self._pinned[entry] = pinned
        else:
            apply(self, change)

    return [_replace(PlacementCache, "apply", mutated)]


def gap_unnoticed() -> list[Patch]:
    """What the feed brings is taken as what comes next."""

    def mutated(position: Position, renewed: Renewed) -> str | None:
        reason = find_break(position, renewed)
        broken = renewed.generation != position.generation or renewed.head < position.seq
        return reason if broken else None

    return [_replace(registration_module, "find_break", mutated)]


def region_in_a_keys_entry() -> list[Patch]:
    """With a key the region is remembered that its workspace lived in when it was looked up."""
    regions: dict[tuple[int, Any], Any] = {}

    def mutated(target: Target, read: Any, source: Any) -> Found | Missing:
        alias = None if target.key is None else read(Entry(Kind.KEY, target.key))
        remembered = (id(read.__self__), alias)
        if isinstance(alias, Alias) and remembered in regions:
            return Found(Located(key_region=regions[remembered], source=source), ((alias.entry, alias.version),))
        found = join(target, read, source)
        placement = found.located.placement if isinstance(found, Found) and isinstance(alias, Alias) else None
        if placement is not None and placement.transfer is None:
            regions[remembered] = placement.region
        return found

    return [_replace(directory_module, "join", mutated)]


# --- the ledger


def applied_before_drain() -> list[Patch]:
    """A change counts as applied as soon as the cache has it."""
    return [_replace(Ledger, "applied", lambda self, position: position)]


def drain_only_what_was_replaced() -> list[Patch]:
    """Requests are made stale only by a change that the feed put in the place of an entry that was cached."""
    apply, supersede = PlacementCache.apply, Ledger.supersede
    replaced: list[bool] = [False]

    def mutated_apply(self: PlacementCache, change: Any) -> None:
        before = self.get(change.fact.entry)
        apply(self, change)
        replaced[0] = before is not None and self.get(change.fact.entry) is not before

    def mutated_supersede(self: Ledger, entry: Any, version: Any, seq: int | None = None) -> None:
        if seq is not None and replaced[0]:
            supersede(self, entry, version, seq)

    return [_replace(PlacementCache, "apply", mutated_apply), _replace(Ledger, "supersede", mutated_supersede)]


def sequential_draining() -> list[Patch]:
    """Each change is drained before the next one is read."""
    ask, renew = Registration._ask, Connection.renew

    async def mutated_ask(self: Registration, call: Any, *, limit: float | None = None) -> Any:
        while limit is not None and not self._lease.lapsed:
            position = self._cache.position
            if position is None or self._ledger.applied(position.seq) == position.seq:
                break
            await self._alarm.wait(0.1)
        return await ask(self, call, limit=limit)

    async def mutated_renew(self: Connection, renewal: Renewal) -> Any:
        return await renew(self, replace(renewal, limit=1))

    return [_replace(Registration, "_ask", mutated_ask), _replace(Connection, "renew", mutated_renew)]


def buffered_behind_the_check() -> list[Patch]:
    """What the kernel did not take goes out later, whatever has become of the right to write it."""

    def send_rest(self: Upstream) -> None:
        user = self._user
        try:
            sent = self._socket.send(self._unsent)
        except (BlockingIOError, InterruptedError):
            return
        self._unsent = self._unsent[sent:]
        if not self._unsent and self._watched is not None and user is not None:
            self._loop.remove_writer(self._watched.fileno())
            self.full = False
            user.region_drained()

    return [_replace(Upstream, "_send_rest", send_rest)]


# --- the barrier


def flip_without_the_id() -> list[Patch]:
    """Whether the barrier holds is found out in one transaction, and the workspace's transfer flipped in another."""

    def look(state: State, now: float, transfer: Any, wall: float, silent: Any) -> Any:
        for row in silent:
            database.forget(state, row.incarnation, Ending.EXPIRED, row.renewals, wall)
        found = state.transfers.get(transfer)
        return None if found is None else (found, state.view())

    def flip(state: State, now: float, workspace: Any, wall: float) -> Any:
        found = state.running(workspace)
        if found is None or found.state is not TransferState.LOCKING:
            return None
        return database.advance_transfer(state, found.id, TransferEvent.BARRIER_HOLDS, wall, None)

    async def evaluate(self: Connection, transfer: Any, *, now: float, silent: Any = ()) -> Any:
        seen = await self._ask("look", transfer, now, tuple(silent))
        if seen is not None and seen[0].state is TransferState.LOCKING and barrier.holds(*seen, now=now):
            await self._ask("flip", seen[0].workspace, now)
            return await self._ask("get transfer", transfer), seen[1]
        return seen

    executions = {"look": Execution(look, True), "flip": Execution(flip, True)}
    return [mock.patch.dict(EXECUTIONS, executions), _replace(Connection, "evaluate", evaluate)]


def silence_not_compared() -> list[Patch]:
    """The flip takes a silent row away without looking whether it has been renewed since it was watched."""
    forget = database.forget

    def mutated(state: State, incarnation: str, ending: Any, renewals: int | None, now: float) -> bool:
        return forget(state, incarnation, ending, None, now)

    return [_replace(database, "forget", mutated)]


def no_generation() -> list[Patch]:
    """A directory that has lost commits goes on counting as if nothing had happened."""

    def rotate(self: Any, state: State, now: float) -> None:
        state.timeline = self.timeline

    return [_replace(database.Cluster, "rotate", rotate)]


def no_quarantine() -> list[Patch]:
    """A new generation believes that the registrations which it finds are all there are."""

    def rotate(self: Any, state: State, now: float) -> None:
        state.timeline = self.timeline
        state.generation += database.GENERATIONS_APART

    return [_replace(database.Cluster, "rotate", rotate)]


_EVALUATE, _RENEW, _REGISTER = database.evaluate, database.renew, database.register
