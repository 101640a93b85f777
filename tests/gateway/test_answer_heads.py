"""A region's head: as strict as a client's, because it is relayed under our name."""

from __future__ import annotations

import pytest

from router.gateway.heads import CHUNKED, UNTIL_CLOSE, AnswerHead, BadAnswerError, parse_answer
from router.gateway.upgrades import SWITCHES_TO_WEBSOCKET
from router.routing.fields import answer_rules
from tests.gateway.raw_heads import SMUGGLING, block

RULES = answer_rules()


def answer(*lines: bytes, status: bytes = b"200 OK", method: str = "GET", version: bytes = b"1.1") -> AnswerHead:
    return parse_answer(block(b"HTTP/" + version + b" " + status, *lines), RULES, method)


BAD_ANSWERS = {
    **{name: block(b"HTTP/1.1 200 OK", line) for name, line in SMUGGLING.items() if "Host" not in name},
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\n\r\n",
    "HTTP/0.9": b"HTTP/0.9 200 OK\r\n\r\n",
    "HTTP/1.2": b"HTTP/1.2 200 OK\r\n\r\n",
    "another protocol": b"RTSP/1.0 200 OK\r\n\r\n",
    "status 000": b"HTTP/1.1 000 OK\r\n\r\n",
    "status 099": b"HTTP/1.1 099 OK\r\n\r\n",
    "status 600": b"HTTP/1.1 600 OK\r\n\r\n",
    "status 999": b"HTTP/1.1 999 OK\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "two blanks": b"HTTP/1.1  200 OK\r\n\r\n",
    "a control character in the reason": b"HTTP/1.1 200 O\x01K\r\n\r\n",
    "a bare LF behind the status line": b"HTTP/1.1 200 OK\nA: b\r\n\r\n",
    "an unsolicited 101": b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "HTTP/1.0 with chunks": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a bad coding behind a 204": b"HTTP/1.1 204 No\r\nTransfer-Encoding: gzip\r\n\r\n",
    "nothing": b"\r\n\r\n",
}


@pytest.mark.parametrize("head", BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
def test_bad_framing_from_a_region_is_refused(head: bytes) -> None:
    with pytest.raises(BadAnswerError):
        parse_answer(head, RULES, "GET")


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (b"200 OK", b"OK"),
        (b"200 ", b""),
        (b"200", b""),
        (b"404 Not Found", b"Not Found"),
        (b"299 caf\xe9\t!", b"caf\xe9\t!"),
    ],
)
def test_a_status_line_is_relayed_with_its_reason(status: bytes, reason: bytes) -> None:
    head = answer(status=status)
    assert (head.status, head.reason) == (int(status[:3]), reason)


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        ((b"Content-Length: 17",), 17),
        ((b"Content-Length: 0",), 0),
        ((b"Transfer-Encoding: chunked",), CHUNKED),
        ((), UNTIL_CLOSE),
    ],
)
def test_the_body_of_an_answer_is_framed_by_its_head(lines: tuple[bytes, ...], body: int) -> None:
    assert answer(*lines).body == body


@pytest.mark.parametrize("line", [b"Content-Length: 17", b"Transfer-Encoding: chunked", b"A: b"])
@pytest.mark.parametrize(
    ("status", "method"),
    [
        (b"200 OK", "HEAD"),
        (b"204 No Content", "GET"),
        (b"304 Not Modified", "GET"),
        (b"100 Continue", "POST"),
        (b"103 H", "GET"),
    ],
)
def test_some_answers_end_at_their_head_whatever_their_fields_say(status: bytes, method: str, line: bytes) -> None:
    assert answer(line, status=status, method=method).body == 0


@pytest.mark.parametrize(("status", "method"), [(b"200 OK", "HEAD"), (b"304 Not Modified", "GET")])
def test_the_length_of_head_and_304_is_kept(status: bytes, method: str) -> None:
    assert answer(b"Content-Length: 17", status=status, method=method).kept == b"Content-Length: 17\r\n"


@pytest.mark.parametrize("status", [b"204 No Content", b"100 Continue", b"103 Early Hints"])
def test_a_length_that_may_not_be_there_is_dropped(status: bytes) -> None:
    assert answer(b"A: b", b"content-LENGTH: 0", b"C: d", status=status).kept == b"A: b\r\nC: d\r\n"


@pytest.mark.parametrize(
    ("version", "lines", "persistent"),
    [
        (b"1.1", (b"Content-Length: 0",), True),
        (b"1.1", (b"Content-Length: 0", b"Connection: close"), False),
        (b"1.0", (b"Content-Length: 0",), False),
        (b"1.0", (b"Content-Length: 0", b"Connection: keep-alive"), True),
        (b"1.1", (), False),
        (b"1.0", (b"Connection: keep-alive",), False),
        (b"1.1", (b"Transfer-Encoding: chunked",), True),
    ],
)
def test_a_regions_connection_goes_on_only_if_the_end_of_the_answer_is_known(
    version: bytes, lines: tuple[bytes, ...], persistent: bool
) -> None:
    assert answer(*lines, version=version).persistent is persistent


GRANT = (b"upgrade: WebSocket", b"connection: x, UPGRADE", b"A: b")


def granted(*lines: bytes, version: bytes = b"1.1") -> AnswerHead:
    head = block(b"HTTP/" + version + b" 101 Switching Protocols", *lines)
    return parse_answer(head, RULES, "GET", switching=True)


def test_a_101_that_was_asked_for_leads_to_what_ends_with_its_connection() -> None:
    head = granted(*GRANT)
    assert head == (101, b"Switching Protocols", b"A: b\r\n" + SWITCHES_TO_WEBSOCKET, UNTIL_CLOSE, False)


@pytest.mark.parametrize(
    "lines",
    [
        (b"Connection: upgrade",),
        (b"Upgrade: websocket",),
        (b"Connection: upgrade", b"Upgrade: h2c"),
        (b"Connection: upgrade", b"Upgrade: websocket, h2c"),
        (*GRANT, b"Content-Length: 0"),
        (*GRANT, b"Transfer-Encoding: chunked"),
    ],
)
def test_a_101_that_leads_elsewhere_is_refused(lines: tuple[bytes, ...]) -> None:
    with pytest.raises(BadAnswerError):
        granted(*lines)


def test_http_1_0_has_no_101() -> None:
    with pytest.raises(BadAnswerError):
        granted(*GRANT, version=b"1.0")


def test_an_upgrade_that_was_not_taken_is_an_ordinary_answer() -> None:
    head = answer(b"Connection: upgrade", b"Upgrade: h2c", b"Content-Length: 3")
    assert (head.body, head.kept) == (3, b"Content-Length: 3\r\n")


def test_an_answers_fields_stand_as_they_came() -> None:
    lines = (b"X-A: 1", b"set-cookie: a=b", b"Set-Cookie:c=d ", b"x-a: \xe9", b"Content-Length: 0")
    assert answer(*lines).kept == b"\r\n".join(lines) + b"\r\n"
