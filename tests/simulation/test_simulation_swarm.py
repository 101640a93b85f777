"""Random schedules of the real code, many themes of faults: none of them harms a workspace in transfer."""

from __future__ import annotations

import pytest

from tests.simulation.schedule import replay
from tests.simulation.shrink import shrink, tell
from tests.simulation.swarm import run_seed

CHUNKS = 40
SCHEDULES = 150


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_schedule_violates_anything(chunk: int) -> None:
    for seed in range(chunk * SCHEDULES, (chunk + 1) * SCHEDULES):
        outcome, schedule = run_seed(seed)
        if outcome.violation is not None:
            pytest.fail(f"seed {seed}\n{tell(shrink(schedule, outcome.violation))}")


@pytest.mark.parametrize("seed", range(20))
def test_a_seed_determines_its_schedule(seed: int) -> None:
    assert run_seed(seed) == run_seed(seed)


@pytest.mark.parametrize("seed", range(100, 120))
def test_a_schedule_can_be_repeated_from_its_events(seed: int) -> None:
    outcome, schedule = run_seed(seed)
    assert replay(schedule) == outcome


def test_a_story_tells_every_event() -> None:
    outcome, schedule = run_seed(3)
    story = replay(schedule, story=True).story
    assert outcome.steps > 0
    assert sum(line.startswith(" ") and " s  " in line[:14] for line in story) >= len(schedule.events)
