"""Small worlds in every order of events, nearest first: none of these orders harms a workspace in transfer."""

from __future__ import annotations

import pytest

from tests.simulation.exhaustive import Scenario, begin, search
from tests.simulation.fingerprint import fingerprint
from tests.simulation.scenarios import SCENARIOS
from tests.simulation.shrink import tell

STATES = 1500
STEPS = 30
"""More than a whole transfer takes."""


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_no_order_of_events_violates_anything(scenario: Scenario) -> None:
    found = search(scenario, states=STATES)
    assert found.violation is None, tell(found.schedule) if found.schedule else found.violation
    assert found.complete or found.depth >= STEPS


def test_a_state_that_is_reached_on_two_ways_is_entered_once() -> None:
    scenario = next(one for one in SCENARIOS if one.name == "a lock comes while a replica lags")
    first, second = begin(scenario), begin(scenario)
    for branch, order in ((first, (0, 2)), (second, (2, 0))):
        for number in order:
            branch.take(("next", number))
    assert fingerprint(first.world) == fingerprint(second.world)
