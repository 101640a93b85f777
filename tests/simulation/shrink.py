"""Shrinking: the same violation by fewer events."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tests.simulation.schedule import replay

if TYPE_CHECKING:
    from tests.simulation.schedule import Schedule

TRIALS_AT_MOST: Final = 2000


def property_of(violation: str) -> str:
    """Which property fell: the first word."""
    return violation.partition(":")[0]


def shrink(schedule: Schedule, violation: str) -> Schedule:
    """Take out of `schedule` whatever is not needed for a violation of the same property, greedily."""
    fallen, trials = property_of(violation), 0
    size = len(schedule.events)
    while size:
        at = 0
        while at < len(schedule.events) and trials < TRIALS_AT_MOST:
            events = schedule.events[:at] + schedule.events[at + size :]
            shorter = replace(schedule, events=events)
            found = replay(shorter).violation
            trials += 1
            if found is not None and property_of(found) == fallen:
                schedule = shorter
            else:
                at += size
        size //= 2
    return schedule


def tell(schedule: Schedule) -> str:
    """The story of a schedule, for people, and what repeats it."""
    outcome = replay(schedule, story=True)
    return "\n".join((*outcome.story, "", f"violated: {outcome.violation}", f"to repeat: {schedule!r}"))
