"""Rates: a trickle is silence, a slow stream is not."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from tests.gateway.origin import ok
from tests.gateway.stage import GET, path, request

if TYPE_CHECKING:
    from tests.gateway.conftest import Launch
    from tests.gateway.origin import Turn
    from tests.gateway.wire import Client

WINDOW = 1.0
"""Seconds: some sweeps long, so that a pace can be told from a pause."""
RATE = 1000
CHUNKED = request("POST", path(), "Transfer-Encoding: chunked")
LENGTH = request("POST", path(), "Content-Length: 1000000")
LARGE = b"x" * 20_000_000


async def sends(client: Client, pieces: list[bytes], pause: float) -> None:
    """The pace of a slow client is what is tested."""
    for piece in pieces:
        await client.send(piece)
        await asyncio.sleep(pause)


async def trickles(client: Client, piece: bytes) -> None:
    """Send it every 50 ms, until the gateway has had enough."""
    try:
        while True:
            await client.send(piece)
            await asyncio.sleep(0.05)
    except ConnectionError:
        pass


@pytest.mark.parametrize(("head", "piece"), [(LENGTH, b"x"), (CHUNKED, b"1\r\nx\r\n")], ids=["length", "chunks"])
async def test_a_body_that_trickles_is_408_though_it_is_never_silent(launch: Launch, head: bytes, piece: bytes) -> None:
    stage = await launch(timeouts={"body_idle": WINDOW}, limits={"min_body_rate": RATE})
    client = await stage.client()
    await client.send(head)
    trickle = asyncio.create_task(trickles(client, piece))
    answer = await client.answer()
    assert (answer.status, json.loads(answer.body)["code"]) == (408, 9408)
    assert await (await stage.eu.connection()).ended() == "reset"
    trickle.cancel()
    await asyncio.wait({trickle})


async def test_a_slow_body_above_the_rate_arrives(launch: Launch) -> None:
    stage = await launch(timeouts={"body_idle": WINDOW}, limits={"min_body_rate": RATE})
    client = await stage.client()
    await client.send(request("POST", path(), "Content-Length: 6000"))
    # 3000 bytes a second for 2 s, two windows.
    await sends(client, [b"x" * 300] * 20, 0.1)
    assert (await client.answer()).status == 200


async def test_a_body_may_pause_and_make_up_for_it(launch: Launch) -> None:
    stage = await launch(timeouts={"body_idle": WINDOW}, limits={"min_body_rate": RATE})
    client = await stage.client()
    await client.send(request("POST", path(), "Content-Length: 3000"))
    await sends(client, [b"x", b"x" * 999, b"x", b"x" * 999, b"x" * 999], WINDOW / 4)
    await client.send(b"x")
    assert (await client.answer()).status == 200


async def test_no_rate_is_asked_for_where_it_is_0(launch: Launch) -> None:
    stage = await launch(timeouts={"body_idle": WINDOW}, limits={"min_body_rate": 0})
    client = await stage.client()
    await client.send(request("POST", path(), "Content-Length: 20"))
    await sends(client, [b"x"] * 20, 0.1)
    assert (await client.answer()).status == 200


async def test_a_body_that_its_region_takes_slowly_is_not_the_client_s_fault(launch: Launch) -> None:
    stage = await launch(timeouts={"body_idle": WINDOW, "upstream_idle": 20}, limits={"min_body_rate": RATE})
    stage.eu.never_reads = True
    client = await stage.client()
    await client.send(request("POST", path(), f"Content-Length: {len(LARGE)}"))
    sent = await client.send_until_blocked(LARGE, len(LARGE), 3 * WINDOW)
    assert sent < len(LARGE)
    connection = await stage.eu.connection()
    stage.eu.discards = True
    connection.transport.resume_reading()
    assert await client.send_until_blocked(LARGE, len(LARGE) - sent, 20) == len(LARGE) - sent
    connection.send(ok())
    assert (await client.answer()).status == 200


async def test_a_client_that_waits_for_a_100_is_not_slow(launch: Launch) -> None:
    async def thinks(turn: Turn) -> None:
        await asyncio.sleep(2 * WINDOW)
        turn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await turn.whole()
        turn.send(ok())

    stage = await launch(timeouts={"body_idle": WINDOW}, limits={"min_body_rate": RATE})
    stage.eu.answers.append(thinks)
    client = await stage.client()
    await client.send(request("POST", path(), "Expect: 100-continue", "Content-Length: 4"))
    assert (await client.answer()).status == 100
    await sends(client, [b"a", b"b"], 0.1)
    await client.send(b"cd")
    assert (await client.answer()).status == 200


async def test_an_upload_behind_an_early_answer_may_trickle(launch: Launch) -> None:
    """The region has begun to answer and reads on: it may be having a conversation."""

    async def answers_early(turn: Turn) -> None:
        turn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        await turn.whole()
        turn.send(b"ok")

    stage = await launch(timeouts={"body_idle": WINDOW}, limits={"min_body_rate": RATE})
    stage.eu.answers.append(answers_early)
    client = await stage.client()
    await client.send(request("POST", path(), "Content-Length: 20"))
    await client.receive_until(b"\r\n\r\n")
    await sends(client, [b"x"] * 20, 0.1)
    assert await client.receive_exactly(2) == b"ok"


async def test_a_client_that_no_longer_waits_for_a_100_has_the_time_of_any_body(launch: Launch) -> None:
    stage = await launch(timeouts={"body_idle": WINDOW}, limits={"min_body_rate": RATE})
    client = await stage.client()
    await client.send(request("POST", path(), "Expect: 100-continue", "Content-Length: 2"))
    await asyncio.sleep(2 * WINDOW)
    await sends(client, [b"a"], WINDOW / 2)
    await client.send(b"b")
    assert (await client.answer()).status == 200


async def floods(turn: Turn) -> None:
    turn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LARGE) + LARGE)


@pytest.mark.parametrize(("rate", "end"), [(2**20, "reset"), (1000, "whole")])
async def test_a_reader_is_cut_below_the_rate_and_never_above_it(launch: Launch, rate: int, end: str) -> None:
    """It reads some 250 kB a second: over the default rate by far, and under one of 1 MiB."""
    stage = await launch(timeouts={"write_idle": WINDOW}, limits={"min_body_rate": rate})
    stage.eu.answers.append(floods)
    client = await stage.client(receive_buffer=16384, segment=1400)
    await client.send(GET)
    received = 0
    try:
        for _ in range(50):
            received += len(await client.receive(12_500))
            await asyncio.sleep(0.05)
    except ConnectionResetError:
        assert end == "reset"
    else:
        assert end == "whole"
    if end == "reset":
        assert await (await stage.eu.connection()).ended() == "reset"
    else:
        received += len(await client.receive_exactly(1_000_000))
        assert len(stage.gateway.connections) == 1
