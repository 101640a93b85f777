"""Answers of a region: as it gave them, with their end where the region put it."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from tests.gateway.origin import ok
from tests.gateway.stage import GET, path, request

if TYPE_CHECKING:
    from tests.gateway.conftest import Launch
    from tests.gateway.origin import Turn
    from tests.gateway.stage import Stage

OLD_GET = request("GET", path(), version="1.0")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n4\r\ndefg\r\n0\r\nT: 1\r\n\r\n"
CLOSE_DELIMITED = b"HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\nuntil the end"


async def until_close(turn: Turn) -> None:
    await turn.whole()
    turn.send(CLOSE_DELIMITED)
    turn.connection.close()


async def test_an_answer_reaches_the_client_byte_for_byte_but_for_our_own_fields(stage: Stage) -> None:
    fields = b"x-CASE: Kept\r\nSet-Cookie: a=1\r\nLatin: caf\xe9 \xff\r\nset-cookie: b=2\r\nContent-Length: 3\r\nE:\r\n"
    stage.eu.answers.append(b"HTTP/1.1 242 Odd \xe9 Reason\r\n" + fields + b"\r\nabc")
    answer = await stage.ask(request("GET", path(), "X-Request-ID: trace"))
    assert answer.head == (
        b"HTTP/1.1 242 Odd \xe9 Reason\r\n" + fields + b"X-Router-Region: eu\r\n"
        b"X-Router-Region-URL: https://euc1.clockify.me/api\r\nX-Request-ID: trace\r\n"
        b"Via: 1.1 region-router-global\r\n\r\n"
    )
    assert answer.body == b"abc"


async def test_hop_by_hop_and_nominated_fields_of_a_region_are_removed(stage: Stage) -> None:
    stage.eu.answers.append(
        ok(
            b"ok",
            b"Connection: keep-alive, X-Hop",
            b"Keep-Alive: timeout=5",
            b"X-Hop: 1",
            b"Upgrade: h2c",
            b"X-Stays: 1",
        )
    )
    answer = await stage.ask(GET)
    names = [name for name, _ in answer.fields]
    assert b"X-Stays" in names
    assert not {b"Connection", b"Keep-Alive", b"X-Hop", b"Upgrade"} & set(names)


async def test_a_region_cannot_pose_as_the_router(stage: Stage) -> None:
    stage.eu.answers.append(ok(b"ok", b"X-Router-Region: mars", b"X-Request-ID: theirs", b"x-router-hint: x"))
    answer = await stage.ask(request("GET", path(), "X-Request-ID: mine"))
    assert answer.value(b"X-Router-Region") == b"eu"
    assert answer.value(b"X-Request-ID") == b"mine"
    assert answer.value(b"X-Router-Hint") is None


async def test_nothing_is_invented_for_an_answer(stage: Stage) -> None:
    answer = await stage.ask(GET)
    names = {name for name, _ in answer.fields}
    assert names == {b"Content-Length", b"X-Router-Region", b"X-Router-Region-URL", b"X-Request-ID", b"Via"}


async def test_a_chunked_answer_stays_chunked_without_extensions_and_trailers(stage: Stage) -> None:
    stage.eu.answers.append(CHUNKED)
    answer = await stage.ask(GET)
    assert answer.values(b"Transfer-Encoding") == [b"chunked"]
    assert answer.raw == b"7\r\nabcdefg\r\n0\r\n\r\n"


async def test_a_piece_of_an_answer_is_passed_on_before_the_next_one_comes(stage: Stage) -> None:
    async def drips(turn: Turn) -> None:
        turn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await stage.eu.head(1)
        turn.send(b"0\r\n\r\n")

    stage.eu.answers.append(drips)
    client = await stage.client()
    await client.send(GET)
    await client.receive_until(b"3\r\nabc\r\n")
    await stage.ask(GET)
    assert await client.receive_until(b"0\r\n\r\n") == b"0\r\n\r\n"


async def test_an_answer_may_come_byte_by_byte(stage: Stage) -> None:
    async def drips(turn: Turn) -> None:
        for at in range(len(CHUNKED)):
            turn.send(CHUNKED[at : at + 1])

    stage.eu.answers.append(drips)
    assert (await stage.ask(GET)).body == b"abcdefg"


async def test_an_answer_that_ends_with_its_connection_ends_the_client_s_too(stage: Stage) -> None:
    stage.eu.answers.append(until_close)
    client = await stage.client()
    await client.send(GET)
    head = await client.receive_until(b"\r\n\r\n")
    assert b"Connection: close\r\n" in head
    assert b"Transfer-Encoding" not in head
    assert await client.read_to_end() == (b"until the end", "fin")


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_answers_without_a_body_end_at_their_head(stage: Stage, status: bytes) -> None:
    stage.eu.answers.append(b"HTTP/1.1 " + status + b"\r\nETag: x\r\n\r\n")
    client = await stage.client()
    assert (await client.ask(GET)).line.endswith(status)
    assert (await client.ask(GET)).body == b"eu"
    assert len(stage.eu.connections) == 1


async def test_a_304_keeps_its_length_and_a_204_loses_it(stage: Stage) -> None:
    stage.eu.answers.append(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n")
    stage.eu.answers.append(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
    client = await stage.client()
    assert (await client.ask(GET)).value(b"Content-Length") == b"77"
    assert (await client.ask(GET)).value(b"Content-Length") is None


async def test_an_answer_to_head_keeps_its_length_and_has_no_body(stage: Stage) -> None:
    stage.eu.answers.append(b"HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n")
    client = await stage.client()
    answer = await client.ask(request("HEAD"), bodyless=True)
    assert answer.value(b"Content-Length") == b"77"
    assert (await client.ask(GET)).body == b"eu"
    assert len(stage.eu.connections) == 1


async def test_a_1_0_client_gets_the_payload_of_a_chunked_answer_and_the_end_of_the_connection(stage: Stage) -> None:
    stage.eu.answers.append(CHUNKED)
    client = await stage.client()
    await client.send(request("GET", path(), "Connection: keep-alive", version="1.0"))
    head = await client.receive_until(b"\r\n\r\n")
    assert b"Transfer-Encoding" not in head
    assert b"Connection: close\r\n" in head
    assert await client.read_to_end() == (b"abcdefg", "fin")


async def test_a_1_0_client_is_kept_if_it_asks_for_it(stage: Stage) -> None:
    client = await stage.client()
    answer = await client.ask(request("GET", path(), "Connection: Keep-Alive", version="1.0"))
    assert answer.value(b"Connection") == b"keep-alive"
    assert (await client.ask(OLD_GET)).value(b"Connection") == b"close"
    assert await client.read_to_end() == (b"", "fin")


async def test_a_1_1_client_may_ask_for_the_end(stage: Stage) -> None:
    client = await stage.client()
    assert (await client.ask(request("GET", path(), "Connection: close"))).value(b"Connection") == b"close"
    assert await client.read_to_end() == (b"", "fin")


async def test_interim_answers_are_relayed(stage: Stage) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    stage.eu.answers.append(early + b"HTTP/1.1 102 Processing\r\n\r\n" + ok())
    client = await stage.client()
    assert (await client.ask(GET)).head == early
    assert (await client.answer()).status == 102
    assert (await client.answer()).status == 200


async def test_a_1_0_client_gets_no_interim_answers(stage: Stage) -> None:
    stage.eu.answers.append(b"HTTP/1.1 103 Early Hints\r\n\r\n" + ok())
    assert (await stage.ask(OLD_GET)).status == 200


async def test_a_100_that_nobody_asked_for_is_swallowed(stage: Stage) -> None:
    stage.eu.answers.append(b"HTTP/1.1 100 Continue\r\n\r\n" + ok())
    assert (await stage.ask(GET)).status == 200


async def test_a_region_s_redirect_is_passed_on(stage: Stage) -> None:
    stage.eu.answers.append(b"HTTP/1.1 302 Found\r\nLocation: http://internal/x\r\nContent-Length: 0\r\n\r\n")
    answer = await stage.ask(GET)
    assert (answer.status, answer.value(b"Location")) == (302, b"http://internal/x")


async def test_a_content_coding_of_an_answer_is_left_alone(stage: Stage) -> None:
    body = gzip.compress(b"x" * 1000)
    stage.eu.answers.append(ok(body, b"Content-Encoding: gzip", b"Vary: Accept-Encoding"))
    answer = await stage.ask(GET)
    assert (answer.value(b"Content-Encoding"), answer.body) == (b"gzip", body)


async def test_a_cookie_that_was_set_is_not_sent_for_anybody(stage: Stage) -> None:
    stage.eu.answers.append(ok(b"first", b"Set-Cookie: session=1; Path=/"))
    client = await stage.client()
    assert (await client.ask(GET)).value(b"Set-Cookie") == b"session=1; Path=/"
    assert (await client.ask(GET)).value(b"Set-Cookie") is None
    assert (await stage.ask(GET)).value(b"Set-Cookie") is None
    assert [request.values(b"Cookie") for request in stage.eu.requests] == [[], [], []]


@pytest.mark.parametrize(
    ("policy", "status", "named"),
    [
        ("success", 200, True),
        ("success", 201, True),
        ("success", 302, False),
        ("success", 404, False),
        ("always", 404, True),
        ("never", 200, False),
    ],
)
async def test_the_region_is_named_as_policy_says(launch: Launch, policy: str, status: int, named: bool) -> None:
    stage = await launch(policy=f'disclose_region = "{policy}"')
    stage.eu.answers.append(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
    answer = await stage.ask(GET)
    assert (answer.value(b"X-Router-Region") == b"eu") is named
    assert (answer.value(b"X-Router-Region-URL") == b"https://euc1.clockify.me/api") is named


async def test_bytes_behind_a_whole_answer_are_dropped_with_their_connection(stage: Stage) -> None:
    stage.eu.answers.append(ok(b"mine") + ok(b"not mine"))
    client = await stage.client()
    assert (await client.ask(GET)).body == b"mine"
    assert (await client.ask(GET)).body == b"eu"
    assert len(stage.eu.connections) == 2
    assert await stage.eu.connections[0].ended() == "reset"


async def test_a_large_head_of_a_region_passes(stage: Stage) -> None:
    stage.eu.answers.append(ok(b"ok", *(b"X-%d: %b" % (number, b"v" * 1000) for number in range(200))))
    assert len((await stage.ask(GET)).head) > 200_000
