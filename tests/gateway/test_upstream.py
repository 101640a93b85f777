"""A region's connection on its own: whatever the socket says, its user hears the answer and how it ended."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, cast

import pytest

from router.gateway.sockets import prepare_upstream
from router.gateway.upstream import Upstream
from router.model.region import Origin
from tests.gateway.bell import Bell
from tests.gateway.origin import RESET

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Ear:
    """A user and a home that keep what they hear."""

    def __init__(self) -> None:
        self.bell = Bell()
        self.allowed = True
        self.asked = 0
        self.received = b""
        self.closed: bool | None = None
        self.drained = False
        self.forgotten = 0
        self.left = 0

    def may_write(self) -> bool:
        self.asked += 1
        self.bell.ring()
        return self.allowed

    def answer_received(self, data: bytes) -> None:
        self.received += data
        self.bell.ring()

    def region_drained(self) -> None:
        self.drained = True
        self.bell.ring()

    def region_finished(self) -> bool:
        return False

    def region_closed(self, clean: bool) -> None:
        self.closed = clean
        self.bell.ring()

    def forget(self, upstream: Upstream) -> None:
        self.forgotten += 1
        self.bell.ring()

    def leave(self) -> None:
        self.left += 1
        self.bell.ring()


class Line:
    """An upstream connection, its user, and the region's end as a bare socket."""

    def __init__(self, upstream: Upstream, ear: Ear, region: socket.socket) -> None:
        self.upstream = upstream
        self.ear = ear
        self.region = region

    def reset(self) -> None:
        self.region.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.region.close()


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    loop = asyncio.get_running_loop()
    ear = Ear()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        sock = socket.create_connection(("127.0.0.1", port))
        region, _ = listener.accept()
    region.setblocking(False)
    sock.setblocking(False)
    prepare_upstream(sock)
    origin = Origin("http", "127.0.0.1", port)
    upstream = Upstream(origin, ear, loop, sock)
    await loop.create_connection(lambda: cast(asyncio.Protocol, upstream), sock=sock)
    upstream.attach(ear)
    yield Line(upstream, ear, region)
    upstream.abort()
    await ear.bell.until(lambda: ear.forgotten or None)
    region.close()
    assert ear.forgotten == 1


async def take_all(region: socket.socket) -> tuple[int, str]:
    """How much came, and how it ended."""
    size = 0
    try:
        while data := await asyncio.get_running_loop().sock_recv(region, 1 << 20):
            size += len(data)
    except ConnectionResetError:
        return size, "reset"
    return size, "fin"


async def test_what_the_region_said_before_it_went_is_heard_though_a_send_failed(line: Line) -> None:
    line.region.send(b"an early answer")
    line.reset()
    line.upstream.send(b"the upload goes on")
    assert await line.ear.bell.until(lambda: line.ear.closed is not None or None)
    assert line.ear.received == b"an early answer"


async def test_an_end_that_follows_a_failed_send_is_never_taken_for_a_clean_one(line: Line) -> None:
    line.reset()
    line.upstream.send(b"the upload goes on")
    assert line.upstream.full
    await line.ear.bell.until(lambda: line.ear.closed is not None or None)
    assert line.ear.closed is False


async def test_a_fin_is_a_clean_end(line: Line) -> None:
    line.region.send(b"all of it")
    line.region.close()
    await line.ear.bell.until(lambda: line.ear.closed is not None or None)
    assert (line.ear.received, line.ear.closed) == (b"all of it", True)


async def test_the_right_to_write_is_asked_again_before_what_the_kernel_did_not_take(line: Line) -> None:
    loop = asyncio.get_running_loop()
    data = bytes(range(256)) * 100_000
    line.upstream.send(data)
    assert line.upstream.full
    assert line.ear.asked == 0
    got = b""
    while len(got) < len(data):
        got += await loop.sock_recv(line.region, 1 << 20)
    assert got == data
    assert line.ear.asked > 0
    assert line.ear.drained
    assert not line.upstream.full


async def test_without_the_right_to_write_not_another_byte_goes_out(line: Line) -> None:
    line.upstream.send(b"x" * 20_000_000)
    line.ear.allowed = False
    taking = asyncio.create_task(take_all(line.region))
    await line.ear.bell.until(lambda: line.ear.asked or None)
    line.upstream.abort()
    size, end = await taking
    assert end == "reset"
    assert size < 20_000_000


async def test_who_aborts_is_told_when_the_write_side_is_gone_and_not_before(line: Line) -> None:
    line.upstream.abort(line.ear.leave)
    assert line.ear.left == 0
    line.upstream.abort()
    await line.ear.bell.until(lambda: line.ear.left or None)
    assert line.ear.closed is None


async def test_who_aborts_what_is_gone_already_is_told_at_once(line: Line) -> None:
    line.reset()
    await line.ear.bell.until(lambda: line.ear.closed is not None or None)
    await line.ear.bell.until(lambda: line.ear.forgotten or None)
    line.upstream.abort(line.ear.leave)
    assert line.ear.left == 1
    assert not line.upstream.usable
