"""Whatever bytes a head has: the verdict is a value, and what is admitted reads the same to h11."""

from __future__ import annotations

import re
from typing import Final

import h11
from hypothesis import HealthCheck, assume, example, given, reject, settings
from hypothesis import strategies as st

from router.gateway.heads import (
    CHUNKED,
    TAKES_TRAILERS,
    UNTIL_CLOSE,
    Admitted,
    AnswerHead,
    BadAnswerError,
    Refusal,
    admit,
    check_incomplete,
    parse_answer,
    parse_authority,
)
from router.gateway.options import GatewayOptions
from router.gateway.upgrades import SWITCHES_TO_WEBSOCKET
from router.routing.fields import HOP_BY_HOP, answer_rules, request_rules

RULES: Final = request_rules("x-api-key")
ANSWER_RULES: Final = answer_rules()
LIMITS: Final = GatewayOptions()
MAX_EVENT: Final = 1 << 20
MOSTLY_REFUSED: Final = settings(deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
"""What is refused proves nothing here, and of what was spoilt much is refused."""

START_LINES: Final = [
    *(
        b"GET / HTTP/1.1",
        b"POST /a%2e?b? HTTP/1.1",
        b"HEAD //a;b\\c HTTP/1.1",
        b"QUERY /a HTTP/1.0",
        b"OPTIONS * HTTP/1.1",
    ),
    *(b"GET http://b:80/a?b HTTP/1.1", b"PUT https://B HTTP/1.0"),
]
STATUS_LINES: Final = [
    *(b"HTTP/1.1 200 OK", b"HTTP/1.1 404 ", b"HTTP/1.1 500", b"HTTP/1.0 200 caf\xe9", b"HTTP/1.1 204 No Content"),
    *(b"HTTP/1.1 304 Not Modified", b"HTTP/1.1 103 Early Hints", b"HTTP/1.1 100 Continue"),
]
FRAMES: Final = [
    *(
        (b"Content-Length: 3",),
        (b"content-length:0 ",),
        (b"Transfer-Encoding: chunked",),
        (b"transfer-encoding:CHUNKED",),
    ),
    *((), ()),
]
SOUND_LINES: Final = [
    *(
        b"X-A: 1",
        b"x-a:2 ",
        b"X-A:",
        b"X-Api-Key: k",
        b"Cookie: a=b; c",
        b"Via: 1.1 x",
        b"X-B:\t\xe9 \xff",
        b"X-C: a: b",
    ),
    *(
        b"Connection: x-a",
        b"Connection: close, Cookie, Host",
        b"Connection: keep-alive",
        b"TE: trailers",
        b"Trailer: X-T",
    ),
    *(b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: x", b"X-Request-ID: a-1", b"Date: x"),
    *(b"Proxy-Connection: close", b"Keep-Alive: timeout=5", b"X-Forwarded-For: a", b"Forwarded: for=a"),
]
ROUGH_LINES: Final = [
    *(
        b"Host: u@a",
        b"Host: b",
        b"Content-Length: 03",
        b"Content-Length: 3, 3",
        b"Content-Length:\t3",
        b"Content-Length: +1",
    ),
    *(b"Content-Length: 3", b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding:"),
    *(b"X : a", b" X: a", b": a", b"X", b"X: a\nY: b", b"X: a\r\n b", b"X: \x00", b"X\xe9: a", b"Expect: x", b"X_A: 1"),
]


@st.composite
def blocks(draw: st.DrawFn, starts: list[bytes], hosts: list[tuple[bytes, ...]]) -> bytes:
    """A head of sound lines, in which now and then one line is rough or one byte is another."""
    lines = [*draw(st.lists(st.sampled_from(SOUND_LINES), max_size=5)), *draw(st.sampled_from(FRAMES))]
    lines += draw(st.sampled_from(hosts))
    spoil = draw(st.sampled_from(["nothing", "nothing", "a line", "a byte"]))
    if spoil == "a line":
        lines.append(draw(st.sampled_from(ROUGH_LINES)))
    block = b"\r\n".join([draw(st.sampled_from(starts)), *draw(st.permutations(lines))]) + b"\r\n\r\n"
    if spoil == "a byte":
        at = draw(st.integers(0, len(block) - 5))
        block = block[:at] + draw(st.binary(max_size=2)) + block[at + draw(st.integers(0, 1)) :]
    # As the connection cuts it: up to and with the first empty line.
    return block[: block.index(b"\r\n\r\n") + 4]


REQUESTS: Final = blocks(START_LINES, [(b"Host: a.example",)])
ANSWERS: Final = blocks(STATUS_LINES, [()])


def judged(block: bytes) -> Admitted | Refusal:
    return admit(block, RULES, b"x-api-key", LIMITS)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(), st.binary().map(lambda data: data + b"\r\n\r\n"), REQUESTS))
def test_a_head_is_admitted_or_refused_and_never_raises(block: bytes) -> None:
    assert isinstance(judged(block), Admitted | Refusal)


@settings(deadline=None)
@given(st.binary(), st.integers(0, 200))
def test_the_beginning_of_a_head_never_raises_however_large(data: bytes, times: int) -> None:
    assert isinstance(check_incomplete(data * times, LIMITS), Refusal | None)


@settings(deadline=None)
@given(st.one_of(st.binary(), st.text(alphabet="a.:[]0-_@%/ \\", max_size=12).map(str.encode)))
def test_an_authority_is_a_lower_case_host_or_nothing(authority: bytes) -> None:
    host = parse_authority(authority)
    assert host is None or re.fullmatch(r"(\[[0-9a-f:]+\]|[0-9a-z_]([0-9a-z_.-]*[0-9a-z_-])?)?", host)


@settings(MOSTLY_REFUSED, max_examples=500)
@given(REQUESTS)
@example(b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: x-a\r\nX-A: \xe9\r\n\r\n")
@example(b"GET http://b:80/a?b HTTP/1.1\r\nHost: a\r\nX-B:\xe9 \r\nContent-Length: 3\r\n\r\n")
def test_what_is_admitted_reads_the_same_to_h11(block: bytes) -> None:
    outcome = judged(block)
    assume(isinstance(outcome, Admitted))
    assert isinstance(outcome, Admitted)
    head = outcome.head
    # Host is set by the decision; a head without one (HTTP/1.0) is for no host, and here any will do.
    coding = b"Transfer-Encoding: chunked\r\n" if outcome.body == CHUNKED else b""
    sent = b"%b %b HTTP/1.1\r\nHost: %b\r\n%b%b\r\n" % (
        head.method.encode(),
        head.target,
        head.authority or b"none",
        outcome.kept,
        coding,
    )
    reader = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_EVENT)
    reader.receive_data(sent)
    request = reader.next_event()
    assert isinstance(request, h11.Request)
    assert (request.method, request.target) == (head.method.encode(), head.target)
    assert framing_of(list(request.headers), 0) == outcome.body
    ours = outcome.kept.endswith((TAKES_TRAILERS, SWITCHES_TO_WEBSOCKET))
    set_anew = {b"transfer-encoding", *((b"connection", b"te", b"upgrade") if ours else ())}
    assert not (HOP_BY_HOP - set_anew) & {name for name, _ in request.headers}
    assert [value for name, value in request.headers if name == b"host"] == [head.authority or b"none"]


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(st.binary(), st.binary().map(lambda data: data + b"\r\n\r\n"), ANSWERS), st.sampled_from(["GET", "HEAD"])
)
def test_an_answer_is_a_head_or_a_bad_answer_and_nothing_else(block: bytes, method: str) -> None:
    try:
        head = parse_answer(block, ANSWER_RULES, method)
    except BadAnswerError:
        return
    assert isinstance(head, AnswerHead)


@settings(MOSTLY_REFUSED, max_examples=500)
@given(ANSWERS, st.sampled_from(["GET", "HEAD"]))
@example(b"HTTP/1.1 204 No\r\nContent-Length: 3\r\nX-A: \xe9\r\n\r\n", "GET")
@example(b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n", "GET")
def test_an_answer_that_is_relayed_reads_the_same_to_h11(block: bytes, method: str) -> None:
    try:
        head = parse_answer(block, ANSWER_RULES, method)
    except BadAnswerError:
        reject()
    coding = b"Transfer-Encoding: chunked\r\n" if head.body == CHUNKED else b""
    reader = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_EVENT)
    reader.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    reader.receive_data(b"HTTP/1.1 %d %b\r\n%b%b\r\n" % (head.status, head.reason, head.kept, coding))
    answer = reader.next_event()
    assert isinstance(answer, h11.Response | h11.InformationalResponse)
    assert (answer.status_code, answer.reason) == (head.status, head.reason)
    if isinstance(answer, h11.Response) and head.body != 0:
        assert framing_of(list(answer.headers), UNTIL_CLOSE) == head.body


def framing_of(headers: list[tuple[bytes, bytes]], neither: int) -> int:
    """The framing that h11, which has judged them already, takes from these fields."""
    fields = dict(headers)
    if b"transfer-encoding" in fields:
        return CHUNKED
    return int(fields[b"content-length"]) if b"content-length" in fields else neither
