"""Schedules: a list of events that can be repeated, shortened and told.

`perform` carries an event out if it is possible at that moment and says whether it was. So any list of events is a
schedule, one from which some were taken out too.
"""

from __future__ import annotations

import gc
import logging
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from tests.simulation import events_clients, events_directory, events_network
from tests.simulation.closure import close_fairly, exchange_messages, execute_all, flush, flush_answers, wake_all
from tests.simulation.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.simulation.scope import Scope

Event: TypeAlias = "tuple[Any, ...]"
"""What happens, and to whom: strings and numbers only."""

HANDLERS: Final[Mapping[str, Callable[..., bool]]] = {
    **events_network.HANDLERS,
    **events_directory.HANDLERS,
    **events_clients.HANDLERS,
    "calm": exchange_messages,
    "flush": flush,
    "flush answers": flush_answers,
    "execute all": execute_all,
    "wake all": wake_all,
}


class Steady(Random):
    """Jitters nothing: pauses that differ by chance would make states that differ by chance."""

    def random(self) -> float:
        """See `Random`."""
        return 0.5


@dataclass(frozen=True, slots=True)
class Schedule:
    """Everything that determines a run. `closing`: what follows when the faults have stopped, see `Closing`."""

    scope: Scope
    seed: int
    events: tuple[Event, ...]
    closing: str | None = None
    warm: bool = True
    """Whether the gateways are registered when it begins."""
    steady: bool = False
    """Nothing is jittered."""

    def random(self) -> Random:
        """For what the product leaves to chance."""
        return Steady(self.seed) if self.steady else Random(self.seed)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run: what went wrong first, if anything did, and how many events happened."""

    violation: str | None
    steps: int
    story: tuple[str, ...] = ()


def perform(world: World, event: Event) -> bool:
    """Let `event` happen, if it can."""
    story = world.story
    mark = 0
    if story is not None:
        mark = len(story)
        story.append(f"{world.time.now:7.2f} s  {tell(event)}")
    possible = HANDLERS[event[0]](world, *event[1:])
    if possible:
        world.steps += 1
    elif story is not None:
        del story[mark:]
    return possible


def replay(schedule: Schedule, *, story: bool = False) -> Outcome:
    """Run a schedule from its beginning up to its first violation."""
    world = World(schedule.scope, schedule.random(), story=story)
    with quiet(world):
        if schedule.warm:
            exchange_messages(world)
        for event in schedule.events:
            perform(world, event)
            if world.violations:
                break
        if schedule.closing is not None and not world.violations:
            close_fairly(world, schedule.closing)
    world.end()
    return Outcome(world.violations[0] if world.violations else None, world.steps, tuple(world.story or ()))


class _LogIsHeard(logging.Handler):
    """What the product logs: an error is a violation, the rest belongs to the story."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging`."""
        text = record.getMessage()
        if record.levelno >= logging.ERROR:
            reason = record.exc_info[1] if record.exc_info else None
            self._world.violate(f"bug: {text}: {reason!r}")
        else:
            self._world.note(f"log: {text}")


@contextmanager
def quiet(world: World) -> Iterator[None]:
    """Hear the product's log instead of showing it. Garbage is left for later."""
    logger = logging.getLogger("router")
    before = logger.level, logger.propagate
    handler = _LogIsHeard(world)
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.ERROR if world.story is None else logging.INFO)
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
        logger.removeHandler(handler)
        logger.level, logger.propagate = before
        logger.setLevel(before[0])


def tell(event: Event) -> str:
    """One line of a story."""
    name, *details = event
    return f"{name} {' '.join(str(detail) for detail in details)}"
