"""A drain: what is under way ends with its answer and a word, what is idle ends soon, nobody new comes in."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from router.runtime.process import running
from router.settings.load import load_text
from tests.gateway.origin import ok
from tests.gateway.stage import GET, configure, request
from tests.gateway.wire import Client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from router.runtime.process import Running
    from tests.gateway.origin import Turn
    from tests.gateway.stage import Stage

NOWHERE = request("GET", "/nothing")


class Draining:
    """A second gateway between the stage's origins, which a test can end while the origins stay."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.stop = asyncio.Event()
        self._started: asyncio.Future[Running] = asyncio.get_running_loop().create_future()
        self._work = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        ports = {name: origin.port for name, origin in self.stage.origins.items()}
        settings = load_text(configure(ports), {}, folder=self.stage.folder)
        async with running(settings) as process:
            self._started.set_result(process)
            await self.stop.wait()

    async def process(self) -> Running:
        """What runs, once it is ready."""
        process = await self._started
        await self.stage.until(lambda: process.directory.state.ready)
        return process

    async def client(self) -> Client:
        return await Client.connect(address((await self.process()).listen[0]))

    async def readiness(self) -> int:
        """The status of the readiness probe."""
        ops = await Client.connect(address((await self.process()).ops_listen[0]))
        answer = await ops.ask(b"GET /readyz HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n")
        ops.close()
        return answer.status

    async def begun(self) -> None:
        """Ask it to end, and wait until it drains."""
        process = await self._started
        self.stop.set()
        await self.stage.until(lambda: process.gateway.draining)

    async def ended(self) -> None:
        """Wait until it has ended."""
        await asyncio.shield(self._work)

    async def close(self) -> None:
        self.stop.set()
        await self._work


def address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


@pytest.fixture
async def gateway(stage: Stage) -> AsyncIterator[Draining]:
    draining = Draining(stage)
    await draining.process()
    yield draining
    await draining.close()


class Held:
    """An answer that comes when it is released."""

    def __init__(self) -> None:
        self.released = asyncio.Event()

    async def __call__(self, turn: Turn) -> None:
        await self.released.wait()
        turn.send(ok(b"the last"))


class Half:
    """An answer whose body comes when it is released."""

    def __init__(self) -> None:
        self.released = asyncio.Event()

    async def __call__(self, turn: Turn) -> None:
        answer = ok(b"the last")
        turn.send(answer[:-8])
        await self.released.wait()
        turn.send(answer[-8:])


async def test_an_idle_connection_is_closed_once_it_has_been_quiet(gateway: Draining) -> None:
    client = await gateway.client()
    assert (await client.ask(GET)).value(b"Connection") is None
    await gateway.begun()
    assert await client.read_to_end() == (b"", "fin")
    await gateway.ended()
    client.close()


async def test_a_connection_that_is_in_use_is_told_by_its_next_answer(gateway: Draining) -> None:
    client = await gateway.client()
    assert (await client.ask(NOWHERE)).value(b"Connection") is None
    await gateway.begun()
    answer = await client.ask(NOWHERE)
    assert (answer.status, answer.value(b"Connection")) == (404, b"close")
    assert await client.read_to_end() == (b"", "fin")
    await gateway.ended()
    client.close()


async def test_an_answer_that_promised_another_request_keeps_its_promise(gateway: Draining, stage: Stage) -> None:
    half = Half()
    stage.eu.answers.append(half)
    client = await gateway.client()
    await client.send(GET)
    head = await client.receive_until(b"\r\n\r\n")
    assert b"Connection: close" not in head
    await gateway.begun()
    half.released.set()
    assert await client.receive_exactly(8) == b"the last"
    answer = await client.ask(NOWHERE)
    assert (answer.status, answer.value(b"Connection")) == (404, b"close")
    await client.read_to_end()
    await gateway.ended()
    client.close()


async def test_what_is_under_way_ends_with_its_answer_and_is_told_so(gateway: Draining, stage: Stage) -> None:
    held = Held()
    stage.eu.answers.append(held)
    client = await gateway.client()
    await client.send(GET)
    await stage.eu.head()
    await gateway.begun()
    held.released.set()
    answer = await client.answer()
    assert (answer.status, answer.body, answer.value(b"Connection")) == (200, b"the last", b"close")
    assert await client.read_to_end() == (b"", "fin")
    await gateway.ended()
    client.close()


async def test_a_request_that_has_begun_to_come_is_answered(gateway: Draining) -> None:
    client = await gateway.client()
    assert (await client.ask(NOWHERE)).value(b"Connection") is None
    await client.send(NOWHERE[:20], b"")
    await gateway.begun()
    answer = await client.ask(NOWHERE[20:])
    assert (answer.status, answer.value(b"Connection")) == (404, b"close")
    assert await client.read_to_end() == (b"", "fin")
    await gateway.ended()
    client.close()


async def test_it_is_not_ready_while_it_drains(gateway: Draining, stage: Stage) -> None:
    held = Held()
    stage.eu.answers.append(held)
    client = await gateway.client()
    await client.send(GET)
    await stage.eu.head()
    assert await gateway.readiness() == 200
    await gateway.begun()
    assert await gateway.readiness() == 503
    held.released.set()
    await client.read_to_end()
    await gateway.ended()
    client.close()


async def test_nobody_new_comes_in(gateway: Draining, stage: Stage) -> None:
    held = Held()
    stage.eu.answers.append(held)
    client = await gateway.client()
    await client.send(GET)
    await stage.eu.head()
    await gateway.begun()
    with contextlib.closing(client), pytest.raises(ConnectionRefusedError):
        await asyncio.get_running_loop().create_connection(
            asyncio.Protocol, *address((await gateway.process()).listen[0])
        )
