"""A request's head: what is admitted and as what, what is refused and as which problem."""

from __future__ import annotations

import dataclasses

import pytest

from router.gateway.heads import CHUNKED, Admitted, Refusal, RequestHeads, check_incomplete, first_value
from router.gateway.upgrades import SWITCHES_TO_WEBSOCKET, Upgrade
from router.model.problem import Problem
from router.routing.fields import request_rules
from tests.gateway.raw_heads import HOST, LIMITS, REQUEST_LINES, SMUGGLING, admitted, block, judged, refused

SMALL = dataclasses.replace(LIMITS, max_request_line=40, max_field=30, max_fields=4, max_head=150, max_body=1000)


def with_field(line: bytes, *, start: bytes = b"POST / HTTP/1.1") -> bytes:
    return block(start, HOST, line)


@pytest.mark.parametrize("line", SMUGGLING.values(), ids=SMUGGLING.keys())
def test_what_two_readers_could_frame_in_two_ways_is_refused(line: bytes) -> None:
    assert refused(with_field(line)) is Problem.BAD_REQUEST


@pytest.mark.parametrize("line", SMUGGLING.values(), ids=SMUGGLING.keys())
def test_it_is_refused_in_front_of_the_host_as_well(line: bytes) -> None:
    assert refused(block(b"POST / HTTP/1.1", line, HOST)) is Problem.BAD_REQUEST


@pytest.mark.parametrize("line", REQUEST_LINES.values(), ids=REQUEST_LINES.keys())
def test_a_request_line_has_one_form(line: bytes) -> None:
    assert refused(block(line, HOST)) is Problem.BAD_REQUEST


@pytest.mark.parametrize("version", [b"1.2", b"0.9", b"2.0", b"3.0", b"9.9"])
def test_a_version_other_than_1_0_and_1_1_is_not_spoken(version: bytes) -> None:
    assert refused(block(b"GET / HTTP/" + version, HOST)) is Problem.VERSION_NOT_SUPPORTED


def test_the_preface_of_http_2_is_another_version() -> None:
    assert refused(b"PRI * HTTP/2.0\r\n\r\n") is Problem.VERSION_NOT_SUPPORTED


def test_http_1_0_has_no_transfer_coding() -> None:
    assert refused(block(b"POST / HTTP/1.0", HOST, b"Transfer-Encoding: chunked")) is Problem.BAD_REQUEST


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_both_versions_are_spoken(version: bytes) -> None:
    assert admitted(b"GET / HTTP/" + version, HOST).head.minor == int(version[-1:])


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"CONNECT clockify.me:443 HTTP/1.1", Problem.NOT_IMPLEMENTED),
        (b"CONNECT / HTTP/1.1", Problem.NOT_IMPLEMENTED),
        (b"TRACE / HTTP/1.1", Problem.METHOD_NOT_ALLOWED),
        (b"BREW / HTTP/1.1", Problem.NOT_IMPLEMENTED),
        (b"get / HTTP/1.1", Problem.NOT_IMPLEMENTED),
        (b"GET * HTTP/1.1", Problem.BAD_REQUEST),
    ],
)
def test_a_method_that_is_not_offered_is_told_so(line: bytes, problem: Problem) -> None:
    assert refused(block(line, HOST)) is problem


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "M-SEARCH"])
def test_methods_that_the_parser_knows_are_passed_on(method: str) -> None:
    assert admitted(method.encode() + b" / HTTP/1.1", HOST).head.method == method


def test_an_asterisk_is_for_options_alone() -> None:
    assert admitted(b"OPTIONS * HTTP/1.1", HOST).head.target == b"*"


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        (block(b"GET /" + b"a" * 40 + b" HTTP/1.1", b"Host: a"), Problem.TARGET_TOO_LONG),
        (block(b"GET / HTTP/1.1", b"Host: a", b"X: " + b"a" * 40), Problem.HEAD_TOO_LARGE),
        (block(b"GET / HTTP/1.1", b"Host: a", *[b"X: a"] * 4), Problem.HEAD_TOO_LARGE),
        (block(b"GET / HTTP/1.1", b"Host: a", *[b"X: " + b"a" * 26] * 3, b"X: " + b"a" * 28), Problem.HEAD_TOO_LARGE),
        (block(b"POST / HTTP/1.1", b"Host: a", b"Content-Length: 1001"), Problem.BODY_TOO_LARGE),
    ],
    ids=["line", "field", "count", "total", "body"],
)
def test_each_limit_has_its_own_problem(head: bytes, problem: Problem) -> None:
    assert refused(head, SMALL) is problem


@pytest.mark.parametrize(
    "head",
    [
        block(b"GET /" + b"a" * 25 + b" HTTP/1.1", b"Host: a"),
        block(b"GET / HTTP/1.1", b"Host: a", b"X: " + b"a" * 26),
        block(b"GET / HTTP/1.1", b"Host: a", *[b"X: a"] * 3),
        block(b"POST / HTTP/1.1", b"Host: a", b"Content-Length: 1000"),
    ],
    ids=["line", "field", "count", "body"],
)
def test_what_is_just_within_the_limits_is_admitted(head: bytes) -> None:
    assert isinstance(judged(head, SMALL), Admitted)


@pytest.mark.parametrize(
    "head",
    [
        b"zqzq\r\n\r\n",
        block(b"ZQZQ / HTTP/1.1", HOST),
        block(b"GET zqzq HTTP/1.1", HOST),
        block(b"GET /zqzq HTTP/zqzq", HOST),
        block(b"GET / HTTP/1.1", b"Host: zq@zq"),
        block(b"GET / HTTP/1.1", HOST, b"Expect: zqzq"),
        block(b"GET / HTTP/1.1", HOST, b"Content-Length: zqzq"),
        block(b"GET / HTTP/1.1", HOST, b"zq zq: x"),
        block(b"GET /" + b"zq" * 8000 + b" HTTP/1.1", HOST),
    ],
)
def test_a_refusal_never_repeats_the_clients_bytes(head: bytes) -> None:
    outcome = judged(head)
    assert isinstance(outcome, Refusal)
    assert "zq" not in outcome.detail.lower()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"GET / HTTP/1.1\nHost", Problem.BAD_REQUEST),
        (b"GET / HTTP/1.1\r\nX: a\nY", Problem.BAD_REQUEST),
        (b"\x00", Problem.BAD_REQUEST),
        (b"GET /" + b"a" * 50, Problem.TARGET_TOO_LONG),
        (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 30, Problem.HEAD_TOO_LARGE),
    ],
)
def test_a_head_that_can_no_longer_be_good_is_refused_before_its_end(data: bytes, problem: Problem) -> None:
    refusal = check_incomplete(data, SMALL)
    assert refusal is not None
    assert refusal.problem is problem


@pytest.mark.parametrize("cut", range(len(block(b"GET / HTTP/1.1", HOST, b"A: b")) - 1))
def test_no_beginning_of_a_good_head_is_refused(cut: int) -> None:
    assert check_incomplete(block(b"GET / HTTP/1.1", HOST, b"A: b")[:cut], SMALL) is None


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        ((), 0),
        ((b"Content-Length: 0",), 0),
        ((b"Content-Length: 17",), 17),
        ((b"content-length:17 ",), 17),
        ((b"Content-Length: 100000000000",), 100_000_000_000),
        ((b"Transfer-Encoding: chunked",), CHUNKED),
        ((b"transfer-encoding:Chunked ",), CHUNKED),
    ],
)
def test_the_body_of_a_request_is_framed_by_its_head(lines: tuple[bytes, ...], body: int) -> None:
    assert admitted(b"POST / HTTP/1.1", HOST, *lines).body == body


def test_a_length_is_passed_on_exactly_and_a_transfer_coding_is_not() -> None:
    kept = [
        admitted(b"POST / HTTP/1.1", HOST, line).kept for line in (b"content-LENGTH:3", b"Transfer-Encoding: chunked")
    ]
    assert kept == [b"content-LENGTH:3\r\n", b""]


@pytest.mark.parametrize(
    ("version", "connection", "persistent"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"close", False),
        (b"1.1", b"Foo, CLOSE", False),
        (b"1.1", b"keep-alive", True),
        (b"1.1", b"keep-alive, close", False),
        (b"1.0", b"", False),
        (b"1.0", b"Keep-Alive", True),
        (b"1.0", b"close", False),
        (b"1.1", b"Upgrade", True),
    ],
)
def test_a_connection_goes_on_as_both_sides_say(version: bytes, connection: bytes, persistent: bool) -> None:
    lines = (b"Connection: " + connection,) if connection else ()
    assert admitted(b"GET / HTTP/" + version, HOST, *lines).persistent is persistent


def test_a_declined_upgrade_leaves_an_ordinary_request() -> None:
    outcome = admitted(b"POST / HTTP/1.1", HOST, b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 3")
    assert (outcome.body, outcome.kept) == (3, b"Content-Length: 3\r\n")


@pytest.mark.parametrize("connection", [b"Upgrade", b"keep-alive, upgrade", b"X\r\nConnection: UPGRADE"])
def test_a_wish_for_a_websocket_is_passed_on_as_ours(connection: bytes) -> None:
    outcome = admitted(b"GET / HTTP/1.1", HOST, b"upgrade: WebSocket", b"A: b", b"Connection: " + connection)
    assert outcome.upgrade is Upgrade.WEBSOCKET
    assert outcome.kept == b"A: b\r\n" + SWITCHES_TO_WEBSOCKET


DECLINED = {
    "h2c": (b"GET / HTTP/1.1", b"Connection: Upgrade", b"Upgrade: h2c"),
    "one of two": (b"GET / HTTP/1.1", b"Connection: Upgrade", b"Upgrade: websocket, h2c"),
    "two fields": (b"GET / HTTP/1.1", b"Connection: Upgrade", b"Upgrade: h2c\r\nUpgrade: websocket"),
    "a version": (b"GET / HTTP/1.1", b"Connection: Upgrade", b"Upgrade: websocket/13"),
    "nothing": (b"GET / HTTP/1.1", b"Connection: Upgrade", b"Upgrade:"),
    "not nominated": (b"GET / HTTP/1.1", b"Connection: keep-alive", b"Upgrade: websocket"),
    "without Connection": (b"GET / HTTP/1.1", b"Upgrade: websocket"),
    "another method": (b"POST / HTTP/1.1", b"Connection: Upgrade", b"Upgrade: websocket"),
    "HTTP/1.0": (b"GET / HTTP/1.0", b"Connection: Upgrade, keep-alive", b"Upgrade: websocket"),
    "a body": (b"GET / HTTP/1.1", b"Connection: Upgrade", b"Upgrade: websocket", b"Transfer-Encoding: chunked"),
}


@pytest.mark.parametrize("lines", DECLINED.values(), ids=DECLINED.keys())
def test_any_other_wish_is_taken_out_and_ends_its_connection(lines: tuple[bytes, ...]) -> None:
    outcome = admitted(lines[0], HOST, *lines[1:])
    assert (outcome.upgrade, outcome.kept, outcome.persistent) == (Upgrade.DECLINED, b"", False)


def test_the_settings_of_h2c_go_with_it() -> None:
    assert admitted(b"GET / HTTP/1.1", HOST, b"HTTP2-Settings: AAMAAABkAAQ").kept == b""


@pytest.mark.parametrize("first", [b"GET", b"POST"])
def test_the_same_fields_with_another_method_are_another_wish(first: bytes) -> None:
    heads = RequestHeads(request_rules("x-api-key"), b"x-api-key", LIMITS)
    wishes = {b"GET": Upgrade.WEBSOCKET, b"POST": Upgrade.DECLINED}
    for method in (first, *wishes):
        head = heads.admit(block(method + b" / HTTP/1.1", HOST, b"Connection: Upgrade", b"Upgrade: websocket"))
        assert isinstance(head, Admitted)
        assert head.upgrade is wishes[method]


@pytest.mark.parametrize("value", [b"100-continue", b"100-Continue"])
def test_the_one_expectation_is_known(value: bytes) -> None:
    assert admitted(b"POST / HTTP/1.1", HOST, b"Expect: " + value).expects_continue


@pytest.mark.parametrize(
    "line", [b"Expect: 200-ok", b"Expect:", b"Expect: 100-continue, x", b"Expect: 100-continue\r\nExpect: x"]
)
def test_any_other_expectation_fails(line: bytes) -> None:
    assert refused(with_field(line)) is Problem.EXPECTATION_FAILED


def test_a_key_is_taken_from_its_field() -> None:
    assert admitted(b"GET / HTTP/1.1", HOST, b"x-API-key:  AbC= ").head.api_key == b"AbC="


def test_the_same_key_twice_is_one_key() -> None:
    assert admitted(b"GET / HTTP/1.1", HOST, b"X-Api-Key: a", b"x-api-key: a").head.api_key == b"a"


def test_two_different_keys_are_refused() -> None:
    assert refused(with_field(b"X-Api-Key: a\r\nx-api-key: b")) is Problem.BAD_REQUEST


@pytest.mark.parametrize(
    "lines", [(), (b"X-Request-ID: a b",), (b"X-Request-ID: " + b"a" * 129,), (b"X-Request-ID: a",) * 2]
)
def test_only_one_sane_request_id_is_taken_over(lines: tuple[bytes, ...]) -> None:
    assert admitted(b"GET / HTTP/1.1", HOST, *lines).request_id is None


def test_a_sane_request_id_is_taken_over() -> None:
    assert admitted(b"GET / HTTP/1.1", HOST, b"X-Request-ID: 7f3a-9:b/c=").request_id == b"7f3a-9:b/c="


def test_every_via_is_seen() -> None:
    assert admitted(b"GET / HTTP/1.1", HOST, b"Via: 1.1 a", b"via: 1.0 b, 1.1 c").via == (b"1.1 a", b"1.0 b, 1.1 c")


def test_the_first_field_of_a_name_is_found_without_regard_to_case() -> None:
    head = block(b"GET /accept:x HTTP/1.1", HOST, b"X-Accept: no", b"ACCEPT:  text/html ", b"Accept: b")
    assert first_value(head, b"accept") == b"text/html"


def test_a_field_that_is_not_there_has_no_value() -> None:
    assert first_value(block(b"GET / HTTP/1.1", HOST), b"accept") is None
