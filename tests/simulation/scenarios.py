"""The small worlds that are searched exhaustively: one gateway, one or two requests, one transfer, and one trouble."""

from __future__ import annotations

from typing import Any, Final

from tests.simulation.exhaustive import Scenario
from tests.simulation.scope import SETTLED, Scope


def _scope(**changes: Any) -> Scope:
    """With a job that looks only once, so that the evaluator alone is what evaluates."""
    return Scope(**{"patience": -1.0, "job_interval": 1000.0, **changes})


_UPLOAD: Final = ("arrive", "g1", "W1", 2, 100, False, SETTLED)
_REQUEST: Final = ("arrive", "g1", "W1", 1, 100, False, SETTLED)
_OTHER: Final = ("arrive", "g1", "W2", 1, 100, False, SETTLED)
_LOOK_UP: Final = ("flush", False, "lookup")
_EVALUATE: Final = ("flush", False, "transact", "list transfers", "evaluate")
_MOVE: Final = ("move", "c1", "W1", "us", 0.0, True)

SCENARIOS: Final = (
    Scenario(
        "a lock comes while a request is sent",
        _scope(),
        threads=((_UPLOAD,), (_MOVE,)),
        interesting=("renew",),
        timed=("evaluate",),
        ticks=4,
        stride=0.5,
    ),
    Scenario(
        "a lock comes while two requests are looked up, turn by turn",
        _scope(),
        threads=((_MOVE,), (_REQUEST,)),
        interesting=("renew", "lookup"),
        ticks=0,
        turns=True,
        opening=(_REQUEST, ("time", 0.6), ("wake all",)),
    ),
    Scenario(
        "a lock comes while a replica lags",
        _scope(feed_batch=1),
        threads=((_REQUEST, _REQUEST), (("rename", "key", "W2"), _MOVE), (("replay", 1), ("replay", 1))),
        interesting=("renew", "lookup"),
        ticks=1,
        stride=0.5,
        replica=True,
    ),
    Scenario(
        "a lock comes of something that was evicted",
        _scope(cache_size=1),
        threads=((_UPLOAD, _OTHER), (_MOVE,)),
        interesting=("renew",),
        timed=("evaluate",),
        ticks=3,
        stride=0.5,
    ),
    Scenario(
        "a lock comes while a gateway starts",
        _scope(feed_batch=1),
        threads=((_REQUEST,), (("rename", "key", "W2"), _MOVE), (("replay", 1), ("replay", 1))),
        interesting=("register", "renew", "lookup"),
        ticks=0,
        replica=True,
        warm=False,
    ),
    Scenario(
        "a gateway is stopped beyond its lease",
        _scope(lease=2.5),
        threads=((_MOVE,), (("pause", "g1", "stopped"), ("resume", "g1", SETTLED))),
        interesting=("renew",),
        timed=("evaluate",),
        ticks=3,
        stride=1.5,
        opening=(_UPLOAD, _LOOK_UP, ("proceed", "r1", SETTLED)),
    ),
    Scenario(
        "a stopped gateway goes on when its row is gone",
        _scope(lease=2.5),
        threads=((("resume", "g1", SETTLED),),),
        interesting=("register", "renew", "unregister"),
        ticks=3,
        opening=(
            *(_UPLOAD, _LOOK_UP, ("proceed", "r1", SETTLED), _MOVE, _EVALUATE),
            *(("pause", "g1", "stopped"), ("time", 3.0), ("wake all",), _EVALUATE),
        ),
    ),
    Scenario(
        "a gateway is frozen, and its region reads slowly",
        _scope(lease=2.5),
        threads=((_MOVE,), (("pause", "g1", "frozen"), ("resume", "g1", SETTLED))),
        interesting=("renew",),
        ticks=3,
        stride=1.5,
        opening=(("arrive", "g1", "W1", 2, 1, False, SETTLED), _LOOK_UP, ("proceed", "r1", SETTLED)),
    ),
    Scenario(
        "a renewal is executed before a lock and answered late, and the next ones may not arrive",
        _scope(lease=2.5, renewal_timeout=2.4),
        threads=((("cut off", "g1", "out"),),),
        interesting=("renew",),
        ticks=4,
        stride=0.75,
        opening=(
            *(_UPLOAD, _LOOK_UP, ("proceed", "r1", SETTLED)),
            *(("time", 0.75), ("wake all",), ("execute all", "renew"), _MOVE, _EVALUATE),
        ),
    ),
    Scenario(
        "a gateway is started under the name of one that is stopped",
        _scope(),
        threads=((_MOVE,), (("restart", "g1"), ("resume", "g1", SETTLED))),
        interesting=("register", "renew"),
        timed=("evaluate",),
        ticks=2,
        opening=(_UPLOAD, _LOOK_UP, ("proceed", "r1", SETTLED), ("pause", "g1", "stopped")),
    ),
    Scenario(
        "the feed is cut off",
        _scope(),
        threads=((_REQUEST, _UPLOAD), (_MOVE, ("prune",), ("rename", "key", "W2"))),
        interesting=("renew",),
        timed=("evaluate",),
        ticks=2,
    ),
    Scenario(
        "a standby takes over that lacks a commit",
        _scope(w2_exists=False),
        threads=(
            (("arrive", "g1", "W2", 2, 100, False, SETTLED),),
            (("put", "W2", "us"), ("promote", 1, False), ("put", "W2", "eu"), ("move", "c1", "W2", "us", 0.0, True)),
        ),
        interesting=("renew",),
        timed=("evaluate",),
        ticks=2,
    ),
    Scenario(
        "a transfer is called off, and another one begun",
        _scope(),
        threads=((_UPLOAD,), (_MOVE, ("abort", "c1", "W1"), _MOVE)),
        interesting=("renew",),
        timed=("evaluate", "flip"),
        ticks=2,
    ),
)
