"""Requests without a whole answer, on the wire: each is on the list of the transfer that has to know of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.gateway.origin import blackhole, ok
from tests.gateway.stage import GET, IN_EU, IN_US, path, request
from tests.gateway.test_tunnel import tunnel
from tests.gateway.test_wire_locks import OPEN_END, applied, silent

if TYPE_CHECKING:
    from router.model.losses import UnansweredRequest
    from tests.gateway.conftest import Launch
    from tests.gateway.origin import Turn
    from tests.gateway.stage import Stage

NAMED = request("GET", path(), "X-Request-ID: mine")


async def listed(stage: Stage) -> list[tuple[str, str, str]]:
    """What the transfer of the workspace in the EU lists once it is transferring."""
    transfer = await stage.start_transfer()
    await applied(stage, transfer)
    losses = await stage.store.losses(transfer.id)
    assert losses.gateways == ()
    return [_shown(one) for one in losses.requests]


def _shown(one: UnansweredRequest) -> tuple[str, str, str]:
    assert one.workspace == IN_EU
    return one.request_id, one.region, one.fault


async def test_requests_that_were_answered_are_not_listed(stage: Stage) -> None:
    client = await stage.client()
    await client.ask(NAMED)
    await client.ask(request("POST", path(), body=b"body"))
    assert await listed(stage) == []


async def test_one_whose_client_left_before_its_answer_is_listed(stage: Stage) -> None:
    stage.eu.answers.append(silent)
    client = await stage.client()
    await client.send(NAMED)
    await stage.eu.request()
    client.close()
    await stage.in_flight(0)
    assert await listed(stage) == [("mine", "eu", "client_gone")]


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (b"", "closed_early"),
        (b"nonsense\r\n\r\n", "protocol_error"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "truncated"),
    ],
)
async def test_one_that_its_region_did_not_answer_well_is_listed(stage: Stage, answer: bytes, fault: str) -> None:
    async def ends(turn: Turn) -> None:
        turn.send(answer)
        turn.connection.close()

    stage.eu.answers.append(ends)
    client = await stage.client()
    await client.send(request("POST", path(), "X-Request-ID: mine", "Connection: close", body=b"body"))
    await client.read_to_end()
    assert await listed(stage) == [("mine", "eu", fault)]


async def test_one_that_its_region_did_not_answer_in_time_is_listed(launch: Launch) -> None:
    stage = await launch(timeouts={"first_byte": 0.3})
    stage.eu.answers.append(silent)
    assert (await stage.ask(NAMED)).status == 504
    assert await listed(stage) == [("mine", "eu", "answer_timeout")]


async def test_one_that_the_lock_cut_is_listed_by_the_time_the_transfer_is_transferring(launch: Launch) -> None:
    stage = await launch(timeouts={"lock_drain": 0.3})
    client = await stage.client()
    await client.send(OPEN_END)
    await stage.eu.head()
    (cut,) = await listed(stage)
    assert cut[1:] == ("eu", "lock_cut")


async def test_a_tunnel_that_the_lock_cut_is_listed(stage: Stage) -> None:
    await tunnel(stage)
    (cut,) = await listed(stage)
    assert cut[1:] == ("eu", "lock_cut")


async def test_a_first_attempt_is_listed_though_the_second_was_answered(stage: Stage) -> None:
    async def hangs_up(turn: Turn) -> None:
        turn.connection.close()

    client = await stage.client()
    await client.ask(GET)
    stage.eu.answers.append(hangs_up)
    assert (await client.ask(NAMED)).status == 200
    assert await listed(stage) == [("mine", "eu", "closed_early")]


async def test_one_that_was_never_sent_is_not_listed(launch: Launch) -> None:
    with blackhole() as port:
        stage = await launch(ports={"eu": port}, timeouts={"connect": 0.2})
        assert (await stage.ask(NAMED)).status == 504
        assert await listed(stage) == []


async def test_one_of_another_workspace_is_not_listed(stage: Stage) -> None:
    stage.us.answers.append(silent)
    client = await stage.client()
    await client.send(request("GET", path(IN_US)))
    await stage.us.request()
    client.close()
    await stage.in_flight(0)
    assert await listed(stage) == []


async def test_one_that_was_answered_in_the_end_is_not_listed_though_the_lock_waited_for_it(launch: Launch) -> None:
    async def waits(turn: Turn) -> None:
        await released.wait()
        turn.send(ok(b"late"))

    released = asyncio.Event()
    stage = await launch(timeouts={"lock_drain": 30})
    stage.eu.answers.append(waits)
    client = await stage.client()
    await client.send(NAMED)
    await stage.eu.request()
    transfer = await stage.start_transfer()
    await stage.answered(423)
    released.set()
    assert (await client.answer()).body == b"late"
    await applied(stage, transfer)
    assert (await stage.store.losses(transfer.id)).requests == ()
