"""W3C Trace Context: whose trace a request belongs to, and the line that tells its region so.

Theory. `traceparent` names a trace, the caller's span in it, and whether that is recorded. A request that is traced
here becomes a child of the caller's span, and its region a child of ours: the line is replaced. One that is not traced
is none of our business, and its lines pass as they came. A caller can be anybody, so that what it calls recorded is
always recorded here only for a trusted proxy, and by chance for all others: else anybody could have the gateway trace
all that he sends. Whose trace goes unrecorded by his own word is not traced here either.

The law of the room: pure. What is no valid context is none, and then its `tracestate` means nothing either.
"""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from router.model.record import Trace

_NAME: Final = b"traceparent:"
_PARENT: Final = re.compile(rb"(?mi)^traceparent:[ \t]*([^\r\n]*?)[ \t]*\r$")
_PARENT_LINES: Final = re.compile(rb"(?mi)^traceparent:[^\n]*\n")
_CONTEXT_LINES: Final = re.compile(rb"(?mi)^trace(?:parent|state):[^\n]*\n")
_VALUE: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED: Final = 1
_LOW: Final = (1 << 64) - 1


class Parent(NamedTuple):
    """What a caller says: its trace, its span, and whether that is recorded."""

    trace_id: int
    span: int
    sampled: bool


def read_parent(kept: bytes) -> Parent | None:
    """The context in the lines of a head; `None` if there is not just one, and valid."""
    if _NAME not in kept.lower():
        return None
    values = _PARENT.findall(kept)
    match = _VALUE.fullmatch(values[0]) if len(values) == 1 else None
    if match is None or match[1] == b"ff" or (match[1] == b"00" and match[5] is not None):
        return None
    trace_id, span = int(match[2], 16), int(match[3], 16)
    return Parent(trace_id, span, bool(int(match[4], 16) & _SAMPLED)) if trace_id and span else None


def samples(trace_id: int, parent: Parent | None, share: float, *, trusted: bool) -> bool:
    """Whether a request is traced. Of a trace either all gateways with one `share` take part or none does."""
    if parent is not None and (not parent.sampled or trusted):
        return parent.sampled
    return (trace_id & _LOW) < share * (_LOW + 1)


def draw_trace_id() -> int:
    """A new trace."""
    return random.getrandbits(128) or 1


def draw_span() -> int:
    """A new span."""
    return random.getrandbits(64) or 1


def carry(kept: bytes, trace: Trace, span: int) -> bytes:
    """The lines of a head, with our `span` as the caller's."""
    rest = kept
    if b"trace" in kept.lower():
        rest = (_PARENT_LINES if trace.parent else _CONTEXT_LINES).sub(b"", kept)
    # In front: what the gateway itself adds to a head is known by standing at its end.
    return b"traceparent: 00-%032x-%016x-01\r\n%b" % (trace.trace_id, span, rest)
