"""The swarm: random schedules, each with its own random subset of faults, and its own speeds. See `moods`."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

from tests.simulation.closure import close_fairly, exchange_messages
from tests.simulation.events_clients import under_way
from tests.simulation.moods import draw_mood
from tests.simulation.network import Stage
from tests.simulation.schedule import Event, Outcome, Schedule, perform, quiet
from tests.simulation.scope import SETTLED
from tests.simulation.table import EU, WORKSPACES
from tests.simulation.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.simulation.moods import Mood

ATTEMPTS_AT_MOST: Final = 6
"""Draws for one event: a kind that has nothing to do just then is passed over."""

AT_MOST: Final[Mapping[str, int]] = {
    "arrive": 7,
    "move": 5,
    "promote": 2,
    "restore": 1,
    "crash": 2,
    "restart": 2,
    "close": 1,
}


def run_seed(seed: int, theme: str | None = None) -> tuple[Outcome, Schedule]:
    """Run the schedule of this seed, of any theme or a given one. What is returned with the outcome repeats it."""
    mood = draw_mood(seed, theme)
    world = World(mood.scope, Random(seed))
    events: list[Event] = []
    closing: str | None = None
    flips = 0
    with quiet(world):
        if mood.draws["warm"]:
            exchange_messages(world)
        for _ in range(mood.draws["length"]):
            if world.violations:
                break
            event = draw_event(world, mood)
            if event is None or not perform(world, event):
                continue
            events.append(event)
            events += [event for event in mood.following if perform(world, event)]
            if mood.draws["probing"] and world.truth.flips > flips:
                flips = world.truth.flips
                events += [event for event in probe(world, mood) if perform(world, event)]
        if not world.violations and mood.draws["closing"] is not None:
            closing = mood.draws["closing"]
            close_fairly(world, closing)
    world.end()
    violation = world.violations[0] if world.violations else None
    return Outcome(violation, world.steps), Schedule(mood.scope, seed, tuple(events), closing, warm=mood.draws["warm"])


def probe(world: World, mood: Mood) -> Iterator[Event]:
    """A transfer has just become `transferring`: everybody who might still write to a region tries to.

    Either with what they knew when they were stopped, or when they have heard from the directory once more.
    """
    proceed = [("proceed", name, SETTLED) for name in world.requests]
    if mood.draws["probing"] == "at once":
        yield from proceed
    yield from [("resume", name, SETTLED) for name in world.processes]
    yield ("wake all",)
    if mood.draws["probing"] == "later":
        yield ("flush", False, "renew", "register", "position", "lookup")
    yield from [("arrive", one.name, mood.draws["targets"][0], 2, 100, False, SETTLED) for one in world.gateways()]
    yield ("flush", mood.draws["replica"] > 0.0, "lookup")
    yield from proceed * 2
    yield from [("proceed", name, SETTLED) for name in world.requests] * 2


def draw_event(world: World, mood: Mood) -> Event | None:
    """Something that can happen, of a kind that this schedule has."""
    for kind in mood.random.choices(mood.kinds, mood.weights, k=ATTEMPTS_AT_MOST):
        limit = AT_MOST.get(kind)
        if limit is not None and mood.counts.get(kind, 0) >= limit:
            continue
        event = _DRAWS[kind](world, mood, mood.random)
        if event is not None:
            if limit is not None:
                mood.counts[kind] = mood.counts.get(kind, 0) + 1
            return event
    return None


def _turns(mood: Mood, random: Random) -> int:
    return random.randrange(4) if mood.draws["jumpy"] and random.random() < mood.draws["jumpy"] else SETTLED


def _network(world: World, mood: Mood, random: Random) -> Event | None:
    calls = list(world.calls.values())
    if not calls:
        return None
    call = random.choice(calls)
    speed = mood.speeds.get((call.kind, call.stage), 1.0)
    if speed < 1.0 and random.random() > speed:
        return None
    if call.stage is Stage.EXECUTED:
        return ("answer", call.name, _turns(mood, random))
    at = "primary"
    if call.kind == "lookup" and random.random() < mood.draws["replica"]:
        at = "replica"
    if mood.draws["zombie"] and world.cluster.zombie is not None and random.random() < 0.5:
        at = "zombie"
    return ("execute", call.name, at)


def _fail(world: World, mood: Mood, random: Random) -> Event | None:
    if not world.calls:
        return None
    return ("fail", random.choice(list(world.calls)), random.random() < 0.3)


def _run(world: World, mood: Mood, random: Random) -> Event | None:
    names = [name for name, one in world.processes.items() if one.runs and (one.loop.ready or one.timers_due)]
    return ("run", random.choice(names), _turns(mood, random)) if names else None


def _time(world: World, mood: Mood, random: Random) -> Event | None:
    if world.steps == mood.steps_at_time + 1 and random.random() < 0.8:
        return None  # nothing has happened since it passed last
    mood.steps_at_time = world.steps
    return ("time", random.choice(mood.draws["strides"]))


def _arrive(world: World, mood: Mood, random: Random) -> Event:
    gateway = random.choice(world.gateways())
    pieces, room = random.randint(1, mood.draws["pieces"]), random.choice(mood.draws["rooms"])
    target, hung = random.choice(mood.draws["targets"]), random.random() < mood.draws["hung"]
    return ("arrive", gateway.name, target, pieces, room, hung, _turns(mood, random))


def _proceed(world: World, mood: Mood, random: Random) -> Event | None:
    names = [name for name in world.requests if under_way(world, name) is not None]
    return ("proceed", random.choice(names), _turns(mood, random)) if names else None


def _move(world: World, mood: Mood, random: Random) -> Event:
    name = "W2" if "W2" in mood.draws["targets"] and random.random() < 0.5 else "W1"
    placement = world.cluster.primary.placement(WORKSPACES[name])
    elsewhere = "us" if placement is None or placement.region == EU else "eu"
    return ("move", _control(world, random), name, elsewhere, random.choice((0.0, 1.0)), random.random() < 0.7)


def _leave(world: World, mood: Mood, random: Random) -> Event | None:
    return ("leave", random.choice(list(world.requests))) if world.requests else None


def _process(world: World, random: Random) -> str:
    return random.choice(list(world.processes))


def _gateway(world: World, random: Random) -> str:
    return random.choice(world.gateways()).name


def _control(world: World, random: Random) -> str:
    return random.choice(world.controls()).name


_DRAWS: Final[Mapping[str, Callable[[World, Mood, Random], Event | None]]] = {
    "network": _network,
    "run": _run,
    "time": _time,
    "arrive": _arrive,
    "proceed": _proceed,
    "move": _move,
    "fail": _fail,
    "leave": _leave,
    "pause": lambda world, mood, random: ("pause", _process(world, random), random.choice(mood.draws["pauses"])),
    "resume": lambda world, mood, random: ("resume", _process(world, random), _turns(mood, random)),
    "crash": lambda world, mood, random: ("crash", _process(world, random)),
    "restart": lambda world, mood, random: (
        ("restart control",) if random.random() < 0.3 else ("restart", random.choice(world.gateways()).gateway)
    ),
    "close": lambda world, mood, random: ("close", _gateway(world, random)),
    "step wall": lambda world, mood, random: (
        *("step wall", _gateway(world, random)),
        random.choice((-60.0, -1.0, 1.0, 60.0)),
    ),
    "cut off": lambda world, mood, random: (
        "cut off",
        (_gateway if random.random() < 0.8 else _process)(world, random),
        random.choice(("", "out", "both", "in")),
    ),
    "wake": lambda world, mood, random: ("wake", _gateway(world, random)),
    "abort": lambda world, mood, random: ("abort", _control(world, random), random.choice(("W1", "W1", "W2"))),
    "outage": lambda world, mood, random: ("outage", not world.down),
    "replay": lambda world, mood, random: ("replay", random.choice((1, 2, 100))),
    "promote": lambda world, mood, random: ("promote", random.randint(0, mood.draws["lost"]), mood.draws["zombie"]),
    "restore": lambda world, mood, random: ("restore", random.randint(0, 3 * mood.draws["lost"])),
    "prune": lambda world, mood, random: ("prune",),
    "put": lambda world, mood, random: (
        *("put", random.choice(("W1", "W2", "W2"))),
        random.choice((None, "global", "eu", "us")),
    ),
    "rename": lambda world, mood, random: (
        *("rename", random.choice(("subdomain", "key"))),
        random.choice((None, "W1", "W2", "W2")),
    ),
    "calm": lambda world, mood, random: ("calm",),
}
