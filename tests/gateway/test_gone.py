"""A client that leaves while nothing is read from it: the transport does not tell, the kernel does."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from tests.gateway.origin import ok
from tests.gateway.stage import GET, path, request

if TYPE_CHECKING:
    from tests.gateway.conftest import Launch
    from tests.gateway.origin import Turn
    from tests.gateway.stage import Stage

SIZE = 20_000_000
STALL = 0.2
ASKED = 8000
"""Requests that fit into the kernel's buffers, and whose answers do not."""


async def silent(turn: Turn) -> None:
    """An answer that never comes."""


@pytest.mark.parametrize("how", ["reset", "close", "finish"])
async def test_a_client_that_leaves_behind_a_pipelined_request_ends_its_exchange(stage: Stage, how: str) -> None:
    stage.eu.answers.append(silent)
    client = await stage.client()
    await client.send(GET + GET)
    await stage.eu.head()
    getattr(client, how)()
    assert await (await stage.eu.connection()).ended() == "reset"
    await stage.left()
    assert len(stage.eu.requests) == 1


async def test_a_client_that_resets_when_only_the_end_of_its_answer_is_to_come_is_no_bug(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    async def ends_behind_the_client(turn: Turn) -> None:
        await turn.whole()
        turn.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        await left.wait()
        turn.connection.close()

    left = asyncio.Event()
    stage.eu.answers.append(ends_behind_the_client)
    client = await stage.client()
    await client.send(GET + GET)
    await client.receive_until(b"all of it")
    client.reset()
    left.set()
    await stage.left()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_client_that_resets_an_upload_that_its_region_does_not_take_ends_it(stage: Stage) -> None:
    stage.eu.never_reads = True
    client = await stage.client()
    await client.send(request("POST", path(), f"Content-Length: {SIZE}"))
    assert await client.send_until_blocked(b"x" * 100_000, SIZE, STALL) < SIZE
    client.reset()
    await stage.left()
    await stage.eu.abandoned()


async def test_a_client_that_leaves_while_a_connection_is_dialled_gives_its_place_up(launch: Launch) -> None:
    stage = await launch(limits={"pool_size": 1})
    stage.eu.answers.append(silent)
    first, second = await stage.client(), await stage.client()
    await first.send(GET)
    await stage.eu.head()
    await second.send(GET + GET)
    await stage.until(lambda: len(stage.gateway.connections) == 2)
    second.reset()
    await stage.until(lambda: len(stage.gateway.connections) == 1)
    await stage.in_flight(1)


async def test_a_client_that_has_asked_all_and_finished_still_gets_its_answers(stage: Stage) -> None:
    """Its input is held because it has not read yet, and its FIN is here: nothing is under way that it could leave."""
    client = await stage.client(receive_buffer=4096)
    await client.send(request("GET", "/nothing") * ASKED)
    client.finish()
    await stage.until(lambda: any(each.full for each in stage.gateway.connections))
    await asyncio.sleep(0.6)  # two sweeps, in which it could be taken for gone
    answers, end = await client.read_to_end()
    assert (answers.count(b"HTTP/1.1 404 "), end) == (ASKED, "fin")


async def test_an_answer_that_is_read_slowly_by_a_client_whose_next_request_waits_is_whole(stage: Stage) -> None:
    body = b"x" * 3_000_000
    stage.eu.answers.append(ok(body))
    client = await stage.client(receive_buffer=65536)
    await client.send(GET + GET)
    assert (await client.answer()).body == body
    assert (await client.answer()).status == 200
