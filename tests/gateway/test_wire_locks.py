"""The lock and the lease on the wire: what was decided before a change never writes under it."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

from router.directory.store import WorkspaceDraft
from router.model.placement import WorkspaceId
from router.model.region import RegionName
from router.model.transfer import TransferEvent, TransferState
from tests.gateway.origin import blackhole, ok
from tests.gateway.stage import GET, PATIENCE, UNKNOWN, path, request

if TYPE_CHECKING:
    from router.model.transfer import Transfer
    from tests.gateway.conftest import Launch
    from tests.gateway.origin import Turn
    from tests.gateway.stage import Stage

DRAIN = 0.4
OPEN_END = request("POST", path(), "Content-Length: 1000") + b"first"


async def silent(turn: Turn) -> None:
    """An answer that never comes."""


async def applied(stage: Stage, transfer: Transfer) -> None:
    """Return once the barrier holds: every gateway has applied the lock."""
    async with asyncio.timeout(PATIENCE):
        while (seen := await stage.store.get_transfer(transfer.id)) is not None:
            if seen.state is TransferState.TRANSFERRING:
                return


async def test_a_request_that_is_being_dialled_for_is_decided_again(launch: Launch) -> None:
    with blackhole() as port:
        stage = await launch(ports={"eu": port}, timeouts={"connect": 30})
        client = await stage.client()
        await client.send(GET)
        await stage.in_flight(1)
        transfer = await stage.start_transfer()
        assert (await client.answer()).status == 423
        await applied(stage, transfer)


async def test_a_request_that_is_being_dialled_for_follows_its_workspace(launch: Launch) -> None:
    with blackhole() as port:
        stage = await launch(ports={"global": port}, timeouts={"connect": 30})
        client = await stage.client()
        await client.send(request("POST", path(UNKNOWN), body=b"kept"))
        await stage.in_flight(1)
        await stage.store.put_workspaces([WorkspaceDraft(WorkspaceId(UNKNOWN), RegionName("us"))])
        assert (await client.answer()).body == b"us"
        seen = await stage.us.request()
        assert (seen.raw, seen.values(b"X-Workspace-Epoch")) == (b"kept", [b"1"])


async def test_an_upload_is_cut_at_the_end_of_the_drain_and_only_then_is_the_lock_applied(launch: Launch) -> None:
    stage = await launch(timeouts={"lock_drain": DRAIN})
    client = await stage.client()
    await client.send(OPEN_END)
    seen = await stage.eu.head()
    transfer = await stage.start_transfer()
    locked = await stage.answered(423)
    assert locked.status == 423
    await client.send(b"still")
    await stage.eu.bell.until(lambda: seen.raw == b"firststill" or None)
    assert (await stage.store.get_transfer(transfer.id)) == transfer
    assert await seen.connection.ended() == "reset"
    answer = await client.answer()
    assert (answer.status, answer.value(b"Connection")) == (504, b"close")
    await applied(stage, transfer)


async def test_a_download_is_cut_at_the_end_of_the_drain(launch: Launch) -> None:
    async def drips(turn: Turn) -> None:
        turn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")

    stage = await launch(timeouts={"lock_drain": DRAIN})
    stage.eu.answers.append(drips)
    client = await stage.client()
    await client.send(GET)
    await client.receive_until(b"abc\r\n")
    transfer = await stage.start_transfer()
    assert (await client.read_to_end())[0] == b""
    assert await stage.eu.connections[0].ended() == "reset"
    await applied(stage, transfer)


async def test_what_ends_in_time_is_answered_and_then_the_lock_is_applied(launch: Launch) -> None:
    stage = await launch(timeouts={"lock_drain": 30})
    client = await stage.client()
    await client.send(OPEN_END)
    await stage.eu.head()
    transfer = await stage.start_transfer()
    await stage.answered(423)
    await client.send(b"x" * 995)
    assert (await client.answer()).body == b"eu"
    await applied(stage, transfer)
    assert (await client.ask(GET)).status == 423


async def test_after_a_move_the_new_region_answers_under_a_new_epoch(stage: Stage) -> None:
    transfer = await stage.start_transfer()
    await stage.answered(423)
    await applied(stage, transfer)
    await stage.store.advance_transfer(transfer.id, TransferEvent.COMPLETE, now=transfer.started_at + 1)
    assert (await stage.answered(200)).body == b"us"
    (epoch,) = (await stage.us.request()).values(b"X-Workspace-Epoch")
    assert int(epoch) > 1
    assert not stage.eu.requests


async def test_when_the_term_ends_an_upload_writes_nothing_more(stage: Stage) -> None:
    client = await stage.client()
    await client.send(OPEN_END)
    seen = await stage.eu.head()
    await stage.eu.bell.until(lambda: seen.raw == b"first" or None)
    await stage.end_term()
    await client.send(b"never")
    answer = await client.answer()
    assert (answer.status, json.loads(answer.body)["code"]) == (503, 9503)
    assert await seen.connection.ended() == "reset"
    assert seen.raw == b"first"


async def test_when_the_term_ends_what_was_sent_whole_is_still_answered(stage: Stage) -> None:
    async def waits(turn: Turn) -> None:
        await released.wait()
        turn.send(ok(b"late"))

    released = asyncio.Event()
    stage.eu.answers.append(waits)
    client = await stage.client()
    await client.send(GET)
    await stage.eu.request()
    await stage.end_term()
    released.set()
    assert (await client.answer()).body == b"late"


async def test_a_new_term_serves_again(stage: Stage) -> None:
    assert (await stage.ask(GET)).status == 200
    await stage.end_term()
    assert (await stage.answered(200)).body == b"eu"


async def test_a_lease_that_lapses_stops_writes_and_is_503_until_the_directory_is_back(launch: Launch) -> None:
    stage = await launch(directory="lease = 0.5\nrenewal_timeout = 0.2\nretry_max = 0.05")
    client = await stage.client()
    await client.send(OPEN_END)
    seen = await stage.eu.head()
    file = stage.folder / "directory.db"
    file.rename(stage.folder / "gone.db")
    assert (await client.answer()).status == 503
    assert await seen.connection.ended() == "reset"
    assert (await stage.ask(GET)).status == 503
    assert (await stage.ask(request("GET", "/api/v1/user"))).body == b"global"
    (stage.folder / "gone.db").rename(file)
    assert (await stage.answered(200)).body == b"eu"


async def test_a_process_that_was_paused_past_its_lease_writes_nothing_more(launch: Launch) -> None:
    stage = await launch(directory="lease = 0.4\nrenewal_timeout = 0.1")
    client = await stage.client()
    await client.send(OPEN_END)
    seen = await stage.eu.head()
    await stage.eu.bell.until(lambda: seen.raw == b"first" or None)
    client.sock.send(b"never")
    time.sleep(0.5)  # noqa: ASYNC251 - a pause of the whole process is what is tested: the bytes are there when it ends
    assert (await client.answer()).status == 503
    assert await seen.connection.ended() == "reset"
    assert seen.raw == b"first"


async def test_a_request_outside_of_any_term_outlives_it(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request("POST", "/api/v1/workspaces", "Content-Length: 10") + b"01234")
    await stage.home.head()
    await stage.end_term()
    await client.send(b"56789")
    assert (await client.answer()).body == b"global"
