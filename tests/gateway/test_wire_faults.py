"""Whose fault it is, and who can tell: regions that fail, clients that leave, bugs of ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from router.directory.ports import SystemClock, TaskSpawner
from router.gateway.handler import Gateway
from router.gateway.server import GatewayServer
from router.settings.load import load_text
from tests.gateway.origin import blackhole, ok
from tests.gateway.stage import GET, configure, path, request
from tests.gateway.wire import Client

if TYPE_CHECKING:
    from router.gateway.observing import Observed
    from router.model.record import Record
    from router.model.region import RegionName
    from tests.gateway.conftest import Launch
    from tests.gateway.origin import OriginConnection, Turn
    from tests.gateway.stage import Stage

POST = request("POST", path(), body=b"once only")
OLD_GET = request("GET", path(), version="1.0")
UNUSED_PORT = 1

GARBAGE = {
    "not HTTP": b"hello\r\n\r\n",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/0.9": b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
    "status 000": b"HTTP/1.1 000 X\r\nContent-Length: 0\r\n\r\n",
    "status 099": b"HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n",
    "status 600": b"HTTP/1.1 600 X\r\nContent-Length: 0\r\n\r\n",
    "status of four": b"HTTP/1.1 2000 X\r\nContent-Length: 0\r\n\r\n",
    "101 unasked": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "one length twice": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "length with a sign": b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na",
    "xchunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "gzip coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
    "gzip, chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunks in 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "line feeds": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n\r\n\r\n",
    "folded": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "blank before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
    "control byte in the reason": b"HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n",
    "nul in a field": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    "field without a colon": b"HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 0\r\n\r\n",
    "17 interim answers": b"HTTP/1.1 102 Processing\r\n\r\n" * 17 + ok(),
    "endless head": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000,
    "too many fields": b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 600 + b"Content-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", GARBAGE)
async def test_garbage_is_502_and_its_connection_is_not_used_again(stage: Stage, name: str) -> None:
    stage.eu.answers.append(GARBAGE[name])
    client = await stage.client()
    answer = await client.ask(request("GET", path(), version="1.1"))
    while answer.status == 102:
        answer = await client.answer()
    assert (answer.status, json.loads(answer.body)["code"]) == (502, 9512)
    assert await stage.eu.connections[0].ended() == "reset"
    assert (await client.ask(GET)).body == b"eu"
    assert len(stage.eu.requests) == 2


async def test_a_reason_may_be_missing(stage: Stage) -> None:
    stage.eu.answers.append(b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n")
    assert (await stage.ask(GET)).line == b"HTTP/1.1 200 "


async def test_a_refused_connection_is_502(launch: Launch) -> None:
    stage = await launch(ports={"eu": UNUSED_PORT})
    client = await stage.client()
    answer = await client.ask(GET)
    assert (answer.status, json.loads(answer.body)["code"]) == (502, 9502)
    assert (await client.ask(request("GET", "/api/v1/user"))).status == 200


async def test_a_connection_that_is_never_taken_is_504(launch: Launch) -> None:
    with blackhole() as port:
        stage = await launch(ports={"eu": port}, timeouts={"connect": 0.2})
        answer = await stage.ask(GET)
        assert (answer.status, json.loads(answer.body)["code"]) == (504, 9504)


@pytest.mark.parametrize("how", ["close", "reset", "finish"])
async def test_a_region_that_ends_without_an_answer_is_502(stage: Stage, how: str) -> None:
    async def leaves(turn: Turn) -> None:
        await turn.whole()
        getattr(turn.connection, how)()

    stage.eu.answers.append(leaves)
    answer = await stage.ask(POST)
    assert (answer.status, json.loads(answer.body)["code"]) == (502, 9502)
    assert len(stage.eu.requests) == 1


async def test_a_region_that_closes_as_soon_as_it_is_connected_is_502(stage: Stage) -> None:
    stage.eu.closes_at_once = True
    assert (await stage.ask(GET)).status == 502


TRUNCATED = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
    "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nabc",
    "last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    "end of the last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
}


async def begin(stage: Stage, raw: bytes, beginning: bytes) -> tuple[Client, OriginConnection]:
    """A client that has read `abc` of an answer that began so, and the region's connection that it comes from."""

    async def begins(turn: Turn) -> None:
        turn.send(beginning)

    stage.eu.answers.append(begins)
    client = await stage.client()
    await client.send(raw)
    await client.receive_until(b"\r\nabc")
    return client, await stage.eu.connection()


@pytest.mark.parametrize("name", TRUNCATED)
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_truncated_answer_ends_the_client_s_connection_with_nothing_added(
    stage: Stage, name: str, how: str
) -> None:
    client, connection = await begin(stage, GET, TRUNCATED[name])
    getattr(connection, how)()
    rest, _ = await client.read_to_end()
    assert rest in {b"", b"\r\n"}


async def test_a_close_delimited_answer_that_was_reset_resets_the_client(stage: Stage) -> None:
    client, connection = await begin(stage, GET, b"HTTP/1.1 200 OK\r\n\r\nabc")
    connection.reset()
    assert await client.read_to_end() == (b"", "reset")


async def test_a_truncated_answer_resets_a_1_0_client_that_cannot_tell_by_chunks(stage: Stage) -> None:
    client, connection = await begin(stage, OLD_GET, TRUNCATED["last chunk"])
    connection.close()
    assert await client.read_to_end() == (b"", "reset")


async def test_chunks_that_go_wrong_cut_the_answer(stage: Stage) -> None:
    stage.eu.answers.append(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n")
    client = await stage.client()
    await client.send(GET)
    data, _ = await client.read_to_end()
    assert not data.endswith(b"0\r\n\r\n")
    assert await stage.eu.connections[0].ended() == "reset"


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize("stuck", ["in the upload", "before the answer", "in the answer"])
async def test_when_the_client_is_gone_the_region_is_reset_at_once(stage: Stage, stuck: str, how: str) -> None:
    async def begins(turn: Turn) -> None:
        if stuck == "in the answer":
            turn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")

    stage.eu.answers.append(begins)
    client = await stage.client()
    await client.send(request("POST", path(), "Content-Length: 10") + b"abc" if stuck == "in the upload" else GET)
    await stage.eu.head()
    if stuck == "in the answer":
        await client.receive_until(b"\r\nabc")
    getattr(client, how)()
    assert await (await stage.eu.connection()).ended() == "reset"
    assert stage.directory.ledger.in_flight == 0


async def test_a_client_is_gone_too_whose_next_request_is_held(stage: Stage) -> None:
    client, connection = await begin(stage, GET, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    await client.send(GET, GET)
    client.reset()
    assert await connection.ended() == "reset"
    assert len(stage.eu.requests) == 1


async def test_a_client_that_closes_its_sending_half_is_taken_to_be_gone(stage: Stage) -> None:
    client, connection = await begin(stage, GET, b"HTTP/1.1 200 OK\r\n\r\nabc")
    client.finish()
    assert await connection.ended() == "reset"
    assert await client.read_to_end() == (b"", "reset")


class Clumsy:
    """A recorder that breaks its word, which is not to raise."""

    def __init__(self, *bad: str) -> None:
        self.bad = bad

    def record(self, record: Record) -> None:
        self._stumble("record")

    def turned_away(self) -> None:
        """Nothing is counted."""

    def observed(self, seen: Observed) -> None:
        """Nothing is counted."""

    def entered(self, region: RegionName) -> None:
        self._stumble("entered")

    def left(self, region: RegionName) -> None:
        """Nothing is counted."""

    def _stumble(self, what: str) -> None:
        if what in self.bad:
            raise RuntimeError("a bug of ours")


@pytest.mark.parametrize("looked_up", [False, True])
@pytest.mark.parametrize("bad", ["entered", "record"])
async def test_a_bug_of_ours_leaks_nothing_and_hangs_nobody(stage: Stage, bad: str, looked_up: bool) -> None:
    if looked_up:
        await stage.ask(GET)
    ports = {name: origin.port for name, origin in stage.origins.items()}
    settings = load_text(configure(ports), {}, folder=stage.folder)
    gateway = Gateway(
        settings.table,
        stage.directory,
        settings.gateway,
        recorder=Clumsy(bad),
        clock=SystemClock(),
        spawner=TaskSpawner(),
    )
    runner = web.ServerRunner(GatewayServer(gateway, lambda: None), shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = await Client.connect(runner.addresses[0][:2])
    await client.send(GET)
    data, _ = await client.read_to_end()
    if bad == "entered":
        assert data.startswith(b"HTTP/1.1 500 ")
    assert stage.directory.ledger.in_flight == 0
    client.close()
    await runner.cleanup()
    assert not gateway.connections
