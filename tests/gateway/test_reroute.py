"""A region that disowns a workspace: the directory is asked, and the request follows its workspace, once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from typing import TYPE_CHECKING

import pytest

from router.directory.store import WorkspaceDraft
from router.gateway.bodies import LAST_CHUNK, chunk
from router.model.placement import Entry, Kind, Placement, WorkspaceId
from router.model.region import RegionName
from tests.certificates import region_context, write_authority
from tests.gateway.origin import ok
from tests.gateway.stage import GET, IN_EU, PATIENCE, UNKNOWN, path, request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tests.gateway.conftest import Launch
    from tests.gateway.origin import Turn
    from tests.gateway.stage import Stage
    from tests.gateway.wire import Answer

NEVER = 30.0
"""Seconds between two looks at the feed: what is known sooner, a refresh has brought."""

DISOWNS = b"HTTP/1.1 421 Misdirected Request\r\nX-Why: moved\r\nContent-Length: 4\r\n\r\nlost"
POST = request("POST", path(), body=b"once and once again")


async def move(stage: Stage, workspace: str = IN_EU, to: str = "us") -> None:
    """What the directory has, and this gateway has not been told."""
    await stage.store.delete_workspace(WorkspaceId(workspace))
    await stage.store.put_workspaces([WorkspaceDraft(WorkspaceId(workspace), RegionName(to))])


def after(happens: Callable[[], Awaitable[object]], answer: bytes = DISOWNS) -> Callable[[Turn], Awaitable[None]]:
    """An answer that comes when something has happened elsewhere."""

    async def answers(turn: Turn) -> None:
        await turn.whole()
        await happens()
        turn.send(answer)

    return answers


@pytest.fixture
async def stale(launch: Launch) -> Stage:
    """A stage that hears of no change by itself, and knows that its workspace lives in the EU."""
    stage = await launch(poll_interval=NEVER)
    assert (await stage.ask(GET)).body == b"eu"
    return stage


def region_of(stage: Stage) -> str | None:
    """Where the gateway knows the workspace to live."""
    fact = stage.directory.known(Entry(Kind.WORKSPACE, IN_EU))
    return fact.region if isinstance(fact, Placement) else None


@contextlib.asynccontextmanager
async def directory_held(stage: Stage) -> AsyncIterator[None]:
    """Let no question to the directory be answered within the block."""
    gate = threading.Event()
    reader = asyncio.ensure_future(stage.store._reader.run(lambda _: gate.wait(PATIENCE)))
    try:
        yield
    finally:
        gate.set()
        await reader


def disowned(answer: Answer) -> bool:
    return (answer.status, answer.value(b"X-Why"), answer.body) == (421, b"moved", b"lost")


async def test_a_request_follows_a_workspace_that_has_moved(stale: Stage) -> None:
    await move(stale)
    stale.eu.answers.append(DISOWNS)
    client = await stale.client()
    assert (await client.ask(GET)).body == b"us"
    assert (await stale.us.request()).values(b"X-Workspace-Epoch") == [b"3"]
    assert (await client.ask(GET)).body == b"us"
    assert len(stale.eu.requests) == 2


async def test_it_does_even_if_the_directory_changes_under_way(stale: Stage) -> None:
    stale.eu.answers.append(after(lambda: move(stale)))
    assert (await stale.ask(GET)).body == b"us"


async def test_an_unknown_workspace_may_have_come_into_being(stale: Stage) -> None:
    assert (await stale.ask(request("GET", path(UNKNOWN)))).body == b"global"
    await stale.store.put_workspaces([WorkspaceDraft(WorkspaceId(UNKNOWN), RegionName("us"))])
    stale.home.answers.append(DISOWNS)
    assert (await stale.ask(request("GET", path(UNKNOWN)))).body == b"us"


@pytest.mark.parametrize("size", [1, 1000, 65_000])
@pytest.mark.parametrize("pieces", [1, 3])
async def test_a_body_that_is_still_in_hand_goes_along(stale: Stage, size: int, pieces: int) -> None:
    await move(stale)
    stale.eu.answers.append(DISOWNS)
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    raw = request("POST", path(), body=body)
    client = await stale.client()
    step = len(raw) // pieces + 1
    await client.send(*(raw[at : at + step] for at in range(0, len(raw), step)))
    assert (await client.answer()).body == b"us"
    assert (await stale.us.request()).raw == body


async def test_so_does_a_chunked_one_with_its_trailers(stale: Stage) -> None:
    await move(stale)
    stale.eu.answers.append(DISOWNS)
    raw = request("POST", path(), "Transfer-Encoding: chunked") + b"3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n"
    client = await stale.client()
    await client.send(raw[:-20], raw[-20:])
    assert (await client.answer()).body == b"us"
    seen = await stale.us.request()
    assert (seen.body, seen.trailers) == (b"abcde", b"X-T: 1\r\n")


async def test_a_body_that_is_not_in_hand_any_more_is_not_sent_again(stale: Stage) -> None:
    await move(stale)
    stale.eu.answers.append(DISOWNS)
    assert disowned(await stale.ask(request("POST", path(), body=b"x" * 65_537)))
    assert not stale.us.requests


async def test_an_answer_that_comes_before_the_body_is_whole_is_passed_on(stale: Stage) -> None:
    async def at_once(turn: Turn) -> None:
        turn.send(DISOWNS)

    await move(stale)
    stale.eu.answers.append(at_once)
    client = await stale.client()
    await client.send(request("POST", path(), "Content-Length: 10") + b"abc")
    assert disowned(await client.answer())
    assert not stale.us.requests


@pytest.mark.parametrize("raw", [GET, POST])
async def test_the_region_s_answer_is_passed_on_where_nothing_has_changed(stale: Stage, raw: bytes) -> None:
    stale.eu.answers.append(DISOWNS)
    client = await stale.client()
    answer = await client.ask(raw)
    assert disowned(answer)
    assert (await client.ask(GET)).body == b"eu"
    assert len(stale.eu.connections) <= 2


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 100000\r\n\r\n" + b"x" * 100_000,
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"Content-Length: 0\r\n\r\n",
    ],
)
async def test_whatever_came_of_it_meanwhile_is_passed_on(stale: Stage, rest: bytes) -> None:
    stale.eu.answers.append(b"HTTP/1.1 421 No\r\n" + rest)
    client = await stale.client()
    answer = await client.ask(GET)
    assert answer.status == 421
    assert answer.raw == rest.partition(b"\r\n\r\n")[2]
    assert (await client.ask(GET)).body == b"eu"


async def test_a_request_is_sent_elsewhere_once(stale: Stage) -> None:
    async def moves_on() -> None:
        await move(stale, to="global")
        await stale.until(lambda: region_of(stale) == "global")

    await move(stale)
    stale.eu.answers.append(DISOWNS)
    stale.us.answers.append(after(moves_on))
    assert disowned(await stale.ask(GET))
    assert [len(origin.requests) for origin in (stale.eu, stale.us, stale.home)] == [2, 1, 0]


async def test_what_the_feed_has_brought_meanwhile_is_news_enough(stale: Stage) -> None:
    async def moves() -> None:
        await move(stale)
        await stale.until(lambda: region_of(stale) == "us")

    stale.eu.answers.append(after(moves))
    assert (await stale.ask(GET)).body == b"us"


async def test_a_request_is_not_sent_to_a_workspace_that_is_locked_now(launch: Launch) -> None:
    stage = await launch(poll_interval=NEVER)
    assert (await stage.ask(GET)).body == b"eu"
    await stage.start_transfer()
    stage.eu.answers.append(DISOWNS)
    assert disowned(await stage.ask(GET))
    assert not stage.us.requests
    assert (await stage.ask(GET)).status == 423


async def test_a_workspace_that_is_gone_stays_disowned(stale: Stage) -> None:
    await stale.store.delete_workspace(WorkspaceId(IN_EU))
    stale.eu.answers.append(DISOWNS)
    assert disowned(await stale.ask(GET))


async def test_the_directory_is_asked_once_a_second_at_most_for_one_workspace(stale: Stage) -> None:
    stale.eu.default = DISOWNS
    assert disowned(await stale.ask(GET))
    await move(stale)
    # Within the same second: nobody asks, so that nobody knows.
    assert disowned(await stale.ask(GET))
    assert not stale.us.requests


async def test_many_requests_ask_together_and_all_of_them_follow(stale: Stage) -> None:
    waiting = 0
    all_there = asyncio.Event()

    async def together() -> None:
        nonlocal waiting
        waiting += 1
        if waiting == 10:
            await move(stale)
            all_there.set()
        await all_there.wait()

    stale.eu.default = after(together)
    answers = await asyncio.gather(*(stale.ask(GET) for _ in range(10)))
    assert [answer.body for answer in answers] == [b"us"] * 10


@pytest.mark.parametrize("status", [404, 410, 500])
async def test_no_other_status_means_it_by_default(stale: Stage, status: int) -> None:
    await move(stale)
    stale.eu.answers.append(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)
    assert (await stale.ask(GET)).status == status
    assert not stale.us.requests


async def test_a_status_that_policy_names_means_it(launch: Launch) -> None:
    stage = await launch(poll_interval=NEVER, policy="stale_statuses = [410]")
    await stage.ask(GET)
    await move(stage)
    stage.eu.answers.append(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n")
    assert (await stage.ask(GET)).body == b"us"


async def test_a_status_that_policy_names_no_more_does_not(launch: Launch) -> None:
    stage = await launch(poll_interval=NEVER, policy="stale_statuses = []")
    await stage.ask(GET)
    await move(stage)
    stage.eu.answers.append(DISOWNS)
    assert disowned(await stage.ask(GET))


async def test_a_request_that_names_no_workspace_is_never_sent_elsewhere(stale: Stage) -> None:
    stale.home.answers.append(DISOWNS)
    assert disowned(await stale.ask(request("GET", "/api/v1/user")))


async def test_our_own_421_is_no_region_s(stale: Stage) -> None:
    answer = await stale.ask(b"GET / HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n")
    assert json.loads(answer.body)["code"] == 9421


async def test_a_request_that_was_repeated_already_is_not_sent_a_third_time(stale: Stage) -> None:
    async def dies(turn: Turn) -> None:
        await turn.whole()
        turn.connection.close()

    await move(stale)
    client = await stale.client()
    stale.eu.answers.extend([dies, DISOWNS])
    assert disowned(await client.ask(GET))
    assert not stale.us.requests


async def test_pipelined_requests_are_answered_in_their_order(stale: Stage) -> None:
    await move(stale)
    stale.eu.answers.append(DISOWNS)
    stale.us.answers.extend([ok(b"first"), ok(b"second")])
    client = await stale.client()
    await client.send(GET + GET)
    assert [(await client.answer()).body for _ in range(2)] == [b"first", b"second"]


# While the directory is asked


async def test_the_region_is_not_read_from(stale: Stage) -> None:
    size = 30_000_000
    stale.eu.answers.append(b"HTTP/1.1 421 No\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
    client = await stale.client()
    async with directory_held(stale):
        await client.send(GET)
        await stale.eu.request(1)
        for _ in range(20):
            await stale.ask(request("GET", "/api/v1/user"))
        assert not stale.eu.requests[1].connection.writable
    answer = await client.answer()
    assert (answer.status, len(answer.body)) == (421, size)


async def test_it_is_not_read_from_even_if_the_client_takes_more_again(stale: Stage) -> None:
    async def fills(turn: Turn) -> None:
        # So that the little that comes before the 421 is more than the client takes.
        turn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        (busy,) = (each for each in stale.gateway.connections if each.request is not None)
        while not busy._unsent():
            turn.send(chunk(b"x" * 5000))
            await asyncio.sleep(0)
        turn.send(LAST_CHUNK)

    async def hints_and_disowns(turn: Turn) -> None:
        await turn.whole()
        hints = b"HTTP/1.1 103 Early Hints\r\nX-Hints: %b\r\n\r\n" % (b"x" * 100_000)
        turn.send(hints + b"HTTP/1.1 421 No\r\nContent-Length: 4\r\n\r\n")
        await taken.wait()
        turn.send(b"lost")
        for _ in range(20):
            await stale.ask(request("GET", "/api/v1/user"))
        sent.set()

    taken, sent = asyncio.Event(), asyncio.Event()
    stale.eu.answers.extend([fills, hints_and_disowns])
    client = await stale.client(receive_buffer=4096)
    async with directory_held(stale):
        await client.send(GET + GET)
        await stale.eu.request(2)
        await stale.until(lambda: any(each.full for each in stale.gateway.connections))
        assert [(await client.answer()).status for _ in range(2)] == [200, 103]
        taken.set()
        await sent.wait()
    answer = await client.answer()
    assert (answer.status, answer.body) == (421, b"lost")


@pytest.mark.parametrize("clean", [True, False])
async def test_the_end_of_its_answer_may_have_come_already(launch: Launch, folder: Path, clean: bool) -> None:
    head = b"HTTP/1.1 421 No\r\n" + (b"" if clean else b"Content-Length: 10\r\n") + b"\r\n"

    async def disowns_and_goes(turn: Turn) -> None:
        await turn.whole()
        turn.send(head + b"lost")
        turn.connection.close()

    write_authority(folder / "ca.pem")
    stage = await launch(poll_interval=NEVER, tls='{ ca = "ca.pem" }', served_with=region_context())
    await stage.ask(GET)
    stage.eu.answers.append(disowns_and_goes)
    client = await stage.client()
    async with directory_held(stage):
        await client.send(GET)
        await (await stage.eu.connection()).ended()
    data, end = await client.read_to_end()
    assert (data[:12], data[-4:], end) == (b"HTTP/1.1 421", b"lost", "fin")


async def test_a_client_that_leaves_leaves_nothing_behind(stale: Stage) -> None:
    stale.eu.answers.append(DISOWNS)
    client = await stale.client()
    async with directory_held(stale):
        await client.send(GET)
        await stale.eu.request(1)
        client.reset()
        await stale.in_flight(0)
    assert not stale.us.requests
