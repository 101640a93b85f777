"""The circuit breaker: a table of states under any order of dials that begin, end late, or are given up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from router.gateway.breaker import Breaker, State

if TYPE_CHECKING:
    from router.gateway.breaker import Permit

FAILURES = 3
PAUSE = 5.0


def begun(breaker: Breaker, now: float = 0.0) -> Permit:
    permit = breaker.begin(now)
    assert permit is not None
    return permit


def opened(at: float = 0.0) -> Breaker:
    """A breaker whose circuit has just opened."""
    breaker = Breaker(FAILURES, PAUSE)
    for _ in range(FAILURES):
        breaker.failed(begun(breaker, at), at)
    return breaker


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    breaker = Breaker(FAILURES, PAUSE)
    for left in range(FAILURES, 0, -1):
        assert breaker.admits(0), left
        breaker.failed(begun(breaker), 0)
    assert not breaker.admits(0)


def test_a_success_in_between_starts_the_count_again() -> None:
    breaker = Breaker(FAILURES, PAUSE)
    for _ in range(FAILURES - 1):
        breaker.failed(begun(breaker), 0)
    breaker.succeeded()
    for _ in range(FAILURES - 1):
        breaker.failed(begun(breaker), 0)
    assert breaker.state is State.CLOSED


def test_the_pause_admits_nobody_and_then_one_probe() -> None:
    breaker = opened(at=100)
    assert not breaker.admits(100 + PAUSE - 0.1)
    begun(breaker, 100 + PAUSE)
    assert breaker.begin(100 + PAUSE) is None


def test_a_probe_that_succeeds_closes_it() -> None:
    breaker = opened()
    begun(breaker, PAUSE)
    breaker.succeeded()
    assert breaker.begin(PAUSE) is not None
    assert breaker.state is State.CLOSED


def test_a_probe_that_fails_begins_another_pause() -> None:
    breaker = opened()
    breaker.failed(begun(breaker, PAUSE), 7)
    assert not breaker.admits(7 + PAUSE - 0.1)
    assert breaker.admits(7 + PAUSE)


def test_a_probe_that_is_given_up_lets_another_follow_at_once() -> None:
    breaker = opened()
    breaker.abandoned(begun(breaker, PAUSE))
    assert breaker.begin(PAUSE) is not None


def test_a_failure_from_before_the_circuit_opened_ends_no_probe() -> None:
    breaker = Breaker(FAILURES, PAUSE)
    late = begun(breaker)
    for _ in range(FAILURES):
        breaker.failed(begun(breaker), 0)
    probe = begun(breaker, PAUSE)
    breaker.failed(late, PAUSE)
    assert not breaker.admits(10 * PAUSE)
    breaker.failed(probe, PAUSE)
    assert breaker.admits(2 * PAUSE)


def test_what_was_given_up_before_the_circuit_opened_ends_no_probe() -> None:
    breaker = Breaker(FAILURES, PAUSE)
    late = begun(breaker)
    for _ in range(FAILURES):
        breaker.failed(begun(breaker), 0)
    begun(breaker, PAUSE)
    breaker.abandoned(late)
    assert breaker.begin(PAUSE) is None


def test_a_late_success_closes_it_during_the_pause() -> None:
    breaker = opened()
    breaker.succeeded()
    assert breaker.admits(0)


def test_late_failures_do_not_lengthen_the_pause() -> None:
    breaker = Breaker(FAILURES, PAUSE)
    permits = [begun(breaker) for _ in range(FAILURES + 1)]
    for permit in permits[:-1]:
        breaker.failed(permit, 0)
    breaker.failed(permits[-1], 4)
    assert breaker.admits(PAUSE)


@given(st.lists(st.booleans()), st.integers(1, 6))
def test_one_dial_after_the_other_it_is_closed_exactly_until_so_many_fail_in_a_row(
    outcomes: list[bool], failures: int
) -> None:
    breaker = Breaker(failures, PAUSE)
    row = 0
    for succeeds in outcomes:
        assert breaker.admits(0) == (row < failures)
        permit = breaker.begin(0)
        if permit is None:
            return
        if succeeds:
            breaker.succeeded()
        else:
            breaker.failed(permit, 0)
        row = 0 if succeeds else row + 1


class Dials(RuleBasedStateMachine):
    """Any number of dials side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(FAILURES, PAUSE)
        self.now = 0.0
        self.out: list[tuple[Permit, State]] = []
        self.opened_at: float | None = None

    @rule(seconds=st.floats(0, 2 * PAUSE))
    def waits(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def begins(self) -> None:
        permit = self.breaker.begin(self.now)
        if permit is not None:
            self.out.append((permit, self.breaker.state))

    @precondition(lambda self: self.out)
    @rule(data=st.data(), how=st.sampled_from(["succeeds", "fails", "is given up"]))
    def ends(self, data: st.DataObject, how: str) -> None:
        permit, _ = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        was = self.breaker.state
        if how == "succeeds":
            self.breaker.succeeded()
            assert self.breaker.state is State.CLOSED
        elif how == "fails":
            self.breaker.failed(permit, self.now)
            if was is not State.OPEN and self.breaker.state is State.OPEN:
                self.opened_at = self.now
        else:
            self.breaker.abandoned(permit)

    @invariant()
    def probing_means_that_one_probe_is_out(self) -> None:
        if self.breaker.state is State.PROBING:
            newest = max(permit for permit, _ in self.out)
            assert [state for permit, state in self.out if permit == newest] == [State.PROBING]

    @invariant()
    def an_open_circuit_is_probed_when_its_pause_is_over(self) -> None:
        if self.breaker.state is State.OPEN:
            assert self.opened_at is not None
            if self.now - self.opened_at > PAUSE + 1e-6:
                assert self.breaker.admits(self.now)

    @invariant()
    def a_closed_circuit_admits_everybody(self) -> None:
        assert self.breaker.state is not State.CLOSED or self.breaker.admits(self.now)


TestDials = Dials.TestCase
