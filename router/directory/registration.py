"""The registration: how a gateway joins a directory, renews its trust in its cache, and ends a term.

Theory. A row in the directory makes every transfer wait for this gateway; in exchange the gateway may trust its cache
as long as the row is renewed. One registration is one *term*, under a random incarnation that is never used again.

1. **Begin.** Take the host's lock, insert the row, and read the start position on the primary *after* that commit: a
   lock committed before the row was visible is at or below this position, every later one waits for the row. The cache
   starts cold there. There is no trust before the first renewal.
2. **Renew.** A renewal is one transaction that renews the row, reports `applied` and brings the feed; a poll *is* a
   renewal. Sent every `poll_interval`, when woken, at once when `applied` grew, and at once while more of the feed is
   waiting. Trust counts from just before sending. Nothing else renews it. Before it acknowledges a lock it names the
   requests of the locked workspace that got no whole answer (`router.directory.unanswered`).
3. **End**, by a lapse, a refused renewal, or whatever breaks the feed. In this order: trust is revoked, the cache
   is emptied and refuses the lookups under way, every request of the term is told that it must not write again. A late
   answer to a renewal of that term finds it over. Then a new term begins under a new incarnation.
4. **Retire.** The old row is unregistered when the last request of its term has ended, not earlier: until then
   it is what transfers wait for. Its last word are the requests that got no whole answer. Should that fail for ever,
   the row goes by its lease or by proof of death, and the gateway itself is listed.

While the store fails the term goes on until its lease lapses. Between terms nothing that needs the directory is served.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from router.directory.feed import find_break
from router.directory.store import Newcomer, Renewal, StoreError
from router.directory.waiting import Alarm, within

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from random import Random

    from router.directory.cache import PlacementCache
    from router.directory.hostlock import HostLock, HostLocks
    from router.directory.lease import Lease, Moment
    from router.directory.ledger import EndedTerm, Ledger
    from router.directory.options import DirectoryOptions
    from router.directory.ports import Clock, Spawner
    from router.directory.store import Position, RegistrationStore, Renewed
    from router.directory.unanswered import Unanswered

T = TypeVar("T")

_log = logging.getLogger(__name__)


def random_incarnation() -> str:
    """A name that no registration ever had."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who registers: the gateway's configured name and its host, for people to read; neither proves anything."""

    gateway: str
    host: str


class TermEnd(StrEnum):
    """Why a term ended. The value is a metric's label."""

    LAPSED = "lapsed"
    REFUSED = "refused"
    RESET = "reset"
    STOPPED = "stopped"
    INTERNAL = "internal"


class _Reason(NamedTuple):
    """Why a term ended, and the one line that says so."""

    why: TermEnd
    text: str


@dataclass(frozen=True, slots=True)
class RegistrationState:
    """Where the registration stands, for metrics and health.

    - `incarnation`: of the present term, `None` between terms; `trusted`: its lease is alive.
    - `opened`: the directory is opened; `caught_up`: the last renewal was up to its head.
    - `position`, `head`: how far the feed was applied, and how far it goes.
    - `lag`: seconds since a renewal was last up to the head (since the start, if none was).
    - `failing`: the last attempt failed; `last_error`: its one line.
    - `lease_left`: seconds that the cache may be trusted if no renewal is answered any more; 0 between terms.
    - `terms_ended`: how many, by why; `failures`: calls of the registration that failed.
    """

    incarnation: str | None
    trusted: bool
    opened: bool
    caught_up: bool
    position: Position | None
    head: int
    lag: float
    failing: bool
    last_error: str | None
    lease_left: float
    terms_ended: Mapping[TermEnd, int]
    failures: int

    @property
    def ready(self) -> bool:
        """Whether requests that need the directory can be served."""
        return self.trusted and self.opened and self.caught_up


@dataclass(frozen=True, slots=True, eq=False)
class _Term:
    incarnation: str
    lock: HostLock


class Registration:
    """Keeps a gateway registered from `start` to `close`.

    `lease` and `ledger` ring `alarm` (a lapse; `applied` grew). `random` jitters retries, `name` makes incarnations.
    """

    def __init__(
        self,
        store: RegistrationStore,
        *,
        cache: PlacementCache,
        ledger: Ledger,
        unanswered: Unanswered,
        lease: Lease,
        alarm: Alarm,
        identity: Identity,
        locks: HostLocks,
        options: DirectoryOptions,
        clock: Clock,
        spawner: Spawner,
        random: Random,
        name: Callable[[], str] = random_incarnation,
    ) -> None:
        self._store = store
        self._cache = cache
        self._ledger = ledger
        self._unanswered = unanswered
        self._lease = lease
        self._alarm = alarm
        self._identity = identity
        self._locks = locks
        self._options = options
        self._clock = clock
        self._spawner = spawner
        self._random = random
        self._name = name
        self._term: _Term | None = None
        self._loop: asyncio.Task[None] | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self._head = 0
        self._opened = False
        self._caught_up = False
        self._caught_up_at = clock.monotonic()
        self._failures = 0
        self._failures_ever = 0
        self._terms_ended = dict.fromkeys(TermEnd, 0)
        self._last_error: str | None = None

    @property
    def opened(self) -> bool:
        """Whether the directory was opened, as of the last renewal."""
        return self._opened

    @property
    def failing(self) -> bool:
        """Whether the directory is failing: what the cache says then is trusted, and stale."""
        return self._failures > 0

    @property
    def state(self) -> RegistrationState:
        """A snapshot for metrics and health."""
        return RegistrationState(
            incarnation=self._term.incarnation if self._term else None,
            trusted=self._lease.alive(),
            opened=self._opened,
            caught_up=self._caught_up,
            position=self._cache.position,
            head=self._head,
            lag=self._clock.monotonic() - self._caught_up_at,
            failing=self.failing,
            last_error=self._last_error,
            lease_left=self._lease.remaining() if self._lease.alive() else 0.0,
            terms_ended=self._terms_ended,
            failures=self._failures_ever,
        )

    def start(self) -> None:
        """Begin the first term in the background."""
        self._loop = self._spawner.spawn(self._run(), "registration")

    def wake(self) -> None:
        """Renew at once: the directory has news."""
        self._alarm.ring()

    def end_term(self, text: str) -> None:
        """The directory is not what it was: end the present term, if there is one. Another begins in the background."""
        self._end(_Reason(TermEnd.RESET, text))
        self._alarm.ring()

    async def close(self) -> None:
        """End the term and take the rows away, if that can be done within the time of one renewal.

        A request that still does not let go keeps its row, which is then found dead or expires.
        """
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait([self._loop])
        self._end(_Reason(TermEnd.STOPPED, "this gateway stops"), logging.INFO)
        if self._retiring:
            try:
                await self._timed(partial(asyncio.wait, set(self._retiring)), "leaving")
            except TimeoutError:
                _log.warning("left the directory with %d rows still registered", len(self._retiring))
        for task in self._retiring:
            task.cancel()

    async def _run(self) -> None:
        while True:
            try:
                ending = await self._keep(await self._begin())
            except Exception as error:  # the loop outlives its bugs: without it no term would ever begin again
                _log.exception("the registration failed")
                self._last_error = f"internal error: {error}"
                ending = _Reason(TermEnd.INTERNAL, self._last_error)
            self._end(ending)
            # The first new term is tried at once; terms that end before a single renewal must not follow at full speed.
            self._failures += 1
            if self._failures > 1:
                await self._pause()

    def _end(self, ending: _Reason, level: int = logging.WARNING) -> None:
        """See 3 above. Without an await: nothing can be decided between the steps."""
        term, self._term = self._term, None
        if term is None:
            return
        self._lease.revoke()
        self._cache.reset()
        self._opened = self._caught_up = False
        ended = self._ledger.end_term()
        self._unanswered.end_term()
        self._last_error = ending.text
        self._terms_ended[ending.why] += 1
        _log.log(level, "term %s ended with %d requests in flight: %s", term.incarnation, ended.in_flight, ending.text)
        self._retire(term, ended)

    async def _begin(self) -> _Term:
        while True:
            try:
                term = await self._register()
            except StoreError as error:
                self._note_failure(str(error))
                await self._pause()
            else:
                _log.info("registered as %s", term.incarnation)
                return term

    async def _register(self) -> _Term:
        """Make the row and start cold behind its commit. Raises `StoreError`, when no row of it is left."""
        incarnation = self._name()
        who, applies = self._identity, self._ledger.applies
        newcomer = Newcomer(incarnation, who.gateway, who.host, self._options.lease, applies)
        term = _Term(incarnation, self._locks.hold(incarnation))
        try:
            await self._ask(partial(self._store.register, newcomer))
            position = await self._ask(self._store.position)
        except asyncio.CancelledError:
            self._retire(term, None)
            raise
        except Exception:
            # Nobody knows whether the row is there, so it is taken away before another one is made: attempts must
            # not pile up while the store is down.
            await asyncio.wait([self._retire(term, None)])
            raise
        self._cache.begin_term(position)
        self._ledger.begin_term()
        self._unanswered.incarnation = incarnation
        self._lease.begin()
        self._head = position.seq
        self._term = term
        return term

    async def _keep(self, term: _Term) -> _Reason:
        """Renew until the term ends, and return why."""
        while True:
            position = self._cache.position
            if self._term is not term or position is None:
                return _Reason(TermEnd.RESET, "it was ended already")
            if self._lease.lapsed:
                return _Reason(TermEnd.LAPSED, "the lease lapsed")
            applied = self._ledger.applied(position.seq)
            unanswered = self._unanswered.batch()
            renewal = Renewal(
                term.incarnation, self._unanswered.limit(applied), position, self._options.feed_batch, unanswered
            )
            sent = self._lease.moment()
            try:
                renewed = await self._ask(partial(self._store.renew, renewal), limit=self._lease.remaining())
            except StoreError as error:
                if self._term is term:
                    self._note_failure(str(error))
                    await self._pause()
                continue
            if self._term is not term:
                continue
            ending = self._take(renewal, sent, renewed)
            if ending is not None:
                return ending
            if self._caught_up and self._ledger.applied(self._head) == applied and not self._unanswered.owes:
                await self._alarm.wait(min(self._options.poll_interval, self._lease.remaining()))

    def _take(self, renewal: Renewal, sent: Moment, renewed: Renewed | None) -> _Reason | None:
        """Take in the answer to a renewal, or return why the term is over."""
        if renewed is None:
            return _Reason(TermEnd.REFUSED, "the directory refused the renewal: the row is gone")
        broken = find_break(renewal.position, renewed)
        if broken is not None:
            return _Reason(TermEnd.RESET, broken)
        if not self._lease.renewed(sent):
            return _Reason(TermEnd.LAPSED, "the lease lapsed before the renewal was answered")
        if self._failures:
            self._failures, self._last_error = 0, None
            _log.info("the directory answers again")
        self._unanswered.named(renewal.unanswered)
        self._opened = renewed.opened
        self._head = renewed.head
        last = renewal.position.seq + len(renewed.changes)
        self._caught_up = last == renewed.head
        if self._caught_up:
            self._caught_up_at = self._clock.monotonic()
        for change in renewed.changes:
            self._cache.apply(change)
            self._unanswered.follow(change)
            self._ledger.supersede(change.fact.entry, change.fact.version, change.seq)
        return None

    def _retire(self, term: _Term, ended: EndedTerm | None) -> asyncio.Task[None]:
        task = self._spawner.spawn(self._unregister(term, ended), f"retire {term.incarnation}")
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)
        return task

    async def _unregister(self, term: _Term, ended: EndedTerm | None) -> None:
        if ended is not None:
            await ended.drained()
        failures = 0
        while True:
            try:
                # Asked for each time: while the store fails, a request of a later term may end badly too.
                last_word = self._unanswered.last_word()
                await self._ask(partial(self._store.unregister, term.incarnation, unanswered=last_word))
            except StoreError as error:
                failures += 1
                self._failures_ever += 1
                self._last_error = str(error)
                if failures == 1:
                    _log.warning("registration %s cannot be taken away yet: %s", term.incarnation, error)
                await self._clock.sleep(self._delay(failures))
            else:
                term.lock.release()
                return

    async def _ask(self, call: Callable[[], Awaitable[T]], *, limit: float | None = None) -> T:
        """Ask the store, for `renewal_timeout` at most and no longer than `limit`. Raises `StoreError`."""
        try:
            return await self._timed(call, "registration", limit)
        except TimeoutError as error:
            raise StoreError(f"the directory did not answer within {self._options.renewal_timeout:g} s") from error

    async def _timed(self, call: Callable[[], Awaitable[T]], name: str, limit: float | None = None) -> T:
        seconds = self._options.renewal_timeout if limit is None else min(limit, self._options.renewal_timeout)
        return await within(seconds, call, clock=self._clock, spawner=self._spawner, name=name)

    def _note_failure(self, error: str) -> None:
        self._failures += 1
        self._failures_ever += 1
        self._last_error = error
        if self._failures == 1:
            _log.warning("the directory fails: %s", error)

    async def _pause(self) -> None:
        limit = math.inf if self._term is None else self._lease.remaining()
        await self._alarm.wait(min(self._delay(self._failures), limit))

    def _delay(self, failures: int) -> float:
        """Grows with each failure up to `retry_max`; jittered, so that gateways do not come back in step."""
        longest: float = min(self._options.retry_max, self._options.poll_interval * 2.0 ** min(failures, 16))
        return longest * (0.5 + self._random.random() / 2)
