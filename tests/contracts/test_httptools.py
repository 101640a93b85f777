"""What httptools (llhttp) accepts and reports by itself, so that a release that changes is noticed.

The rows under LET_THROUGH are those that our own checks must catch: if one of them moves, look at
`router.gateway.heads` before the table is changed.
"""

from __future__ import annotations

import httptools
import pytest

FIRST = b"POST / HTTP/1.1\r\nHost: a\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\n"
Field = tuple[bytes, bytes]


class Report:
    """What the parser said of one block."""

    def __init__(self) -> None:
        self.url = b""
        self.status = b""
        self.fields: list[Field] = []
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_status(self, status: bytes) -> None:
        self.status += status

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        self.complete = True


def parse_request(block: bytes) -> Report:
    report = Report()
    httptools.HttpRequestParser(report).feed_data(block)
    return report


def parse_response(block: bytes) -> Report:
    report = Report()
    httptools.HttpResponseParser(report).feed_data(block)
    return report


LET_THROUGH = {
    "two Hosts": FIRST + b"Host: b\r\n\r\n",
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "a length with leading zeros": FIRST + b"Content-Length: 03\r\n\r\n",
    "a length behind a tab": FIRST + b"Content-Length:\t3\r\n\r\n",
    "a coding in front of chunked": FIRST + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "a coding behind a tab": FIRST + b"Transfer-Encoding:\tchunked\r\n\r\n",
    "HTTP/1.0 with chunks": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "HTTP/0.9": b"GET / HTTP/0.9\r\nHost: a\r\n\r\n",
    "another protocol": b"GET / RTSP/1.0\r\nHost: a\r\n\r\n",
    "no version": b"GET /\r\nHost: a\r\n\r\n",
    "two blanks behind the method": b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "two blanks behind the target": b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
    "a fragment": b"GET /#x HTTP/1.1\r\nHost: a\r\n\r\n",
    "an asterisk for GET": b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    "any scheme": b"GET x://foo HTTP/1.1\r\nHost: a\r\n\r\n",
    "TRACE": b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
    "empty lines in front": b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a bad Host": b"GET / HTTP/1.1\r\nHost: u@a, b/..\r\n\r\n",
    "any expectation": FIRST + b"Expect: the unexpected\r\n\r\n",
}
REFUSED = {
    "a length and chunks": b"Content-Length: 3\r\nTransfer-Encoding: chunked",
    "chunks and a length": b"Transfer-Encoding: chunked\r\nContent-Length: 3",
    "repeated lengths": b"Content-Length: 3\r\nContent-Length: 3",
    "a list of lengths": b"Content-Length: 3, 3",
    "a length with a sign": b"Content-Length: +3",
    "an empty length": b"Content-Length:",
    "an empty coding": b"Transfer-Encoding:",
    "an unknown coding": b"Transfer-Encoding: xchunked",
    "a coding behind chunked": b"Transfer-Encoding: chunked, gzip",
    "chunked in two fields": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "a folded line": b"X: a\r\n b",
    "a blank in front of the colon": b"X : y",
    "a blank in front of the name": b" X: y",
    "no name": b": y",
    "no colon": b"X",
    "a name with brackets": b"X(y): z",
    "a name with bytes above ASCII": b"X\xe9: z",
    "a bare LF": b"X: a\nY: b",
    "a bare CR": b"X: a\rY: b",
    "a NUL": b"X: a\x00b",
    "a control character": b"X: a\x01b",
    "DEL": b"X: a\x7fb",
}
REFUSED_LINES = {
    "HTTP/1.2": b"GET / HTTP/1.2",
    "a blank behind the version": b"GET / HTTP/1.1 ",
    "a target without a slash": b"GET a HTTP/1.1",
    "a byte above ASCII": b"GET /\xff HTTP/1.1",
    "a control character": b"GET /\x01 HTTP/1.1",
    "a method of another protocol": b"DESCRIBE / HTTP/1.1",
}
UNKNOWN_METHODS = [b"BREW", b"get", b"G(T"]
ANSWERS_LET_THROUGH = {
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\n\r\n",
    "HTTP/0.9": b"HTTP/0.9 200 OK\r\n\r\n",
    "another protocol": b"RTSP/1.0 200 OK\r\n\r\n",
    "status 000": b"HTTP/1.1 000 OK\r\n\r\n",
    "status 099": b"HTTP/1.1 099 OK\r\n\r\n",
    "status 600": b"HTTP/1.1 600 OK\r\n\r\n",
    "no reason": b"HTTP/1.1 200\r\n\r\n",
    "a control character in the reason": b"HTTP/1.1 200 O\x01K\r\n\r\n",
    "an unknown coding": ANSWER + b"Transfer-Encoding: xchunked\r\n\r\n",
    "a coding in front of chunked": ANSWER + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "a length with leading zeros": ANSWER + b"Content-Length: 03\r\n\r\n",
    "a length with a 204": b"HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\n",
    "HTTP/1.0 with chunks": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
}
ANSWERS_REFUSED = {
    "HTTP/1.2": b"HTTP/1.2 200 OK\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "two blanks": b"HTTP/1.1  200 OK\r\n\r\n",
    "a length and chunks": ANSWER + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    "repeated lengths": ANSWER + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\n",
    "a folded line": ANSWER + b"X: a\r\n b\r\n\r\n",
    "a bare LF": ANSWER + b"X: a\nY: b\r\n\r\n",
    "a blank in front of the colon": ANSWER + b"X : b\r\n\r\n",
    "101 without an upgrade": b"HTTP/1.1 101 Switching\r\n\r\n",
}


@pytest.mark.parametrize("block", LET_THROUGH.values(), ids=LET_THROUGH.keys())
def test_the_parser_alone_lets_this_request_through(block: bytes) -> None:
    assert parse_request(block).complete


@pytest.mark.parametrize("line", REFUSED.values(), ids=REFUSED.keys())
def test_the_parser_refuses_these_fields(line: bytes) -> None:
    with pytest.raises(httptools.HttpParserError):
        parse_request(FIRST + line + b"\r\n\r\n")


@pytest.mark.parametrize("line", REFUSED_LINES.values(), ids=REFUSED_LINES.keys())
def test_the_parser_refuses_this_request_line(line: bytes) -> None:
    with pytest.raises(httptools.HttpParserError):
        parse_request(line + b"\r\nHost: a\r\n\r\n")


@pytest.mark.parametrize("method", UNKNOWN_METHODS)
def test_a_method_that_the_parser_does_not_know_has_an_error_of_its_own(method: bytes) -> None:
    with pytest.raises(httptools.HttpParserInvalidMethodError):
        parse_request(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n")


@pytest.mark.parametrize("block", ANSWERS_LET_THROUGH.values(), ids=ANSWERS_LET_THROUGH.keys())
def test_the_parser_alone_lets_this_answer_through(block: bytes) -> None:
    assert parse_response(block).complete


@pytest.mark.parametrize("block", ANSWERS_REFUSED.values(), ids=ANSWERS_REFUSED.keys())
def test_the_parser_refuses_this_answer(block: bytes) -> None:
    with pytest.raises(httptools.HttpParserError):
        parse_response(block)


@pytest.mark.parametrize(
    "block",
    [
        FIRST + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    ids=["upgrade", "connect"],
)
def test_a_request_for_another_protocol_is_reported_by_an_exception_that_is_no_refusal(block: bytes) -> None:
    with pytest.raises(httptools.HttpParserUpgrade):
        parse_request(block)


def test_the_parser_reports_the_target_as_it_came() -> None:
    target = b"/a%2Fb//..;x?y=%zz&?"
    assert parse_request(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n").url == target


def test_the_parser_reports_fields_in_order_without_the_blanks_in_front() -> None:
    report = parse_request(b"GET / HTTP/1.1\r\nhOST: a\r\nX:\t 1 \r\nx:\r\nX-Y: \xe9\r\n\r\n")
    assert report.fields == [(b"hOST", b"a"), (b"X", b"1 "), (b"x", b""), (b"X-Y", b"\xe9")]


def test_a_parser_without_callbacks_judges_all_the_same() -> None:
    with pytest.raises(httptools.HttpParserError):
        httptools.HttpRequestParser(object()).feed_data(FIRST + b"X : y\r\n\r\n")


def test_a_used_parser_refuses_bytes_behind_the_last_request() -> None:
    parser = httptools.HttpRequestParser(Report())
    parser.feed_data(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    with pytest.raises(httptools.HttpParserError):
        parser.feed_data(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
