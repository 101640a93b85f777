"""Exhaustive search of small worlds: every order of what can happen, up to a bound, each state entered once.

A scenario has a few *threads* (what a client, a job, an operator and fate do, each in its order), the calls that are
interesting, and how often time passes. Two reductions that lose nothing: calls that are not interesting are executed
and answered as soon as they are sent; and while something that reached a process has not been acted upon, only that
process and what else reaches it go on, because a delivery that waits longer could as well have come later.

The search is by breadth, so what it finds is a shortest story. Coroutines cannot be copied: a state is reached again by
repeating its path.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.simulation.closure import exchange_messages
from tests.simulation.events_clients import under_way
from tests.simulation.fingerprint import fingerprint
from tests.simulation.moods import CALLS, OTHER_CALLS
from tests.simulation.network import Stage
from tests.simulation.schedule import Event, Schedule, Steady, perform, quiet
from tests.simulation.scope import SETTLED, Scope
from tests.simulation.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED: Final = 1


@dataclass(frozen=True, slots=True)
class Scenario:
    """A small world. `interesting`: calls whose execution and answer are events of their own; `timed`: calls whose
    execution is, and that are answered at once; `ticks`: how often time passes at most, by `stride` seconds each;
    `turns`: processes stop after each turn, not only when they wait.
    """

    name: str
    scope: Scope
    threads: tuple[tuple[Event, ...], ...]
    interesting: tuple[str, ...]
    ticks: int
    timed: tuple[str, ...] = ()
    stride: float = 0.6
    opening: tuple[Event, ...] = ()
    replica: bool = False
    turns: bool = False
    warm: bool = True

    @property
    def flush(self) -> Event:
        """What is executed and answered by itself."""
        own = (*self.interesting, *self.timed)
        return ("flush", False, *(kind for kind in (*CALLS, *OTHER_CALLS) if kind not in own))


@dataclass(slots=True)
class Found:
    """What a search has seen. `complete`: nothing was left out but by the bound of the scenario itself."""

    states: int = 0
    steps: int = 0
    depth: int = 0
    complete: bool = True
    seconds: float = 0.0
    violation: str | None = None
    schedule: Schedule | None = None


@dataclass(slots=True)
class Branch:
    """A world and how far its scenario has come."""

    world: World
    scenario: Scenario
    at: list[int]
    ticks: int = 0
    events: list[Event] = field(default_factory=list)

    def options(self) -> Iterator[Event]:
        """What can happen next."""
        world, turns = self.world, self.scenario.turns
        busy = next((one.name for one in world.processes.values() if one.runs and one.loop.ready), None)
        then = 0 if turns else SETTLED
        if busy is not None:
            yield ("run", busy, 1)
        for call in world.calls.values():
            if call.stage is Stage.EXECUTED and (busy is None or call.process == busy):
                yield ("answer", call.name, then)
            elif call.stage is Stage.SENT and busy is None:
                yield ("execute", call.name, "primary")
                if self.scenario.replica and call.kind == "lookup" and not call.arguments[1]:
                    yield ("execute", call.name, "replica")
        for name in world.requests:
            exchange = under_way(world, name)
            if exchange is None or (busy is not None and exchange.gateway.name != busy):
                continue
            if exchange.gateway.runs or not exchange.gateway.loop.ready:  # one thing waits for a process that is paused
                yield ("proceed", name, then)
        if busy is None:
            for number, thread in enumerate(self.scenario.threads):
                if self.at[number] < len(thread):
                    yield ("next", number)
            if self.ticks < self.scenario.ticks:
                yield ("tick",)

    def take(self, event: Event) -> bool:
        """Let one of the options happen."""
        scenario = self.scenario
        if event[0] == "next":
            number = event[1]
            happened = self._perform(scenario.threads[number][self.at[number]])
            self.at[number] += 1
        elif event[0] == "tick":
            self.ticks += 1
            happened = self._perform(("time", scenario.stride))
            self._perform(("wake all",))
        else:
            happened = self._perform(event)
        self._perform(("flush answers", *scenario.timed))
        self._perform(scenario.flush)
        while not self.world.violations and len(options := list(self.options())) == 1 and options[0][0] == "run":
            self._perform(options[0])  # there is no choice
            self._perform(scenario.flush)
        return happened

    def _perform(self, event: Event) -> bool:
        happened = perform(self.world, event)
        if happened:
            self.events.append(event)
        return happened


def begin(scenario: Scenario) -> Branch:
    """The scenario's first state."""
    world = World(scenario.scope, Steady(SEED))
    branch = Branch(world, scenario, [0] * len(scenario.threads))
    with quiet(world):
        if scenario.warm:
            exchange_messages(world)
        for event in scenario.opening:
            perform(world, event)
            branch.events.append(event)
    return branch


def search(scenario: Scenario, *, states: int, breaks: tuple[str, ...] = ()) -> Found:
    """Enter at most so many states of `scenario`, nearest first, until something is violated, of `breaks` if named."""
    found = Found()
    began = time.perf_counter()
    seen = {fingerprint(begin(scenario).world)}
    frontier: deque[tuple[Event, ...]] = deque([()])
    while frontier and found.violation is None:
        if len(seen) >= states:
            found.complete = False
            break
        path = frontier.popleft()
        frontier.extend(_expand(scenario, path, seen, found, breaks))
    found.states, found.seconds = len(seen), time.perf_counter() - began
    return found


def _expand(
    scenario: Scenario, path: tuple[Event, ...], seen: set[int], found: Found, breaks: tuple[str, ...]
) -> Iterator[tuple[Event, ...]]:
    branch = _repeat(scenario, path)
    options = list(branch.options())
    for number, event in enumerate(options):
        if number:
            branch = _repeat(scenario, path)
        with quiet(branch.world):
            happened = branch.take(event)
            key = fingerprint(branch.world)
        found.steps += 1
        found.depth = max(found.depth, branch.world.steps)
        branch.world.end()
        if branch.world.violations:
            violation = branch.world.violations[0]
            if not breaks or violation.partition(":")[0] in breaks:
                found.violation = violation
                found.schedule = Schedule(scenario.scope, SEED, tuple(branch.events), None, scenario.warm, steady=True)
                return
        elif happened and key not in seen:
            seen.add(key)
            yield (*path, event)


def _repeat(scenario: Scenario, path: tuple[Event, ...]) -> Branch:
    branch = begin(scenario)
    with quiet(branch.world):
        for event in path:
            branch.take(event)
    return branch
