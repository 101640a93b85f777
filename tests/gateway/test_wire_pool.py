"""Connections to regions: used again while they are clean, never at the cost of sending something twice."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from tests.gateway.origin import ok
from tests.gateway.stage import GET, IN_US, PATIENCE, path, request

if TYPE_CHECKING:
    from tests.gateway.conftest import Launch
    from tests.gateway.origin import Turn
    from tests.gateway.stage import Stage
    from tests.gateway.wire import Client

POST = request("POST", path(), body=b"once only")
SHORT = 0.2


async def leaves(turn: Turn) -> None:
    """What a region does that closed an idle connection just as it was used again."""
    await turn.whole()
    turn.connection.close()


async def silent(turn: Turn) -> None:
    """An answer that never comes."""


async def used(stage: Stage) -> Client:
    """A client whose answer has left one idle connection."""
    client = await stage.client()
    assert (await client.ask(GET)).status == 200
    return client


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
async def test_what_may_be_repeated_is_repeated_once_on_a_fresh_connection(stage: Stage, method: str) -> None:
    client = await used(stage)
    stage.eu.answers.append(leaves)
    answer = await client.ask(request(method), bodyless=method == "HEAD")
    assert answer.status == 200
    assert [len(connection.requests) for connection in stage.eu.connections] == [2, 1]


async def test_nothing_is_repeated_twice(stage: Stage) -> None:
    client = await used(stage)
    stage.eu.answers.extend([leaves, leaves])
    assert (await client.ask(GET)).status == 502
    assert len(stage.eu.requests) == 3


@pytest.mark.parametrize("raw", [POST, request("POST"), request("PATCH"), request("PUT", path(), body=b"x")])
async def test_what_could_be_executed_twice_is_never_repeated(stage: Stage, raw: bytes) -> None:
    client = await used(stage)
    stage.eu.answers.append(leaves)
    assert (await client.ask(raw)).status == 502
    assert len(stage.eu.requests) == 2


async def test_nothing_is_repeated_once_the_region_has_said_something(stage: Stage) -> None:
    async def begins(turn: Turn) -> None:
        turn.send(b"HTTP/1.1 2")
        turn.connection.close()

    client = await used(stage)
    stage.eu.answers.append(begins)
    assert (await client.ask(GET)).status == 502
    assert len(stage.eu.requests) == 2


async def test_a_fresh_connection_that_fails_is_not_tried_again(stage: Stage) -> None:
    stage.eu.answers.append(leaves)
    assert (await stage.ask(GET)).status == 502
    assert len(stage.eu.requests) == 1


async def test_the_first_post_of_a_client_gets_a_connection_that_was_never_used(stage: Stage) -> None:
    await used(stage)
    client = await stage.client()
    await client.ask(POST)
    await client.ask(POST)
    assert [len(connection.requests) for connection in stage.eu.connections] == [1, 2]


async def test_the_first_get_of_a_client_may_use_an_idle_connection(stage: Stage) -> None:
    await used(stage)
    await used(stage)
    assert len(stage.eu.connections) == 1


async def test_an_idle_connection_that_says_something_is_reset(stage: Stage) -> None:
    client = await used(stage)
    stage.eu.connections[0].send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    assert await stage.eu.connections[0].ended() == "reset"
    assert (await client.ask(GET)).body == b"eu"


@pytest.mark.parametrize("field", [b"Connection: close", b"Connection: Close, x"])
async def test_a_region_s_close_is_honoured(stage: Stage, field: bytes) -> None:
    client = await stage.client()
    stage.eu.answers.append(ok(b"ok", field))
    assert (await client.ask(GET)).value(b"Connection") is None
    assert (await client.ask(GET)).status == 200
    assert len(stage.eu.connections) == 2


async def test_a_1_0_region_s_connection_is_not_used_again(stage: Stage) -> None:
    client = await stage.client()
    stage.eu.answers.append(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert (await client.ask(GET)).body == b"ok"
    assert (await client.ask(GET)).status == 200
    assert len(stage.eu.connections) == 2


async def test_an_idle_connection_has_an_end(launch: Launch) -> None:
    stage = await launch(timeouts={"pool_idle": SHORT})
    await used(stage)
    assert await stage.eu.connections[0].ended() == "reset"


async def test_no_more_connections_are_made_than_the_pool_may_have(launch: Launch) -> None:
    most = now = 0

    async def counts(turn: Turn) -> None:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await turn.whole()
        if most == 3:
            full.set()
        await full.wait()
        now -= 1
        turn.send(ok())

    full = asyncio.Event()
    stage = await launch(limits={"pool_size": 3}, timeouts={"pool_wait": 30})
    stage.eu.default = counts
    answers = await asyncio.gather(*(stage.ask(GET) for _ in range(30)))
    assert {answer.status for answer in answers} == {200}
    assert most == 3
    assert len(stage.eu.connections) == 3


async def test_who_finds_the_queue_full_is_503_at_once(launch: Launch) -> None:
    stage = await launch(limits={"pool_size": 1, "pool_queue": 1}, timeouts={"pool_wait": 30})
    stage.eu.answers.extend([silent, silent])
    first, second = await stage.client(), await stage.client()
    await first.send(GET)
    await stage.eu.request()
    await second.send(GET)
    await stage.in_flight(2)
    assert (await stage.ask(GET)).status == 503


async def test_a_client_that_leaves_the_queue_gives_its_place_up(launch: Launch) -> None:
    stage = await launch(limits={"pool_size": 1}, timeouts={"pool_wait": 30})
    stage.eu.answers.append(silent)
    first, second = await stage.client(), await stage.client()
    await first.send(GET)
    await stage.eu.request()
    await second.send(GET)
    await stage.in_flight(2)
    second.reset()
    await stage.in_flight(1)
    first.reset()
    assert (await stage.ask(GET)).status == 200
    assert len(stage.eu.requests) == 2


async def test_a_post_makes_room_for_a_connection_of_its_own(launch: Launch) -> None:
    stage = await launch(limits={"pool_size": 1})
    await used(stage)
    async with asyncio.timeout(PATIENCE):
        assert (await stage.ask(POST)).status == 200
    assert len(stage.eu.connections) == 2
    assert await stage.eu.connections[0].ended() == "reset"


async def test_a_region_that_comes_back_is_used_again(stage: Stage) -> None:
    client = await stage.client()
    await stage.eu.stop()
    assert (await client.ask(GET)).status == 502
    await stage.eu.start()
    assert (await client.ask(GET)).status == 200


UNREACHABLE = (502, 9502)
UNAVAILABLE = (503, 9513)


async def told(stage: Stage, raw: bytes = GET) -> tuple[int, int]:
    """Status and code of one of the router's own answers."""
    answer = await stage.ask(raw)
    return answer.status, json.loads(answer.body)["code"]


async def test_after_so_many_failed_connects_requests_are_503_at_once(launch: Launch) -> None:
    stage = await launch(upstream={"breaker_failures": 3, "breaker_open": 60})
    await stage.eu.stop()
    assert [await told(stage) for _ in range(5)] == [UNREACHABLE] * 3 + [UNAVAILABLE] * 2
    answer = await stage.ask(GET)
    assert answer.value(b"Retry-After") is not None


async def test_an_open_circuit_is_not_dialled_for(launch: Launch) -> None:
    stage = await launch(upstream={"breaker_failures": 1, "breaker_open": 60})
    await stage.eu.stop()
    assert await told(stage) == UNREACHABLE
    await stage.eu.start()
    assert await told(stage) == UNAVAILABLE
    assert stage.eu.connections == []


async def test_one_region_s_circuit_is_not_another_s(launch: Launch) -> None:
    stage = await launch(upstream={"breaker_failures": 1, "breaker_open": 60})
    await stage.eu.stop()
    await stage.ask(GET)
    assert (await stage.ask(request("GET", path(IN_US)))).body == b"us"


async def test_a_region_that_comes_back_is_found_by_a_probe(launch: Launch) -> None:
    stage = await launch(upstream={"breaker_failures": 1, "breaker_open": 0.1})
    await stage.eu.stop()
    assert await told(stage) == UNREACHABLE
    assert await told(stage) == UNAVAILABLE
    await stage.eu.start()
    assert (await stage.answered(200)).body == b"eu"


@pytest.mark.parametrize("bad", [b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", b"nonsense\r\n\r\n"])
async def test_nothing_that_a_region_answers_opens_its_circuit(launch: Launch, bad: bytes) -> None:
    stage = await launch(upstream={"breaker_failures": 1, "breaker_open": 60})
    stage.eu.answers.extend([bad] * 3)
    for _ in range(3):
        await stage.ask(GET)
    assert (await stage.ask(GET)).body == b"eu"


async def test_while_a_circuit_is_open_what_is_connected_is_used(launch: Launch) -> None:
    stage = await launch(upstream={"breaker_failures": 1, "breaker_open": 60})
    await used(stage)
    stage.eu.stop_listening()
    assert await told(stage, POST) == UNREACHABLE
    assert (await stage.ask(GET)).body == b"eu"
    assert len(stage.eu.connections) == 1


async def test_no_more_requests_are_in_flight_than_an_origin_may_have(launch: Launch) -> None:
    stage = await launch(limits={"max_in_flight": 2})
    stage.eu.answers.extend([silent, silent])
    first, second = await stage.client(), await stage.client()
    await first.send(GET)
    await second.send(GET)
    await stage.in_flight(2)
    assert await told(stage) == UNAVAILABLE
    first.reset()
    await stage.in_flight(1)
    assert (await stage.ask(GET)).status == 200
