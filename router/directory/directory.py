"""The cached directory: what the gateway asks where a workspace lives.

The walk of a request uses it so, and a cache hit awaits nothing:

    lookup = directory.locate(target)
    while isinstance(lookup, Missing):
        await directory.fetch(lookup)                      # returns nothing that could be decided upon
        lookup = directory.locate(target, fetched=True)    # read again, in the same step as what follows
    # Found: decide, and enter the ledger with its holds, without any await in between
    # before each write to a region: directory.may_write(ticket)
    # without a whole answer, before it leaves the ledger: directory.unanswered.note(ticket.holds, …)

The laws that live here: one lookup per entry at a time; cancelling one who waits cancels nothing else; an error is
never cached; lookups, waiters and the time they take are bounded. An answer that is refused as older was a replica's:
then the primary is asked, once. A primary that is itself behind what was applied has lost commits, which ends the
term, just as an answer of a later generation does.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Final

from router.directory.cache import Admission, PlacementCache
from router.directory.lease import Lease
from router.directory.ledger import Ledger
from router.directory.locate import NOTHING, Unavailable, asks, join
from router.directory.registration import Registration, random_incarnation
from router.directory.store import StoreError
from router.directory.throttle import Throttle
from router.directory.unanswered import Unanswered
from router.directory.waiting import Alarm, within
from router.routing.values import Source

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from router.directory.cache import LookupTicket
    from router.directory.hostlock import HostLocks
    from router.directory.ledger import Ticket
    from router.directory.locate import Lookup, Missing
    from router.directory.options import DirectoryOptions
    from router.directory.ports import Clock, Spawner
    from router.directory.registration import Identity, RegistrationState
    from router.directory.store import Answer, LookupStore, RegistrationStore
    from router.model.placement import Entry, Fact
    from router.routing.values import Target


_HIT: Final = Source.HIT
REFRESH_SECONDS: Final = 1.0
"""Between two refreshes of one entry: a region that is wrong about a workspace is wrong about each of its requests."""

REFRESHES_REMEMBERED: Final = 4096


class LookupFailure(StrEnum):
    """Why a lookup failed. The value is a metric's label."""

    ERROR = "error"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    CROWDED = "crowded"


class DirectoryUnavailableError(Exception):
    """A lookup failed, which is never "not found". The text is one line for the log."""


class _Flight:
    """One lookup under way. `primary`: it asks there at once. `outcome` is the one line of its failure, or `None`: the
    cache has the answer.
    """

    __slots__ = ("entry", "outcome", "primary", "term")

    def __init__(self, entry: Entry, term: int, *, primary: bool) -> None:
        self.entry = entry
        self.term = term
        self.primary = primary
        self.outcome: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()


class CachedDirectory:
    """Reads the cache, fills it by lookups. Made by `assemble`."""

    def __init__(
        self,
        store: LookupStore,
        *,
        cache: PlacementCache,
        ledger: Ledger,
        unanswered: Unanswered,
        lease: Lease,
        registration: Registration,
        options: DirectoryOptions,
        clock: Clock,
        spawner: Spawner,
    ) -> None:
        self.ledger = ledger
        self.unanswered = unanswered
        self.trusted = lease.alive
        """Whether the cache may be trusted now: two clocks are read."""
        self._store = store
        self._cache = cache
        self._registration = registration
        self._options = options
        self._clock = clock
        self._spawner = spawner
        # By term too: a lookup of an ended term can bring nothing to the next one, which must not wait for it.
        self._flights: dict[tuple[int, Entry, bool], _Flight] = {}
        self._refreshes = Throttle(REFRESH_SECONDS, REFRESHES_REMEMBERED, clock)
        self.failures = dict.fromkeys(LookupFailure, 0)
        """Lookups that failed, and requests that were not let wait for one."""
        self._turns = asyncio.Semaphore(options.max_lookups)
        self._waiting = 0

    @property
    def state(self) -> RegistrationState:
        """Where the registration stands."""
        return self._registration.state

    @property
    def cached(self) -> int:
        """How many facts are in the cache."""
        return len(self._cache)

    def start(self) -> None:
        """Register in the background; until that is done everything that needs the directory is unavailable."""
        self._registration.start()

    def wake(self) -> None:
        """Ask for the feed at once: the directory has news."""
        self._registration.wake()

    async def close(self) -> None:
        """End the term and unregister, within the time of one renewal."""
        await self._registration.close()

    def may_write(self, ticket: Ticket) -> bool:
        """Whether the request behind `ticket` may write to a region now: asked before each write."""
        return not ticket.holds or (not ticket.ended and self.trusted())

    def locate(self, target: Target, *, fetched: bool = False) -> Lookup:
        """What is known of `target` at this moment. `fetched`: this is the read after a `fetch` for it."""
        if not asks(target):
            return NOTHING
        if not self.trusted():
            return Unavailable("this gateway holds no lease of the directory")
        registration = self._registration
        if not registration.opened:
            return Unavailable("the directory is not opened")
        source = Source.MISS if fetched else Source.STALE if registration.failing else _HIT
        return join(target, self._cache.get, source)

    async def fetch(self, missing: Missing) -> None:
        """Look up what is missing, and return when the cache has it. Cancelling this cancels nothing else.

        The entries stay pinned until the caller runs again: it must call `locate` before its next await.
        Raises `DirectoryUnavailableError`.
        """
        await self._await_lookups(missing.entries, primary=False)

    async def refresh(self, entry: Entry) -> None:
        """Ask the primary for `entry`, though it is known, and return when the cache has what it says.

        Once a second for one entry: who comes sooner shares the question that is under way, or takes what the last one
        brought. As with `fetch`, the entry stays pinned until the caller runs again, and must be read (`known`) before
        its next await. Raises `DirectoryUnavailableError`.
        """
        under_way = (self._cache.term, entry, True) in self._flights
        if under_way or self._refreshes.admit(entry):
            await self._await_lookups((entry,), primary=True)

    def known(self, entry: Entry) -> Fact | None:
        """What is known of `entry` at this moment, if anything is that may be trusted."""
        return self._cache.get(entry) if self.trusted() and self._registration.opened else None

    async def _await_lookups(self, entries: tuple[Entry, ...], *, primary: bool) -> None:
        if not self.trusted():
            raise DirectoryUnavailableError("this gateway holds no lease of the directory")
        if max(self._waiting, len(self._flights)) >= self._options.max_waiting:
            self.failures[LookupFailure.CROWDED] += 1
            raise DirectoryUnavailableError(f"{self._waiting} requests wait for lookups already")
        pins = [self._cache.pin(entry) for entry in entries]
        flights = [self._board(entry, primary=primary) for entry in entries]
        self._waiting += 1
        try:
            for flight in flights:
                error = await asyncio.shield(flight.outcome)
                if error is not None:
                    raise DirectoryUnavailableError(error)
        finally:
            self._waiting -= 1
            for pin in pins:
                self._cache.unpin(pin)

    def _board(self, entry: Entry, *, primary: bool) -> _Flight:
        """The lookup of `entry` that is under way, or a new one."""
        key = (self._cache.term, entry, primary)
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(entry, self._cache.term, primary=primary)
            self._spawner.spawn(self._fly(flight), f"lookup {entry.kind}")
        return flight

    async def _fly(self, flight: _Flight) -> None:
        outcome: str | None = "the lookup was given up"
        try:
            seconds = self._options.lookup_timeout
            ask = partial(self._ask, flight)
            await within(seconds, ask, clock=self._clock, spawner=self._spawner, name=f"ask for {flight.entry.kind}")
            outcome = None
        except TimeoutError:
            outcome = f"the directory did not answer within {self._options.lookup_timeout:g} s"
            self.failures[LookupFailure.TIMEOUT] += 1
        except (StoreError, DirectoryUnavailableError) as error:
            outcome = str(error)
            self.failures[LookupFailure.ERROR if isinstance(error, StoreError) else LookupFailure.REFUSED] += 1
        finally:
            del self._flights[flight.term, flight.entry, flight.primary]
            flight.outcome.set_result(outcome)

    async def _ask(self, flight: _Flight) -> None:
        # The turn is given back when the store has really let go, later than the waiters if it is slow: a store that
        # hangs must not be given ever more to do.
        async with self._turns:
            if flight.term != self._cache.term:
                raise DirectoryUnavailableError(Admission.TERM_ENDED)
            ticket = self._cache.begin_lookup(flight.entry)
            try:
                if flight.primary or not self._admit(ticket, await self._store.lookup(flight.entry, primary=False)):
                    await self._ask_primary(ticket, flight.entry)
            finally:
                self._cache.end_lookup(ticket)

    async def _ask_primary(self, ticket: LookupTicket, entry: Entry) -> None:
        if not self._admit(ticket, await self._store.lookup(entry, primary=True)):
            self._registration.end_term("the primary answered with an older snapshot than was applied")
            raise DirectoryUnavailableError(Admission.OLDER)

    def _admit(self, ticket: LookupTicket, answer: Answer) -> bool:
        """Take in an answer. `False`: it was older. Raises `DirectoryUnavailableError` for any other refusal."""
        admission = self._cache.finish_lookup(ticket, answer)
        if admission is Admission.ACCEPTED:
            self.ledger.supersede(answer.fact.entry, answer.fact.version)
            return True
        if admission is Admission.OLDER:
            return False
        if admission is Admission.OTHER_GENERATION:
            self._registration.end_term(f"a lookup was answered by generation {answer.generation} of the directory")
        raise DirectoryUnavailableError(f"the answer was refused: {admission}")


def assemble(
    store: LookupStore,
    registrations: RegistrationStore,
    *,
    identity: Identity,
    locks: HostLocks,
    options: DirectoryOptions,
    clock: Clock,
    spawner: Spawner,
    random: Random,
    name: Callable[[], str] = random_incarnation,
    ledger_of: Callable[[Callable[[], None]], Ledger] = Ledger,
) -> CachedDirectory:
    """A cached directory, not started. `store` and `registrations` are the same directory, usually the same object."""
    cache = PlacementCache(options, clock)
    alarm = Alarm(clock, spawner)
    ledger = ledger_of(alarm.ring)
    unanswered = Unanswered(options, clock)
    lease = Lease(clock, options.lease, on_lapse=alarm.ring)
    registration = Registration(
        registrations,
        cache=cache,
        ledger=ledger,
        unanswered=unanswered,
        lease=lease,
        alarm=alarm,
        identity=identity,
        locks=locks,
        options=options,
        clock=clock,
        spawner=spawner,
        random=random,
        name=name,
    )
    return CachedDirectory(
        store,
        cache=cache,
        ledger=ledger,
        unanswered=unanswered,
        lease=lease,
        registration=registration,
        options=options,
        clock=clock,
        spawner=spawner,
    )
