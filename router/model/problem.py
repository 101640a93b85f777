"""The catalogue of problems: every error that the router itself answers, as a table (RFC 9457).

The law of the room: one row a problem; `type` slugs and codes are a contract with clients and never change their
meaning. Codes lie in the router's own range, 9400 … 9599, away from any code of the backends.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

TYPE_BASE: Final = "https://region-router.example/problems/"


@dataclass(frozen=True, slots=True)
class Spec:
    """One row: what a client is told. `retry_after` is in seconds, for problems that pass by themselves."""

    slug: str
    status: int
    code: int
    title: str
    message: str
    retry_after: int | None = None
    closes: bool = False


class Problem(Enum):
    """Every answer of the router's own that is not a redirect. `closes` ends the client's connection after it."""

    WORKSPACE_LOCKED = Spec(
        "workspace-locked",
        423,
        9423,
        "Workspace is being moved",
        "This workspace is being moved to another region and is locked until the move has ended.",
        30,
    )
    WORKSPACE_UNKNOWN = Spec("workspace-unknown", 404, 9404, "Unknown workspace", "There is no such workspace.")
    DIRECTORY_UNAVAILABLE = Spec(
        "directory-unavailable",
        503,
        9503,
        "Directory unavailable",
        "The region of this workspace cannot be looked up right now.",
        2,
    )
    REGION_UNREACHABLE = Spec(
        "region-unreachable", 502, 9502, "Region unreachable", "The region's servers cannot be reached."
    )
    REGION_PROTOCOL_ERROR = Spec(
        "region-protocol-error", 502, 9512, "Region protocol error", "The region's answer was not valid HTTP."
    )
    REGION_TIMEOUT = Spec("region-timeout", 504, 9504, "Region timed out", "The region did not answer in time.")
    REGION_UNAVAILABLE = Spec(
        "region-unavailable", 503, 9513, "Region overloaded", "The region cannot take more requests right now.", 1
    )
    CLIENT_BUSY = Spec(
        "client-busy", 503, 9523, "Too many at a time", "Too many requests of this client are under way here.", 1
    )
    MISDIRECTED = Spec("misdirected", 421, 9421, "Misdirected request", "This host is not served here.")
    NO_SERVICE = Spec("no-service", 404, 9414, "No such service", "There is no service under this path of this host.")
    WORKSPACE_CONFLICT = Spec(
        "workspace-conflict", 400, 9401, "Conflicting workspaces", "The request names two different workspaces."
    )
    AMBIGUOUS_PATH = Spec(
        "ambiguous-path",
        400,
        9402,
        "Ambiguous path",
        "The path can be read in more than one way. Send it in its normal form.",
    )
    BAD_REQUEST = Spec("bad-request", 400, 9400, "Bad request", "The request is not valid HTTP.", closes=True)
    HEAD_TOO_LARGE = Spec(
        "head-too-large",
        431,
        9431,
        "Request header fields too large",
        "The request's header fields are too large.",
        closes=True,
    )
    TARGET_TOO_LONG = Spec(
        "target-too-long", 414, 9415, "URI too long", "The request's target is too long.", closes=True
    )
    BODY_TOO_LARGE = Spec(
        "body-too-large",
        413,
        9413,
        "Content too large",
        "The request's body is larger than this gateway passes on.",
        closes=True,
    )
    CLIENT_TOO_SLOW = Spec(
        "client-too-slow", 408, 9408, "Request timeout", "The request did not arrive in time.", closes=True
    )
    LOOP_DETECTED = Spec(
        "loop-detected", 508, 9508, "Loop detected", "This request has passed through this gateway already."
    )
    METHOD_NOT_ALLOWED = Spec(
        "method-not-allowed", 405, 9405, "Method not allowed", "TRACE is not passed on.", closes=True
    )
    NOT_IMPLEMENTED = Spec(
        "not-implemented", 501, 9501, "Not implemented", "This method is not offered here.", closes=True
    )
    VERSION_NOT_SUPPORTED = Spec(
        "version-not-supported",
        505,
        9505,
        "HTTP version not supported",
        "Only HTTP/1.0 and HTTP/1.1 are spoken here.",
        closes=True,
    )
    EXPECTATION_FAILED = Spec(
        "expectation-failed",
        417,
        9417,
        "Expectation failed",
        "The only expectation known here is 100-continue.",
        closes=True,
    )
    INTERNAL_ERROR = Spec(
        "internal-error", 500, 9500, "Internal error", "The gateway failed to handle this request.", closes=True
    )

    @property
    def spec(self) -> Spec:
        """The row of this problem."""
        return self.value

    @property
    def type(self) -> str:
        """The stable URI that names this problem."""
        return TYPE_BASE + self.value.slug
