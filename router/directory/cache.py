"""The placement cache: what a gateway knows of the directory, and why it never goes back in time.

Theory. Facts reach the cache on two ways that overtake each other: the *feed* brings every change once, in the order of
commits; a *lookup* brings one fact as of some snapshot, which may be a lagging replica's and may arrive late. A request
that is decided on an older fact than one that was known here already could write to a workspace's old home after the
directory was told that nobody does so any more. So:

1. Facts of one entry are ordered by their version alone, a placement and an absence alike. A lower version never
   replaces a higher one, whoever brings it.
2. A lookup's answer carries the `seq` of its snapshot. It is refused if that is older than its *floor*: the newest of
   the position applied and of any answer accepted when the lookup began. (An entry that was evicted is
   remembered by nothing else than this floor.) A change that arrives while a lookup is under way is kept, though
   nobody had the entry cached: the lookup may have read before it.
3. The cache is read synchronously, in the same step as what is decided on it. A lookup puts its answer here
   and gives it to nobody. An entry is pinned until each who waits for it has read.
4. Aliases (subdomains, keys) name a workspace, or a region. They are facts like any other: versioned, and fed.
5. Whatever breaks the feed ends the *term*: everything is dropped, and answers to lookups of that term are refused.
6. The position follows the feed at once. Requests in flight are the ledger's business; caching never waits for them.
7. A pinned entry is neither evicted nor expires: an LRU passes over it, and its pin keeps the fact besides, because
   "not found" expires by age, and an LRU may be full of pins.

An entry has no age of its own: its validity is the gateway's lease. Three separate, bounded shelves, so that random ids
and random keys evict no tenant: placements, workspaces that are not there (short-lived), aliases (those that are not
there included). Pure: no await, no I/O; the clock ages "not found" only.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from cachetools import LRUCache, TTLCache

from router.directory.store import Position
from router.model.placement import Entry, Fact, Kind, Placement

if TYPE_CHECKING:
    from collections.abc import Container

    from router.directory.options import DirectoryOptions
    from router.directory.ports import Clock
    from router.directory.store import Answer
    from router.model.placement import Change

_WORKSPACE: Final = Kind.WORKSPACE


class Admission(StrEnum):
    """What became of a lookup's answer. Everything but `ACCEPTED` is a refusal that left the cache as it was."""

    ACCEPTED = "accepted"
    OLDER = "older than what is known already"
    OTHER_GENERATION = "of another generation of the directory"
    UNOPENED = "the directory is not opened"
    TERM_ENDED = "the term in which the lookup began is over"


class PinnedLRU(LRUCache[Entry, Fact]):
    """An LRU whose eviction passes over pinned entries."""

    def __init__(self, maxsize: int, pinned: Container[Entry]) -> None:
        super().__init__(maxsize)
        self._pinned = pinned

    def popitem(self) -> tuple[Entry, Fact]:
        """Remove the least recently used entry that is not pinned. Raises `KeyError` if there is none.

        The pinned ones that were passed over are in use this very moment, and become the most recently used.
        """
        passed: list[tuple[Entry, Fact]] = []
        try:
            while True:
                oldest = super().popitem()
                if oldest[0] not in self._pinned:
                    return oldest
                passed.append(oldest)
        finally:
            for entry, fact in passed:
                self[entry] = fact

    def keep(self, entry: Entry, fact: Fact) -> None:
        """Store `fact`, unless the cache is full of pinned entries: its own pin, if it has one, keeps it then."""
        with contextlib.suppress(KeyError):
            self[entry] = fact


class Pin:
    """Keeps one entry in the cache until it is given back, or its term ends."""

    __slots__ = ("entry", "held", "term")

    def __init__(self, entry: Entry, term: int) -> None:
        self.entry = entry
        self.term = term
        self.held = True


@dataclass(frozen=True, slots=True, eq=False)
class LookupTicket:
    """A lookup under way: its pin, and the oldest snapshot that its answer may be of."""

    pin: Pin
    floor: int


@dataclass(slots=True)
class _Pinned:
    count: int
    fact: Fact | None


class PlacementCache:
    """The facts that are known here. Cold and without a position until `begin_term`."""

    def __init__(self, options: DirectoryOptions, clock: Clock) -> None:
        self._pinned: dict[Entry, _Pinned] = {}
        self._placements = PinnedLRU(options.cache_size, self._pinned)
        self._aliases = PinnedLRU(options.alias_size, self._pinned)
        self._absences: TTLCache[Entry, Fact, float] = TTLCache(
            options.absent_size, options.absent_ttl, timer=clock.monotonic
        )
        self._term = 0
        self._position: Position | None = None
        self._newest_answer = 0

    def __len__(self) -> int:
        return len(self._placements) + len(self._aliases) + len(self._absences)

    @property
    def position(self) -> Position | None:
        """How far the feed has been applied; `None` between terms."""
        return self._position

    @property
    def term(self) -> int:
        """Grows with each `begin_term` and each `reset`."""
        return self._term

    def get(self, entry: Entry) -> Fact | None:
        """What is known of `entry`, or `None` if it has to be looked up. On the path of every request."""
        try:
            return (self._placements if entry[0] is _WORKSPACE else self._aliases)[entry]
        except KeyError:
            pass
        absence = self._absences.get(entry)
        if absence is not None:
            return absence
        pinned = self._pinned.get(entry)
        return None if pinned is None else pinned.fact

    def begin_term(self, position: Position) -> None:
        """Start cold at `position`."""
        self.reset()
        self._position = position

    def reset(self) -> None:
        """End the term: forget everything, and refuse the answers to lookups that are under way."""
        self._term += 1
        self._position = None
        self._newest_answer = 0
        self._placements.clear()
        self._aliases.clear()
        self._absences.clear()
        self._pinned.clear()

    def apply(self, change: Change) -> None:
        """Take the next change of the feed. Entries that nobody has here and nobody looks up are not taken in."""
        position = self._running()
        entry = change.fact.entry
        self._position = Position(position.generation, change.seq)
        known = self.get(entry)
        if known is not None:
            if known.version < change.fact.version:
                self._store(entry, change.fact)
        elif entry in self._pinned:
            self._store(entry, change.fact)

    def begin_lookup(self, entry: Entry) -> LookupTicket:
        """To be called just before the store is asked; the entry is pinned until `end_lookup`."""
        floor = max(self._running().seq, self._newest_answer)
        return LookupTicket(self.pin(entry), floor)

    def finish_lookup(self, ticket: LookupTicket, answer: Answer) -> Admission:
        """Take in or refuse the answer. A lookup that was refused as older may be asked again under its ticket."""
        if ticket.pin.term != self._term or not ticket.pin.held:
            return Admission.TERM_ENDED
        generation = self._running().generation
        if answer.generation > generation:
            return Admission.OTHER_GENERATION
        if answer.generation < generation or answer.seq < ticket.floor:
            return Admission.OLDER
        if not answer.opened:
            return Admission.UNOPENED
        self._newest_answer = max(self._newest_answer, answer.seq)
        entry = ticket.pin.entry
        known = self.get(entry)
        if known is None or known.version <= answer.fact.version:
            self._store(entry, answer.fact)
        return Admission.ACCEPTED

    def end_lookup(self, ticket: LookupTicket) -> None:
        """The lookup is over, however it ended. May be repeated."""
        self.unpin(ticket.pin)

    def pin(self, entry: Entry) -> Pin:
        """Keep `entry`, and whatever becomes known of it, until `unpin`."""
        pinned = self._pinned.get(entry)
        if pinned is None:
            known = self.get(entry)
            self._pinned[entry] = _Pinned(1, known)
        else:
            pinned.count += 1
        return Pin(entry, self._term)

    def unpin(self, pin: Pin) -> None:
        """Give a pin back. May be repeated.

        What the last pin kept goes to its shelf as the newest there: who releases a pin and reads in the same step
        still finds it.
        """
        if not pin.held or pin.term != self._term:
            return
        pin.held = False
        pinned = self._pinned[pin.entry]
        pinned.count -= 1
        if pinned.count == 0:
            del self._pinned[pin.entry]
            if pinned.fact is not None:
                self._shelve(pin.entry, pinned.fact)

    def _running(self) -> Position:
        if self._position is None:
            raise RuntimeError("the cache is between two terms")
        return self._position

    def _store(self, entry: Entry, fact: Fact) -> None:
        pinned = self._pinned.get(entry)
        if pinned is not None:
            pinned.fact = fact
        self._shelve(entry, fact)

    def _shelve(self, entry: Entry, fact: Fact) -> None:
        if entry.kind is not Kind.WORKSPACE:
            self._aliases.keep(entry, fact)
        elif isinstance(fact, Placement):
            self._absences.pop(entry, None)
            self._placements.keep(entry, fact)
        else:
            self._placements.pop(entry, None)
            self._absences[entry] = fact
