"""The themes of the swarm, as tables: what each makes likely, and what else it draws otherwise than the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Weights = Mapping[str, float]
Draws = Mapping[str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Theme:
    """`faults`: likely kinds of events, with weights; `slow`: calls that are likely to be interesting; `draws`: rows of
    `DRAWS` that are others here; `late`: calls that are executed soon, and answered late.
    """

    faults: Weights
    slow: tuple[str, ...]
    draws: Draws = field(default_factory=dict)
    late: tuple[str, ...] = ()


CORE: Final[Weights] = {"network": 10.0, "time": 3.0, "arrive": 3.0, "proceed": 4.0, "move": 2.5}
"""In each schedule, with these weights, more or less."""

FAULTS: Final[Weights] = {
    "run": 1.0,
    "fail": 1.0,
    "leave": 0.5,
    "pause": 1.5,
    "resume": 1.5,
    "crash": 0.5,
    "restart": 1.0,
    "close": 0.3,
    "step wall": 0.7,
    "cut off": 1.0,
    "wake": 1.0,
    "abort": 1.0,
    "outage": 0.7,
    "replay": 2.0,
    "promote": 0.5,
    "restore": 0.3,
    "prune": 1.0,
    "put": 1.0,
    "rename": 1.0,
    "calm": 0.5,
}
"""Whatever else can happen."""

DRAWS: Final[Draws] = {
    "length": (25, 40, 70),
    "warm": (True,) * 19 + (False,),
    "probing": ("at once", "at once", "later", None),
    "closing": (None, None, "resumed", "left paused"),
    "strides": ((0.1, 0.6), (0.6,)),
    "speeds": (1.0, 1.0, 0.3, 0.05),
    "replica": (0.0, 0.0, 0.5),
    "zombie": (False, False, True),
    "jumpy": (0.0, 0.0, 0.3, 0.7),
    "targets": (("W1",), ("W1",), ("W1", "W2"), ("key", "W1"), ("W1", "W2", "key", "subdomain", "region key")),
    "pieces": (1, 3, 6),
    "rooms": ((1,), (1, 100), (100,)),
    "hung": (0.0, 0.0, 0.3),
    "pauses": (("stopped",), ("stopped", "suspended"), ("frozen",), ("stopped", "suspended", "frozen")),
    "lost": (0, 1, 3, 12),
    "gateways": (1, 1, 2, 2, 3),
    "lease": (2.5, 4.0),
    "renewal_timeout": (1.5, 2.4),
    "feed_batch": (1000, 1000, 2),
    "cache_size": (1, 100),
    "absent_ttl": (0.6, 5.0),
    "max_lookups": (1, 32),
    "synchronous": (True, True, False),
    "w2_exists": (True, True, False),
}
"""What is drawn once for a schedule.

- `length`: events that are drawn; `warm`: the gateways are registered when it begins; `closing`: what is done about
  pauses in its closure; `probing`: whether whoever might still write does when a transfer has become `transferring`.
- `strides`: how long time passes at once; `speeds`: with which probability an interesting call that was drawn moves on.
- `replica`: how often it answers; `zombie`: an old primary goes on answering; `lost`: states that a standby may lack.
- `jumpy`: how often a process runs some turns only when something reaches it; `pauses`: how one is paused.
- `targets`, `pieces`, `rooms` (of the kernel, in bytes), `hung` (how often): what requests are like.
- The rest stands in `Scope`.
"""

_LEASE: Final[Draws] = {"strides": ((0.6,), (0.6, 3.0), (0.3, 0.9, 2.0), (0.6, 5.0)), "pieces": (3, 6)}

ANYTHING: Final = Theme(
    FAULTS, ("renew", "lookup", "evaluate", "register"), {"strides": ((0.1, 0.6), (0.6,), (0.6, 3.0), (0.6, 5.0))}
)

THEMES: Final[Mapping[str, Theme]] = {
    "drain": Theme({"leave": 0.5, "abort": 1.0, "wake": 1.0}, ("renew", "evaluate")),
    "hung regions": Theme(
        {"wake": 1.0, "move": 4.0},
        ("renew",),
        {"hung": (0.8,), "targets": (("W1", "W2"),), "closing": ("resumed", "left paused"), "length": (15, 25)},
    ),
    "lease": Theme(
        {"pause": 2.0, "resume": 2.0, "cut off": 1.5, "step wall": 0.7, "restart": 1.0},
        ("renew", "evaluate", "unregister"),
        _LEASE,
    ),
    "late answers": Theme(
        {"cut off": 3.0},
        ("renew",),
        {
            "strides": ((0.6,), (0.9,)),
            "pieces": (6,),
            "targets": (("W1",),),
            "lease": (2.5,),
            "renewal_timeout": (2.4,),
            "gateways": (1,),
            "length": (30, 50),
        },
        late=("renew",),
    ),
    "buffers": Theme(
        {"pause": 3.0, "resume": 1.0, "restart": 0.3},
        ("renew",),
        {**_LEASE, "rooms": ((1,),), "targets": (("W1",),), "length": (25, 40)},
    ),
    "processes": Theme(
        {"crash": 1.0, "restart": 3.0, "pause": 1.5, "resume": 1.5, "close": 0.7},
        ("register", "position", "renew", "unregister", "forget", "evaluate"),
        _LEASE,
    ),
    "cache": Theme(
        {"rename": 2.0, "put": 2.5, "replay": 3.0, "run": 2.0},
        ("lookup", "renew"),
        {"replica": (0.0, 0.5, 0.9), "speeds": (1.0, 0.3, 0.05)},
    ),
    "absences": Theme(
        {"put": 4.0, "run": 1.0},
        ("lookup", "renew"),
        {"w2_exists": (False,), "targets": (("W2",), ("W1", "W2")), "absent_ttl": (0.6,)},
    ),
    "feed": Theme(
        {"prune": 2.0, "rename": 2.0, "put": 2.0, "replay": 2.0},
        ("renew", "lookup"),
        {"feed_batch": (1, 1, 2, 1000)},
    ),
    "start": Theme(
        {"rename": 4.0, "restart": 1.0, "crash": 0.5, "replay": 3.0},
        ("register", "renew", "lookup"),
        {
            "speeds": (1.0, 0.3, 0.1),
            "replica": (0.9,),
            "feed_batch": (1,),
            "warm": (False, False, True),
            "gateways": (1,),
            "targets": (("W1",), ("key",)),
        },
    ),
    "failover": Theme(
        {
            **{"promote": 2.0, "restore": 1.0, "put": 2.0, "rename": 1.5, "replay": 1.0},
            **{"cut off": 1.0, "outage": 0.7, "prune": 0.5},
        },
        ("renew", "lookup", "evaluate"),
        {**_LEASE, "replica": (0.0, 0.5), "synchronous": (True, False)},
    ),
    "jobs": Theme(
        {"abort": 4.0, "fail": 1.0, "crash": 0.5, "restart": 1.5},
        ("evaluate", "transact", "renew"),
    ),
    "quarrels": Theme(
        {"abort": 5.0, "move": 4.0}, ("evaluate", "flip"), {"speeds": (0.1, 0.03), "targets": (("W1",),)}
    ),
    "anything": ANYTHING,
}
