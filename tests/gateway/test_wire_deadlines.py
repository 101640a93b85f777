"""Deadlines: silence ends what is silent, and whoever is silent is told so. What moves goes on."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

import pytest

from tests.gateway.origin import ok
from tests.gateway.stage import GET, path, request

if TYPE_CHECKING:
    from tests.gateway.conftest import Launch
    from tests.gateway.origin import Turn
    from tests.gateway.stage import Stage

SHORT = 0.2
POST = request("POST", path(), "Content-Length: 10")
LARGE = b"x" * 20_000_000


async def silent(turn: Turn) -> None:
    """An answer that never comes."""


async def test_a_slow_head_is_408(launch: Launch) -> None:
    stage = await launch(timeouts={"head": SHORT})
    client = await stage.client()
    await client.send(GET[:20])
    answer = await client.answer()
    assert (answer.status, answer.value(b"Connection")) == (408, b"close")
    assert await client.read_to_end() == (b"", "fin")


async def test_a_second_head_has_a_deadline_of_its_own(launch: Launch) -> None:
    stage = await launch(timeouts={"head": SHORT})
    client = await stage.client()
    await client.send(GET + GET[:20])
    assert (await client.answer()).status == 200
    assert (await client.answer()).status == 408


async def test_an_idle_connection_is_closed_without_a_word(launch: Launch) -> None:
    stage = await launch(timeouts={"keepalive": SHORT})
    client = await stage.client()
    assert (await client.ask(GET)).status == 200
    assert await client.read_to_end() == (b"", "fin")


async def test_a_slow_body_is_408_and_resets_the_region(launch: Launch) -> None:
    stage = await launch(timeouts={"body_idle": SHORT})
    client = await stage.client()
    await client.send(POST + b"abc")
    answer = await client.answer()
    assert (answer.status, json.loads(answer.body)["code"]) == (408, 9408)
    assert await (await stage.eu.connection()).ended() == "reset"


async def test_a_region_that_does_not_answer_is_504_and_is_reset(launch: Launch) -> None:
    stage = await launch(timeouts={"first_byte": SHORT})
    stage.eu.answers.append(silent)
    client = await stage.client()
    answer = await client.ask(GET)
    assert (answer.status, json.loads(answer.body)["code"]) == (504, 9504)
    assert await (await stage.eu.connection()).ended() == "reset"
    assert (await client.ask(GET)).status == 200


async def test_a_region_that_drips_a_head_is_504(launch: Launch) -> None:
    async def drips(turn: Turn) -> None:
        turn.send(b"HTTP/1.1 200 OK\r\nX: ")
        while turn.connection.end is None:
            turn.send(b"x")
            await asyncio.wait({asyncio.create_task(turn.connection.ended())}, timeout=0.05)

    stage = await launch(timeouts={"first_byte": 0.6})
    stage.eu.answers.append(drips)
    assert (await stage.ask(GET)).status == 504


async def test_a_region_that_does_not_meet_an_expectation_is_504(launch: Launch) -> None:
    stage = await launch(timeouts={"first_byte": SHORT})
    stage.eu.answers.append(silent)
    assert (await stage.ask(request("POST", path(), "Expect: 100-continue", "Content-Length: 5"))).status == 504


async def test_a_region_that_falls_silent_in_its_answer_cuts_the_client(launch: Launch) -> None:
    async def begins(turn: Turn) -> None:
        turn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")

    stage = await launch(timeouts={"upstream_idle": SHORT})
    stage.eu.answers.append(begins)
    client = await stage.client()
    await client.send(GET)
    data, _ = await client.read_to_end()
    assert data.endswith(b"\r\n\r\nabc")
    assert await (await stage.eu.connection()).ended() == "reset"


async def test_a_region_that_does_not_take_the_upload_is_504(launch: Launch) -> None:
    stage = await launch(timeouts={"upstream_idle": SHORT})
    stage.eu.never_reads = True
    client = await stage.client()
    await client.send(request("POST", path(), f"Content-Length: {len(LARGE)}"))
    await client.send_until_blocked(LARGE[:100_000], len(LARGE), SHORT)
    assert (await client.answer()).status == 504


@pytest.mark.parametrize("framing", [b"Content-Length: %d\r\n" % len(LARGE), b""])
async def test_a_client_that_does_not_read_is_reset_and_so_is_the_region(launch: Launch, framing: bytes) -> None:
    async def floods(turn: Turn) -> None:
        turn.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n" + LARGE)

    stage = await launch(timeouts={"write_idle": SHORT})
    stage.eu.answers.append(floods)
    client = await stage.client(receive_buffer=4096)
    await client.send(GET)
    assert await (await stage.eu.connection()).ended() == "reset"
    assert (await client.read_to_end())[1] == "reset"


async def test_a_client_that_reads_the_end_of_an_answer_slowly_still_gets_it_or_a_reset(launch: Launch) -> None:
    async def floods(turn: Turn) -> None:
        turn.send(b"HTTP/1.1 200 OK\r\n\r\n" + LARGE[:5_000_000])
        turn.connection.close()

    stage = await launch(timeouts={"write_idle": SHORT})
    stage.eu.answers.append(floods)
    client = await stage.client(receive_buffer=4096)
    await client.send(GET)
    await (await stage.eu.connection()).ended()
    await stage.left()
    assert (await client.read_to_end())[1] == "reset"


async def test_a_slow_but_moving_reader_is_not_cut(launch: Launch) -> None:
    """So slow that the gateway's own buffer stands still for longer than it may: the kernel's is large."""
    stage = await launch(timeouts={"write_idle": 0.4, "upstream_idle": 0.4})
    body = LARGE[:7_000_000]
    stage.eu.answers.append(ok(body))
    client = await stage.client(receive_buffer=65536)
    await client.send(GET)
    await client.receive_until(b"\r\n\r\n")
    loop = asyncio.get_running_loop()
    started, got = loop.time(), 0
    # About 3 s, many times what a reader that stood still would be given.
    while got < len(body):
        got += len(await client.receive(50_000))
        await asyncio.sleep(max(0.0, started + 3 * got / len(body) - loop.time()))
    assert got == len(body)
    assert loop.time() - started > 1


async def test_an_upload_that_moves_is_not_cut(launch: Launch) -> None:
    stage = await launch(timeouts={"body_idle": 0.4, "first_byte": 0.4, "upstream_idle": 0.4})
    client = await stage.client()
    await client.send(request("POST", path(), "Content-Length: 1000"))
    for piece in range(10):
        await client.send(b"%d" % piece * 100)
        await asyncio.sleep(0.1)  # the pace of a slow client is what is tested
    assert (await client.answer()).status == 200
    assert len((await stage.eu.request()).raw) == 1000


async def test_a_request_that_waits_for_a_connection_is_503_in_time(launch: Launch) -> None:
    stage = await launch(timeouts={"pool_wait": SHORT, "connect": 30}, limits={"pool_size": 1})
    stage.eu.answers.append(silent)
    first = await stage.client()
    await first.send(GET)
    await stage.eu.head()
    started = time.monotonic()
    answer = await stage.ask(GET)
    assert (answer.status, json.loads(answer.body)["code"], answer.value(b"Retry-After")) == (503, 9513, b"1")
    assert time.monotonic() - started < 5


async def test_a_client_that_reads_none_of_many_answers_is_not_read_from_either(stage: Stage) -> None:
    total = 20_000_000
    client = await stage.client(receive_buffer=4096)
    # Patient: what is read in one go takes the gateway a while to answer.
    assert await client.send_until_blocked(request("GET", "/nothing") * 100, total, 1.0) < total


async def test_a_client_that_reads_none_of_many_answers_is_reset(launch: Launch) -> None:
    stage = await launch(timeouts={"write_idle": SHORT})
    client = await stage.client(receive_buffer=4096)
    await client.ask(request("GET", "/nothing"))
    await client.send(request("GET", "/nothing") * 10_000)
    await stage.left()
    assert (await client.read_to_end())[1] == "reset"


async def test_a_region_that_reads_again_in_time_gets_the_rest(stage: Stage) -> None:
    stage.eu.never_reads = True
    client = await stage.client()
    await client.send(request("POST", path(), f"Content-Length: {len(LARGE)}"))
    sent = await client.send_until_blocked(LARGE, len(LARGE), SHORT)
    assert sent < len(LARGE)
    (await stage.eu.connection()).transport.resume_reading()
    stage.eu.discards = True
    stage.eu.connections[0].send(ok())
    assert (await client.answer()).status == 200
