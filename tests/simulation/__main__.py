"""Simulate at length: `make simulate`. Lines of progress, one line at the end, exit 1 on a violation.

`SIMULATE_SCHEDULES` (1000000) bounds the swarm, `SIMULATE_STATES` (40000) each exhaustive search; `SIMULATE_SEED` (0)
is the first seed. All cores work.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.simulation.exhaustive import Found, search
from tests.simulation.scenarios import SCENARIOS
from tests.simulation.shrink import shrink, tell
from tests.simulation.swarm import run_seed

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH: Final = 5000
"""Schedules that a worker runs between two reports."""

SHOWN: Final = 3
"""Stories of violations that are told."""


@dataclass(slots=True)
class Report:
    """What a batch of schedules, or a search, came to."""

    schedules: int = 0
    steps: int = 0
    states: int = 0
    line: str = ""
    violations: int = 0
    stories: tuple[str, ...] = ()


def run_batch(first: int, schedules: int) -> Report:
    """The schedules of so many seeds."""
    report = Report(schedules=schedules)
    for seed in range(first, first + schedules):
        outcome, schedule = run_seed(seed)
        report.steps += outcome.steps
        if outcome.violation is not None:
            report.violations += 1
            if len(report.stories) < SHOWN:
                report.stories += (f"seed {seed}\n{tell(shrink(schedule, outcome.violation))}",)
    return report


def run_search(number: int, states: int) -> Report:
    """One scenario."""
    scenario = SCENARIOS[number]
    found = search(scenario, states=states)
    stories = () if found.schedule is None else (f"{scenario.name}\n{tell(found.schedule)}",)
    return Report(0, found.steps, found.states, _line(scenario.name, found), int(found.violation is not None), stories)


def _line(name: str, found: Found) -> str:
    extent = "all of them" if found.complete else "the nearest"
    return f"{name}: {found.states} states, {extent}, up to {found.depth} steps away"


def main() -> int:
    """Simulate, report, and tell the exit code."""
    schedules = int(os.environ.get("SIMULATE_SCHEDULES") or 1_000_000)
    states = int(os.environ.get("SIMULATE_STATES") or 40_000)
    seed = int(os.environ.get("SIMULATE_SEED") or 0)
    began, rate, total = time.monotonic(), 0.0, Report()
    for report in _reports(seed, schedules, states):
        total.schedules += report.schedules
        total.steps += report.steps
        total.states += report.states
        total.violations += report.violations
        for story in report.stories[: max(0, SHOWN - len(total.stories))]:
            print(story, end="\n\n")
            total.stories += (story,)
        if report.schedules:
            rate = total.schedules / (time.monotonic() - began)
        print(report.line or f"{total.schedules} of {schedules} schedules, {rate:.0f}/s", flush=True)
    print(
        f"simulate: schedules={total.schedules} steps={total.steps} states={total.states} "
        f"violations={total.violations} ({rate:.0f} schedules/s)"
    )
    return 1 if total.violations else 0


def _reports(seed: int, schedules: int, states: int) -> Iterator[Report]:
    with ProcessPoolExecutor() as workers:
        batches = ((first, min(BATCH, schedules - first)) for first in range(0, schedules, BATCH))
        running = [workers.submit(run_batch, seed + first, size) for first, size in batches]
        running += [workers.submit(run_search, number, states) for number in range(len(SCENARIOS))]
        for future in as_completed(running):
            yield future.result()


if __name__ == "__main__":
    sys.exit(main())
