"""Whatever the order of lookups, changes, feed, losses, evictions and time: the cache never goes back in time."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from router.directory.cache import Admission, LookupTicket, Pin, PlacementCache
from router.directory.feed import find_break
from router.directory.options import DirectoryOptions
from router.directory.store import Answer, Position, Renewed
from router.model.placement import Entry, Kind, Version, WorkspaceId
from tests.directory.manual_clock import ManualClock
from tests.directory.memory_store import EU, US, W1, W2, MemoryStore, workspace_entry

W3 = WorkspaceId("64a687e29ae1f428e7ebe303")
WORKSPACES = (W1, W2, W3)
SUBDOMAIN = Entry(Kind.SUBDOMAIN, "acme")
KEY = Entry(Kind.KEY, "0" * 64)
ENTRIES = (*map(workspace_entry, WORKSPACES), SUBDOMAIN, KEY)

workspaces = st.sampled_from(WORKSPACES)
entries = st.sampled_from(ENTRIES)


@dataclass
class LookupUnderWay:
    """Sent; once read, it has the answer of some snapshot, and may bring it at any time."""

    ticket: LookupTicket
    entry: Entry


class CacheInterleavings(RuleBasedStateMachine):
    """One gateway's cache against the history of a directory. Shelves of one or two entries evict all the time."""

    sent = Bundle("sent")
    read = Bundle("read")
    pins = Bundle("pins")

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        options = DirectoryOptions(cache_size=2, absent_size=1, alias_size=1, absent_ttl=5.0)
        self.cache = PlacementCache(options, self.clock)
        self.store = MemoryStore()
        self.under_way: list[LookupUnderWay] = []
        self.waiters: list[Pin] = []
        self.begin_term()

    def begin_term(self) -> None:
        """What a registration does: start cold at the head."""
        self.cache.begin_term(Position(self.store.generation, self.store.head))
        self.known: dict[Entry, Version] = {}
        self.kept: dict[Entry, int] = {}

    # The directory

    @rule(workspace=workspaces, region=st.sampled_from((EU, US)))
    def place(self, workspace: WorkspaceId, region: str) -> None:
        self.store.place(workspace, EU if region == "eu" else US)

    @rule(workspace=workspaces)
    def remove(self, workspace: WorkspaceId) -> None:
        self.store.remove(workspace)

    @rule(entry=st.sampled_from((SUBDOMAIN, KEY)), workspace=workspaces)
    def rename(self, entry: Entry, workspace: WorkspaceId) -> None:
        self.store.alias(entry, workspace=workspace)

    @rule()
    def truncate(self) -> None:
        """The feed is pruned up to its head: who has not read it finds a gap."""
        self.store.floor = self.store.head + 1

    @rule(lost=st.integers(1, 3))
    def restore(self, lost: int) -> None:
        """The newest commits are lost, and another generation begins."""
        del self.store.history[max(0, self.store.head - lost) :]
        self.store.generation += 1
        self.store.floor = min(self.store.floor, self.store.head + 1)

    # The feed

    @rule(limit=st.integers(1, 3))
    def renew(self, limit: int) -> None:
        position = self.cache.position
        assert position is not None
        first = max(position.seq, self.store.floor - 1)
        changes = tuple(self.store.history[first : first + limit])
        renewed = Renewed(self.store.generation, self.store.floor, self.store.head, self.store.opened, changes)
        if find_break(position, renewed) is not None:
            self.begin_term()
            return
        for change in changes:
            self.cache.apply(change)
            self.note(change.fact.entry, change.fact.version)

    # Lookups

    @rule(target=sent, entry=entries)
    def send_lookup(self, entry: Entry) -> LookupUnderWay:
        under_way = LookupUnderWay(self.cache.begin_lookup(entry), entry)
        self.under_way.append(under_way)
        return under_way

    @rule(target=read, lookup=consumes(sent), lag=st.integers(0, 4))
    def read_snapshot(self, lookup: LookupUnderWay, lag: int) -> tuple[LookupUnderWay, Answer]:
        seq = max(0, self.store.head - lag)
        return lookup, Answer(self.store.snapshot(lookup.entry, seq), self.store.generation, seq, opened=True)

    @rule(answered=consumes(read))
    def answer(self, answered: tuple[LookupUnderWay, Answer]) -> None:
        lookup, answer = answered
        before = {entry: self.cache.get(entry) for entry in ENTRIES}
        admission = self.cache.finish_lookup(lookup.ticket, answer)
        if admission is Admission.ACCEPTED:
            if lookup.entry in self.kept:
                assert self.cache.get(lookup.entry) is not None
        else:
            assert {entry: self.cache.get(entry) for entry in ENTRIES} == before, "a refusal left a trace"
        self.cache.end_lookup(lookup.ticket)
        self.under_way.remove(lookup)

    @rule(entry=entries)
    def look_up(self, entry: Entry) -> None:
        """A lookup that meets nobody on its way."""
        self.answer(self.read_snapshot(self.send_lookup(entry), 0))

    @rule(lookup=consumes(sent))
    def fail_lookup(self, lookup: LookupUnderWay) -> None:
        self.cache.end_lookup(lookup.ticket)
        self.under_way.remove(lookup)

    # Who waits, and time

    @rule(target=pins, entry=entries)
    def wait_for(self, entry: Entry) -> Pin:
        self.kept[entry] = self.kept.get(entry, 0) + 1
        pin = self.cache.pin(entry)
        self.waiters.append(pin)
        return pin

    @rule(pin=consumes(pins))
    def resume(self, pin: Pin) -> None:
        before = self.cache.get(pin.entry)
        self.cache.unpin(pin)
        self.waiters.remove(pin)
        if pin.term == self.cache.term:
            self.kept[pin.entry] -= 1
            if not self.kept[pin.entry]:
                del self.kept[pin.entry]
        if not self.kept and not self.under_way:  # otherwise a shelf of one may be full of others' pins
            assert self.cache.get(pin.entry) == before, "what was waited for was gone when it was to be read"

    @rule(seconds=st.sampled_from((1.0, 6.0)))
    def let_time_pass(self, seconds: float) -> None:
        before = {entry: self.cache.get(entry) for entry in self.kept}
        self.clock.jump(seconds)
        assert {entry: self.cache.get(entry) for entry in self.kept} == before, "a pinned entry expired"

    # What must hold after each of them

    def note(self, entry: Entry, version: Version) -> None:
        self.known[entry] = max(version, self.known.get(entry, version))

    @invariant()
    def nothing_is_older_than_what_was_known(self) -> None:
        for entry in ENTRIES:
            fact = self.cache.get(entry)
            if fact is not None:
                assert fact.version >= self.known.get(entry, fact.version)
                self.note(entry, fact.version)

    @invariant()
    @precondition(lambda self: self.in_step())
    def nothing_is_older_than_what_was_applied(self) -> None:
        position = self.cache.position
        assert position is not None
        for entry in ENTRIES:
            fact = self.cache.get(entry)
            if fact is not None:
                assert fact.version >= self.store.snapshot(entry, position.seq).version

    def in_step(self) -> bool:
        """Whether the gateway follows the present history, and not one that was lost meanwhile."""
        position = self.cache.position
        return position is not None and position.generation == self.store.generation

    def teardown(self) -> None:
        """When nothing changes any more, everybody sees the truth."""
        for lookup in self.under_way:
            self.cache.end_lookup(lookup.ticket)
        for pin in self.waiters:
            self.cache.unpin(pin)
        while self.cache.position != Position(self.store.generation, self.store.head):
            self.renew(3)
        for entry in ENTRIES:
            if self.cache.get(entry) is None:
                ticket = self.cache.begin_lookup(entry)
                truth = Answer(self.store.snapshot(entry), self.store.generation, self.store.head, opened=True)
                assert self.cache.finish_lookup(ticket, truth) is Admission.ACCEPTED
                self.cache.end_lookup(ticket)
            assert self.cache.get(entry) == self.store.snapshot(entry)


CacheInterleavings.TestCase.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestCacheInterleavings = CacheInterleavings.TestCase
