"""The record of one request: what the sixth step of the walk hands to metrics and logs. A value; adapters count it."""

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
