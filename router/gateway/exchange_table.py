"""The state × event table of an exchange: one request, from its decision to proxy until nothing of it is left.

Theory. An exchange has two streams, the upload (client → region) and the answer (region → client), and either may end
first. Its state says which of them are open:

| state | upload | answer |
|---|---|---|
| CONNECTING | held back: no byte has been sent | not begun |
| UPLOADING | open | no final head yet |
| AWAITING | sent whole | no final head yet |
| HELD | sent whole, and kept | its head disowns the workspace or refuses the key: the directory is asked first |
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
    HELD = auto()
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
    SWITCHED = auto()
    """The region's final head came, and grants the WebSocket that was asked for."""
    DISOWNED = auto()
    """The region's final head came, and says that the workspace is not there. The request could be sent elsewhere."""
    KEY_REFUSED = auto()
    """The region's final head came, and is a 401 to an API key of which the directory has to be asked."""
    MOVED = auto()
    """The directory has a newer placement, which is not locked."""
    STAYED = auto()
    """It has not, or can't be asked."""
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
    OPEN_TUNNEL = auto()
    """Relay the head; what is left of this request is a `router.gateway.tunnel.Tunnel`'s."""
    REFUSE_SWITCH = auto()
    """The region grants what it has not read whole: it has broken the protocol."""
    HOLD_BACK = auto()
    """Read no more of the answer, and ask the directory."""
    HOLD_FOR_KEY = auto()
    """The same, for what it knows of the key."""
    KEEP_END = auto()
    """The answer's end had come with what was read of it already: it is kept, too."""
    RELAY_HELD = auto()
    """Go on as if the head had come just now."""
    REROUTE = auto()
    """Abort the region's connection, walk again, and send the kept request where the placement leads now. Once."""
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


_NEW, _UP, _WAIT, _HELD, _CROSS, _DOWN, _OVER = State

_IMPOSSIBLE: Final = (Step.IMPOSSIBLE, _OVER)

TABLE: Final[Mapping[State, Mapping[Event, tuple[Step, State]]]] = {
    State.CONNECTING: {
        Event.CONNECTED: (Step.SEND_HEAD, _UP),
        Event.NOT_CONNECTED: (Step.FAIL, _OVER),
        Event.BODY_PIECE: _IMPOSSIBLE,
        Event.UPLOADED: _IMPOSSIBLE,
        Event.BODY_FAULT: _IMPOSSIBLE,
        Event.ANSWER_HEAD: _IMPOSSIBLE,
        Event.SWITCHED: _IMPOSSIBLE,
        Event.DISOWNED: _IMPOSSIBLE,
        Event.KEY_REFUSED: _IMPOSSIBLE,
        Event.MOVED: _IMPOSSIBLE,
        Event.STAYED: _IMPOSSIBLE,
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
        Event.SWITCHED: (Step.REFUSE_SWITCH, _OVER),
        Event.DISOWNED: _IMPOSSIBLE,
        Event.KEY_REFUSED: _IMPOSSIBLE,
        Event.MOVED: _IMPOSSIBLE,
        Event.STAYED: _IMPOSSIBLE,
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
        Event.SWITCHED: (Step.OPEN_TUNNEL, _OVER),
        Event.DISOWNED: (Step.HOLD_BACK, _HELD),
        Event.KEY_REFUSED: (Step.HOLD_FOR_KEY, _HELD),
        Event.MOVED: _IMPOSSIBLE,
        Event.STAYED: _IMPOSSIBLE,
        Event.ANSWER_PIECE: _IMPOSSIBLE,
        Event.ANSWERED: _IMPOSSIBLE,
        Event.REGION_FAULT: (Step.RETRY_OR_FAIL, _OVER),
        Event.CLIENT_GONE: (Step.LEAVE, _OVER),
        Event.EXPIRED: (Step.FAIL, _OVER),
        Event.SUPERSEDED: (Step.ARM_DRAIN, _WAIT),
        Event.TERM_ENDED: (Step.IGNORE, _WAIT),
    },
    State.HELD: {
        Event.CONNECTED: _IMPOSSIBLE,
        Event.NOT_CONNECTED: _IMPOSSIBLE,
        Event.BODY_PIECE: _IMPOSSIBLE,
        Event.UPLOADED: _IMPOSSIBLE,
        Event.BODY_FAULT: _IMPOSSIBLE,
        Event.ANSWER_HEAD: _IMPOSSIBLE,
        Event.SWITCHED: _IMPOSSIBLE,
        Event.DISOWNED: _IMPOSSIBLE,
        Event.KEY_REFUSED: _IMPOSSIBLE,
        Event.MOVED: (Step.REROUTE, _OVER),
        Event.STAYED: (Step.RELAY_HELD, _DOWN),
        Event.ANSWER_PIECE: _IMPOSSIBLE,
        Event.ANSWERED: (Step.KEEP_END, _HELD),
        Event.REGION_FAULT: (Step.KEEP_END, _HELD),
        Event.CLIENT_GONE: (Step.LEAVE, _OVER),
        Event.EXPIRED: (Step.FAIL, _OVER),
        Event.SUPERSEDED: (Step.ARM_DRAIN, _HELD),
        Event.TERM_ENDED: (Step.IGNORE, _HELD),
    },
    State.CROSSING: {
        Event.CONNECTED: _IMPOSSIBLE,
        Event.NOT_CONNECTED: _IMPOSSIBLE,
        Event.BODY_PIECE: (Step.SEND_PIECE, _CROSS),
        Event.UPLOADED: (Step.AWAIT_ANSWER, _DOWN),
        Event.BODY_FAULT: (Step.CUT, _OVER),
        Event.ANSWER_HEAD: _IMPOSSIBLE,
        Event.SWITCHED: _IMPOSSIBLE,
        Event.DISOWNED: _IMPOSSIBLE,
        Event.KEY_REFUSED: _IMPOSSIBLE,
        Event.MOVED: _IMPOSSIBLE,
        Event.STAYED: _IMPOSSIBLE,
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
        Event.SWITCHED: _IMPOSSIBLE,
        Event.DISOWNED: _IMPOSSIBLE,
        Event.KEY_REFUSED: _IMPOSSIBLE,
        Event.MOVED: _IMPOSSIBLE,
        Event.STAYED: _IMPOSSIBLE,
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
