"""WebSockets as people use them: a well-known client and a well-known server, and the gateway between them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from typing import TYPE_CHECKING

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from tests.certificates import region_context, write_authority
from tests.gateway.stage import Stage, path
from tests.gateway.test_wire_locks import applied

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path
    from typing import TypeAlias

    from websockets.asyncio.client import ClientConnection
    from websockets.asyncio.server import ServerConnection

    from tests.gateway.conftest import Launch

    Handler: TypeAlias = Callable[[ServerConnection], Awaitable[None]]

MANY = 10_000
LARGE = 16 * 1024 * 1024
LIMIT = 2 * LARGE
TARGET = path(rest="updates") + "?a=%2F"


async def echo(region: ServerConnection) -> None:
    async for message in region:
        await region.send(message)


@contextlib.asynccontextmanager
async def region_that(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A region that serves WebSockets: its port."""
    async with serve(handler, "127.0.0.1", 0, max_size=LIMIT, ssl=context) as server:
        yield next(iter(server.sockets)).getsockname()[1]


@contextlib.asynccontextmanager
async def client_of(
    stage: Stage, *, subprotocols: Sequence[Subprotocol] | None = None
) -> AsyncIterator[ClientConnection]:
    """A client of the gateway, asking for the region's workspace. It offers compression, as it does by itself."""
    host, port = stage.address
    url = f"ws://clockify.me{TARGET}"
    async with connect(url, host=host, port=port, max_size=LIMIT, proxy=None, subprotocols=subprotocols) as client:
        yield client


@pytest.fixture(params=["plain", "tls"])
async def echoing(request: pytest.FixtureRequest, launch: Launch, tmp_path: Path) -> AsyncIterator[Stage]:
    """A stage whose region sends each message back, without TLS and with it."""
    secure = request.param == "tls"
    async with region_that(echo, region_context() if secure else None) as port:
        ca = write_authority(tmp_path / "ca.pem") if secure else None
        yield await launch(ports={"eu": port}, tls=f'{{ ca = "{ca}" }}' if secure else None)


async def test_ten_thousand_messages_pass_in_their_order(echoing: Stage) -> None:
    async with client_of(echoing) as client:

        async def send() -> None:
            for number in range(MANY):
                await client.send(str(number))

        sending = asyncio.create_task(send())
        assert [int(await client.recv()) for _ in range(MANY)] == list(range(MANY))
        await sending


async def test_a_message_of_16_mb_passes_whole(echoing: Stage) -> None:
    message = bytes(range(256)) * (LARGE // 256)
    async with client_of(echoing) as client:
        await client.send(message)
        answer = await client.recv()
    assert isinstance(answer, bytes)
    assert hashlib.sha256(answer).digest() == hashlib.sha256(message).digest()


async def test_a_message_in_fragments_passes(echoing: Stage) -> None:
    async with client_of(echoing) as client:
        await client.send(iter(["a", "b" * 70_000, "c"]))
        assert await client.recv() == "a" + "b" * 70_000 + "c"


async def test_a_ping_gets_its_pong(echoing: Stage) -> None:
    async with client_of(echoing) as client:
        for data in (b"", b"x" * 125):
            await (await client.ping(data))


async def test_the_region_s_pings_get_their_pongs(launch: Launch) -> None:
    async def pings(region: ServerConnection) -> None:
        await (await region.ping(b"are you there"))
        await region.send("there")

    async with region_that(pings) as port, client_of(await launch(ports={"eu": port})) as client:
        assert await client.recv() == "there"


async def test_the_client_s_close_code_reaches_the_region(launch: Launch) -> None:
    closed: asyncio.Future[tuple[int | None, str | None]] = asyncio.get_running_loop().create_future()

    async def listens(region: ServerConnection) -> None:
        await region.wait_closed()
        closed.set_result((region.close_code, region.close_reason))

    async with region_that(listens) as port:
        stage = await launch(ports={"eu": port})
        async with client_of(stage) as client:
            await client.close(4321, "enough")
        assert await closed == (4321, "enough")
        await stage.in_flight(0)


async def test_the_region_s_close_code_reaches_the_client(launch: Launch) -> None:
    async def closes(region: ServerConnection) -> None:
        await region.close(4567, "go away")

    async with region_that(closes) as port, client_of(await launch(ports={"eu": port})) as client:
        await client.wait_closed()
        assert (client.close_code, client.close_reason) == (4567, "go away")


async def test_a_lock_closes_it_with_1012_and_then_is_applied(echoing: Stage) -> None:
    async with client_of(echoing) as client:
        await client.send("before")
        assert await client.recv() == "before"
        transfer = await echoing.start_transfer()
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 1012
        await applied(echoing, transfer)
    with pytest.raises(InvalidStatus) as refused:
        async with client_of(echoing):
            ...
    assert refused.value.response.status_code == 423


async def test_what_the_two_agree_on_is_theirs(launch: Launch) -> None:
    asked: list[str] = []

    async def looks(region: ServerConnection) -> None:
        assert region.request is not None
        asked.append(region.request.path)
        await region.close()

    async with serve(looks, "127.0.0.1", 0, subprotocols=[Subprotocol("chat.v2")]) as server:
        stage = await launch(ports={"eu": next(iter(server.sockets)).getsockname()[1]})
        async with client_of(stage, subprotocols=[Subprotocol("chat.v1"), Subprotocol("chat.v2")]) as client:
            assert client.subprotocol == "chat.v2"
            assert [extension.name for extension in client.protocol.extensions] == ["permessage-deflate"]
            await client.wait_closed()
    assert asked == [TARGET]
