"""CORS: what makes the router's own answers readable in a browser (the Fetch standard, §3.2).

The law of the room: only answers of the router's own get these fields; a region's are passed on as they came. A
preflight is the region's to answer; the router answers it where it can't be asked (the workspace is locked, the
directory is out of reach), because else the browser would never show the page the 423 or 503 of the request that
follows; and it is never redirected, because browsers take no redirect of a preflight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from router.gateway.heads import first_value

ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class Cors:
    """Whose pages may read the router's own answers. `max_age` is in seconds.

    `origins` are serialized (`https://app.example.com`, no default port) or `*`, which goes with no credentials.
    """

    origins: tuple[str, ...] = (ANY,)
    credentials: bool = False
    methods: tuple[str, ...] = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    headers: tuple[str, ...] = (
        "Accept",
        "Authorization",
        "Content-Type",
        "X-Api-Key",
        "X-Addon-Token",
        "X-Auth-Token",
    )
    exposed: tuple[str, ...] = (
        "Retry-After",
        "X-Request-ID",
        "X-Router-Hint",
        "X-Router-Region",
        "X-Router-Region-URL",
    )
    max_age: int = 60


EVERYBODY: Final = Cors()
"""The default: what the router itself says is no secret, and without credentials nothing is said to be anybody's."""


def is_preflight(method: str, block: bytes) -> bool:
    """Whether a request with the head `block` is a browser's question whether another one may be sent."""
    return (
        method == "OPTIONS"
        and first_value(block, b"origin") is not None
        and first_value(block, b"access-control-request-method") is not None
    )


def answer_lines(cors: Cors, block: bytes) -> bytes:
    """The fields for an answer to the request with the head `block`; nothing if it has no Origin."""
    origin = first_value(block, b"origin")
    if origin is None:
        return b""
    allowed = _allow(cors, origin)
    exposed = _line("Access-Control-Expose-Headers", cors.exposed) if allowed else b""
    return b"Vary: Origin\r\n" + allowed + exposed


def preflight_lines(cors: Cors, block: bytes) -> bytes:
    """What is allowed to the page that asks with the head `block`; nothing if its origin is not."""
    if not _allow(cors, first_value(block, b"origin") or b""):
        return b""
    return (
        _line("Access-Control-Allow-Methods", cors.methods)
        + _line("Access-Control-Allow-Headers", cors.headers)
        + b"Access-Control-Max-Age: %d\r\n" % cors.max_age
    )


def _allow(cors: Cors, origin: bytes) -> bytes:
    """The fields that let `origin` read, or nothing. What is echoed is one of the configured origins."""
    if ANY in cors.origins:
        return b"Access-Control-Allow-Origin: *\r\n"
    if origin.decode("latin-1") not in cors.origins:
        return b""
    credentials = b"Access-Control-Allow-Credentials: true\r\n" if cors.credentials else b""
    return b"Access-Control-Allow-Origin: %b\r\n" % origin + credentials


def _line(name: str, values: tuple[str, ...]) -> bytes:
    return f"{name}: {', '.join(values)}\r\n".encode("ascii") if values else b""
