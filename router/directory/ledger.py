"""The ledger: the requests in flight, by the entries that each was decided on.

Theory. A lock on a workspace is a change of the feed. This gateway has *applied* a change when no request that was
decided before it lives any more, and only then may it say so, because the directory takes its word for "nothing of the
old placement will be written from there". So a request is entered in the same synchronous step as its decision, with
the version of each entry it was decided on, and leaves when its write side is gone. It is *stale* once any of
these entries has a successor, whoever brought it (the feed, or a lookup that was ahead of the feed), and whether or not
the entry is cached at that time: a request outlives its entry in the cache.

`applied` is the highest `seq` such that no change up to it has a live stale request. It is computed, not drained in
order: each request blocks the first change of the feed that made it stale, later changes are cached and made known
to their own requests without waiting. A successor that a lookup brought makes requests stale at once; the change blocks
only when the feed brings it, since nobody asks for its `seq` before.

A *term*'s requests are told when it ends, and none of them writes again. Those decided without the directory hold
nothing and belong to no term. Cutting, and how long a stale request may go on, is their holder's business.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from router.model.placement import Entry, Version

Hold: TypeAlias = "tuple[Entry, Version]"
"""One fact that a decision rests on: its name, and which version of it was read."""

_log = logging.getLogger(__name__)


class Holder(Protocol):
    """What stands behind a ticket: an exchange, told synchronously and at most once of each. It may leave at once."""

    def superseded(self) -> None:
        """What the request was decided on has a successor, which the cache shows already."""

    def term_ended(self) -> None:
        """The request must not write to any region again."""


class Ticket:
    """One request in the ledger. `stale`: what it was decided on has a successor; `left`: it is over."""

    __slots__ = ("_blocks", "_book", "_holder", "holds", "left", "stale")

    def __init__(self, holds: tuple[Hold, ...], holder: Holder, book: _Book) -> None:
        self.holds = holds
        self.stale = False
        self.left = False
        self._holder = holder
        self._book = book
        self._blocks: int | None = None

    @property
    def ended(self) -> bool:
        """Whether the request's term is over: then it must not write to any region."""
        return self._book.ended

    def hand_over(self, holder: Holder) -> None:
        """From now on `holder` stands behind this ticket: the request goes on as something else."""
        self._holder = holder


class _Book:
    """The requests of one term."""

    __slots__ = ("blocking", "by_entry", "drained", "ended", "live")

    def __init__(self) -> None:
        # Dictionaries instead of sets of tickets: they are told in the order they came, in every run the same.
        self.by_entry: dict[Entry, dict[Ticket, None]] = {}
        # Live stale requests by the first change that made them so. Changes come in the order of `seq`, so the first
        # key is the lowest; an OrderedDict finds its first key in O(1) however many were deleted before it.
        self.blocking: OrderedDict[int, int] = OrderedDict()
        self.live = 0
        self.ended = False
        self.drained = asyncio.Event()


class EndedTerm:
    """What is left of a term: requests that have not let go yet."""

    def __init__(self, book: _Book) -> None:
        self._book = book

    @property
    def in_flight(self) -> int:
        """How many there are."""
        return self._book.live

    async def drained(self) -> None:
        """Return once the last of them has left."""
        await self._book.drained.wait()


class Ledger:
    """All requests in flight. `on_applied` is called when a stale request's leaving has made `applied` grow."""

    applies: ClassVar[bool] = True
    """Whether a request is held back for a lock, so that there is something to acknowledge."""

    def __init__(self, on_applied: Callable[[], None]) -> None:
        self._on_applied = on_applied
        self._outside = _Book()
        self._book = _Book()
        self._book.ended = True
        self.in_flight = 0

    def enter(self, holds: tuple[Hold, ...], holder: Holder) -> Ticket:
        """Enter a request in the step of its decision. `holds` are distinct entries; none: it belongs to no term."""
        book = self._book if holds else self._outside
        ticket = Ticket(holds, holder, book)
        by_entry = book.by_entry
        for entry, _ in holds:
            tickets = by_entry.get(entry)
            if tickets is None:
                by_entry[entry] = {ticket: None}
            else:
                tickets[ticket] = None
        book.live += 1
        self.in_flight += 1
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """The request's write side is gone. May be repeated."""
        if ticket.left:
            return
        ticket.left = True
        book = ticket._book
        by_entry = book.by_entry
        for entry, _ in ticket.holds:
            tickets = by_entry[entry]
            del tickets[ticket]
            if not tickets:
                del by_entry[entry]
        book.live -= 1
        self.in_flight -= 1
        if ticket._blocks is not None:
            self._unblock(book, ticket._blocks)
        if book.ended and not book.live:
            book.drained.set()

    def supersede(self, entry: Entry, version: Version, seq: int | None = None) -> None:
        """`entry` has reached `version`, by the change `seq` of the feed or by a lookup.

        To be called after the cache took it in, for every change, cached or not: holders may decide again at once.
        """
        book = self._book
        tickets = book.by_entry.get(entry)
        if tickets is None:
            return
        older = [ticket for ticket in tickets if _version_held(ticket, entry) < version]
        untold = [ticket for ticket in older if not ticket.stale]
        for ticket in older:
            ticket.stale = True
            if seq is not None and ticket._blocks is None:
                ticket._blocks = seq
                book.blocking[seq] = book.blocking.get(seq, 0) + 1
        _tell(untold, _tell_superseded)

    def applied(self, position: int) -> int:
        """The highest `seq` up to `position`, how far the feed was read, with no live stale request at or below it."""
        blocking = self._book.blocking
        return next(iter(blocking)) - 1 if blocking else position

    def begin_term(self) -> None:
        """What is entered from now on belongs to a new term. The one before has been ended."""
        if not self._book.ended:
            raise RuntimeError("the term before has not been ended")
        self._book = _Book()

    def end_term(self) -> EndedTerm:
        """Tell every request of the term that it must not write again; they leave in their own time."""
        book = self._book
        if not book.ended:
            book.ended = True
            if not book.live:
                book.drained.set()
            _tell(dict.fromkeys(ticket for tickets in book.by_entry.values() for ticket in tickets), _tell_ended)
        return EndedTerm(book)

    def _unblock(self, book: _Book, seq: int) -> None:
        lowest = next(iter(book.blocking))
        count = book.blocking[seq] - 1
        if count:
            book.blocking[seq] = count
            return
        del book.blocking[seq]
        if seq == lowest and not book.ended:
            self._on_applied()


class Onlooker(Ledger):
    """The ledger of a gateway that only observes. It holds no request back, and so has never applied anything: a
    transfer waits for as long as it is registered.
    """

    applies: ClassVar[bool] = False

    def applied(self, position: int) -> int:
        """Nothing."""
        return 0


def _version_held(ticket: Ticket, entry: Entry) -> Version:
    holds = ticket.holds
    return next(version for held, version in holds if held == entry)


def _tell(tickets: Iterable[Ticket], message: Callable[[Holder], None]) -> None:
    # One holder may end another's request while it is told; and a holder that fails must not keep the rest from
    # hearing. Its request stays in the ledger, which is the safe side: nothing it holds counts as applied.
    for ticket in tickets:
        if ticket.left:
            continue
        try:
            message(ticket._holder)
        except Exception:
            _log.exception("a request in flight failed to take note of a change")


def _tell_superseded(holder: Holder) -> None:
    holder.superseded()


def _tell_ended(holder: Holder) -> None:
    holder.term_ended()
