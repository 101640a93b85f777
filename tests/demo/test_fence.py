"""The fence: what a region commits while a workspace is moved and afterwards, by itself and on the wire."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from router.demo.fence import Fence, Refusal
from tests.demo.test_fake_region import connected, length_of

if TYPE_CHECKING:
    from tests.demo.running import Demo

W = "64a687e29ae1f428e7ebe3ff"
OTHER = "64a687e29ae1f428e7ebe302"
TARGET = f"/api/v1/workspaces/{W}/projects"


@pytest.fixture
def fence() -> Fence:
    """Requests of epoch 5 have been seen."""
    fence = Fence()
    assert fence.commit(W, 5) is None
    return fence


# --- the rules


@pytest.mark.parametrize("epoch", [None, 1, 6, 10**9])
def test_a_closed_workspace_commits_nothing_whatever_its_epoch(fence: Fence, epoch: int | None) -> None:
    assert fence.close(W, "t1", 6)
    assert fence.commit(W, epoch) is Refusal.CLOSED


def test_another_workspace_is_not_closed_with_it(fence: Fence) -> None:
    fence.close(W, "t1", 6)
    assert fence.commit(OTHER, 1) is None


def test_it_is_opened_by_the_transfer_that_closed_it_and_by_no_other(fence: Fence) -> None:
    fence.close(W, "t1", 6)
    assert not fence.open(W, "t2", 9)
    assert fence.commit(W, 9) is Refusal.CLOSED
    assert fence.open(W, "t1", 8)
    assert fence.commit(W, 8) is None


@pytest.mark.parametrize("epoch", [5, 6, 7])
def test_what_was_routed_before_it_was_opened_is_refused_even_if_it_comes_first(fence: Fence, epoch: int) -> None:
    fence.close(W, "t1", 6)
    fence.open(W, "t1", 8)
    assert fence.commit(W, epoch) is Refusal.STALE


def test_an_epoch_older_than_the_highest_seen_is_refused(fence: Fence) -> None:
    assert fence.commit(W, 6) is None
    assert fence.commit(W, 5) is Refusal.STALE
    assert fence.commit(W, 6) is None


def test_what_came_past_every_router_is_committed_while_the_workspace_is_open(fence: Fence) -> None:
    assert fence.commit(W, None) is None


def test_a_refused_request_is_not_what_the_next_is_measured_by(fence: Fence) -> None:
    fence.close(W, "t1", 6)
    fence.commit(W, 99)
    fence.open(W, "t1", 8)
    assert fence.commit(W, 8) is None


def test_closing_again_is_no_error(fence: Fence) -> None:
    assert fence.close(W, "t1", 6)
    assert fence.close(W, "t1", 6)


def test_a_call_to_close_that_comes_after_the_opening_closes_nothing(fence: Fence) -> None:
    fence.close(W, "t1", 6)
    fence.open(W, "t1", 8)
    assert not fence.close(W, "t1", 6)
    assert fence.commit(W, 8) is None


def test_a_later_transfer_takes_over_what_an_earlier_one_left_closed_and_never_the_other_way_round(
    fence: Fence,
) -> None:
    fence.close(W, "t1", 6)
    assert fence.close(W, "t2", 12)
    assert not fence.close(W, "t1", 6)
    assert not fence.open(W, "t1", 14)
    assert fence.open(W, "t2", 14)


# --- on the wire


async def say(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[int, dict[str, object]]:
    writer.write(request)
    return await answer(reader)


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, object]]:
    head = await reader.readuntil(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), json.loads(await reader.readexactly(length_of(head)))


def request(method: str, target: str, *fields: str) -> bytes:
    return "\r\n".join((f"{method} {target} HTTP/1.1", "Host: region", *fields, "", "")).encode()


async def test_a_request_that_began_before_the_closing_is_refused_when_it_would_commit() -> None:
    async with connected() as (reader, writer):
        port = writer.get_extra_info("peername")[1]
        writer.write(request("POST", TARGET, "X-Workspace-Epoch: 5", "Content-Length: 4") + b"be")
        await writer.drain()
        job_reader, job_writer = await asyncio.open_connection("127.0.0.1", port)
        closed = await say(job_reader, job_writer, request("PUT", f"/fence/{W}/t1?epoch=6"))
        job_writer.close()
        writer.write(b"gun")
        status, body = await answer(reader)
    assert closed == (200, {"region": "eu", "workspace": W, "done": True})
    assert (status, body["code"]) == (423, 4230)


async def test_a_job_that_failed_opens_its_source_for_what_is_routed_from_then_on() -> None:
    async with connected() as (reader, writer):
        await say(reader, writer, request("PUT", f"/fence/{W}/t1?epoch=6"))
        opened, _ = await say(reader, writer, request("DELETE", f"/fence/{W}/t1?epoch=8"))
        late, _ = await say(reader, writer, request("GET", TARGET, "X-Workspace-Epoch: 5"))
        new, _ = await say(reader, writer, request("GET", TARGET, "X-Workspace-Epoch: 8"))
    assert (opened, late, new) == (200, 421, 200)


async def test_a_call_that_comes_too_late_is_a_conflict() -> None:
    async with connected() as (reader, writer):
        await say(reader, writer, request("PUT", f"/fence/{W}/t2?epoch=6"))
        assert (await say(reader, writer, request("DELETE", f"/fence/{W}/t1?epoch=8")))[0] == 409


async def test_nobody_moves_the_fence_through_a_router() -> None:
    async with connected() as (reader, writer):
        status, echo = await say(reader, writer, request("PUT", f"/fence/{W}/t1?epoch=6", "Via: 1.1 router"))
        open_still, _ = await say(reader, writer, request("GET", TARGET))
    assert (status, echo["path"], open_still) == (200, f"/fence/{W}/t1?epoch=6", 200)


@pytest.mark.parametrize("target", [f"/api/v1/workspaces/{W.upper()}", f"/report/v1/workspaces/{W}/x?a=1"])
async def test_a_workspace_is_fenced_under_every_way_to_write_its_path(target: str) -> None:
    async with connected() as (reader, writer):
        await say(reader, writer, request("PUT", f"/fence/{W}/t1?epoch=6"))
        assert (await say(reader, writer, request("GET", target)))[0] == 423


def test_the_tour_closes_the_source_under_the_transfer_s_own_id(demo: Demo) -> None:
    (pasted,) = (line for line in demo.commands if "/fence/" in line)
    (complete,) = (line for line in demo.commands if "transfer complete" in line)
    transfer = complete.partition(" && ")[0].split()[-1]
    assert f"/fence/{W}/{transfer}?epoch=" in pasted
