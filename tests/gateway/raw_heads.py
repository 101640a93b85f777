"""Raw heads for tests, how they are judged, and the fields that two readers could frame in two ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.gateway.heads import Admitted, Refusal, admit
from router.gateway.options import GatewayOptions
from router.routing.fields import request_rules

if TYPE_CHECKING:
    from router.model.problem import Problem

RULES = request_rules("x-api-key")
LIMITS = GatewayOptions()
HOST = b"Host: clockify.me"


def block(*lines: bytes) -> bytes:
    return b"\r\n".join(lines) + b"\r\n\r\n"


def judged(head: bytes, limits: GatewayOptions = LIMITS) -> Admitted | Refusal:
    return admit(head, RULES, b"x-api-key", limits)


def admitted(*lines: bytes) -> Admitted:
    outcome = judged(block(*lines))
    assert isinstance(outcome, Admitted), outcome
    return outcome


def refused(head: bytes, limits: GatewayOptions = LIMITS) -> Problem:
    outcome = judged(head, limits)
    assert isinstance(outcome, Refusal), outcome
    return outcome.problem


SMUGGLING = {
    "a length and chunks": b"Content-Length: 3\r\nTransfer-Encoding: chunked",
    "chunks and a length": b"Transfer-Encoding: chunked\r\nContent-Length: 3",
    "differing lengths": b"Content-Length: 3\r\nContent-Length: 4",
    "repeated lengths": b"Content-Length: 3\r\nContent-Length: 3",
    "a list of lengths": b"Content-Length: 3,3",
    "a list of lengths with a blank": b"Content-Length: 3, 3",
    "a length with a sign": b"Content-Length: +3",
    "a negative length": b"Content-Length: -3",
    "a hexadecimal length": b"Content-Length: 0x3",
    "a length with a blank inside": b"Content-Length: 3 4",
    "a length with leading zeros": b"Content-Length: 03",
    "an empty length": b"Content-Length:",
    "a length that overflows": b"Content-Length: 99999999999999999999",
    "a length of words": b"Content-Length: three",
    "a length behind a tab": b"Content-Length:\t3",
    "a length in front of a tab": b"Content-Length: 3\t",
    "an unknown coding": b"Transfer-Encoding: xchunked",
    "a coding in front of chunked": b"Transfer-Encoding: gzip, chunked",
    "a coding behind chunked": b"Transfer-Encoding: chunked, gzip",
    "chunked twice": b"Transfer-Encoding: chunked, chunked",
    "chunked in two fields": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "two codings in two fields": b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
    "identity": b"Transfer-Encoding: identity",
    "an empty coding": b"Transfer-Encoding:",
    "an empty coding beside a real one": b"Transfer-Encoding:\r\nTransfer-Encoding: chunked",
    "a quoted coding": b'Transfer-Encoding: "chunked"',
    "a coding with a parameter": b"Transfer-Encoding: chunked;q=1",
    "a coding with a comma": b"Transfer-Encoding: chunked,",
    "a coding behind a tab": b"Transfer-Encoding:\tchunked",
    "a coding behind a vertical tab": b"Transfer-Encoding: \x0bchunked",
    "a folded coding": b"Transfer-Encoding:\r\n chunked",
    "a folded line": b"X: a\r\n b",
    "a line folded by a tab": b"X: a\r\n\tb",
    "a bare LF": b"X: a\nY: b",
    "a bare CR": b"X: a\rY: b",
    "a CR in front of CRLF": b"X: a\r\r\nY: b",
    "a blank in front of the colon": b"X : y",
    "a tab in front of the colon": b"X\t: y",
    "a blank in front of the coding's colon": b"Transfer-Encoding : chunked",
    "a blank in front of the name": b" X: y",
    "no name": b": y",
    "no colon": b"X",
    "a blank inside a name": b"X Y: z",
    "a name with brackets": b"X(y): z",
    "a name with bytes above ASCII": b"X\xe9: z",
    "a NUL in a value": b"X: a\x00b",
    "a NUL in a name": b"X\x00: b",
    "a control character": b"X: a\x01b",
    "an escape character": b"X: a\x1b[2Jb",
    "DEL": b"X: a\x7fb",
    "two Hosts": b"Host: evil.example",
    "the same Host twice": b"Host: clockify.me",
}

REQUEST_LINES = {
    "two blanks behind the method": b"GET  / HTTP/1.1",
    "two blanks behind the target": b"GET /  HTTP/1.1",
    "a blank in the target": b"GET /a b HTTP/1.1",
    "a tab": b"GET\t/\tHTTP/1.1",
    "a tab in the target": b"GET /a\tb HTTP/1.1",
    "a blank in front": b" GET / HTTP/1.1",
    "a blank behind": b"GET / HTTP/1.1 ",
    "no version": b"GET /",
    "no target": b"GET HTTP/1.1",
    "nothing": b"",
    "a lower-case version": b"GET / http/1.1",
    "another protocol": b"GET / RTSP/1.0",
    "yet another protocol": b"SOURCE / ICE/1.0",
    "a long version": b"GET / HTTP/1.10",
    "a version with zeros": b"GET / HTTP/01.1",
    "a short version": b"GET / HTTP/1",
    "a fragment": b"GET /a#b HTTP/1.1",
    "a NUL": b"GET /\x00 HTTP/1.1",
    "a byte above ASCII": b"GET /\xe9 HTTP/1.1",
    "a control character": b"GET /\x01 HTTP/1.1",
    "a bare LF": b"GET / HTTP/1.1\nX: y",
    "no path": b"GET x HTTP/1.1",
    "a method with brackets": b"G(T / HTTP/1.1",
}
