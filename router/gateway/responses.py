"""What the router answers itself: problems, redirects and the lock, as bytes for the wire.

The law of the room: one uniform shape (RFC 9457 with the two members that this API's clients parse, `message` and
`code`), nothing of the request echoed but a sane request id, and no region named unless policy allows it.
"""

from __future__ import annotations

import html
import json
import re
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from router.gateway.heads import first_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.model.problem import Problem
    from router.model.transfer import RunningTransfer

LOCK_RETRY_AFTER: Final = (30, 3600)
"""Bounds of a 423's Retry-After in seconds: several clients obey it without a cap of their own."""

LOCK_JITTER: Final = 0.1
"""By how much of itself a lock's Retry-After is spread, so that a workspace's clients do not come back all at once."""

JSON: Final = "application/json"
PROBLEM_JSON: Final = "application/problem+json"
HTML: Final = "text/html; charset=utf-8"

_MEDIA_RANGE: Final = re.compile(r"([^;,\s]+)\s*((?:;[^,]*)?)")
_QUALITY: Final = re.compile(r";\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)", re.IGNORECASE)


class Wire(NamedTuple):
    """How an answer of ours is put on the wire: what the exchange it belongs to knows of its client.

    - `block`: the request's head, empty if none was admitted; `closes`: whether the connection ends behind it.
    - `cors`: the fields that let a page of another origin read it, as lines.
    """

    method: str
    minor: int
    block: bytes
    request_id: bytes
    via: bytes
    closes: bool
    cors: bytes = b""


def problem_answer(
    problem: Problem,
    wire: Wire,
    *,
    detail: str | None = None,
    retry_after: int | None = None,
    members: Mapping[str, Any] | None = None,
    app_url: str | None = None,
) -> bytes:
    """`problem` for this client. `members` are added to its body; `app_url` is linked from the HTML page."""
    spec = problem.spec
    request_id = wire.request_id.decode("ascii")
    body = {
        "type": problem.type,
        "title": spec.title,
        "status": spec.status,
        "detail": detail or spec.message,
        "instance": f"urn:request:{request_id}",
        "request_id": request_id,
        "message": spec.message,
        "code": spec.code,
        **(members or {}),
    }
    content_type = negotiate((first_value(wire.block, b"accept") or b"").decode("latin-1"))
    payload = _page(body, app_url) if content_type == HTML else f"{json.dumps(body, ensure_ascii=False)}\n".encode()
    retry = spec.retry_after if retry_after is None else retry_after
    lines = [f"Content-Type: {content_type}", "Cache-Control: no-store", "Vary: Accept"]
    if retry is not None:
        lines.append(f"Retry-After: {retry}")
    return _answer(spec.status, lines, payload, wire)


def redirect_answer(location: bytes, wire: Wire) -> bytes:
    """307, which keeps method and body, and is never stored: the workspace may move again."""
    return _answer(307, [f"Location: {location.decode('ascii')}", "Cache-Control: no-store"], b"", wire)


def options_answer(wire: Wire) -> bytes:
    """The answer to `OPTIONS *`, which asks about this server and no resource."""
    return _answer(204, ["Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"], b"", wire)


def preflight_answer(allowed: bytes, wire: Wire) -> bytes:
    """The answer to a preflight in its region's place. `allowed` are the lines that say what the page may send."""
    return _answer(204, ["Cache-Control: no-store"], b"", wire._replace(cors=wire.cors + allowed))


def lock_retry_after(transfer: RunningTransfer, now: float, spread: float) -> int:
    """Seconds until the transfer's deadline, clamped, and jittered by `spread` in [-1, 1]."""
    low, high = LOCK_RETRY_AFTER
    clamped = min(max(transfer.deadline - now, low), high)
    return round(min(max(clamped * (1 + LOCK_JITTER * spread), low), high))


def lock_members(transfer: RunningTransfer, *, disclose: bool) -> dict[str, Any]:
    """What a 423's body says of the transfer. Its regions only where policy discloses them always."""
    members: dict[str, Any] = {
        "started_at": _rfc3339(transfer.started_at),
        "deadline": _rfc3339(transfer.deadline),
    }
    if disclose:
        members |= {"source": transfer.source, "destination": transfer.destination}
    return members


@lru_cache(maxsize=256)
def negotiate(accept: str) -> str:
    """The content type of a problem (RFC 9110 §12.5.1): problem+json where it is named, HTML for who prefers it over
    JSON (a browser), else plain JSON, which old clients look for.
    """
    quality: dict[str, float] = {}
    for media, parameters in _MEDIA_RANGE.findall(accept.lower()[:1024]):
        match = _QUALITY.search(parameters)
        quality[media] = float(match[1]) if match else 1.0
    if quality.get(PROBLEM_JSON, 0) > 0:
        return PROBLEM_JSON
    wants_html = quality.get("text/html", 0)
    if wants_html > max(quality.get(JSON, 0), quality.get("application/*", 0)):
        return HTML
    return JSON


def connection_line(wire_minor: int, *, closes: bool) -> bytes:
    """The Connection field that tells this client what becomes of the connection, if it can't tell by itself."""
    if closes:
        return b"Connection: close\r\n"
    return b"Connection: keep-alive\r\n" if wire_minor == 0 else b""


def reason_of(status: int) -> str:
    """The registered phrase of one of our own statuses."""
    return HTTPStatus(status).phrase


def _answer(status: int, lines: list[str], payload: bytes, wire: Wire) -> bytes:
    if status != 204:
        lines.append(f"Content-Length: {len(payload)}")
    head = f"HTTP/1.1 {status} {reason_of(status)}\r\nDate: {formatdate(usegmt=True)}\r\n" + "".join(
        f"{line}\r\n" for line in lines
    )
    own = b"%bX-Request-ID: %b\r\nVia: 1.1 %b\r\n" % (wire.cors, wire.request_id, wire.via)
    ended = connection_line(wire.minor, closes=wire.closes) + b"\r\n"
    return head.encode("ascii") + own + ended + (b"" if wire.method == "HEAD" else payload)


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _page(body: Mapping[str, Any], app_url: str | None) -> bytes:
    title, message, request_id = (html.escape(str(body[name])) for name in ("title", "message", "request_id"))
    link = f'<p><a href="{html.escape(app_url)}">Go to your other workspaces</a></p>' if app_url else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width"><style>body{font:1rem/1.5 system-ui;max-width:36rem;'
        f"margin:4rem auto;padding:0 1rem}}</style></head><body><h1>{title}</h1><p>{message}</p>{link}"
        f"<p><small>Request {request_id}</small></p></body></html>"
    ).encode()
