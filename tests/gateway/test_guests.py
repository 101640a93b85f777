"""Guests: what a client address holds is counted exactly, and remembered only while it holds anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.gateway.guests import Guest, Guests, guest_name

ADDRESSES = ("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")


def made(*, max_connections: int = 2, max_requests: int = 2) -> Guests:
    guests = Guests()
    guests.limit(max_connections, max_requests)
    return guests


def test_as_many_connections_as_the_limit_are_within_it() -> None:
    guests = made(max_connections=2)
    assert [guests.arrive(guests.find("192.0.2.1")) for _ in range(4)] == [True, True, False, False]


def test_as_many_requests_as_the_limit_are_within_it() -> None:
    guests = made(max_requests=2)
    assert [guests.begin(guests.find("192.0.2.1")) for _ in range(4)] == [True, True, False, False]


def test_connections_and_requests_have_limits_of_their_own() -> None:
    guests = made(max_connections=1, max_requests=1)
    guest = guests.find("192.0.2.1")
    assert guests.arrive(guest)
    assert guests.begin(guest)


def test_one_guest_takes_nothing_of_another_s_share() -> None:
    guests = made(max_connections=1)
    assert [guests.arrive(guests.find(address)) for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2")] == [
        True,
        False,
        True,
    ]


def test_what_was_beyond_the_limit_has_to_go_before_there_is_room_again() -> None:
    guests = made(max_connections=1)
    guest = guests.find("192.0.2.1")
    guests.arrive(guest)
    guests.arrive(guest)
    guests.leave(guest)
    assert not guests.arrive(guest)
    guests.leave(guest)
    guests.leave(guest)
    assert guests.arrive(guest)


def test_a_request_that_outlives_its_connection_keeps_its_guest() -> None:
    guests = made()
    guest = guests.find("192.0.2.1")
    guests.arrive(guest)
    guests.begin(guest)
    guests.leave(guest)
    assert guests.find("192.0.2.1") is guest
    guests.end(guest)
    assert len(guests) == 0


@given(st.lists(st.tuples(st.sampled_from(ADDRESSES), st.booleans(), st.booleans()), max_size=60))
def test_the_guests_are_those_that_hold_something(steps: list[tuple[str, bool, bool]]) -> None:
    guests = made()
    held: list[tuple[Guest, bool]] = []
    for address, is_request, comes in steps:
        if comes:
            guest = guests.find(address)
            (guests.begin if is_request else guests.arrive)(guest)
            held.append((guest, is_request))
        elif held:
            guest, was_request = held.pop(0)
            (guests.end if was_request else guests.leave)(guest)
        assert len(guests) == len({guest.name for guest, _ in held})
        for guest, _ in held:
            mine = [of_request for other, of_request in held if other is guest]
            assert (guest.requests, guest.connections) == (mine.count(True), mine.count(False))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("unknown", "unknown", True),
    ],
)
def test_an_address_stands_for_who_can_use_it(one: str, other: str, same: bool) -> None:
    assert (guest_name(one) == guest_name(other)) is same
