"""The lease: how long trust lasts, on which clock, and that a lapse is final."""

from __future__ import annotations

import math

import pytest

from router.directory.lease import Lease
from tests.directory.manual_clock import ManualClock


class Lapses:
    """Counts the lapses it is told of."""

    def __init__(self) -> None:
        self.count = 0

    def note(self) -> None:
        self.count += 1


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def lapses() -> Lapses:
    return Lapses()


@pytest.fixture
def lease(clock: ManualClock, lapses: Lapses) -> Lease:
    """Begun and renewed just now, for 60 s."""
    lease = Lease(clock, 60.0, lapses.note)
    lease.begin()
    lease.renewed(lease.moment())
    return lease


def test_there_is_no_trust_before_the_first_renewal(clock: ManualClock, lapses: Lapses) -> None:
    lease = Lease(clock, 60.0, lapses.note)
    lease.begin()
    assert (lease.alive(), lease.lapsed, lease.remaining()) == (False, False, math.inf)


def test_trust_lasts_for_the_lease(lease: Lease, clock: ManualClock) -> None:
    clock.jump(59.9)
    assert lease.alive()
    clock.jump(0.2)
    assert not lease.alive()


def test_trust_counts_from_the_sending_of_the_renewal(lease: Lease, clock: ManualClock) -> None:
    sent = lease.moment()
    clock.jump(40.0)
    assert lease.renewed(sent)
    assert lease.remaining() == pytest.approx(20.0)


def test_a_suspended_machine_s_time_counts(lease: Lease, clock: ManualClock) -> None:
    clock.suspend(61.0)
    assert not lease.alive()


def test_a_frozen_virtual_machine_s_time_counts_by_the_wall_clock(lease: Lease, clock: ManualClock) -> None:
    clock.freeze(61.0)
    assert not lease.alive()


def test_a_wall_clock_that_is_set_back_prolongs_nothing(lease: Lease, clock: ManualClock) -> None:
    clock.set_wall_back(1000.0)
    clock.jump(61.0)
    assert not lease.alive()


def test_a_lapse_that_was_seen_is_final(lease: Lease, clock: ManualClock) -> None:
    clock.freeze(61.0)
    lease.alive()
    clock.set_wall_back(61.0)
    assert not lease.alive()


def test_an_answer_after_the_lapse_revives_nothing(lease: Lease, clock: ManualClock) -> None:
    clock.jump(30.0)
    sent = lease.moment()
    clock.jump(31.0)
    assert not lease.renewed(sent)
    assert not lease.alive()


def test_a_first_answer_later_than_the_lease_gives_no_trust(clock: ManualClock, lapses: Lapses) -> None:
    lease = Lease(clock, 60.0, lapses.note)
    lease.begin()
    sent = lease.moment()
    clock.jump(61.0)
    assert not lease.renewed(sent)


def test_an_answer_after_the_revocation_revives_nothing(lease: Lease) -> None:
    sent = lease.moment()
    lease.revoke()
    assert not lease.renewed(sent)


def test_a_lapse_is_told_once(lease: Lease, clock: ManualClock, lapses: Lapses) -> None:
    clock.jump(61.0)
    lease.alive()
    lease.alive()
    assert lapses.count == 1


def test_a_new_term_can_be_trusted_again(lease: Lease, clock: ManualClock) -> None:
    clock.jump(61.0)
    lease.alive()
    lease.begin()
    assert lease.renewed(lease.moment())
