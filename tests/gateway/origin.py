"""A region's backend that keeps the exact bytes of each connection and answers what a test tells it to."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from tests.gateway.bell import Bell

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Iterator

RESET = struct.pack("ii", 1, 0)

_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*([0-9]+)")
_CHUNKED = re.compile(rb"(?im)^transfer-encoding:[ \t]*chunked")


class Seen:
    """A request as it came: `head` with its empty line, `raw` the framed body, `body` and `trailers` what it
    carries once `whole`.
    """

    def __init__(self, head: bytes, connection: OriginConnection) -> None:
        self.head = head
        self.raw = b""
        self.chunks: list[bytes] = []
        self.whole = False
        self.trailers = b""
        self.connection = connection
        length = _LENGTH.search(head)
        self._chunked = _CHUNKED.search(head) is not None
        self._length = int(length[1]) if length else 0

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def line(self) -> bytes:
        return self.head.partition(b"\r\n")[0]

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        """Name and value of each line, in their order, as they came."""
        lines = self.head.split(b"\r\n")[1:-2]
        return [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]

    def values(self, name: bytes) -> list[bytes]:
        return [value for each, value in self.fields if each.lower() == name.lower()]

    def feed(self, data: bytes) -> bytes:
        """Take what belongs to the body; the rest is given back."""
        raw = self.raw + data
        end = self._end(raw)
        self.raw = raw[:end] if end is not None else raw
        self.whole = end is not None
        return raw[end:] if end is not None else b""

    def _end(self, raw: bytes) -> int | None:
        if not self._chunked:
            self.chunks = [raw[: self._length]]
            return self._length if len(raw) >= self._length else None
        at = 0
        self.chunks = []
        while (line_end := raw.find(b"\r\n", at)) >= 0:
            size = int(raw[at:line_end], 16)
            if size == 0:
                end = raw.find(b"\r\n\r\n", line_end)
                self.trailers = raw[line_end + 2 : end + 2]
                return end + 4 if end >= 0 else None
            at = line_end + 2 + size + 2
            if len(raw) < at:
                return None
            self.chunks.append(raw[line_end + 2 : at - 2])
        return None


class OriginConnection(asyncio.Protocol):
    """One connection from the gateway. `received` is all of it; `end` is `fin` or `reset` once it has ended."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.received = bytearray()
        self.end: str | None = None
        self.lost = False
        self.writable = True
        self.requests: list[Seen] = []
        self.transport: asyncio.Transport
        self._behind = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.origin.connections.append(self)
        if self.origin.closes_at_once:
            self.transport.close()
        if self.origin.never_reads:
            self.transport.pause_reading()
            # uvloop begins to read behind this call, whatever was said in it.
            asyncio.get_running_loop().call_soon(self.transport.pause_reading)
        self.origin.bell.ring()

    def data_received(self, data: bytes) -> None:
        if self.origin.discards:
            self.origin.take(data)
            return
        self.received += data
        self._behind += data
        while self._behind and self._read():
            pass
        self.origin.bell.ring()

    def _read(self) -> bool:
        request = self.requests[-1] if self.requests and not self.requests[-1].whole else None
        if request is None:
            head, separator, behind = self._behind.partition(b"\r\n\r\n")
            if not separator:
                return False
            request = Seen(head + separator, self)
            self.requests.append(request)
            self.origin.requests.append(request)
            self.origin.begin(request)
            self._behind = behind
        self._behind = request.feed(self._behind)
        return request.whole

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        self.origin.bell.ring()

    def eof_received(self) -> bool:
        self.end = "fin"
        self.origin.bell.ring()
        return self.origin.half_closes

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.end = self.end or ("fin" if exc is None else "reset")
        self.origin.bell.ring()

    async def ended(self) -> str:
        """Wait for its end: `fin` or `reset`."""
        return await self.origin.bell.until(lambda: self.end)

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    def finish(self) -> None:
        """Say that nothing more will come."""
        self.transport.write_eof()

    def close(self) -> None:
        self.transport.close()

    def reset(self) -> None:
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.transport.abort()


class Turn:
    """One request's turn, for an answer that is a coroutine."""

    def __init__(self, origin: Origin, request: Seen) -> None:
        self.origin = origin
        self.request = request
        self.connection = request.connection

    async def whole(self) -> bytes:
        """Wait for the whole request; its payload."""
        return await self.origin.bell.until(lambda: self.request.body if self.request.whole else None)

    def send(self, data: bytes) -> None:
        self.connection.send(data)


Answer: TypeAlias = "bytes | Callable[[Turn], Awaitable[None]]"


def ok(body: bytes = b"ok", *fields: bytes) -> bytes:
    """A plain 200."""
    lines = b"".join(field + b"\r\n" for field in fields)
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (lines, len(body), body)


class Origin:
    """Listens on a port of its own. Answers are taken from `answers`, one a request, then `default`.

    `never_reads`: nothing is read from new connections; `closes_at_once`: they are closed as soon as they are there;
    `discards`: what comes is handed to `take` alone; `half_closes`: a FIN leaves the other half open.
    """

    def __init__(self, name: str, context: ssl.SSLContext | None = None) -> None:
        self.name = name
        self.context = context
        self.bell = Bell()
        self.connections: list[OriginConnection] = []
        self.requests: list[Seen] = []
        self.answers: deque[Answer] = deque()
        self.default: Answer = ok(name.encode())
        self.never_reads = False
        self.discards = False
        self.closes_at_once = False
        self.half_closes = False
        self.take: Callable[[bytes], None] = lambda data: None
        self.failures: list[BaseException] = []
        self._server: asyncio.Server | None = None
        self._turns: set[asyncio.Task[Any]] = set()
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.get_running_loop().create_server(
            lambda: OriginConnection(self), "127.0.0.1", self.port, ssl=self.context
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def stop_listening(self) -> None:
        """Refuse new connections, and keep those that are there."""
        assert self._server is not None
        self._server.close()

    async def abandoned(self) -> None:
        """Wait until the gateway has ended every connection."""
        for connection in self.connections:
            if connection.end is None:
                connection.transport.resume_reading()
            await connection.ended()

    async def stop(self) -> None:
        """Stop listening, end all connections, and raise what an answer of a test's own failed with."""
        if self._server is not None:
            self._server.close()
        for connection in self.connections:
            if not connection.lost:
                connection.transport.abort()
        for turn in list(self._turns):
            turn.cancel()
        await asyncio.gather(*self._turns, return_exceptions=True)
        for failure in self.failures:
            raise failure

    def begin(self, request: Seen) -> None:
        answer = self.answers.popleft() if self.answers else self.default
        turn = Turn(self, request)
        work = asyncio.get_running_loop().create_task(self._answer(turn, answer))
        self._turns.add(work)
        work.add_done_callback(self._turns.discard)

    async def _answer(self, turn: Turn, answer: Answer) -> None:
        try:
            if isinstance(answer, bytes):
                await turn.whole()
                turn.send(answer)
            else:
                await answer(turn)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self.failures.append(error)

    async def head(self, number: int = 0) -> Seen:
        """The request of that number, as soon as its head is here."""
        return await self.bell.until(lambda: self.requests[number] if len(self.requests) > number else None)

    async def request(self, number: int = 0) -> Seen:
        """The request of that number, as soon as it is whole."""
        request = await self.head(number)
        await self.bell.until(lambda: request.whole or None)
        return request

    async def connection(self, number: int = 0) -> OriginConnection:
        return await self.bell.until(lambda: self.connections[number] if len(self.connections) > number else None)


@contextlib.contextmanager
def blackhole() -> Iterator[int]:
    """The port of a listening socket whose backlog is full: a connect to it gets no answer at all."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        yield listener.getsockname()[1]
