"""Regions that misbehave: the last segment of a path says how the request is answered."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from typing import TYPE_CHECKING, Final, cast

from tests.gateway.origin import RESET

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SMALL: Final = b"s" * 500
BIG: Final = b"b" * 300_000

_OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
_TARGET: Final = re.compile(rb"[A-Z]+ \S*/([a-z-]+) HTTP")
_LENGTH: Final = re.compile(rb"(?i)\ncontent-length: *([0-9]+)")
_STREAMED: Final = 10


class RegionConnection(asyncio.Protocol):
    """One connection from the gateway."""

    def __init__(self, open_ones: set[RegionConnection]) -> None:
        self.transport: asyncio.Transport
        self._open = open_ones
        self._got = b""
        self._answered_early = False
        self._streaming: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self)
        if self._streaming is not None:
            self._streaming.cancel()

    def data_received(self, data: bytes) -> None:
        self._got += data
        while (head_end := self._got.find(b"\r\n\r\n") + 4) >= 4:
            head = self._got[:head_end]
            target = _TARGET.match(head)
            manner = target[1].decode() if target else "ok"
            if head.startswith(b"HEAD"):
                manner = "head"
            if manner == "early" and not self._answered_early:
                self._answered_early = True
                MANNERS[manner](self)
            length = _LENGTH.search(head)
            end = head_end + int(length[1]) if length else head_end
            if b"\nTransfer-Encoding: chunked" in head:
                last = self._got.find(b"\r\n0\r\n\r\n", head_end - 2)
                end = last + 7 if last >= 0 else len(self._got) + 1
            if len(self._got) < end:
                return
            self._got = self._got[end:]
            if not self._answered_early:
                MANNERS[manner](self)
            self._answered_early = False

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    def send_and_close(self, data: bytes) -> None:
        self.transport.write(data)
        self.transport.close()

    def send_and_reset(self, data: bytes) -> None:
        self.transport.write(data)
        if not self.transport.is_closing():
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.transport.abort()

    def stream(self, left: int = _STREAMED) -> None:
        """A small body in pieces, some time apart."""
        if self.transport.is_closing():
            return
        if left == _STREAMED:
            self.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        size = len(SMALL) // _STREAMED
        self.send(b"%x\r\n%b\r\n" % (size, SMALL[:size]) if left else b"0\r\n\r\n")
        if left:
            self._streaming = asyncio.get_running_loop().call_later(0.01, self.stream, left - 1)


MANNERS: Final[dict[str, Callable[[RegionConnection], None]]] = {
    "ok": lambda region: region.send(_OK % len(SMALL) + SMALL),
    "head": lambda region: region.send(_OK % len(SMALL)),
    "big": lambda region: region.send(_OK % len(BIG) + BIG),
    "early": lambda region: region.send(_OK % len(SMALL) + SMALL),
    "hints": lambda region: region.send(b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n" + _OK % len(SMALL) + SMALL),
    "stream": lambda region: region.stream(),
    "until-close": lambda region: region.send_and_close(b"HTTP/1.1 200 OK\r\n\r\n" + SMALL),
    "closes": lambda region: region.send_and_close(_OK % len(SMALL) + SMALL),
    "stall": lambda region: None,
    "stall-body": lambda region: region.send(_OK % 1000 + SMALL),
    "truncate": lambda region: region.send_and_close(_OK % 1000 + SMALL),
    "reset": lambda region: region.send_and_reset(b""),
    "reset-body": lambda region: region.send_and_reset(b"HTTP/1.1 200 OK\r\n\r\n" + SMALL),
    "garbage": lambda region: region.send(b"\0\xff garbage\r\n\r\n"),
    "excess": lambda region: region.send(_OK % len(SMALL) + SMALL + b"excess"),
}


@contextlib.asynccontextmanager
async def misbehaving_region() -> AsyncIterator[int]:
    """A region that listens; its port."""
    open_ones: set[RegionConnection] = set()
    server = await asyncio.get_running_loop().create_server(lambda: RegionConnection(open_ones), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in list(open_ones):
            connection.transport.abort()
        await server.wait_closed()
