"""What the data plane relies on, of aiohttp's runner and of both event loops: a release could take it away."""

from __future__ import annotations

import asyncio
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import pytest
import uvloop
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

RESET = struct.pack("ii", 1, 0)
TCP_CLOSE = 7
TCP_CLOSE_WAIT = 8
PATIENCE = 10.0
"""Seconds after which what should have happened at once is taken to have failed."""
PLENTY = b"x" * 16_000_000
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


class Peer(asyncio.Protocol):
    """One end of a connection, under the loop that is tested."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.received = bytearray()
        self.made = asyncio.Event()
        self.came = asyncio.Event()
        self.lost = asyncio.Event()
        self.paused = asyncio.Event()
        self.resumed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.made.set()

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.came.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()

    def pause_writing(self) -> None:
        self.paused.set()

    def resume_writing(self) -> None:
        self.resumed.set()

    @property
    def socket(self) -> Any:
        return self.transport.get_extra_info("socket")


async def accepted() -> tuple[Peer, socket.socket]:
    """A connection that was accepted, and the other end as a bare socket."""
    loop = asyncio.get_running_loop()
    peer = Peer()
    server = await loop.create_server(lambda: peer, "127.0.0.1", 0)
    bare = socket.socket()
    bare.setblocking(False)
    await loop.sock_connect(bare, server.sockets[0].getsockname())
    await peer.made.wait()
    server.close()
    return peer, bare


async def connected() -> tuple[Peer, socket.socket, socket.socket]:
    """A connection that was made with `sock=`: its protocol, that socket, and the other end as a bare socket."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        mine = socket.create_connection(listener.getsockname())
        mine.setblocking(False)
        bare, _ = listener.accept()
    bare.setblocking(False)
    _, peer = await loop.create_connection(Peer, sock=mine)
    return peer, mine, bare


async def end_of(bare: socket.socket) -> str:
    loop = asyncio.get_running_loop()
    try:
        while await loop.sock_recv(bare, 65536):
            pass
    except ConnectionResetError:
        return "reset"
    finally:
        bare.close()
    return "fin"


async def take_until(happened: asyncio.Event, bare: socket.socket) -> None:
    """Read from `bare` until something happened."""

    async def take() -> None:
        while await asyncio.get_running_loop().sock_recv(bare, 1 << 20):
            pass

    taking = asyncio.create_task(take())
    await happened.wait()
    taking.cancel()
    await asyncio.wait({taking})


async def abort_with_linger_sends_a_reset_from_an_accepted_connection() -> None:
    peer, bare = await accepted()
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    peer.transport.abort()
    assert await end_of(bare) == "reset"


async def abort_with_linger_sends_a_reset_from_a_connection_made_with_a_socket() -> None:
    peer, mine, bare = await connected()
    mine.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    peer.transport.abort()
    assert await end_of(bare) == "reset"


async def abort_with_linger_discards_what_was_written() -> None:
    peer, bare = await accepted()
    peer.transport.write(PLENTY)
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    peer.transport.abort()
    await peer.lost.wait()
    assert await end_of(bare) == "reset"


async def a_connection_is_lost_before_its_socket_is_closed() -> None:
    peer, bare = await accepted()
    fileno = -1

    def note(exc: Exception | None) -> None:
        nonlocal fileno
        fileno = peer.socket.fileno()
        peer.lost.set()

    peer.connection_lost = note  # type: ignore[method-assign]  # looks at the very moment
    peer.transport.abort()
    await peer.lost.wait()
    assert fileno >= 0
    bare.close()


async def tcp_info_tells_of_a_reset_while_reading_is_paused() -> None:
    peer, bare = await accepted()
    peer.transport.pause_reading()
    bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    bare.close()
    assert peer.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == TCP_CLOSE
    assert not peer.lost.is_set()
    peer.transport.abort()
    await peer.lost.wait()


async def tcp_info_tells_of_a_fin_behind_bytes_that_nobody_reads() -> None:
    peer, bare = await accepted()
    peer.transport.pause_reading()
    bare.send(b"unread")
    bare.close()
    assert peer.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == TCP_CLOSE_WAIT
    assert not peer.lost.is_set()
    peer.transport.abort()
    await peer.lost.wait()


async def a_connection_can_be_reset_as_soon_as_it_is_made() -> None:
    peer = Peer()

    def reset(transport: asyncio.BaseTransport) -> None:
        peer.transport = cast(asyncio.Transport, transport)
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        peer.transport.abort()

    peer.connection_made = reset  # type: ignore[method-assign]  # acts at the very moment
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: peer, "127.0.0.1", 0)
    bare = socket.socket()
    bare.setblocking(False)
    await loop.sock_connect(bare, server.sockets[0].getsockname())
    assert await end_of(bare) == "reset"
    await peer.lost.wait()
    server.close()


async def tcp_info_counts_what_the_peer_has_acknowledged() -> None:
    peer, bare = await accepted()
    peer.transport.write(b"x" * 1000)
    await asyncio.get_running_loop().sock_recv(bare, 1000)
    info = peer.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 128)
    assert int.from_bytes(info[120:128], "little") == 1000
    peer.transport.abort()
    await end_of(bare)


async def pausing_stops_delivery_at_once_and_resuming_loses_nothing() -> None:
    peer, bare = await accepted()
    peer.transport.pause_reading()
    peer.transport.pause_reading()
    bare.send(b"one")
    for _ in range(10):
        await asyncio.sleep(0)
    assert peer.received == b""
    peer.transport.resume_reading()
    peer.transport.resume_reading()
    await peer.came.wait()
    assert peer.received == b"one"
    peer.transport.abort()
    await end_of(bare)


async def a_socket_can_be_written_while_its_transport_reads() -> None:
    peer, mine, bare = await connected()
    loop = asyncio.get_running_loop()
    for text in (b"one", b"two"):
        assert mine.send(text) == 3
        assert await loop.sock_recv(bare, 100) == text
        peer.came.clear()
        bare.send(text)
        await peer.came.wait()
    assert peer.received == b"onetwo"
    peer.transport.abort()
    await end_of(bare)


async def a_duplicate_can_be_watched_for_room_while_the_transport_reads() -> None:
    peer, mine, bare = await connected()
    loop = asyncio.get_running_loop()
    sent = mine.send(PLENTY)
    assert sent < len(PLENTY)
    room = asyncio.Event()
    watched = mine.dup()
    loop.add_writer(watched.fileno(), room.set)
    bare.send(b"read all the same")
    await peer.came.wait()
    assert not room.is_set()
    await take_until(room, bare)
    loop.remove_writer(watched.fileno())
    watched.close()
    peer.transport.abort()
    await end_of(bare)


async def bytes_before_a_reset_are_delivered() -> None:
    peer, mine, bare = await connected()
    bare.send(b"early")
    bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    bare.close()
    with pytest.raises(ConnectionError):
        mine.send(b"x")
    await peer.lost.wait()
    assert peer.received == b"early"


async def writing_is_paused_above_the_limit_and_resumed_below() -> None:
    peer, bare = await accepted()
    peer.transport.set_write_buffer_limits(high=65536)
    peer.transport.write(PLENTY)
    assert peer.paused.is_set()
    assert peer.transport.get_write_buffer_size() > 0
    await take_until(peer.resumed, bare)
    peer.transport.abort()
    await end_of(bare)


async def a_half_closed_connection_goes_on_reading() -> None:
    peer, bare = await accepted()
    assert peer.transport.can_write_eof()
    peer.transport.write(b"last")
    peer.transport.write_eof()
    assert await asyncio.get_running_loop().sock_recv(bare, 100) == b"last"
    bare.send(b"more")
    await peer.came.wait()
    assert peer.received == b"more"
    assert await end_of(bare) == "fin"


async def the_runner_calls_our_factory_then_pre_shutdown_then_shutdown() -> None:
    calls: list[object] = []
    peer = Peer()

    class Server(web.Server):
        def __call__(self) -> Any:
            calls.append("factory")
            return peer

        def pre_shutdown(self) -> None:
            calls.append("pre_shutdown")

        async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - aiohttp's signature
            calls.append(("shutdown", timeout))
            peer.transport.abort()

    async def never(request: web.BaseRequest) -> web.StreamResponse:
        raise AssertionError(request)

    runner = web.ServerRunner(Server(never), shutdown_timeout=7)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    bare = socket.create_connection(runner.addresses[0][:2])
    await peer.made.wait()
    bare.send(b"not even HTTP")
    await peer.came.wait()
    assert peer.received == b"not even HTTP"
    await runner.cleanup()
    assert calls == ["factory", "pre_shutdown", ("shutdown", 7)]
    bare.close()


CASES = [
    abort_with_linger_sends_a_reset_from_an_accepted_connection,
    abort_with_linger_sends_a_reset_from_a_connection_made_with_a_socket,
    abort_with_linger_discards_what_was_written,
    a_connection_is_lost_before_its_socket_is_closed,
    tcp_info_tells_of_a_reset_while_reading_is_paused,
    tcp_info_tells_of_a_fin_behind_bytes_that_nobody_reads,
    a_connection_can_be_reset_as_soon_as_it_is_made,
    tcp_info_counts_what_the_peer_has_acknowledged,
    pausing_stops_delivery_at_once_and_resuming_loses_nothing,
    a_socket_can_be_written_while_its_transport_reads,
    a_duplicate_can_be_watched_for_room_while_the_transport_reads,
    bytes_before_a_reset_are_delivered,
    writing_is_paused_above_the_limit_and_resumed_below,
    a_half_closed_connection_goes_on_reading,
    the_runner_calls_our_factory_then_pre_shutdown_then_shutdown,
]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_it_holds(case: Callable[[], Coroutine[Any, Any, None]], loop: str) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(PATIENCE):
            await case()

    def run() -> None:
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            runner.run(in_time())

    # In a thread of its own: the loop of the other tests stays untouched.
    with ThreadPoolExecutor(1) as executor:
        executor.submit(run).result()
