"""The state × event table of an exchange: one request, from its decision to proxy until nothing of it is left.

Theory. An exchange has two streams, the upload (client → region) and the answer (region → client), and either may end
first. Its state says which of them are open:

| state | upload | answer |
|---|---|---|
| CONNECTING | held back: no byte has been sent | not begun |
| UPLOADING | open | no final head yet |
| AWAITING | sent whole | no final head yet |
| CROSSING | open | its head has been relayed (an early answer) |
| DOWNLOADING | sent whole | its head has been relayed |
| OVER | — | — |

Everything that happens is an event, and every event has one row in every state, so that no callback can come at a bad
moment: what can't be is `IMPOSSIBLE` and a bug, what comes late finds `OVER` and is ignored. The table says which step
is performed and which state follows; steps are methods of `router.gateway.exchange.Exchange` and decide nothing that
stands here. A step may fire the next event itself (a request without a body is `UPLOADED` as soon as it is sent).
"""

from __future__ import annotations

from enum import IntEnum, auto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class State(IntEnum):
    """Which streams are open."""

    CONNECTING = auto()
    UPLOADING = auto()
    AWAITING = auto()
    CROSSING = auto()
    DOWNLOADING = auto()
    OVER = auto()


class Event(IntEnum):
    """What can happen."""

    CONNECTED = auto()
    """The pool has a connection for us."""
    NOT_CONNECTED = auto()
    """The pool has given up; the fault is handed along."""
    BODY_PIECE = auto()
    """Bytes of the upload came from the client."""
    UPLOADED = auto()
    """The upload is whole, and all of it has been handed to the kernel."""
    BODY_FAULT = auto()
    """The upload's framing is wrong or it is too large; the fault is handed along."""
    ANSWER_HEAD = auto()
    """The region's final head came."""
    ANSWER_PIECE = auto()
    """Bytes of the answer's body came."""
    ANSWERED = auto()
    """The answer is whole."""
    REGION_FAULT = auto()
    """The region's connection ended or broke the protocol; the fault is handed along."""
    CLIENT_GONE = auto()
    """The client's connection ended."""
    EXPIRED = auto()
    """Nothing moved for too long; the fault, which says whose fault it is, is handed along."""
    SUPERSEDED = auto()
    """A placement that this exchange was decided on has a successor."""
    TERM_ENDED = auto()
    """The lease this exchange was decided under is gone: not another byte may be written to the region."""


class Step(IntEnum):
    """What is done. Each is a method of the exchange."""

    IGNORE = auto()
    IMPOSSIBLE = auto()
    SEND_HEAD = auto()
    SEND_PIECE = auto()
    AWAIT_ANSWER = auto()
    RELAY_HEAD = auto()
    RELAY_PIECE = auto()
    FINISH = auto()
    """The answer is whole and so was the upload: give the connection back."""
    FINISH_EARLY = auto()
    """The answer is whole, the upload is not: abort the connection, stop reading the client."""
    DECIDE_AGAIN = auto()
    """Nothing was sent: leave the pool and walk again."""
    ARM_DRAIN = auto()
    """Go on, until `lock_drain_timeout`."""
    RETRY_OR_FAIL = auto()
    """A reused connection that died before any byte of an answer may be tried again once, if nothing can have been
    executed twice; else as FAIL."""
    FAIL = auto()
    """Nothing was relayed: abort the region's connection and answer with the fault's problem."""
    CUT = auto()
    """A part of the answer was relayed: abort both sides, so that the client can tell."""
    LEAVE = auto()
    """Nobody is there to be told: abort the region's connection."""


_NEW, _UP, _WAIT, _CROSS, _DOWN, _OVER = State

_IMPOSSIBLE: Final = (Step.IMPOSSIBLE, _OVER)

TABLE: Final[Mapping[State, Mapping[Event, tuple[Step, State]]]] = {
    State.CONNECTING: {
        Event.CONNECTED: (Step.SEND_HEAD, _UP),
        Event.NOT_CONNECTED: (Step.FAIL, _OVER),
        Event.BODY_PIECE: _IMPOSSIBLE,
        Event.UPLOADED: _IMPOSSIBLE,
        Event.BODY_FAULT: _IMPOSSIBLE,
        Event.ANSWER_HEAD: _IMPOSSIBLE,
        Event.ANSWER_PIECE: _IMPOSSIBLE,
        Event.ANSWERED: _IMPOSSIBLE,
        Event.REGION_FAULT: _IMPOSSIBLE,
        Event.CLIENT_GONE: (Step.LEAVE, _OVER),
        Event.EXPIRED: (Step.FAIL, _OVER),
        Event.SUPERSEDED: (Step.DECIDE_AGAIN, _OVER),
        Event.TERM_ENDED: (Step.DECIDE_AGAIN, _OVER),
    },
    State.UPLOADING: {
        Event.CONNECTED: _IMPOSSIBLE,
        Event.NOT_CONNECTED: _IMPOSSIBLE,
        Event.BODY_PIECE: (Step.SEND_PIECE, _UP),
        Event.UPLOADED: (Step.AWAIT_ANSWER, _WAIT),
        Event.BODY_FAULT: (Step.FAIL, _OVER),
        Event.ANSWER_HEAD: (Step.RELAY_HEAD, _CROSS),
        Event.ANSWER_PIECE: _IMPOSSIBLE,
        Event.ANSWERED: _IMPOSSIBLE,
        Event.REGION_FAULT: (Step.RETRY_OR_FAIL, _OVER),
        Event.CLIENT_GONE: (Step.LEAVE, _OVER),
        Event.EXPIRED: (Step.FAIL, _OVER),
        Event.SUPERSEDED: (Step.ARM_DRAIN, _UP),
        Event.TERM_ENDED: (Step.FAIL, _OVER),
    },
    State.AWAITING: {
        Event.CONNECTED: _IMPOSSIBLE,
        Event.NOT_CONNECTED: _IMPOSSIBLE,
        Event.BODY_PIECE: _IMPOSSIBLE,
        Event.UPLOADED: _IMPOSSIBLE,
        Event.BODY_FAULT: _IMPOSSIBLE,
        Event.ANSWER_HEAD: (Step.RELAY_HEAD, _DOWN),
        Event.ANSWER_PIECE: _IMPOSSIBLE,
        Event.ANSWERED: _IMPOSSIBLE,
        Event.REGION_FAULT: (Step.RETRY_OR_FAIL, _OVER),
        Event.CLIENT_GONE: (Step.LEAVE, _OVER),
        Event.EXPIRED: (Step.FAIL, _OVER),
        Event.SUPERSEDED: (Step.ARM_DRAIN, _WAIT),
        Event.TERM_ENDED: (Step.IGNORE, _WAIT),
    },
    State.CROSSING: {
        Event.CONNECTED: _IMPOSSIBLE,
        Event.NOT_CONNECTED: _IMPOSSIBLE,
        Event.BODY_PIECE: (Step.SEND_PIECE, _CROSS),
        Event.UPLOADED: (Step.AWAIT_ANSWER, _DOWN),
        Event.BODY_FAULT: (Step.CUT, _OVER),
        Event.ANSWER_HEAD: _IMPOSSIBLE,
        Event.ANSWER_PIECE: (Step.RELAY_PIECE, _CROSS),
        Event.ANSWERED: (Step.FINISH_EARLY, _OVER),
        Event.REGION_FAULT: (Step.CUT, _OVER),
        Event.CLIENT_GONE: (Step.LEAVE, _OVER),
        Event.EXPIRED: (Step.CUT, _OVER),
        Event.SUPERSEDED: (Step.ARM_DRAIN, _CROSS),
        Event.TERM_ENDED: (Step.CUT, _OVER),
    },
    State.DOWNLOADING: {
        Event.CONNECTED: _IMPOSSIBLE,
        Event.NOT_CONNECTED: _IMPOSSIBLE,
        Event.BODY_PIECE: _IMPOSSIBLE,
        Event.UPLOADED: _IMPOSSIBLE,
        Event.BODY_FAULT: _IMPOSSIBLE,
        Event.ANSWER_HEAD: _IMPOSSIBLE,
        Event.ANSWER_PIECE: (Step.RELAY_PIECE, _DOWN),
        Event.ANSWERED: (Step.FINISH, _OVER),
        Event.REGION_FAULT: (Step.CUT, _OVER),
        Event.CLIENT_GONE: (Step.LEAVE, _OVER),
        Event.EXPIRED: (Step.CUT, _OVER),
        Event.SUPERSEDED: (Step.ARM_DRAIN, _DOWN),
        Event.TERM_ENDED: (Step.IGNORE, _DOWN),
    },
    State.OVER: dict.fromkeys(Event, (Step.IGNORE, State.OVER)),
}
