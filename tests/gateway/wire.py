"""A client that sees bytes: it sends any segmentation, and reads no more than it asks for."""

from __future__ import annotations

import asyncio
import re
import socket
from typing import TYPE_CHECKING, NamedTuple

from tests.gateway.origin import RESET

if TYPE_CHECKING:
    from collections.abc import Callable

_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*([0-9]+)")
_CHUNKED = re.compile(rb"(?im)^transfer-encoding:[ \t]*chunked")


class Answer(NamedTuple):
    """An answer as it came: `head` with its empty line, `raw` its framed body, `body` the payload."""

    head: bytes
    raw: bytes
    body: bytes

    @property
    def line(self) -> bytes:
        return self.head.partition(b"\r\n")[0]

    @property
    def status(self) -> int:
        return int(self.head[9:12])

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        lines = self.head.split(b"\r\n")[1:-2]
        return [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]

    def values(self, name: bytes) -> list[bytes]:
        return [value for each, value in self.fields if each.lower() == name.lower()]

    def value(self, name: bytes) -> bytes | None:
        """The value of a field that stands there once at most."""
        values = self.values(name)
        assert len(values) < 2, f"{name!r} stands there {len(values)} times"
        return values[0] if values else None


class Client:
    """One connection to the gateway."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._loop = asyncio.get_running_loop()
        self._behind = b""

    @classmethod
    async def connect(
        cls,
        address: tuple[str, int],
        *,
        receive_buffer: int | None = None,
        source: str | None = None,
        segment: int | None = None,
    ) -> Client:
        """From the address `source`; with a `receive_buffer` and segments of so many bytes."""
        sock = socket.socket()
        if source is not None:
            sock.bind((source, 0))
        if segment is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, address)
        return cls(sock)

    async def send(self, *segments: bytes) -> None:
        """Send each segment, and let the gateway read it before the next."""
        for segment in segments:
            await self._loop.sock_sendall(self.sock, segment)
            if len(segments) > 1:
                for _ in range(3):
                    await asyncio.sleep(0)  # one turn of the loop, in which what has come is read

    async def send_until_blocked(self, data: bytes, total: int, patience: float) -> int:
        """Send `data` over and over, `total` bytes at most, until nothing was taken for `patience` seconds: how many
        bytes were.
        """
        sent = 0
        while sent < total:
            try:
                sent += self.sock.send(data[sent % len(data) :][: total - sent])
            except BlockingIOError:
                if not await self._writable(patience):
                    break
        return sent

    async def _writable(self, patience: float) -> bool:
        writable = asyncio.Event()
        self._loop.add_writer(self.sock.fileno(), writable.set)
        try:
            await asyncio.wait_for(writable.wait(), patience)
        except TimeoutError:
            return False
        finally:
            self._loop.remove_writer(self.sock.fileno())
        return True

    async def receive(self, size: int = 65536) -> bytes:
        """What has come, at least one byte; none at the end. Raises `ConnectionResetError`."""
        if self._behind:
            data, self._behind = self._behind[:size], self._behind[size:]
            return data
        return await self._loop.sock_recv(self.sock, size)

    async def receive_until(self, mark: bytes) -> bytes:
        """What comes, up to and with `mark`."""
        data = b""
        while mark not in data:
            more = await self.receive()
            assert more, f"the connection ended behind {data!r}"
            data += more
        end = data.index(mark) + len(mark)
        self._behind = data[end:] + self._behind
        return data[:end]

    async def answer(self, *, bodyless: bool = False) -> Answer:
        """One answer, an interim one too. `bodyless`: its request was a HEAD."""
        head = await self.receive_until(b"\r\n\r\n")
        status = int(head[9:12])
        if bodyless or status < 200 or status in {204, 304}:
            return Answer(head, b"", b"")
        if _CHUNKED.search(head):
            return await self._chunked(head)
        length = _LENGTH.search(head)
        if length is None:
            body, end = await self.read_to_end()
            assert end == "fin"
            return Answer(head, body, body)
        body = await self.receive_exactly(int(length[1]))
        return Answer(head, body, body)

    async def receive_exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = await self.receive(size - len(data))
            assert more, f"the connection ended after {len(data)} of {size} bytes"
            data += more
        return data

    async def receive_into(self, take: Callable[[bytes], None], size: int) -> None:
        """Hand the next `size` bytes over as they come."""
        while size:
            more = await self.receive(min(size, 1 << 18))
            assert more, f"the connection ended {size} bytes too early"
            take(more)
            size -= len(more)

    async def _chunked(self, head: bytes) -> Answer:
        raw = body = b""
        while True:
            line = await self.receive_until(b"\r\n")
            if line == b"0\r\n":
                return Answer(head, raw + line + await self._trailers(), body)
            piece = await self.receive_exactly(int(line, 16) + 2)
            raw += line + piece
            body += piece[:-2]

    async def _trailers(self) -> bytes:
        lines = b""
        while not lines.endswith(b"\r\n\r\n") and lines != b"\r\n":
            lines += await self.receive_until(b"\r\n")
        return lines

    async def read_to_end(self) -> tuple[bytes, str]:
        """What comes until the end, and how it ended: `fin` or `reset`."""
        data = b""
        try:
            while more := await self.receive():
                data += more
        except ConnectionResetError:
            return data, "reset"
        return data, "fin"

    async def ask(self, request: bytes, *, bodyless: bool = False) -> Answer:
        """Send a request in one piece and read its answer."""
        await self.send(request)
        return await self.answer(bodyless=bodyless)

    def finish(self) -> None:
        """Close the sending half."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.sock.close()

    def close(self) -> None:
        self.sock.close()
