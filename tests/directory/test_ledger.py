"""The ledger: who is in flight, who is stale, and how much of the feed is thereby applied."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from router.directory.ledger import Ledger, Ticket
from router.model.placement import Entry, Kind, Version
from tests.directory.manual_clock import settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.directory.ledger import Hold

E1 = Entry(Kind.WORKSPACE, "1" * 24)
E2 = Entry(Kind.WORKSPACE, "2" * 24)
SUBDOMAIN = Entry(Kind.SUBDOMAIN, "acme")
POSITION = 10


def hold(entry: Entry, number: int) -> Hold:
    return entry, Version(1, number)


@dataclass
class Exchange:
    """A holder that notes what it is told, and may react."""

    told: list[str] = field(default_factory=list)
    react: Callable[[], None] = lambda: None

    def superseded(self) -> None:
        self.told.append("superseded")
        self.react()

    def term_ended(self) -> None:
        self.told.append("term ended")
        self.react()


@dataclass
class Rings:
    """Counts how often `applied` was said to have grown."""

    count: int = 0

    def ring(self) -> None:
        self.count += 1


@pytest.fixture
def rings() -> Rings:
    return Rings()


@pytest.fixture
def ledger(rings: Rings) -> Ledger:
    ledger = Ledger(on_applied=rings.ring)
    ledger.begin_term()
    return ledger


def test_without_stale_requests_all_that_was_read_is_applied(ledger: Ledger) -> None:
    ledger.enter((hold(E1, 1),), Exchange())
    assert ledger.applied(POSITION) == POSITION


def test_applied_stays_below_a_change_whose_stale_request_lives(ledger: Ledger) -> None:
    ledger.enter((hold(E1, 1),), Exchange())
    ledger.supersede(E1, Version(1, 2), 11)
    assert ledger.applied(15) == 10


def test_applied_grows_when_the_stale_request_has_left(ledger: Ledger) -> None:
    ticket = ledger.enter((hold(E1, 1),), Exchange())
    ledger.supersede(E1, Version(1, 2), 11)
    ledger.leave(ticket)
    assert ledger.applied(15) == 15


def test_a_later_change_does_not_wait_for_an_earlier_one(ledger: Ledger) -> None:
    first = ledger.enter((hold(E1, 1),), Exchange())
    second = Exchange()
    ledger.enter((hold(E2, 1),), second)
    ledger.supersede(E1, Version(1, 2), 11)
    ledger.supersede(E2, Version(1, 2), 14)
    assert second.told == ["superseded"]
    ledger.leave(first)
    assert ledger.applied(20) == 13


def test_a_later_request_s_leaving_does_not_lift_an_earlier_block(ledger: Ledger, rings: Rings) -> None:
    ledger.enter((hold(E1, 1),), Exchange())
    later = ledger.enter((hold(E2, 1),), Exchange())
    ledger.supersede(E1, Version(1, 2), 11)
    ledger.supersede(E2, Version(1, 2), 14)
    ledger.leave(later)
    assert (ledger.applied(20), rings.count) == (10, 0)


def test_the_registration_is_woken_when_applied_grew(ledger: Ledger, rings: Rings) -> None:
    tickets = [ledger.enter((hold(E1, 1),), Exchange()) for _ in range(2)]
    ledger.supersede(E1, Version(1, 2), 11)
    ledger.leave(tickets[0])
    assert rings.count == 0
    ledger.leave(tickets[1])
    assert rings.count == 1


def test_a_request_of_the_new_version_is_not_stale(ledger: Ledger) -> None:
    exchange = Exchange()
    ticket = ledger.enter((hold(E1, 2),), exchange)
    ledger.supersede(E1, Version(1, 2), 11)
    assert (ticket.stale, exchange.told, ledger.applied(11)) == (False, [], 11)


def test_a_request_that_a_lookup_put_ahead_of_the_feed_is_not_stale_by_what_lies_behind(ledger: Ledger) -> None:
    ledger.enter((hold(E1, 5),), Exchange())
    ledger.supersede(E1, Version(1, 4), 11)
    assert ledger.applied(11) == 11


def test_a_successor_that_a_lookup_brought_makes_stale_at_once(ledger: Ledger) -> None:
    exchange = Exchange()
    ticket = ledger.enter((hold(E1, 1),), exchange)
    ledger.supersede(E1, Version(1, 2))
    assert (ticket.stale, exchange.told) == (True, ["superseded"])


def test_a_request_made_stale_by_a_lookup_blocks_the_change_when_the_feed_brings_it(ledger: Ledger) -> None:
    ledger.enter((hold(E1, 1),), Exchange())
    ledger.supersede(E1, Version(1, 3))
    assert ledger.applied(10) == 10
    ledger.supersede(E1, Version(1, 2), 11)
    assert ledger.applied(12) == 10


def test_a_request_is_told_once_however_many_successors_come(ledger: Ledger) -> None:
    exchange = Exchange()
    ledger.enter((hold(E1, 1),), exchange)
    for number in range(2, 5):
        ledger.supersede(E1, Version(1, number), 10 + number)
    assert exchange.told == ["superseded"]


def test_a_request_is_stale_once_any_of_its_entries_has_a_successor(ledger: Ledger) -> None:
    ticket = ledger.enter((hold(SUBDOMAIN, 4), hold(E1, 1)), Exchange())
    ledger.supersede(SUBDOMAIN, Version(1, 11), 11)
    assert (ticket.stale, ledger.applied(11)) == (True, 10)


def test_a_request_blocks_the_first_change_that_made_it_stale(ledger: Ledger) -> None:
    ledger.enter((hold(E1, 1), hold(E2, 1)), Exchange())
    ledger.supersede(E2, Version(1, 2), 11)
    ledger.supersede(E1, Version(1, 2), 12)
    assert ledger.applied(12) == 10


def test_leaving_twice_counts_once(ledger: Ledger) -> None:
    first = ledger.enter((hold(E1, 1),), Exchange())
    ledger.enter((hold(E1, 1),), Exchange())
    ledger.leave(first)
    ledger.leave(first)
    assert ledger.in_flight == 1


def test_a_request_that_has_left_is_told_nothing(ledger: Ledger) -> None:
    exchange = Exchange()
    ledger.leave(ledger.enter((hold(E1, 1),), exchange))
    ledger.supersede(E1, Version(1, 2), 11)
    ledger.end_term()
    assert exchange.told == []


def test_a_holder_may_leave_and_enter_again_while_it_is_told(ledger: Ledger) -> None:
    exchange = Exchange()
    ticket = ledger.enter((hold(E1, 1),), exchange)
    again: list[Ticket] = []

    def decide_again() -> None:
        ledger.leave(ticket)
        again.append(ledger.enter((hold(E1, 2),), exchange))

    exchange.react = decide_again
    ledger.supersede(E1, Version(1, 2), 11)
    assert (again[0].stale, ledger.in_flight, ledger.applied(11)) == (False, 1, 11)


def test_a_request_that_another_s_holder_ended_is_not_told_any_more(ledger: Ledger) -> None:
    first, second = Exchange(), Exchange()
    ledger.enter((hold(E1, 1),), first)
    ticket = ledger.enter((hold(E1, 1),), second)
    first.react = lambda: ledger.leave(ticket)
    ledger.supersede(E1, Version(1, 2), 11)
    assert second.told == []


def test_who_takes_over_a_ticket_is_told_instead(ledger: Ledger) -> None:
    before, after = Exchange(), Exchange()
    ticket = ledger.enter((hold(E1, 1),), before)
    ticket.hand_over(after)
    ledger.supersede(E1, Version(1, 2), POSITION)
    assert (before.told, after.told) == ([], ["superseded"])
    assert ledger.applied(POSITION) == POSITION - 1
    ledger.leave(ticket)
    assert ledger.applied(POSITION) == POSITION


def test_a_holder_that_fails_keeps_nobody_else_from_hearing(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    first, second = Exchange(), Exchange()

    def fail() -> None:
        raise RuntimeError("a bug")

    first.react = fail
    ledger.enter((hold(E1, 1),), first)
    ledger.enter((hold(E1, 1),), second)
    ledger.supersede(E1, Version(1, 2), 11)
    assert (second.told, ledger.applied(11)) == (["superseded"], 10)
    assert "failed to take note" in caplog.text


def test_every_request_of_an_ended_term_is_told_and_marked(ledger: Ledger) -> None:
    exchanges = [Exchange(), Exchange()]
    tickets = [ledger.enter((hold(E1, 1), hold(E2, 1)), exchange) for exchange in exchanges]
    ledger.end_term()
    assert [exchange.told for exchange in exchanges] == [["term ended"]] * 2
    assert [ticket.ended for ticket in tickets] == [True, True]


def test_a_request_that_holds_nothing_belongs_to_no_term(ledger: Ledger) -> None:
    exchange = Exchange()
    ticket = ledger.enter((), exchange)
    ended = ledger.end_term()
    assert (exchange.told, ticket.ended, ended.in_flight, ledger.in_flight) == ([], False, 0, 1)


def test_a_request_of_an_ended_term_blocks_nothing_of_the_next(ledger: Ledger) -> None:
    ledger.enter((hold(E1, 1),), Exchange())
    ledger.supersede(E1, Version(1, 2), 11)
    ledger.end_term()
    ledger.begin_term()
    assert ledger.applied(20) == 20


def test_a_request_of_an_ended_term_is_not_told_of_the_next_term_s_feed(ledger: Ledger) -> None:
    exchange = Exchange()
    ledger.enter((hold(E1, 1),), exchange)
    ledger.end_term()
    ledger.begin_term()
    ledger.supersede(E1, Version(1, 2), 11)
    assert exchange.told == ["term ended"]


def test_nobody_is_woken_for_a_term_that_has_ended(ledger: Ledger, rings: Rings) -> None:
    ticket = ledger.enter((hold(E1, 1),), Exchange())
    ledger.supersede(E1, Version(1, 2), 11)
    ledger.end_term()
    ledger.leave(ticket)
    assert rings.count == 0


def test_a_term_begins_only_after_the_one_before_was_ended(ledger: Ledger) -> None:
    with pytest.raises(RuntimeError):
        ledger.begin_term()


def test_between_terms_whoever_enters_is_marked_as_ended(ledger: Ledger) -> None:
    ledger.end_term()
    assert ledger.enter((hold(E1, 1),), Exchange()).ended


async def test_an_ended_term_is_drained_when_its_last_request_has_left(
    ledger: Ledger, drain: Callable[[Ledger], asyncio.Task[None]]
) -> None:
    tickets = [ledger.enter((hold(E1, 1),), Exchange()) for _ in range(2)]
    drained = drain(ledger)
    ledger.leave(tickets[0])
    await settle()
    assert not drained.done()
    ledger.leave(tickets[1])
    await drained


async def test_an_ended_term_without_requests_is_drained_at_once(
    ledger: Ledger, drain: Callable[[Ledger], asyncio.Task[None]]
) -> None:
    await drain(ledger)


@pytest.fixture
def drain() -> Callable[[Ledger], asyncio.Task[None]]:
    return lambda ledger: asyncio.get_running_loop().create_task(ledger.end_term().drained())


# Against a model that keeps a list of everything and counts anew each time.

ENTRIES = (E1, E2, SUBDOMAIN)


@dataclass
class Request:
    """What the model knows of a request."""

    holds: tuple[Hold, ...]
    exchange: Exchange
    ticket: Ticket
    live: bool = True
    superseded: bool = False


class LedgerAgainstModel(RuleBasedStateMachine):
    """Changes come from a feed that lookups run ahead of; requests come and go."""

    requests = Bundle("requests")

    def __init__(self) -> None:
        super().__init__()
        self.rings = Rings()
        self.ledger = Ledger(on_applied=self.rings.ring)
        self.ledger.begin_term()
        self.all: list[Request] = []
        self.history: list[tuple[Entry, Version]] = []
        self.position = 0
        self.cached = {entry: Version(1, 0) for entry in ENTRIES}

    @rule(entry=st.sampled_from(ENTRIES))
    def commit(self, entry: Entry) -> None:
        self.history.append((entry, Version(1, len(self.history) + 1)))

    @rule()
    def deliver(self) -> None:
        if self.position < len(self.history):
            entry, version = self.history[self.position]
            self.position += 1
            self.cached[entry] = max(version, self.cached[entry])
            self.expect(entry, version)
            self.ledger.supersede(entry, version, self.position)

    @rule(entry=st.sampled_from(ENTRIES))
    def look_up(self, entry: Entry) -> None:
        version = max((found for name, found in self.history if name == entry), default=Version(1, 0))
        self.cached[entry] = max(version, self.cached[entry])
        self.expect(entry, version)
        self.ledger.supersede(entry, version)

    @rule(target=requests, entries=st.sets(st.sampled_from(ENTRIES)))
    def enter(self, entries: set[Entry]) -> Request:
        holds = tuple((entry, self.cached[entry]) for entry in sorted(entries))
        exchange = Exchange()
        request = Request(holds, exchange, self.ledger.enter(holds, exchange))
        self.all.append(request)
        return request

    @rule(request=consumes(requests))
    def leave(self, request: Request) -> None:
        before, rung = self.ledger.applied(self.position), self.rings.count
        self.ledger.leave(request.ticket)
        request.live = False
        grown = self.ledger.applied(self.position) > before
        assert self.rings.count == rung + grown

    def expect(self, entry: Entry, version: Version) -> None:
        for request in self.all:
            if request.live and any(held == entry and older < version for held, older in request.holds):
                request.superseded = True

    @invariant()
    def applied_is_what_counting_anew_gives(self) -> None:
        applied = self.position
        for seq, (entry, version) in enumerate(self.history[: self.position], start=1):
            holders = [request for request in self.all if request.live]
            if any(held == entry and older < version for request in holders for held, older in request.holds):
                applied = seq - 1
                break
        assert self.ledger.applied(self.position) == applied

    @invariant()
    def exactly_the_stale_were_told_once(self) -> None:
        for request in self.all:
            assert request.exchange.told == ["superseded"] * request.superseded

    @invariant()
    def in_flight_is_how_many_live(self) -> None:
        assert self.ledger.in_flight == sum(request.live for request in self.all)


LedgerAgainstModel.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestLedgerAgainstModel = LedgerAgainstModel.TestCase
