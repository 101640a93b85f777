"""Caps: one client can have a part of the gateway, never all of it, and is told so where telling is cheap."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from typing import TYPE_CHECKING

import pytest

from router.model.problem import Problem
from tests.gateway.origin import ok
from tests.gateway.stage import GET, path, request
from tests.gateway.wire import Client

if TYPE_CHECKING:
    from tests.gateway.conftest import Launch
    from tests.gateway.origin import Turn
    from tests.gateway.stage import Stage

NOWHERE = request("GET", "/nothing")


async def silent(turn: Turn) -> None:
    """An answer that never comes."""


async def turned_away(stage: Stage) -> int:
    """What the metrics say."""
    host, _, port = stage.process.ops_listen[0].rpartition(":")
    ops = await Client.connect((host, int(port)))
    await ops.send(b"GET /metrics HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n")
    text, _ = await ops.read_to_end()
    ops.close()
    found = re.search(rb"(?m)^router_connections_turned_away_total (\d+)", text)
    assert found is not None
    return int(found[1])


# --- requests on one connection


@pytest.mark.parametrize("raw", [GET, NOWHERE, request("POST", path(), body=b"abc")], ids=["get", "problem", "post"])
async def test_the_last_request_of_a_connection_is_answered_and_then_it_is_closed(launch: Launch, raw: bytes) -> None:
    stage = await launch(limits={"max_requests_per_connection": 3})
    client = await stage.client()
    answers = [await client.ask(raw) for _ in range(3)]
    assert [answer.value(b"Connection") for answer in answers] == [None, None, b"close"]
    assert len({answer.status for answer in answers}) == 1
    assert await client.read_to_end() == (b"", "fin")


async def test_a_1_0_client_is_not_kept_behind_its_last_request_either(launch: Launch) -> None:
    stage = await launch(limits={"max_requests_per_connection": 2})
    client = await stage.client()
    raw = request("GET", path(), "Connection: keep-alive", version="1.0")
    assert [(await client.ask(raw)).value(b"Connection") for _ in range(2)] == [b"keep-alive", b"close"]
    assert await client.read_to_end() == (b"", "fin")


async def test_what_was_pipelined_behind_the_last_request_reaches_no_region(launch: Launch) -> None:
    stage = await launch(limits={"max_requests_per_connection": 2})
    client = await stage.client()
    await client.send(GET * 5)
    assert [(await client.answer()).status for _ in range(2)] == [200, 200]
    assert await client.read_to_end() == (b"", "fin")
    assert len(stage.eu.requests) == 2


# --- connections of one client


async def test_one_connection_more_than_a_client_may_have_is_reset_and_counted(launch: Launch) -> None:
    stage = await launch(limits={"max_connections_per_client": 2})
    kept = [await stage.client() for _ in range(2)]
    for client in kept:
        assert (await client.ask(GET)).status == 200
    more = await stage.client()
    assert await more.read_to_end() == (b"", "reset")
    assert await turned_away(stage) == 1
    for client in kept:
        assert (await client.ask(GET)).status == 200


async def test_a_connection_that_is_turned_away_is_not_answered_though_its_request_is_here(launch: Launch) -> None:
    stage = await launch(limits={"max_connections_per_client": 1})
    kept = await stage.client()
    assert (await kept.ask(NOWHERE)).status == 404
    more = await stage.client()
    await more.send(GET)
    assert await more.read_to_end() == (b"", "reset")
    assert not stage.eu.connections


async def test_there_is_room_again_when_a_connection_has_gone(launch: Launch) -> None:
    stage = await launch(limits={"max_connections_per_client": 1})
    first = await stage.client()
    assert (await first.ask(GET)).status == 200
    first.close()
    await stage.left()
    assert (await stage.ask(GET)).status == 200
    assert await turned_away(stage) == 0


async def test_another_client_has_a_share_of_its_own(launch: Launch) -> None:
    stage = await launch(limits={"max_connections_per_client": 1})
    first = await stage.client()
    assert (await first.ask(GET)).status == 200
    other = await stage.client(source="127.0.0.2")
    assert (await other.ask(GET)).status == 200


# --- requests of one client under way


async def test_one_request_more_than_a_client_may_have_under_way_is_503(launch: Launch) -> None:
    stage = await launch(limits={"max_in_flight_per_client": 2})
    stage.eu.default = silent
    for number in range(2):
        await (await stage.client()).send(GET)
        await stage.eu.head(number)
    client = await stage.client()
    answer = await client.ask(GET)
    problem = Problem.CLIENT_BUSY.spec
    assert (answer.status, json.loads(answer.body)["code"]) == (problem.status, problem.code)
    assert answer.value(b"Retry-After") == b"1"
    assert answer.value(b"Connection") is None
    assert len(stage.eu.requests) == 2


@pytest.mark.parametrize("how", ["answered", "left"])
async def test_a_request_that_is_over_makes_room(launch: Launch, how: str) -> None:
    async def waits(turn: Turn) -> None:
        await released.wait()
        turn.send(ok())

    released = asyncio.Event()
    stage = await launch(limits={"max_in_flight_per_client": 1})
    stage.eu.answers.append(waits)
    first, second = await stage.client(), await stage.client()
    await first.send(GET)
    await stage.eu.head()
    assert (await second.ask(GET)).status == 503
    if how == "answered":
        released.set()
        assert (await first.answer()).status == 200
    else:
        first.reset()
        await (await stage.eu.connection()).ended()
    assert (await second.ask(GET)).status == 200


async def test_the_requests_of_another_client_go_on(launch: Launch) -> None:
    stage = await launch(limits={"max_in_flight_per_client": 1})
    stage.eu.answers.append(silent)
    await (await stage.client()).send(GET)
    await stage.eu.head()
    assert (await stage.ask(GET)).status == 503
    assert (await (await stage.client(source="127.0.0.2")).ask(GET)).status == 200


async def test_nothing_is_remembered_of_a_client_that_has_gone(launch: Launch) -> None:
    stage = await launch(limits={"max_in_flight_per_client": 1, "max_connections_per_client": 3})
    stage.eu.answers.append(silent)
    clients = [await stage.client() for _ in range(3)]
    await clients[0].send(GET)
    await stage.eu.head()
    assert (await clients[1].ask(GET)).status == 503
    assert (await (await stage.client()).read_to_end())[1] == "reset"
    for client in clients:
        client.close()
    await stage.left()
    assert len(stage.gateway.guests) == 0


# --- behind a load balancer

TRUSTED = 'trusted_proxies = ["127.0.0.0/8"]'


def forwarded(client: str | None) -> bytes:
    return request("GET", path(), *([] if client is None else [f"X-Forwarded-For: {client}"]))


async def test_a_load_balancer_may_have_any_number_of_connections(launch: Launch) -> None:
    stage = await launch(gateway=TRUSTED, limits={"max_connections_per_client": 1})
    for _ in range(3):
        assert (await (await stage.client()).ask(forwarded("192.0.2.1"))).status == 200


async def test_behind_a_load_balancer_each_client_has_a_share_of_its_own(launch: Launch) -> None:
    stage = await launch(gateway=TRUSTED, limits={"max_in_flight_per_client": 1})
    stage.eu.answers.append(silent)
    await (await stage.client()).send(forwarded("192.0.2.1"))
    await stage.eu.head()
    asked = {client: (await stage.ask(forwarded(client))).status for client in ("192.0.2.1", "192.0.2.2")}
    assert asked == {"192.0.2.1": 503, "192.0.2.2": 200}


async def test_a_client_can_not_make_up_an_address_to_get_another_share(launch: Launch) -> None:
    stage = await launch(gateway=TRUSTED, limits={"max_in_flight_per_client": 1})
    stage.eu.answers.append(silent)
    await (await stage.client()).send(forwarded("192.0.2.1"))
    await stage.eu.head()
    assert (await stage.ask(forwarded("198.51.100.7, 192.0.2.1"))).status == 503


async def test_what_a_load_balancer_sends_without_a_client_counts_for_nobody(launch: Launch) -> None:
    stage = await launch(gateway=TRUSTED, limits={"max_in_flight_per_client": 1})
    stage.eu.answers.append(silent)
    await (await stage.client()).send(forwarded(None))
    await stage.eu.head()
    assert (await stage.ask(forwarded(None))).status == 200


async def test_a_peer_that_is_not_trusted_is_counted_by_its_own_address(launch: Launch) -> None:
    stage = await launch(limits={"max_in_flight_per_client": 1})
    stage.eu.answers.append(silent)
    await (await stage.client()).send(forwarded("192.0.2.1"))
    await stage.eu.head()
    assert (await stage.ask(forwarded("192.0.2.2"))).status == 503


async def test_nothing_is_remembered_of_the_clients_behind_a_load_balancer(launch: Launch) -> None:
    stage = await launch(gateway=TRUSTED)
    client = await stage.client()
    for number in range(50):
        assert (await client.ask(forwarded(f"192.0.2.{number}"))).status == 200
    assert len(stage.gateway.guests) == 0


async def test_a_flood_warns_once_and_names_the_mend(launch: Launch, caplog: pytest.LogCaptureFixture) -> None:
    stage = await launch(limits={"max_connections_per_client": 1})
    kept = await stage.client()
    assert (await kept.ask(GET)).status == 200
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            await (await stage.client()).read_to_end()
    [warning] = [record.getMessage() for record in caplog.records if "127.0.0.1" in record.getMessage()]
    assert "trusted_proxies" in warning


# --- empty lines instead of requests


@pytest.mark.parametrize("number", [1, 4])
async def test_a_few_empty_lines_in_front_of_a_request_are_ignored(stage: Stage, number: int) -> None:
    client = await stage.client()
    for _ in range(3):
        assert (await client.ask(b"\r\n" * number + GET)).status == 200


@pytest.mark.parametrize("segments", [[b"\r\n" * 5], [b"\r\n"] * 5, [b"\r\n" * 100_000]], ids=["one", "many", "flood"])
async def test_more_empty_lines_are_400_and_close(stage: Stage, segments: list[bytes]) -> None:
    client = await stage.client()
    await client.send(*segments)
    answer = await client.answer()
    assert (answer.status, answer.value(b"Connection")) == (400, b"close")
    assert await client.read_to_end() == (b"", "fin")
