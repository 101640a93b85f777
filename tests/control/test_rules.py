"""The product's rules, each alone and all together, as a table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.control.problems import ControlProblem
from router.control.rules import ACCOUNTS_SHOWN, RULES, Move, effects, judge, warnings
from router.model.problem import Problem
from router.model.tenant import Backup, MemberId
from router.model.transfer import TransferId
from tests.control.control_sites import AU, EU, GLOBAL, OPTIONS, OWNER, UK, US, W1

GOOD = Move(destination=EU, requested_by=OWNER, owner=OWNER, plan="PRO", lives_in=GLOBAL, running=None, in_the_way=())
BROKEN: dict[str, tuple[Move, list[str]]] = {
    "somebody else asks": (replace(GOOD, requested_by="ann"), ["not-the-owner"]),
    "there is no owner": (replace(GOOD, owner=None), ["not-the-owner"]),
    "the plan is another": (replace(GOOD, plan="FREE"), ["plan-without-regions"]),
    "the plan is unknown": (replace(GOOD, plan=None), ["plan-without-regions"]),
    "it would go home": (replace(GOOD, destination=GLOBAL, lives_in=EU), ["no-way-home"]),
    "there is no such region": (replace(GOOD, destination="mars"), ["destination-unknown"]),  # type: ignore[arg-type]  # a region's name is text
    "the region takes nobody": (replace(GOOD, destination=UK), ["destination-not-accepting"]),
    "it is there": (replace(GOOD, lives_in=EU), ["already-there"]),
    "it is on its way": (replace(GOOD, running=TransferId("t1")), ["transfer-running"]),
    "a member has an account there": (replace(GOOD, in_the_way=(MemberId("ann"),)), ["member-has-account"]),
    "everything at once": (
        Move(GLOBAL, "ann", OWNER, "FREE", GLOBAL, TransferId("t1"), (MemberId("ann"),)),
        [
            "not-the-owner",
            "plan-without-regions",
            "no-way-home",
            "already-there",
            "transfer-running",
            "member-has-account",
        ],
    ),
}


def slugs(move: Move) -> list[str]:
    return [one.problem.spec.slug for one in judge(move, OPTIONS)]


def test_a_move_within_the_rules_is_allowed() -> None:
    assert slugs(GOOD) == []


@pytest.mark.parametrize("move", [replace(GOOD, owner=None), replace(GOOD, plan=None)], ids=["owner", "plan"])
def test_where_no_tenant_data_is_required_what_is_not_known_is_not_judged(move: Move) -> None:
    assert judge(move, replace(OPTIONS, requires_tenant_data=False)) == ()


def test_what_is_known_is_judged_all_the_same() -> None:
    options = replace(OPTIONS, requires_tenant_data=False)
    broken = judge(replace(GOOD, requested_by="ann", plan="FREE"), options)
    assert [one.problem.spec.slug for one in broken] == ["not-the-owner", "plan-without-regions"]


def test_from_region_to_region_too() -> None:
    assert slugs(replace(GOOD, lives_in=AU)) == []


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_named(name: str) -> None:
    move, expected = BROKEN[name]
    assert slugs(move) == expected


def test_every_rule_is_broken_by_some_case_alone() -> None:
    alone = {expected[0] for _, expected in BROKEN.values() if len(expected) == 1}
    assert alone == {rule.problem.spec.slug for rule in RULES}


def test_whoever_asks_for_the_owner_is_not_asked_who_they_are() -> None:
    assert slugs(replace(GOOD, requested_by=None)) == []


@given(
    destination=st.sampled_from([GLOBAL, EU, US, UK, "mars"]),
    requested_by=st.sampled_from([None, OWNER, "ann"]),
    owner=st.sampled_from([None, OWNER]),
    plan=st.sampled_from([None, "FREE", "PRO"]),
    lives_in=st.sampled_from([GLOBAL, EU, US]),
    running=st.sampled_from([None, "t1"]),
    in_the_way=st.sampled_from([(), ("ann",)]),
)
def test_rules_are_judged_each_by_itself_and_in_their_order(**parts: Any) -> None:
    move = Move(**parts)
    broken = [rule.problem for rule in RULES if rule.broken(move, OPTIONS)]
    assert [one.problem for one in judge(move, OPTIONS)] == broken


@pytest.mark.parametrize("name", BROKEN)
def test_a_detail_is_one_sentence(name: str) -> None:
    for one in judge(BROKEN[name][0], OPTIONS):
        assert one.detail.isprintable()
        assert one.detail.endswith(".")


def test_many_members_in_the_way_are_not_all_named() -> None:
    members = tuple(MemberId(f"m{n}") for n in range(ACCOUNTS_SHOWN))
    (one,) = judge(replace(GOOD, in_the_way=members), OPTIONS)
    assert one.detail.endswith("m9 and more.")


# What is told beforehand


def test_effects_are_those_of_the_configured_numbers() -> None:
    told = effects(replace(OPTIONS, transfer_duration=6 * 3600.0, backup_lock=86_400.0))
    assert "The workspace is locked until the move has ended, for 6 hours at most." in told
    assert "The old region keeps a locked backup for 1 days, then deletes it." in told
    assert told[-1] == "There is no way back to GLOBAL."


def test_a_locked_copy_at_the_destination_is_warned_of_until_it_expires() -> None:
    backup = Backup(TransferId("t0"), W1, EU, 0.0, 1.0)
    assert len(warnings(GOOD, (backup,), OPTIONS)) == 1
    assert warnings(GOOD, (replace(backup, expired_at=2.0), replace(backup, region=US)), OPTIONS) == ()


def test_services_that_redirect_are_warned_of() -> None:
    (one,) = warnings(GOOD, (), replace(OPTIONS, redirecting=("app",)))
    assert "app" in one


# The catalogue of problems


def test_a_problem_s_slug_and_code_are_its_own_beside_the_gateway_s() -> None:
    for attribute in ("slug", "code"):
        seen = [getattr(one.spec, attribute) for one in (*Problem, *ControlProblem)]
        assert len(seen) == len(set(seen)), attribute


@pytest.mark.parametrize("problem", ControlProblem, ids=lambda one: one.spec.slug)
def test_a_code_lies_in_the_control_api_s_own_range(problem: ControlProblem) -> None:
    assert 9600 <= problem.spec.code < 9700
