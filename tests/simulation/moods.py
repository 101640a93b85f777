"""What a schedule of the swarm is like: drawn once, before its events are.

A uniform choice among everything that can happen hides most holes: a hole needs one thing to be slow for long, and
whatever would mend it to be absent. So each schedule draws a theme (which faults are likely), which of these it has at
all, how often each comes, which calls are interesting (the others are executed and answered as soon as they are sent),
and how slow each of these is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Final

from tests.simulation.network import Stage
from tests.simulation.scope import Scope
from tests.simulation.themes import ANYTHING, CORE, DRAWS, FAULTS, THEMES

if TYPE_CHECKING:
    from tests.simulation.themes import Theme

CALLS: Final = (
    *("lookup", "register", "position", "renew", "unregister"),
    *("evaluate", "transact", "forget"),
)
OTHER_CALLS: Final = ("list transfers", "get transfer", "inspect", "registrations", "poll", "look")
"""Nothing depends on when these are executed."""

LATE: Final = {Stage.SENT: 1.0, Stage.EXECUTED: 0.05}


@dataclass(slots=True)
class Mood:
    """What was drawn for one schedule. `random` goes on to draw its events."""

    random: Random
    scope: Scope
    draws: dict[str, Any]
    """One value of each row of `DRAWS`."""
    kinds: list[str]
    weights: list[float]
    speeds: dict[tuple[str, Stage], float]
    following: tuple[tuple[Any, ...], ...]
    """What happens after each event, if it can."""
    counts: dict[str, int] = field(default_factory=dict)
    steps_at_time: int = -9


def draw_mood(seed: int, theme: str | None = None) -> Mood:
    """What the schedule of this seed is like, of a given theme or of any."""
    random = Random(seed)
    chosen = THEMES[theme or random.choice(tuple(THEMES))]
    draws = {name: random.choice(chosen.draws.get(name, values)) for name, values in DRAWS.items()}
    weights = _draw_weights(random, chosen)
    if "step wall" in weights and "frozen" in draws["pauses"]:
        # Either of the two clocks that trust is measured by may be wrong, never both.
        draws["pauses"] = ("stopped", "suspended")
    interesting = [kind for kind in dict.fromkeys(chosen.slow) if random.random() < 0.7]
    instant = [kind for kind in CALLS if kind not in interesting and random.random() < 0.9]
    following: list[tuple[Any, ...]] = [("wake all",)] if random.random() < 0.8 else []
    following.append(("flush", random.random() < draws["replica"], *instant, *OTHER_CALLS))
    choice = chosen.draws.get("speeds", DRAWS["speeds"])
    speeds = {(kind, stage): random.choice(choice) for kind in chosen.slow for stage in Stage}
    speeds |= {(kind, stage): LATE[stage] for kind in chosen.late for stage in Stage}
    return Mood(random, _scope(random, draws), draws, list(weights), list(weights.values()), speeds, tuple(following))


def _draw_weights(random: Random, theme: Theme) -> dict[str, float]:
    likely = 0.4 if theme is ANYTHING else 0.75
    weights = {kind: weight * random.choice((0.4, 1.0, 1.0, 2.5)) for kind, weight in CORE.items()}
    for kind, weight in FAULTS.items():
        if random.random() < (likely if kind in theme.faults else 0.07):
            weights[kind] = theme.faults.get(kind, weight) * random.choice((0.4, 1.0, 2.5))
    return weights


def _scope(random: Random, draws: dict[str, Any]) -> Scope:
    drifts = random.random() < 0.3
    return Scope(
        gateways=draws["gateways"],
        lease=draws["lease"],
        renewal_timeout=draws["renewal_timeout"],
        feed_batch=draws["feed_batch"],
        cache_size=draws["cache_size"],
        absent_ttl=draws["absent_ttl"],
        max_lookups=draws["max_lookups"],
        synchronous=draws["synchronous"],
        rates=tuple(random.choice((0.991, 1.0, 1.009)) for _ in range(5)) if drifts else (),
        evaluators_in_gateways=random.random() < 0.3,
        w2_exists=draws["w2_exists"],
        wall_ahead=random.choice((0.0, 0.0, 0.9, -0.9)),
    )
