"""The values that the steps of the walk hand to each other: head → target → lookups → decision.

They are named tuples, not frozen dataclasses: as immutable, and made in half the time. Where every request makes one,
it is made by `tuple.__new__(Target, (...))`: the same value, with every field told, without the call of a function.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from router.model.placement import Placement, WorkspaceId
    from router.model.problem import Problem
    from router.model.region import Endpoint, RegionName
    from router.model.transfer import RunningTransfer
    from router.routing.table import Service


class RequestHead(NamedTuple):
    """A request's head, admitted: what follows has been validated and is safe to route by.

    - `method`: upper case as sent; `target`: raw origin-form, query included; `minor`: 0 or 1 of HTTP/1.x.
    - `host`: the routing host, lower case, no port, no trailing dot, IPv6 in brackets.
    - `authority`: the host with port as the client wrote it: what a kept Host is sent as.
    - `api_key`: the value of the API key field, if there is just one.
    """

    method: str
    target: bytes
    minor: int
    host: str
    authority: bytes
    api_key: bytes | None


class Target(NamedTuple):
    """What a request is for, as far as its own bytes say.

    - `workspace`: a well-formed id in lower case; `malformed`: text in the id's place that is none.
    - `subdomain`: the label to look up; `key`: the SHA-256 (hex) of the API key to look up if nothing else names one.
    - `rest`: the raw target behind the service's prefix; `host_region`: the region whose public host was used.
    """

    service: Service
    rest: bytes
    workspace: WorkspaceId | None = None
    malformed: bool = False
    subdomain: str | None = None
    key: str | None = None
    host_region: RegionName | None = None


class Source(StrEnum):
    """Where an answer of the cached directory came from."""

    HIT = "hit"
    MISS = "miss"
    NEGATIVE = "negative"
    STALE = "stale"
    NONE = "none"
    """The request names nothing that would have to be looked up."""


class Located(NamedTuple):
    """What the directory knows of a target. All `None`: it authoritatively knows nothing of it.

    - `placement`: of the workspace that the path, else the subdomain, else the key names.
    - `subdomain_workspace`, `key_workspace`, `key_region`: what the subdomain and the key name.
    """

    placement: Placement | None = None
    subdomain_workspace: WorkspaceId | None = None
    key_workspace: WorkspaceId | None = None
    key_region: RegionName | None = None
    source: Source = Source.NONE


class Proxy(NamedTuple):
    """Forward to `endpoint`. `host` is the Host field to send; `epoch` is sent along where a workspace is known."""

    region: RegionName
    endpoint: Endpoint
    target: bytes
    host: bytes
    epoch: int | None
    placement: Placement | None


class Redirect(NamedTuple):
    """Answer 307 with `location`."""

    region: RegionName
    location: bytes


class Locked(NamedTuple):
    """Answer 423: the workspace is being moved."""

    region: RegionName
    transfer: RunningTransfer


class Refuse(NamedTuple):
    """Answer with a problem."""

    problem: Problem


Decision: TypeAlias = Proxy | Redirect | Locked | Refuse
