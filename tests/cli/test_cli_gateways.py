"""`gateway`: who is registered, and who may be forgotten; and what `transfer show` says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from router.directory.store import Newcomer
from router.model.losses import UnansweredRequest
from router.model.placement import WorkspaceId
from tests.cli.conftest import W2

if TYPE_CHECKING:
    from router.directory.sqlite import SqliteStore
    from tests.cli.conftest import Place, Program

GATEWAY = Newcomer("inc-1", "gateway-a", "host-a", 3600.0)


async def register(store: SqliteStore) -> None:
    await store.register(GATEWAY)


@pytest.fixture
def quick(populated: Place) -> Place:
    """A gateway is registered, and whoever doubts that it lives need not watch it for long."""
    populated.configure("[directory]\n", "[directory]\npoll_interval = 0.02\nrenewal_timeout = 0.1\n")
    populated.ask(register)
    return populated


def test_a_gateway_is_listed_whole(program: Program, quick: Place) -> None:
    shown = program("gateway", "list", "--json").object
    assert {name: shown[name] for name in ("gateway", "host", "incarnation", "lease", "renewals", "counts")} == {
        "gateway": "gateway-a",
        "host": "host-a",
        "incarnation": "inc-1",
        "lease": 3600.0,
        "renewals": 0,
        "counts": True,
    }
    assert shown["applied"] == shown["head"] > 0
    assert shown["renewed_at"] < shown["trusts_until"]


def test_people_are_shown_a_table(program: Program, quick: Place) -> None:
    head, row = program("gateway", "list").out.splitlines()
    assert head.split() == ["gateway", "host", "incarnation", "lease", "applied", "head", "renewed", "trusts_until"]
    assert row.split()[:5] == ["gateway-a", "host-a", "inc-1", "3600", "s"]
    assert " s ago " in row


def test_no_gateway_is_an_empty_list(program: Program, populated: Place) -> None:
    assert program("gateway", "list", "--json").out == ""


def test_one_that_is_silent_is_forgotten_with_a_warning(program: Program, quick: Place) -> None:
    ran = program("gateway", "forget", "inc-1", "--json")
    until = ran.object["may_write_until"]
    assert (ran.code, ran.object["ending"]) == (0, "forgotten")
    assert f"unless its process is dead, requests of gateway gateway-a may write until {until}" in ran.err
    assert program("gateway", "list").out.splitlines()[1:] == []


def test_a_name_of_nothing_is_refused(program: Program, quick: Place) -> None:
    ran = program("gateway", "forget", "inc-2")
    assert (ran.code, ran.out) == (2, "")
    assert ran.errors == ["no-such-gateway: There is no registration 'inc-2'; mend: see `region-router gateway list`"]


def test_a_transfer_says_until_when_it_waits_and_lists_who_was_forgotten(program: Program, quick: Place) -> None:
    started = program("transfer", "start", W2, "--to", "us", "--json").object
    (waiting,) = started["waits_for"]
    assert (waiting["gateway"], waiting["incarnation"]) == ("gateway-a", "inc-1")
    assert waiting["renewed_at"] < waiting["until"]
    program("gateway", "forget", "inc-1")
    shown = program("transfer", "show", W2, "--json").object
    (lost,) = shown["lost_gateways"]
    assert (shown["state"], shown["waits_for"]) == ("transferring", [])
    assert (lost["incarnation"], lost["ending"]) == ("inc-1", "forgotten")


def test_a_transfer_lists_requests_without_a_whole_answer(program: Program, quick: Place) -> None:
    program("transfer", "start", W2, "--to", "us")
    request = UnansweredRequest("r1", WorkspaceId(W2), "eu", "inc-1", 1_700_000_000.0, "client_gone")
    quick.ask(lambda store: store.unregister("inc-1", unanswered=[request]))
    assert program("transfer", "show", W2, "--json").object["unanswered_requests"] == [
        {
            "unanswered_request": "r1",
            "region": "eu",
            "incarnation": "inc-1",
            "fault": "client_gone",
            "ended_at": "2023-11-14T22:13:20Z",
        }
    ]
    assert "r1                  eu      inc-1" in program("transfer", "show", W2).out
