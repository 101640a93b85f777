"""Listeners behind a balancer that says whose connection it passes on: plain, by TLS, by a UNIX socket."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from typing import TYPE_CHECKING

import pytest

from tests.certificates import authority, write_identity
from tests.gateway.stage import GET, PATIENCE
from tests.gateway.wire import Client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.gateway.conftest import Launch
    from tests.gateway.stage import Stage

FROM_LOOPBACK = 'proxy_protocol = true\ntrusted_proxies = ["127.0.0.1"]'
LINE = b"PROXY TCP4 203.0.113.7 198.51.100.1 40000 443\r\n"
BLOCK_HEAD = b"\r\n\r\n\x00\r\nQUIT\n"
BLOCK = BLOCK_HEAD + b"\x21\x11\x00\x0c" + bytes([203, 0, 113, 7, 198, 51, 100, 1]) + struct.pack("!HH", 40000, 443)
OWN = BLOCK_HEAD + b"\x20\x00\x00\x00"
OVER_TLS = b"\x20\x00\x05\x01\x00\x00\x00\x00"
BLOCK_OVER_TLS = BLOCK.replace(b"\x00\x0c", b"\x00\x14", 1) + OVER_TLS
CLAIM = GET[:-2] + b"X-Forwarded-For: 192.0.2.99\r\n\r\n"


@pytest.fixture
async def proxied(launch: Launch) -> Stage:
    return await launch(gateway=FROM_LOOPBACK)


async def told_by(stage: Stage, *segments: bytes) -> tuple[list[bytes], list[bytes]]:
    """The client's address and scheme that the region is told of a request that comes in these segments."""
    client = await stage.client()
    await client.send(*segments)
    assert (await client.answer()).status == 200
    seen = stage.eu.requests[-1]
    return seen.values(b"X-Forwarded-For"), seen.values(b"X-Forwarded-Proto")


@pytest.mark.parametrize("header", [LINE, BLOCK])
async def test_the_client_is_the_one_that_the_header_names(proxied: Stage, header: bytes) -> None:
    assert await told_by(proxied, header + GET) == ([b"203.0.113.7"], [b"http"])


@pytest.mark.parametrize("header", [LINE, BLOCK])
async def test_a_header_may_come_in_any_pieces(proxied: Stage, header: bytes) -> None:
    pieces = [bytes([byte]) for byte in header]
    assert await told_by(proxied, *pieces, GET[:10], GET[10:]) == ([b"203.0.113.7"], [b"http"])


async def test_a_client_of_the_balancers_tls_is_secure(proxied: Stage) -> None:
    assert await told_by(proxied, BLOCK_OVER_TLS + GET) == ([b"203.0.113.7"], [b"https"])


async def test_what_a_named_client_claims_is_not_believed(proxied: Stage) -> None:
    assert (await told_by(proxied, LINE + CLAIM))[0] == [b"203.0.113.7"]


async def test_what_an_unnamed_client_claims_is_not_believed(proxied: Stage) -> None:
    assert (await told_by(proxied, b"PROXY UNKNOWN\r\n" + CLAIM))[0] == [b"unknown"]


async def test_what_the_balancer_itself_says_is_believed(proxied: Stage) -> None:
    assert (await told_by(proxied, OWN + CLAIM))[0] == [b"192.0.2.99, 127.0.0.1"]


async def test_requests_of_one_connection_are_all_of_its_client(proxied: Stage) -> None:
    client = await proxied.client()
    await client.send(LINE + GET)
    assert (await client.answer()).status == 200
    assert (await client.ask(GET)).status == 200
    assert [seen.values(b"X-Forwarded-For") for seen in proxied.eu.requests] == [[b"203.0.113.7"]] * 2


async def test_a_named_client_has_the_limits_of_one_client(launch: Launch) -> None:
    stage = await launch(gateway=FROM_LOOPBACK, limits={"max_connections_per_client": 1})
    first = await stage.client()
    await first.send(LINE + GET)
    assert (await first.answer()).status == 200
    second = await stage.client()
    await second.send(LINE)
    assert await second.read_to_end() == (b"", "reset")


@pytest.mark.parametrize("data", [GET, b"PROXY TCP4 nonsense\r\n", b"\x16\x03\x01\x02\x00"])
async def test_a_connection_without_a_header_is_reset(proxied: Stage, data: bytes) -> None:
    client = await proxied.client()
    await client.send(data)
    assert await client.read_to_end() == (b"", "reset")
    assert proxied.eu.requests == []


async def test_a_header_that_does_not_come_in_time_is_not_waited_for(launch: Launch) -> None:
    stage = await launch(gateway=FROM_LOOPBACK, timeouts={"head": 0.2})
    client = await stage.client()
    await client.send(LINE[:10])
    assert await client.read_to_end() == (b"", "reset")


async def test_a_stranger_may_not_bring_a_header(launch: Launch) -> None:
    stage = await launch(gateway='proxy_protocol = true\ntrusted_proxies = ["192.0.2.1"]')
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        with pytest.raises(ConnectionResetError):  # wherever the client is by then
            await loop.sock_connect(sock, stage.address)
            await loop.sock_sendall(sock, LINE + GET)
            await loop.sock_recv(sock, 1)
    assert stage.eu.requests == []


async def test_a_proxy_behind_a_unix_socket_may_bring_a_header(launch: Launch, folder: Path) -> None:
    path = folder / "gateway.sock"
    stage = await launch(listen=f'["unix:{path}"]', gateway="proxy_protocol = true")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, str(path))
    client = Client(sock)
    stage.clients.append(client)
    await client.send(LINE + GET)
    assert (await client.answer()).status == 200
    assert stage.eu.requests[0].values(b"X-Forwarded-For") == [b"203.0.113.7"]


# --- in front of TLS


@pytest.fixture
async def both(launch: Launch, folder: Path) -> AsyncIterator[tuple[Stage, tuple[str, int]]]:
    """A stage whose TLS listener wants a header first, and where that is."""
    write_identity(folder / "gateway.pem", folder / "gateway.key", "clockify.me")
    listen = 'tls = { listen = ["127.0.0.1:0"], cert = "gateway.pem", key = "gateway.key" }'
    stage = await launch(gateway=f"{FROM_LOOPBACK}\n{listen}")
    host, _, port = stage.process.listen[1].rpartition(":")
    yield stage, (host, int(port))


async def ask_by_tls(address: tuple[str, int], *header: bytes) -> bytes:
    """The answer's head. The pieces of the header are sent first, the last one together with the hello."""
    context = ssl.create_default_context()
    authority("ours").configure_trust(context)
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setblocking(False)
    await loop.sock_connect(sock, address)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for piece in header:
        await loop.sock_sendall(sock, piece)
        await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(sock=sock, ssl=context, server_hostname="clockify.me")
        writer.write(GET)
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
    return head


@pytest.mark.parametrize("pieces", [(LINE,), (BLOCK,), (BLOCK[:5], BLOCK[5:20], BLOCK[20:])])
async def test_tls_begins_behind_the_header(both: tuple[Stage, tuple[str, int]], pieces: tuple[bytes, ...]) -> None:
    stage, address = both
    assert (await ask_by_tls(address, *pieces)).startswith(b"HTTP/1.1 200 ")
    seen = stage.eu.requests[0]
    assert (seen.values(b"X-Forwarded-For"), seen.values(b"X-Forwarded-Proto")) == ([b"203.0.113.7"], [b"https"])


async def test_tls_without_a_header_is_reset(both: tuple[Stage, tuple[str, int]]) -> None:
    _, address = both
    with pytest.raises((ConnectionError, ssl.SSLError)):
        await ask_by_tls(address)
