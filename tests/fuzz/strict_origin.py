"""A region's backend that reads with h11, counts what arrives, and answers as each run wants it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, cast

from tests.strict_reader import RequestReader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.strict_reader import ReadRequest

HINTS: Final = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


def payload(number: int) -> bytes:
    """The body of the answer to the request that arrived as that number; some are large."""
    return b"answer %d;" % number * (1, 7, 3000)[number % 3]


def _length(body: bytes, tags: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n" % (tags, len(body)) + body


def _chunked(body: bytes, tags: bytes) -> bytes:
    half = len(body) // 2
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:half], body[half:]) if part)
    return b"HTTP/1.1 200 OK\r\n%bTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % (tags, chunks)


def _interim(body: bytes, tags: bytes) -> bytes:
    return HINTS + b"HTTP/1.1 100 Continue\r\n\r\n" + _length(body, tags)


def _until_close(body: bytes, tags: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\n%b\r\n" % tags + body


def _closing(body: bytes, tags: bytes) -> bytes:
    return _length(body, tags + b"Connection: close\r\n")


def _empty(_: bytes, tags: bytes) -> bytes:
    return b"HTTP/1.1 204 No Content\r\n%b\r\n" % tags


def _unmodified(_: bytes, tags: bytes) -> bytes:
    return b"HTTP/1.1 304 Not Modified\r\n%bContent-Length: 77\r\n\r\n" % tags


STYLES: Final[dict[str, Callable[[bytes, bytes], bytes]]] = {
    "length": _length,
    "chunked": _chunked,
    "interim": _interim,
    "until close": _until_close,
    "closing": _closing,
    "empty": _empty,
    "unmodified": _unmodified,
    "early": _length,
}
"""How an answer is framed. `early` does not wait for the request's body."""

_CLOSED_AFTER: Final = {"until close", "closing"}


class StrictOrigin:
    """`arrivals` are the requests in the order of their heads; `complaints` what h11 could not read.

    The styles of a run are used one after the other, and over again.
    """

    def __init__(self) -> None:
        self.arrivals: list[ReadRequest] = []
        self.complaints: list[str] = []
        self.received = 0
        self.connections: set[StrictConnection] = set()
        self.styles: tuple[str, ...] = ("length",)
        self.raw: Callable[[StrictConnection], None] | None = None
        """What answers instead, if anything."""

    def begin(self, styles: tuple[str, ...], raw: Callable[[StrictConnection], None] | None = None) -> None:
        """Forget the run before."""
        self.arrivals = []
        self.complaints = []
        self.styles = styles
        self.raw = raw

    def arrive(self, request: ReadRequest) -> int:
        """The number of `request`."""
        self.arrivals.append(request)
        return len(self.arrivals) - 1

    def style(self, number: int) -> str:
        """How the request of that number is answered."""
        return self.styles[number % len(self.styles)]


class StrictConnection(asyncio.Protocol):
    """One connection from the gateway."""

    def __init__(self, origin: StrictOrigin) -> None:
        self.transport: asyncio.Transport
        self._origin = origin
        self._reader = RequestReader()
        self._numbers: list[int] = []
        self._answered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._origin.connections.add(self)

    def data_received(self, data: bytes) -> None:
        origin, reader = self._origin, self._reader
        origin.received += len(data)
        reader.feed(data)
        if reader.refusal is not None:
            origin.complaints.append(f"{reader.refusal}, behind {reader.messages[-1:]}")
            self.transport.abort()
            return
        for request in reader.messages[len(self._numbers) :]:
            self._numbers.append(origin.arrive(request))
        while self._answered < len(reader.messages):
            request, number = reader.messages[self._answered], self._numbers[self._answered]
            if not request.whole and origin.style(number) != "early":
                break
            self._answered += 1
            self._answer(request, number)

    def _answer(self, request: ReadRequest, number: int) -> None:
        if self._origin.raw is not None:
            self._origin.raw(self)
            return
        style = self._origin.style(number)
        answer = STYLES[style](payload(number), b"X-Answer: %d\r\n" % number)
        if request.method == b"HEAD":
            answer = answer[: answer.index(b"\r\n\r\n", answer.rindex(b"HTTP/1.1 ")) + 4]
        self.transport.write(answer)
        if style in _CLOSED_AFTER:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._origin.connections.discard(self)


@contextlib.asynccontextmanager
async def strict_origin() -> AsyncIterator[tuple[StrictOrigin, int]]:
    """An origin that listens, and its port."""
    origin = StrictOrigin()
    server = await asyncio.get_running_loop().create_server(lambda: StrictConnection(origin), "127.0.0.1", 0)
    try:
        yield origin, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in list(origin.connections):
            connection.transport.abort()
        await server.wait_closed()
