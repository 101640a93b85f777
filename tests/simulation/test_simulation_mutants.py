"""Each rule of the protocol, taken away, is missed: the simulation finds what it was there for."""

from __future__ import annotations

import pytest

from tests.simulation.exhaustive import search
from tests.simulation.mutants import MUTANTS, Mutant, Search, Swarm
from tests.simulation.scenarios import SCENARIOS
from tests.simulation.schedule import Schedule, replay
from tests.simulation.shrink import property_of, shrink
from tests.simulation.swarm import run_seed


def hunt(mutant: Mutant) -> Schedule | None:
    """The first schedule of the mutant's hunt in which one of its properties falls."""
    match mutant.hunt:
        case Swarm(theme, schedules):
            for seed in range(schedules):
                outcome, schedule = run_seed(seed, theme)
                if outcome.violation is not None and property_of(outcome.violation) in mutant.breaks:
                    return schedule
        case Search(name, states):
            scenario = next(one for one in SCENARIOS if one.name == name)
            found = search(scenario, states=states, breaks=mutant.breaks)
            return found.schedule
    return None


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_rule_taken_away_is_missed(mutant: Mutant) -> None:
    with mutant.applied():
        schedule = hunt(mutant)
    assert schedule is not None, f"nothing of {mutant.breaks} fell"
    assert replay(schedule).violation is None, "the rule is there, and the property falls all the same"


def test_a_finding_is_shrunk_to_fewer_events_that_violate_the_same() -> None:
    mutant = next(one for one in MUTANTS if one.name == "applied before drain")
    with mutant.applied():
        schedule = hunt(mutant)
        assert schedule is not None
        violation = replay(schedule).violation
        assert violation is not None
        shrunk = shrink(schedule, violation)
        still = replay(shrunk).violation
    assert len(shrunk.events) < len(schedule.events)
    assert still is not None
    assert property_of(still) == property_of(violation)
