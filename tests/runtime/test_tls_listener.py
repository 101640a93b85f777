"""The TLS listener: what it agrees to, and that nothing of HTTP is different behind it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING

import pytest

from tests.certificates import authority, write_identity
from tests.gateway.origin import ok
from tests.gateway.stage import GET, PATIENCE, request
from tests.runtime.gateways import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gateway.conftest import Launch
    from tests.gateway.origin import Turn
    from tests.gateway.stage import Stage

UPGRADE = request("GET", "/api/v1/user", "Connection: Upgrade", "Upgrade: websocket")


def client_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority("ours").configure_trust(context)
    return context


class Secured:
    """A stage and its TLS listener."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        host, _, port = stage.process.listen[0].rpartition(":")
        self.address = (host, int(port))

    async def connect(self, context: ssl.SSLContext | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(PATIENCE):
            return await asyncio.open_connection(
                *self.address, ssl=context or client_context(), server_hostname="clockify.me"
            )


TLS = 'tls = { listen = ["127.0.0.1:0"], cert = "gateway.pem", key = "gateway.key" }'


@pytest.fixture
async def secured(launch: Launch, folder: Path) -> Secured:
    write_identity(folder / "gateway.pem", folder / "gateway.key", "clockify.me")
    return Secured(await launch(listen="[]", gateway=TLS, timeouts={"head": 1.0}))


async def test_requests_of_one_connection_are_answered_and_told_as_https(secured: Secured) -> None:
    reader, writer = await secured.connect()
    for _ in range(2):
        writer.write(GET)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        await reader.readexactly(len(b"eu"))
    assert [seen.values(b"X-Forwarded-Proto") for seen in secured.stage.eu.requests] == [[b"https"]] * 2
    writer.close()


async def test_http_1_1_is_the_one_protocol_that_is_agreed_on(secured: Secured) -> None:
    context = client_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    _, writer = await secured.connect(context)
    tls = writer.get_extra_info("ssl_object")
    assert (tls.selected_alpn_protocol(), tls.version()) == ("http/1.1", "TLSv1.3")
    writer.close()


async def test_tls_1_2_is_spoken(secured: Secured) -> None:
    context = client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    _, writer = await secured.connect(context)
    assert writer.get_extra_info("ssl_object").version() == "TLSv1.2"
    writer.close()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
async def test_tls_1_1_is_refused(secured: Secured) -> None:
    context = client_context()
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await secured.connect(context)


async def test_a_handshake_that_does_not_come_is_not_waited_for(secured: Secured) -> None:
    reader, writer = await asyncio.open_connection(*secured.address)
    async with asyncio.timeout(PATIENCE):
        assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_client"])
async def test_a_handshake_that_does_not_come_holds_a_place_of_those_there_are(
    launch: Launch, folder: Path, limit: str
) -> None:
    write_identity(folder / "gateway.pem", folder / "gateway.key", "clockify.me")
    secured = Secured(await launch(listen="[]", gateway=TLS, limits={limit: 2}, timeouts={"head": 60.0}))
    silent = [await asyncio.open_connection(*secured.address) for _ in range(2)]
    loop = asyncio.get_running_loop()
    with socket.socket() as one_more:
        one_more.setblocking(False)
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(ConnectionResetError):  # wherever it is by then
                await loop.sock_connect(one_more, secured.address)
                await loop.sock_recv(one_more, 1)
    for _, writer in silent:
        writer.close()


async def test_a_handshake_that_was_given_up_leaves_its_place(launch: Launch, folder: Path) -> None:
    write_identity(folder / "gateway.pem", folder / "gateway.key", "clockify.me")
    secured = Secured(await launch(listen="[]", gateway=TLS, limits={"max_connections": 1}, timeouts={"head": 60.0}))
    _, silent = await asyncio.open_connection(*secured.address)
    silent.close()

    async def served() -> bool:
        try:
            reader, writer = await secured.connect()
        except ConnectionError:
            return False
        writer.write(GET)
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        return head.startswith(b"HTTP/1.1 200 ")

    await eventually(served)


async def test_a_request_without_tls_is_not_served(secured: Secured) -> None:
    reader, writer = await asyncio.open_connection(*secured.address)
    writer.write(GET)
    async with asyncio.timeout(PATIENCE):
        answer = await reader.read()
    assert b"HTTP/1." not in answer
    assert secured.stage.eu.requests == []
    writer.close()


async def test_a_long_answer_comes_whole_to_a_slow_reader(secured: Secured) -> None:
    body = bytes(range(256)) * 16_384
    secured.stage.eu.default = ok(body)
    reader, writer = await secured.connect()
    writer.write(GET)
    await reader.readuntil(b"\r\n\r\n")
    read = bytearray()
    while len(read) < len(body):
        read += await reader.read(10_000)
        await asyncio.sleep(0)
    assert read == body
    writer.close()


async def test_the_end_of_a_tunnels_client_ends_the_tunnel_and_is_no_warning(
    secured: Secured, caplog: pytest.LogCaptureFixture
) -> None:
    async def switch(turn: Turn) -> None:
        turn.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")

    secured.stage.home.answers.append(switch)
    reader, writer = await secured.connect()
    writer.write(UPGRADE)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    writer.close()
    connection = await secured.stage.home.connection()
    await connection.ended()
    assert "no effect" not in caplog.text
