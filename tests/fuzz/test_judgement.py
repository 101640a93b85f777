"""The judge of the fuzzer can find something: each way to be different is a finding."""

from __future__ import annotations

from typing import Final

import pytest

from tests.fuzz.judgement import judge_answer, judge_requests, judge_told
from tests.strict_reader import read_requests

SENT: Final = (
    b"POST /a HTTP/1.1\r\nHost: a\r\nCookie: b\r\nConnection: x-gone\r\nX-Gone: 1\r\nX-A: 1\r\n"
    b"Content-Length: 3\r\n\r\nabc"
    b"GET http://b/c HTTP/1.1\r\nHost: a\r\n\r\n"
)
FIRST: Final = (
    b"POST /a HTTP/1.1\r\nHost: r\r\nCookie: b\r\nX-A: 1\r\nContent-Length: 3\r\nX-Forwarded-Host: a\r\n\r\nabc"
)
SECOND: Final = b"GET /c HTTP/1.1\r\nHost: r\r\nX-Forwarded-Host: b\r\n\r\n"

WRONG: Final = {
    "another method": FIRST.replace(b"POST", b"PUT"),
    "another target": FIRST.replace(b"/a", b"/b"),
    "another body": FIRST.replace(b"abc", b"abd"),
    "a body that is cut and called whole": FIRST.replace(b"Content-Length: 3", b"Content-Length: 2"),
    "a lost cookie": FIRST.replace(b"Cookie: b\r\n", b""),
    "another authority": FIRST.replace(b"X-Forwarded-Host: a", b"X-Forwarded-Host: c"),
    "a field that nobody sent": FIRST.replace(b"X-A: 1", b"X-A: 2"),
    "twice": FIRST + FIRST,
    "another order": SECOND + FIRST,
    "what was in a body": FIRST + b"GET /smuggled HTTP/1.1\r\nHost: r\r\nX-Forwarded-Host: a\r\n\r\n",
    "a trailer that nobody sent": FIRST.replace(b"Content-Length: 3", b"Transfer-Encoding: chunked").replace(
        b"abc", b"3\r\nabc\r\n0\r\nX-B: 1\r\n\r\n"
    ),
}


@pytest.mark.parametrize("arrived", [b"", FIRST, SECOND, FIRST + SECOND, FIRST[:-1]], ids=repr)
def test_what_was_sent_or_less_of_it_is_no_finding(arrived: bytes) -> None:
    assert judge_requests(read_requests(SENT).messages, read_requests(arrived).messages) == []


@pytest.mark.parametrize("name", WRONG)
def test_what_arrives_and_was_not_sent_is_a_finding(name: str) -> None:
    assert judge_requests(read_requests(SENT).messages, read_requests(WRONG[name]).messages) != []


def answer(number: int, body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nX-Answer: %d\r\nContent-Length: %d\r\n\r\n" % (number, len(body)) + body


@pytest.mark.parametrize(
    "told", [b"", answer(0, b"a") + answer(1, b"b"), answer(1, b"b"), answer(0, b"a")[:-1]], ids=repr
)
def test_answers_in_their_order_are_no_finding_even_if_some_are_missing(told: bytes) -> None:
    assert judge_told(told, [b"GET", b"GET"], [b"a", b"b"], ended=True) == []


@pytest.mark.parametrize(
    "told",
    [
        answer(1, b"b") + answer(0, b"a"),
        answer(0, b"b"),
        answer(0, b"a") + answer(0, b"a"),
        answer(0, b"a") + b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        answer(0, b"a") * 4,
    ],
    ids=repr,
)
def test_answers_that_are_not_those_that_are_due_are_a_finding(told: bytes) -> None:
    assert judge_told(told, [b"GET", b"GET"], [b"a", b"b"], ended=True) != []


ANSWER: Final = b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nContent-Length: 3\r\n\r\nabc"


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (ANSWER, ANSWER.replace(b"200", b"201")),
        (ANSWER, ANSWER.replace(b"abc", b"abd")),
        (ANSWER, ANSWER.replace(b"Set-Cookie: a\r\n", b"")),
        (ANSWER, ANSWER.replace(b"Set-Cookie: a", b"Set-Cookie: b")),
        (ANSWER, ANSWER + ANSWER),
        (ANSWER, b"HTTP/1.1 103 Early Hints\r\n\r\n" + ANSWER),
        (ANSWER[:-1], ANSWER.replace(b"Content-Length: 3\r\n\r\nabc", b"\r\nab")),
        (ANSWER[:-1], ANSWER),
    ],
    ids=range(8),
)
def test_an_answer_that_is_told_otherwise_is_a_finding(sent: bytes, told: bytes) -> None:
    assert judge_answer(b"GET", sent, told, sent_ended=True, told_ended=True)[0] != []


@pytest.mark.parametrize("told", [ANSWER, ANSWER[:-1], b""], ids=repr)
def test_an_answer_that_is_told_as_it_came_or_cut_is_no_finding(told: bytes) -> None:
    assert judge_answer(b"GET", ANSWER, told, sent_ended=True, told_ended=True)[0] == []
