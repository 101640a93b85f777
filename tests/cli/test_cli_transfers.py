"""`transfer`: a whole life through the command line, and what is refused on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from router.directory.store import Newcomer, Renewal
from tests.cli.conftest import W1, W2, W3

if TYPE_CHECKING:
    from router.directory.sqlite import SqliteStore
    from tests.cli.conftest import Place, Program

GATEWAY = Newcomer("inc-1", "gateway-a", "host-a", 3600.0)


async def register(store: SqliteStore) -> None:
    """A gateway that nobody can prove dead."""
    await store.register(GATEWAY)


async def apply_lock(store: SqliteStore) -> None:
    position = await store.position()
    await store.renew(Renewal(GATEWAY.incarnation, position.seq, position))


def region_of(program: Program, workspace: str) -> tuple[str, int]:
    shown = program("workspace", "get", workspace, "--json").object
    return shown["region"], shown["epoch"]


def test_a_transfer_from_its_start_to_its_end(program: Program, populated: Place) -> None:
    started = program("transfer", "start", W2, "--to", "us", "--requested-by", "somebody", "--json").object
    shown = program("transfer", "show", started["id"], "--json").object
    completed = program("transfer", "complete", started["id"], "--json").object
    assert [started["state"], shown["state"], completed["state"]] == ["transferring", "transferring", "completed"]
    assert region_of(program, W2) == ("us", 4)


def test_a_transfer_is_shown_whole(program: Program, populated: Place) -> None:
    started = program("transfer", "start", W2, "--to", "us", "--requested-by", "somebody", "--json").object
    assert {name: started[name] for name in ("workspace", "source", "destination", "requested_by", "reason")} == {
        "workspace": W2,
        "source": "eu",
        "destination": "us",
        "requested_by": "somebody",
        "reason": None,
    }
    assert set(started) - {"workspace", "source", "destination", "requested_by", "reason", "percent", "note"} == {
        *("id", "state", "started_at", "deadline", "ended_at", "obstacles", "changed"),
        *("waits_for", "lost_gateways", "unanswered_requests"),
    }


def test_it_may_be_named_by_its_workspace(program: Program, populated: Place) -> None:
    program("transfer", "start", W2, "--to", "us")
    assert program("transfer", "complete", W2.upper()).code == 0
    assert region_of(program, W2)[0] == "us"


def test_the_configuration_may_stand_before_and_behind_the_name(
    program: Program, populated: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REGION_ROUTER_CONFIG")
    config = str(populated.config)
    assert program("transfer", "start", W2, "--to", "us", "--config", config).code == 0
    assert program("transfer", "show", "--config", config, W2).code == 0
    assert program("transfer", "complete", W2, "--config", config).code == 0


def test_a_failed_one_leaves_the_workspace_where_it_was(program: Program, populated: Place) -> None:
    program("transfer", "start", W2, "--to", "us")
    failed = program("transfer", "fail", W2, "--reason", "disk full", "--json").object
    assert (failed["state"], failed["reason"], region_of(program, W2)[0]) == ("failed", "disk full", "eu")


def test_one_that_is_locking_can_be_aborted(program: Program, populated: Place) -> None:
    populated.ask(register)
    started = program("transfer", "start", W2, "--to", "us", "--json").object
    aborted = program("transfer", "abort", W2, "--json").object
    assert (started["state"], aborted["state"], aborted["reason"]) == ("locking", "failed", "aborted")


def test_one_that_is_transferring_cannot_be_aborted(program: Program, populated: Place) -> None:
    program("transfer", "start", W2, "--to", "us")
    ran = program("transfer", "abort", W2)
    assert ran.code == 2
    assert ran.errors[0].endswith("is transferring: copying may have begun: use fail")


def test_complete_while_locking_is_refused_with_whom_it_waits_for(program: Program, populated: Place) -> None:
    populated.ask(register)
    program("transfer", "start", W2, "--to", "us")
    ran = program("transfer", "complete", W2)
    assert ran.code == 2
    assert "is still locking: gateway gateway-a on host host-a has not applied the lock" in ran.errors[0]


def test_start_says_whom_it_still_waits_for(program: Program, populated: Place) -> None:
    populated.ask(register)
    ran = program("transfer", "start", W2, "--to", "us")
    assert "still locking: gateway gateway-a on host host-a has not applied the lock" in ran.err
    assert ran.code == 0


def test_complete_goes_on_once_the_gateway_has_applied_the_lock(program: Program, populated: Place) -> None:
    populated.ask(register)
    program("transfer", "start", W2, "--to", "us")
    populated.ask(apply_lock)
    assert program("transfer", "complete", W2, "--json").object["state"] == "completed"


def test_a_repeated_complete_by_id_is_no_error(program: Program, populated: Place) -> None:
    transfer = program("transfer", "start", W2, "--to", "us", "--json").object["id"]
    first = program("transfer", "complete", transfer, "--json").object
    again = program("transfer", "complete", transfer, "--json").object
    assert (first["changed"], again["changed"]) == (True, False)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((W2, "--to", "global"), "no-way-home: 'global' is the home region, and there is no way back to it"),
        ((W2, "--to", "mars"), "destination-unknown: There is no region 'mars'; there are au, eu, global, uk, us"),
        ((W2, "--to", "eu"), "already-there: The workspace lives in 'eu' already"),
        (
            ("64a687e29ae1f428e7ebe3aa", "--to", "eu"),
            "no-such-workspace: Workspace 64a687e29ae1f428e7ebe3aa is not in the directory; mend: put it first",
        ),
        (("xyz", "--to", "eu"), 'workspace: "xyz" is not a workspace id; mend: '),
        ((W2, "--to", "us", "--requested-by", "\x1b"), "invalid-request: Who requests it is not one printable line"),
    ],
)
def test_what_cannot_be_started_is_told_why(
    program: Program, populated: Place, arguments: tuple[str, ...], problem: str
) -> None:
    ran = program("transfer", "start", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert [line[: len(problem)] for line in ran.errors] == [problem]


def test_a_second_transfer_of_the_same_workspace_is_refused(program: Program, populated: Place) -> None:
    program("transfer", "start", W2, "--to", "us")
    ran = program("transfer", "start", W2, "--to", "uk")
    assert ran.code == 2
    assert "wait until that has ended, or abort it" in ran.errors[0]


@pytest.mark.parametrize("command", [("show",), ("complete",), ("abort",), ("fail", "--reason", "x")], ids=" ".join)
def test_a_name_of_nothing_is_refused(program: Program, populated: Place, command: tuple[str, ...]) -> None:
    ran = program("transfer", *command, "nothing")
    assert (ran.code, ran.errors) == (
        2,
        [
            "no-such-transfer: 'nothing' names no transfer, and no workspace in transfer; "
            "mend: see `region-router transfer list`"
        ],
    )


def test_start_warns_of_services_that_redirect(program: Program, populated: Place) -> None:
    ran = program("transfer", "start", W2, "--to", "us")
    assert ran.err.startswith("warning: Service app redirects: ")


def test_start_does_not_warn_where_nothing_redirects(program: Program, populated: Place) -> None:
    populated.configure('action = "redirect"', 'action = "proxy"')
    assert program("transfer", "start", W2, "--to", "us").err == ""


def test_list_is_the_newest_first(program: Program, populated: Place) -> None:
    program("transfer", "start", W2, "--to", "us")
    program("transfer", "start", W3, "--to", "uk")
    assert [shown["workspace"] for shown in program("transfer", "list", "--json").objects] == [W3, W2]


def test_list_of_running_ones_and_of_one_workspace(program: Program, populated: Place) -> None:
    program("transfer", "start", W1, "--to", "us")
    program("transfer", "start", W2, "--to", "us")
    program("transfer", "complete", W1)
    running = program("transfer", "list", "--running", "--json").objects
    of_w1 = program("transfer", "list", "--workspace", W1, "--json").objects
    assert [[shown["workspace"] for shown in shown_ones] for shown_ones in (running, of_w1)] == [[W2], [W1]]


def test_people_are_shown_a_table(program: Program, populated: Place) -> None:
    transfer = program("transfer", "start", W2, "--to", "us", "--json").object["id"]
    _, row = program("transfer", "list").out.splitlines()
    assert row.split()[:5] == [transfer, W2, "eu", "us", "transferring"]


def test_a_deadline_may_be_given_in_hours(program: Program, populated: Place) -> None:
    started = program("transfer", "start", W2, "--to", "us", "--hours", "1", "--json").object
    assert started["deadline"][14:] == started["started_at"][14:]
    assert started["deadline"] > started["started_at"]
