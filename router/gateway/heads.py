"""Heads: a pure function from the bytes of one head to a value, or to the problem that refuses it.

Theory. A head is the block up to and with its first CRLF CRLF. Exactly that block is handed to a fresh, strict llhttp
parser (httptools), which never sees a byte of a body: framing is decided here, by RFC 9112 §6, and bodies are read by
`router.gateway.bodies`. Before the parser, the block passes checks of our own, because a parser is lenient somewhere
and differs between releases; smuggling lives in what two readers see differently, so whatever is doubtful is refused.
The fields are then cut out by `router.routing.fields`, never rebuilt.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import httptools

from router.gateway.upgrades import SWITCHES_TO_WEBSOCKET, Upgrade, grants_websocket, judge_upgrade
from router.model.problem import Problem
from router.routing.fields import FieldRules, Fields, Underscores, tokens
from router.routing.values import RequestHead

if TYPE_CHECKING:
    from router.gateway.options import GatewayOptions

CHUNKED: Final = -1
"""A body's framing where it is not a length."""
UNTIL_CLOSE: Final = -2
"""An answer's framing that ends with its connection."""

TAKES_TRAILERS: Final = b"Connection: TE\r\nTE: trailers\r\n"
"""What a client's `TE: trailers` goes out as: TE is hop-by-hop, so that it is ours to say, and to nominate (RFC 9110
§10.1.4). No other TE is passed on."""

_NO_UPGRADE: Final = Upgrade.NONE
_REMEMBERED: Final = 1024
_REMEMBERED_BYTES: Final = 2048
"""How many verdicts on heads are remembered, and for heads of which size: 2 MB of blocks at most, twice."""

_REQUEST_LINE: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21\x22\x24-\x7e]+) HTTP/([0-9]\.[0-9])\r\n")
_PLAIN_LINE: Final = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[\x21\x22\x24-\x7e]*) HTTP/1\.1\r\n")
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n")
_PLAUSIBLE_BYTES: Final = bytes([0x09, 0x0A, 0x0D, *range(0x20, 0x7F), *range(0x80, 0x100)])
_TABBED: Final = re.compile(rb"(?i)\n(?:content-length|host|transfer-encoding):[^\r]*\t")
"""A tab in a field that frames or routes is a blank to one reader and a part of the value to another."""
_LENGTH: Final = re.compile(rb"0|[1-9][0-9]{0,17}")
_ABSOLUTE: Final = re.compile(rb"(?i:https?)://([^/?]+)(.*)", re.DOTALL)
_AUTHORITY: Final = re.compile(
    rb"(\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z_](?:[0-9A-Za-z_-]|\.(?=[0-9A-Za-z_]))*\.?)(?::([0-9]{1,5}))?"
)
_MAX_HOST: Final = 253
_MAX_AUTHORITY: Final = _MAX_HOST + len(".:65535")
_REQUEST_ID: Final = re.compile(rb"[0-9A-Za-z._:/+=@-]{1,128}")


T = TypeVar("T")


class Refusal(NamedTuple):
    """A head that is not admitted. `detail` is fixed text of ours, never the client's bytes."""

    problem: Problem
    detail: str


class Admitted(NamedTuple):
    """A request's head that may be walked on.

    - `kept`: the fields to forward, as they came; `body`: its length in bytes, or `CHUNKED`.
    - `persistent`: whether the client's connection may go on after the answer.
    - `request_id`: the client's own if it is a sane one. `block`: the whole head, for the rare questions.
    - `via`: whom it has passed: the values of Via and CDN-Loop.
    - `upgrade`: what becomes of its wish to speak something else.
    """

    head: RequestHead
    kept: bytes
    body: int
    persistent: bool
    expects_continue: bool
    request_id: bytes | None
    via: tuple[bytes, ...]
    block: bytes
    upgrade: Upgrade = Upgrade.NONE

    @property
    def takes_trailers(self) -> bool:
        """Whether its client may be sent trailers: nothing but ours can be that line."""
        return self.kept.endswith(TAKES_TRAILERS)


class AnswerHead(NamedTuple):
    """A region's head. `body` is a length, `CHUNKED`, or `UNTIL_CLOSE`; `persistent` is the region's connection."""

    status: int
    reason: bytes
    kept: bytes
    body: int
    persistent: bool


class BadAnswerError(Exception):
    """A region's head that is not HTTP/1.x. The text is for the log."""


class _Silent:
    """A parser's protocol without callbacks: httptools calls only what is there, and we only want its judgement."""


def check_incomplete(data: bytes, limits: GatewayOptions) -> Refusal | None:
    """Whether what has come of a head so far can be refused already."""
    if len(data) > limits.max_head:
        return Refusal(Problem.HEAD_TOO_LARGE, "the head is too large")
    if b"\r\n" not in data and len(data) > limits.max_request_line:
        return Refusal(Problem.TARGET_TOO_LONG, "the request line is too long")
    if b"\0" in data or data.count(b"\n") != data.count(b"\r\n"):
        return Refusal(Problem.BAD_REQUEST, "a line of the head does not end with CRLF")
    return None


def admit(block: bytes, rules: FieldRules, api_key: bytes, limits: GatewayOptions) -> Admitted | Refusal:
    """Admit one request's head. `block` ends with the empty line; `api_key` is the field's name in lower case."""
    if (refusal := _check_size(block, limits)) is not None:
        return refusal
    line = _REQUEST_LINE.match(block)
    if line is None or not _is_plausible(block):
        return Refusal(Problem.BAD_REQUEST, "the head is not HTTP/1.x")
    method, target, version = line.groups()
    if version not in {b"1.1", b"1.0"}:
        return Refusal(Problem.VERSION_NOT_SUPPORTED, "the version is not HTTP/1.0 or HTTP/1.1")
    if (refusal := _ask_parser(block)) is not None:
        return refusal
    lines = block[line.end() : -2]
    if b"_" in lines and len(unshadowed := rules.drop_shadows(lines)) != len(lines):
        if limits.underscore_fields is Underscores.REFUSE:
            return Refusal(Problem.BAD_REQUEST, "a field's name has _ where a field that counts has -")
        lines = unshadowed
    fields = rules.take_apart(lines)
    minor = 1 if version == b"1.1" else 0
    framing = _frame_request(fields, minor, limits)
    if isinstance(framing, Refusal):
        return framing
    place = _locate_target(method, target, fields, minor)
    if isinstance(place, Refusal):
        return place
    target, authority = place
    host = parse_authority(authority)
    if host is None:
        return Refusal(Problem.BAD_REQUEST, "the host is not valid")
    keys = fields.seen.get(api_key, ())
    if len(set(keys)) > 1:
        return Refusal(Problem.BAD_REQUEST, "two different API keys")
    head = RequestHead(method.decode("ascii"), target, minor, host, authority, keys[0] if keys else None)
    return _finish(head, fields, framing, block)


def _finish(head: RequestHead, fields: Fields, framing: int, block: bytes) -> Admitted | Refusal:
    seen = fields.seen
    expects = False
    if b"expect" in seen:
        expects = [value.lower() for value in seen[b"expect"]] == [b"100-continue"]
        if not expects:
            return Refusal(Problem.EXPECTATION_FAILED, "the expectation is not 100-continue")
    persistent = head.minor == 1
    if b"connection" in seen:
        options = tokens(seen[b"connection"])
        persistent = b"close" not in options and (persistent or b"keep-alive" in options)
    ids = seen.get(b"x-request-id", ())
    request_id = ids[0] if len(ids) == 1 and _REQUEST_ID.fullmatch(ids[0]) else None
    via = (*seen.get(b"via", ()), *seen.get(b"cdn-loop", ()))
    kept = fields.kept
    upgrade = Upgrade.NONE
    if b"upgrade" in seen:
        # What comes behind a wish that is not granted may be meant in that protocol: it is never read as a request.
        persistent = False
        upgrade = judge_upgrade(head, seen, framing)
    if upgrade is Upgrade.WEBSOCKET:
        kept += SWITCHES_TO_WEBSOCKET
    elif head.minor == 1 and b"te" in seen and tokens(seen[b"te"]) == {b"trailers"}:
        kept += TAKES_TRAILERS
    return Admitted(head, kept, framing, persistent, expects, request_id, via, block, upgrade)


def _check_size(block: bytes, limits: GatewayOptions) -> Refusal | None:
    if len(block) > limits.max_head or block.count(b"\n") - 2 > limits.max_fields:
        return Refusal(Problem.HEAD_TOO_LARGE, "the head is too large or has too many fields")
    if len(block) > min(limits.max_request_line, limits.max_field):
        line, *fields = block.split(b"\n")
        if len(line) > limits.max_request_line:
            return Refusal(Problem.TARGET_TOO_LONG, "the request line is too long")
        if max(map(len, fields), default=0) > limits.max_field:
            return Refusal(Problem.HEAD_TOO_LARGE, "a field is too large")
    return None


def _is_plausible(block: bytes) -> bool:
    """No control bytes, every line ended by CRLF, no folded line, no tab where it could matter."""
    return not (
        block.translate(None, _PLAUSIBLE_BYTES)
        or block.count(b"\r\n") != block.count(b"\n")
        or block.count(b"\r") != block.count(b"\n")
        or b"\n " in block
        or b"\n\t" in block
        or (b"\t" in block and _TABBED.search(block) is not None)
    )


def _ask_parser(block: bytes) -> Refusal | None:
    """The parser's judgement. A fresh parser for each head: a used one refuses data behind `Connection: close`."""
    try:
        httptools.HttpRequestParser(_SILENT).feed_data(block)
    except httptools.HttpParserUpgrade:
        return None
    except httptools.HttpParserInvalidMethodError:
        return Refusal(Problem.NOT_IMPLEMENTED, "the method is not known here")
    except httptools.HttpParserError:
        return Refusal(Problem.BAD_REQUEST, "the head is not valid HTTP/1.x")
    return None


def _frame_request(fields: Fields, minor: int, limits: GatewayOptions) -> int | Refusal:
    """The length of the body, or `CHUNKED` (RFC 9112 §6.3); anything doubtful is refused."""
    codings = fields.seen.get(b"transfer-encoding")
    lengths = fields.seen.get(b"content-length")
    if codings is not None:
        if lengths is not None or minor == 0 or len(codings) != 1 or codings[0].lower() != b"chunked":
            return Refusal(Problem.BAD_REQUEST, "the framing is not a single chunked coding")
        return CHUNKED
    if lengths is None:
        return 0
    if len(lengths) != 1 or _LENGTH.fullmatch(lengths[0]) is None:
        return Refusal(Problem.BAD_REQUEST, "the Content-Length is not one plain number")
    length = int(lengths[0])
    if limits.max_body is not None and length > limits.max_body:
        return Refusal(Problem.BODY_TOO_LARGE, "the body is too large")
    return length


def _locate_target(method: bytes, target: bytes, fields: Fields, minor: int) -> tuple[bytes, bytes] | Refusal:
    """The origin-form and the authority that rule this request (RFC 9112 §3.2): an absolute-form's own wins."""
    if method == b"CONNECT":
        return Refusal(Problem.NOT_IMPLEMENTED, "CONNECT is not offered here")
    if method == b"TRACE":
        return Refusal(Problem.METHOD_NOT_ALLOWED, "TRACE is not passed on")
    hosts = fields.seen.get(b"host", [])
    if len(hosts) != 1 and (hosts or minor == 1):
        return Refusal(Problem.BAD_REQUEST, "there is not just one Host")
    authority = hosts[0] if hosts else b""
    if target.startswith(b"/"):
        return target, authority
    if target == b"*" and method == b"OPTIONS":
        return target, authority
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None or (hosts and parse_authority(authority) is None):
        return Refusal(Problem.BAD_REQUEST, "the target is neither a path nor an http or https URL")
    path = absolute[2]
    return (path if path.startswith(b"/") else b"/" + path), absolute[1]


def parse_authority(authority: bytes) -> str | None:
    """The routing host of `host[:port]`: lower case, no port, no trailing dot. `None` if it is not strictly valid.

    IPv6 comes in brackets and in its shortest form. An empty authority (HTTP/1.0 without Host) is the host ``, which
    no service has.
    """
    # Judged before the cache, so that what clients make up can't fill it with kilobytes.
    return _parse_authority(authority) if len(authority) <= _MAX_AUTHORITY else None


@lru_cache(maxsize=4096)
def _parse_authority(authority: bytes) -> str | None:
    if not authority:
        return ""
    match = _AUTHORITY.fullmatch(authority)
    if match is None or (match[2] is not None and int(match[2]) > 65535):
        return None
    host = match[1].decode("ascii").lower().removesuffix(".")
    if host.startswith("["):
        try:
            return f"[{IPv6Address(host[1:-1]).compressed}]"
        except ValueError:
            return None
    return host if len(host) <= _MAX_HOST else None


def parse_answer(block: bytes, rules: FieldRules, method: str, *, switching: bool = False) -> AnswerHead:
    """A region's head. `block` ends with the empty line; `switching`: its request has asked for a WebSocket.

    Raises `BadAnswerError`: what a region sends is relayed under our name, so it has to be as strict as a request.
    """
    line = _STATUS_LINE.match(block)
    if line is None:
        raise BadAnswerError("status line")
    if not _is_plausible(block):
        raise BadAnswerError("control bytes, bare line ends or folded lines")
    status = int(line[2])
    if status == 101 and not switching:
        raise BadAnswerError("unsolicited 101")
    try:
        httptools.HttpResponseParser(_SILENT).feed_data(block)
    except httptools.HttpParserUpgrade:
        return _switch(line, rules.take_apart(block[line.end() : -2]))
    except httptools.HttpParserError as error:
        raise BadAnswerError(str(error)) from None
    minor = line[1] == b"1"
    fields = rules.take_apart(block[line.end() : -2])
    body = _frame_answer(fields, status, minor)
    kept = fields.kept
    if status < 200 or status == 204:
        # RFC 9110 §8.6 forbids these a length; a client that believes one would wait for a body.
        kept = _LENGTH_LINE.sub(b"", kept)
    if status < 200 or status in {204, 304} or method == "HEAD":
        body = 0
    persistent = minor
    if b"connection" in fields.seen:
        options = tokens(fields.seen[b"connection"])
        persistent = b"close" not in options and (persistent or b"keep-alive" in options)
    return AnswerHead(status, line[3] or b"", kept, body, persistent and body != UNTIL_CLOSE)


def _switch(line: re.Match[bytes], fields: Fields) -> AnswerHead:
    """The head of a 101, which has to grant what was asked for. What follows it ends with its connection."""
    if line[1] != b"1" or not grants_websocket(fields.seen):
        raise BadAnswerError("101 that leads to no WebSocket")
    return AnswerHead(101, line[3] or b"", fields.kept + SWITCHES_TO_WEBSOCKET, UNTIL_CLOSE, persistent=False)


def _frame_answer(fields: Fields, status: int, minor: bool) -> int:
    codings = fields.seen.get(b"transfer-encoding")
    lengths = fields.seen.get(b"content-length")
    if codings is not None:
        if lengths is not None or not minor or len(codings) != 1 or codings[0].lower() != b"chunked":
            raise BadAnswerError("framing is not a single chunked coding")
        return CHUNKED
    if lengths is None:
        return UNTIL_CLOSE
    if len(lengths) != 1 or _LENGTH.fullmatch(lengths[0]) is None:
        raise BadAnswerError("Content-Length is not one plain number")
    return int(lengths[0])


class RequestHeads:
    """Admits heads, and remembers the verdict on a block of fields.

    A client sends the same fields with nearly every request, and what they mean is a function of their bytes: so the
    same block is not judged twice. Only plain request lines take this way (registered method, origin-form, 1.1); they
    are judged each time. Blocks that never come twice cost one dictionary entry for a while.
    """

    def __init__(self, rules: FieldRules, api_key: bytes, limits: GatewayOptions) -> None:
        self._rules = rules
        self._api_key = api_key
        self._limits = limits
        self._verdicts: dict[bytes, Admitted] = {}

    def admit(self, block: bytes) -> Admitted | Refusal:
        """As `router.gateway.heads.admit`."""
        line_end = block.find(b"\n") + 1
        fields = block[line_end:]
        line = _PLAIN_LINE.fullmatch(block, 0, line_end)
        if line is None or line_end > self._limits.max_request_line or len(block) > self._limits.max_head:
            return admit(block, self._rules, self._api_key, self._limits)
        known = self._verdicts.get(fields)
        if known is None:
            verdict = admit(block, self._rules, self._api_key, self._limits)
            if isinstance(verdict, Refusal) or verdict.upgrade is not Upgrade.NONE:
                # What becomes of a wish to upgrade is a matter of the method, too.
                return verdict
            if len(fields) <= _REMEMBERED_BYTES:
                _remember(self._verdicts, fields, verdict)
            return verdict
        (_, _, minor, host, authority, api_key), kept, body, persistent, expects, request_id, via, _, _ = known
        head = tuple.__new__(RequestHead, (line[1].decode("ascii"), line[2], minor, host, authority, api_key))
        told = (head, kept, body, persistent, expects, request_id, via, block, _NO_UPGRADE)
        return tuple.__new__(Admitted, told)


class AnswerHeads:
    """Parses answers' heads, and remembers them: a busy region sends the same one many times within a second."""

    def __init__(self, rules: FieldRules) -> None:
        self._rules = rules
        self._parsed: dict[bytes, AnswerHead] = {}

    def parse_switching(self, block: bytes, max_fields: int) -> AnswerHead:
        """The answer to a request that has asked for a WebSocket. Raises `BadAnswerError`."""
        _check_fields(block, max_fields)
        return parse_answer(block, self._rules, "GET", switching=True)

    def parse(self, block: bytes, method: str, max_fields: int) -> AnswerHead:
        """As `parse_answer`. Raises `BadAnswerError`."""
        head = self._parsed.get(block) if method != "HEAD" else None
        if head is None:
            _check_fields(block, max_fields)
            head = parse_answer(block, self._rules, method)
            if method != "HEAD" and len(block) <= _REMEMBERED_BYTES:
                _remember(self._parsed, block, head)
        return head


def _check_fields(block: bytes, max_fields: int) -> None:
    if block.count(b"\n") - 2 > max_fields:
        raise BadAnswerError("too many fields")


def _remember(verdicts: dict[bytes, T], block: bytes, verdict: T) -> None:
    """Forgetting all at once is cheaper than knowing which is the oldest, and what is busy comes back at once."""
    if len(verdicts) >= _REMEMBERED:
        verdicts.clear()
    verdicts[block] = verdict


def first_value(block: bytes, name: bytes) -> bytes | None:
    """The value of the first field `name` (lower case) of a head: for the rare questions, not for the hot path."""
    match = re.search(rb"(?im)^" + re.escape(name) + rb":[ \t]*([^\r\n]*)", block)
    return match[1].rstrip(b" \t") if match else None


_SILENT: Final = _Silent()
_LENGTH_LINE: Final = re.compile(rb"(?im)^content-length:[^\n]*\n")
