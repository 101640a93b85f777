"""The record of one request: what the sixth step of the walk hands to metrics and logs. Values; adapters count them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from router.model.fault import Fault


class Record(NamedTuple):
    """How one request ended.

    - `region`: the region it went to or was refused for, empty if none was found.
    - `decision`: `proxy`, `redirect`, `locked` or `refuse`.
    - `status`: what the client was told; 0 if it left before it was told anything.
    - `duration`: seconds from the head's arrival to the end of the answer.
    - `source`: where the placement came from, `hit` … `none`, as `router.routing.values.Source` has it.
    """

    region: str
    decision: str
    method: str
    status: int
    duration: float
    source: str
    fault: Fault | None


class Attempt(NamedTuple):
    """One try to have a region answer. Times are seconds since the head's arrival, `None` for what did not happen.

    `span`: its number in the request's trace, 0 if it has none.
    """

    region: str
    span: int
    began: float
    connected: float | None
    answered: float | None
    ended: float


class Trace(NamedTuple):
    """A request's place in a distributed trace, in the numbers of W3C Trace Context. `parent` is 0 for the first."""

    trace_id: int
    span: int
    parent: int


class Measures(NamedTuple):
    """What is measured only of a request that is looked at closely. Times as in `Attempt`.

    - `bytes_in`, `bytes_out`: of the client's side, heads included, as they were framed there.
    - `decided`: when it was clear what is done with it, the wait for the directory included.
    - `total`: the record's `duration`, more exactly.
    """

    bytes_in: int
    bytes_out: int
    decided: float | None
    total: float
    attempts: tuple[Attempt, ...]
    trace: Trace | None


class Details(NamedTuple):
    """What a log says of a request besides its record.

    - `service`, `route`: what the path was recognised as, empty if it was not: never the path itself.
    - `workspace`, `epoch`: the placement that was decided on, or the absence of one.
    - `ended`: seconds since 1970; `logged`: whether the access log has a line of it.
    """

    request_id: str
    service: str
    route: str
    workspace: str | None
    epoch: int | None
    ended: float
    logged: bool
    measures: Measures | None
