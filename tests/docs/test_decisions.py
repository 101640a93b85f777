"""The README's decision table is the code's: each row is a request that is decided, and there is no row untried."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import pytest

from router.model.placement import Placement, Version, WorkspaceId
from router.model.problem import Problem
from router.model.region import RegionName
from router.model.transfer import RunningTransfer, TransferId
from router.routing.decide import decide
from router.routing.identify import identify
from router.routing.table import Route, Unknown, compile_template
from router.routing.values import Located, Locked, Proxy, Refuse
from tests.docs.readme_tables import README
from tests.routing.tables import EU, GLOBAL, UK, US, head, routing_table

if TYPE_CHECKING:
    from router.routing.values import Decision

ID: Final = "64a687e29ae1f428e7ebe302"
OTHER: Final = WorkspaceId("64a687e29ae1f428e7ebe303")
PATH: Final = f"/api/v1/workspaces/{ID}/projects"
TO_UK: Final = Route(path=compile_template("/shared-reports/*"), region=UK)
TRANSFER: Final = RunningTransfer(TransferId("t"), EU, US, 0.0, 1.0)


def placed(region: str, transfer: RunningTransfer | None = None) -> Placement:
    return Placement(WorkspaceId(ID), RegionName(region), Version(1, 7), transfer)


@dataclass(frozen=True)
class Row:
    """One row of the README, and requests that it speaks of: target, host, what the directory says, what is decided."""

    text: str
    cases: tuple[tuple[str, str, Located, str], ...]


WALK_ROW: Final = (
    "| a workspace | nothing: it can't be asked, and the lease is over | refuse: `directory-unavailable` |"
)
"""Decided by the walk before `decide` is asked: held by the tests of the gateway."""

ROWS: Final = (
    Row(
        "| two different workspaces | – | refuse: `workspace-conflict` |",
        ((PATH, "acme.clockify.me", Located(placed("eu"), OTHER), "workspace-conflict"),),
    ),
    Row(
        "| a service that is pinned to a region | – | that region |",
        (("/blog", "clockify.me", Located(), "global"),),
    ),
    Row(
        "| a workspace | in transfer | locked: 423 for every method and route |",
        ((PATH, "clockify.me", Located(placed("eu", TRANSFER)), "locked"),),
    ),
    Row(
        "| a workspace | lives in R | R |",
        (
            (PATH, "clockify.me", Located(placed("eu")), "eu"),
            (PATH, "clockify.me", Located(placed("global")), "global"),
        ),
    ),
    Row(
        "| a workspace | lives in a region that is not configured | refuse: `region-unavailable`, never home |",
        ((PATH, "clockify.me", Located(placed("mars")), "region-unavailable"),),
    ),
    Row(
        "| a workspace | authoritatively unknown "
        "| home, or refuse: `workspace-unknown`, by `policy.unknown_workspace` |",
        ((PATH, "clockify.me", Located(), "global"),),
    ),
    Row(WALK_ROW, ()),
    Row(
        "| no workspace, and a fitting `policy.routes` entry names a region | – | that region |",
        (("/api/v1/shared-reports/7", "use2.clockify.me", Located(key_region=EU), "uk"),),
    ),
    Row(
        "| no workspace, at another region's public host | – | that region |",
        (("/api/v1/user", "use2.clockify.me", Located(), "us"),),
    ),
    Row(
        "| no workspace, an API key | the key's region | that region |",
        (("/api/v1/user", "clockify.me", Located(key_region=EU), "eu"),),
    ),
    Row("| nothing | – | home |", (("/api/v1/user", "clockify.me", Located(), "global"),)),
)


def outcome(decision: Decision) -> str:
    match decision:
        case Proxy():
            return decision.region
        case Locked():
            return "locked"
        case Refuse(problem):
            return problem.spec.slug
        case _:
            return "redirect"


@pytest.mark.parametrize("row", [row for row in ROWS if row.text != WALK_ROW], ids=lambda row: row.text)
def test_a_row_of_the_readme_is_what_is_decided(row: Row) -> None:
    table = routing_table(routes=(TO_UK,))
    for target, host, located, expected in row.cases:
        request = head(target, host)
        identified = identify(request, table)
        assert not isinstance(identified, Refuse)
        assert outcome(decide(request, identified, located, table)) == expected


def test_an_unknown_workspace_is_refused_where_policy_says_so() -> None:
    table = routing_table(unknown_workspace=Unknown.REFUSE)
    identified = identify(head(PATH), table)
    assert not isinstance(identified, Refuse)
    assert decide(head(PATH), identified, Located(), table) == Refuse(Problem.WORKSPACE_UNKNOWN)


def test_home_is_the_home_of_the_policy() -> None:
    table = routing_table()
    table = replace(table, policy=replace(table.policy, home=EU))
    identified = identify(head("/api/v1/user", "api.clockify.me"), table)
    assert not isinstance(identified, Refuse)
    assert outcome(decide(head("/api/v1/user", "api.clockify.me"), identified, Located(), table)) == EU
    assert EU != GLOBAL


def test_the_readme_shows_these_rows_and_no_others() -> None:
    shown = re.search(r"<!-- decisions -->\n(.*?)<!-- end -->", README.read_text(encoding="utf-8"), re.DOTALL)
    assert shown is not None
    assert shown[1].splitlines()[2:] == [row.text for row in ROWS]
