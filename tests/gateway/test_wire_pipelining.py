"""Pipelining and keep-alive on the client's side: answers come in the order of their requests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.gateway.origin import ok
from tests.gateway.stage import AT_HOME, GET, IN_US, path, request

if TYPE_CHECKING:
    from tests.gateway.origin import Turn
    from tests.gateway.stage import Stage

NOWHERE = request("GET", "/nothing")
CHUNKED = request("POST", path(), "Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n"


async def test_answers_come_in_the_order_of_their_requests_whoever_gives_them(stage: Stage) -> None:
    client = await stage.client()
    await client.send(
        NOWHERE + GET + request("POST", path(AT_HOME), body=b"GET / HTTP/1.1\r\n\r\n") + CHUNKED + NOWHERE + NOWHERE
    )
    answers = [await client.answer() for _ in range(6)]
    assert [answer.status for answer in answers] == [404, 200, 200, 200, 404, 404]
    assert [answer.body for answer in answers[1:4]] == [b"eu", b"global", b"eu"]


async def test_a_slow_first_answer_holds_the_second_back(stage: Stage) -> None:
    async def waits(turn: Turn) -> None:
        await released.wait()
        turn.send(ok(b"slow"))

    released = asyncio.Event()
    stage.eu.answers.append(waits)
    client = await stage.client()
    await client.send(GET + request("GET", path(AT_HOME)))
    await stage.eu.request()
    assert not stage.home.requests
    released.set()
    assert (await client.answer()).body == b"slow"
    assert (await client.answer()).body == b"global"


async def test_a_request_behind_one_that_has_to_be_looked_up_is_answered_after_it(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request("GET", path(IN_US)) + NOWHERE)
    assert (await client.answer()).body == b"us"
    assert (await client.answer()).status == 404


async def test_a_hundred_requests_in_one_segment_are_all_answered(stage: Stage) -> None:
    client = await stage.client()
    await client.send((GET + NOWHERE) * 50)
    assert [(await client.answer()).status for _ in range(100)] == [200, 404] * 50


async def test_what_follows_a_last_request_is_not_answered_and_spoils_no_answer(stage: Stage) -> None:
    async def waits(turn: Turn) -> None:
        await released.wait()
        turn.send(ok())

    released = asyncio.Event()
    stage.eu.answers.append(waits)
    client = await stage.client()
    # What comes behind the first segment is not read any more, and a plain close would be a reset therefore.
    await client.send(request("GET", path(), "Connection: close"), GET, GET * 100, GET * 100)
    released.set()
    assert (await client.answer()).value(b"Connection") == b"close"
    assert await client.read_to_end() == (b"", "fin")
    assert len(stage.eu.requests) == 1


async def test_a_body_is_never_read_as_the_next_request(stage: Stage) -> None:
    client = await stage.client()
    inner = request("DELETE", path(AT_HOME))
    await client.send(request("POST", path(), body=inner) + GET)
    assert [(await client.answer()).body for _ in range(2)] == [b"eu", b"eu"]
    assert not stage.home.requests


async def test_a_body_that_is_dropped_ends_where_the_next_request_begins(stage: Stage) -> None:
    client = await stage.client()
    chunked = request("POST", "/nothing", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n"
    await client.send(request("POST", "/nothing", body=b"dropped") + GET + chunked + GET)
    assert [(await client.answer()).status for _ in range(4)] == [404, 200, 404, 200]


async def test_a_refused_head_ends_the_answers(stage: Stage) -> None:
    client = await stage.client()
    await client.send(GET + b"nonsense\r\n\r\n" + GET)
    assert [(await client.answer()).status for _ in range(2)] == [200, 400]
    assert await client.read_to_end() == (b"", "fin")


async def test_both_sides_keep_their_connections(stage: Stage) -> None:
    client = await stage.client()
    for _ in range(20):
        assert (await client.ask(GET)).status == 200
        assert (await client.ask(request("POST", path(), body=b"x"))).status == 200
    assert len(stage.eu.connections) == 1
    assert len(stage.gateway.connections) == 1


async def test_a_drain_says_close_and_lets_the_answer_end(stage: Stage) -> None:
    async def waits(turn: Turn) -> None:
        await released.wait()
        turn.send(ok(b"the last"))

    released = asyncio.Event()
    stage.eu.answers.append(waits)
    client = await stage.client()
    await client.send(GET)
    await stage.eu.request()
    stage.gateway.draining = True
    released.set()
    answer = await client.answer()
    assert (answer.body, answer.value(b"Connection")) == (b"the last", b"close")
    assert await client.read_to_end() == (b"", "fin")
