"""Request bodies: whole, in any segmentation, framed once and as the client framed them."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from tests.gateway.stage import GET, path, request

if TYPE_CHECKING:
    from tests.gateway.conftest import Launch
    from tests.gateway.origin import Turn
    from tests.gateway.stage import Stage

CHUNKED = "Transfer-Encoding: chunked"
CHUNKS = b"4;name=value\r\nWiki\r\n006\r\npedia \r\nE\r\nin \r\n\r\nchunks.\r\n0\r\nX-Trailer: kept\r\n\r\n"
PAYLOAD = b"Wikipedia in \r\n\r\nchunks."


@pytest.mark.parametrize("size", [1, 1000, 16_383, 100_000])
async def test_a_body_by_length_arrives_whole_with_its_own_length(stage: Stage, size: int) -> None:
    body = random.Random(size).randbytes(size)
    await stage.ask(request("POST", path(), body=body))
    seen = await stage.eu.request()
    assert seen.raw == body
    assert seen.values(b"Content-Length") == [str(size).encode()]
    assert not seen.values(b"Transfer-Encoding")


async def test_a_body_by_length_may_come_byte_by_byte(stage: Stage) -> None:
    client = await stage.client()
    raw = request("POST", path(), body=b"0123456789")
    await client.send(*(raw[at : at + 1] for at in range(len(raw))))
    assert (await client.answer()).status == 200
    assert (await stage.eu.request()).raw == b"0123456789"


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
async def test_a_chunked_body_arrives_whole_in_any_segmentation(stage: Stage, step: int) -> None:
    client = await stage.client()
    raw = request("POST", path(), CHUNKED) + CHUNKS
    await client.send(*(raw[at : at + step] for at in range(0, len(raw), step)))
    assert (await client.answer()).status == 200
    seen = await stage.eu.request()
    assert seen.body == PAYLOAD
    assert seen.values(b"Transfer-Encoding") == [b"chunked"]
    assert not seen.values(b"Content-Length")


async def test_what_comes_in_one_read_goes_out_as_one_chunk_without_extensions(stage: Stage) -> None:
    await stage.ask(request("POST", path(), CHUNKED) + CHUNKS)
    assert (await stage.eu.request()).raw == b"%x\r\n%b\r\n0\r\nX-Trailer: kept\r\n\r\n" % (len(PAYLOAD), PAYLOAD)


async def test_a_chunk_is_passed_on_before_the_next_one_comes(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request("POST", path(), CHUNKED) + b"3\r\nabc\r\n")
    seen = await stage.eu.head()
    await stage.eu.bell.until(lambda: seen.body == b"abc" or None)
    await client.send(b"0\r\n\r\n")
    assert (await client.answer()).status == 200


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_no_framing_is_invented_for_a_request_without_a_body(stage: Stage, method: str) -> None:
    await stage.ask(request(method))
    seen = await stage.eu.request()
    assert not seen.values(b"Content-Length")
    assert not seen.values(b"Transfer-Encoding")


async def test_a_length_of_zero_is_kept(stage: Stage) -> None:
    await stage.ask(request("POST", path(), "Content-Length: 0"))
    assert (await stage.eu.request()).values(b"Content-Length") == [b"0"]


async def test_a_content_coding_is_left_alone(stage: Stage) -> None:
    body = b"\x1f\x8b\x08 not even gzip"
    await stage.ask(request("POST", path(), "Content-Encoding: gzip", body=body))
    assert (await stage.eu.request()).raw == body


@pytest.mark.parametrize(
    "bad",
    [b"zz\r\n", b"3\r\nabcd\r\n", b"3 \r\nabc\r\n", b"+3\r\nabc\r\n", b"3\nabc\r\n", b"1" * 16 + b"\r\n"],
)
async def test_bad_chunk_framing_is_refused_and_cuts_the_region_off(stage: Stage, bad: bytes) -> None:
    client = await stage.client()
    await client.send(request("POST", path(), CHUNKED) + b"3\r\nabc\r\n")
    await stage.eu.head()
    await client.send(bad)
    answer = await client.answer()
    assert answer.status == 400
    assert answer.value(b"Connection") == b"close"
    assert await (await stage.eu.connection()).ended() == "reset"


@pytest.mark.parametrize("trailer", [b"Content-Length: 3", b"Host: evil", b"X-Api-Key: other", b"Transfer-Encoding: x"])
async def test_a_trailer_that_frames_routes_or_authenticates_is_refused(stage: Stage, trailer: bytes) -> None:
    answer = await stage.ask(request("POST", path(), CHUNKED) + b"0\r\n" + trailer + b"\r\n\r\n")
    assert answer.status == 400


async def test_a_body_may_be_as_long_as_the_limit_and_no_longer(launch: Launch) -> None:
    stage = await launch(limits={"max_body": 10})
    assert (await stage.ask(request("POST", path(), body=b"x" * 10))).status == 200
    answer = await stage.ask(request("POST", path(), body=b"x" * 11))
    assert (answer.status, answer.value(b"Connection")) == (413, b"close")
    assert len(stage.eu.requests) == 1


async def test_a_chunked_body_that_outgrows_the_limit_is_refused_when_it_does(launch: Launch) -> None:
    stage = await launch(limits={"max_body": 10})
    client = await stage.client()
    await client.send(request("POST", path(), CHUNKED) + b"a\r\n0123456789\r\n")
    await stage.eu.head()
    await client.send(b"1\r\nx\r\n")
    assert (await client.answer()).status == 413
    assert await (await stage.eu.connection()).ended() == "reset"


async def test_an_expectation_is_the_region_s_to_meet(stage: Stage) -> None:
    async def wants_it(turn: Turn) -> None:
        assert turn.request.values(b"Expect") == [b"100-continue"]
        assert turn.request.raw == b""
        turn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await turn.whole()
        turn.send(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    stage.eu.answers.append(wants_it)
    client = await stage.client()
    await client.send(request("POST", path(), "Expect: 100-continue", "Content-Length: 5"))
    assert (await client.answer()).head == b"HTTP/1.1 100 Continue\r\n\r\n"
    await client.send(b"hello")
    assert (await client.answer()).status == 201
    assert (await client.ask(GET)).status == 200


async def test_a_final_answer_instead_of_a_100_ends_the_connection(stage: Stage) -> None:
    async def refuses(turn: Turn) -> None:
        turn.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!")

    stage.eu.answers.append(refuses)
    client = await stage.client()
    await client.send(request("POST", path(), "Expect: 100-continue", "Content-Length: 5"))
    answer = await client.answer()
    assert (answer.status, answer.body, answer.value(b"Connection")) == (413, b"no!", b"close")
    assert await client.read_to_end() == (b"", "fin")
    assert await (await stage.eu.connection()).ended() == "reset"


async def test_a_client_that_goes_on_sending_gets_an_early_answer_all_the_same(stage: Stage) -> None:
    async def refuses(turn: Turn) -> None:
        turn.send(b"HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\nno!")

    stage.eu.answers.append(refuses)
    client = await stage.client()
    await client.send(request("POST", path(), "Content-Length: 1000000"))
    await client.send(*[b"x" * 10_000] * 50)
    answer = await client.answer()
    assert (answer.status, answer.body, answer.value(b"Connection")) == (403, b"no!", b"close")
    assert await client.read_to_end() == (b"", "fin")


async def test_the_upload_goes_on_while_an_early_answer_is_not_whole(stage: Stage) -> None:
    async def echoes(turn: Turn) -> None:
        turn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        turn.send(await turn.whole())

    stage.eu.answers.append(echoes)
    client = await stage.client()
    await client.send(request("POST", path(), "Content-Length: 6") + b"abc")
    head = await client.receive_until(b"\r\n\r\n")
    assert b"Connection: close" in head
    await client.send(b"def")
    assert await client.read_to_end() == (b"abcdef", "fin")


async def test_an_answer_that_lies_before_the_region_s_reset_is_passed_on(stage: Stage) -> None:
    async def refuses_and_goes(turn: Turn) -> None:
        turn.connection.transport.pause_reading()
        turn.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!")
        await sent.wait()
        turn.connection.close()

    sent = asyncio.Event()
    stage.eu.answers.append(refuses_and_goes)
    client = await stage.client()
    await client.send(request("POST", path(), "Content-Length: 1000000"))
    await stage.eu.head()
    await client.send(b"x" * 10_000)
    sent.set()
    await client.send(*[b"x" * 10_000] * 50)
    assert (await client.answer()).status == 413
