"""h11 as the strict reader of what was sent, by whichever side: a stream of bytes as the messages in it.

A connection of h11 reads one message, because it would not go on behind an upgrade or a 1.0 request; what follows is
read by the next one. A reading stops at the first byte that h11 refuses, and behind what ends its connection.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import TYPE_CHECKING, Final, NamedTuple

import h11

if TYPE_CHECKING:
    from collections.abc import Iterable

Fields = list[tuple[bytes, bytes]]

LARGEST: Final = 1 << 22
"""Heads of any size are read: limits are not what is compared."""


@dataclass
class ReadRequest:
    """A request as h11 sees it; names in lower case. `body` is what has come of it, all of it if `whole`."""

    method: bytes
    target: bytes
    minor: int
    fields: Fields
    body: bytes = b""
    whole: bool = False
    trailers: Fields = field(default_factory=list)

    def values(self, name: bytes) -> list[bytes]:
        """The values of the fields `name`, which is in lower case."""
        return [value for each, value in self.fields if each == name]

    @property
    def last(self) -> bool:
        """Whether nothing behind this request may be taken for another."""
        options = {option.strip().lower() for value in self.values(b"connection") for option in value.split(b",")}
        return b"close" in options or (self.minor == 0 and b"keep-alive" not in options)


@dataclass
class ReadAnswer:
    """An answer as h11 sees it. `interim` are the statuses of the 1xx in front of it; status 0: none came behind."""

    status: int = 0
    fields: Fields = field(default_factory=list)
    interim: tuple[int, ...] = ()
    body: bytes = b""
    whole: bool = False

    def values(self, name: bytes) -> list[bytes]:
        """The values of the fields `name`, which is in lower case."""
        return [value for each, value in self.fields if each == name]


class RequestReader:
    """Reads a stream of requests as it comes: `messages` so far, and the `refusal` that has ended the reading.

    Empty lines in front of a request are skipped (RFC 9112 §2.2), which h11 does not do.
    """

    def __init__(self) -> None:
        self.messages: list[ReadRequest] = []
        self.refusal: str | None = None
        self._pending = b""
        self._connection: h11.Connection | None = None

    def feed(self, data: bytes) -> None:
        """Read on."""
        while data and self.refusal is None:
            if self._connection is None:
                if self.messages and self.messages[-1].last:
                    return
                self._pending += data
                while self._pending.startswith(b"\r\n"):
                    self._pending = self._pending[2:]
                if self._pending in {b"", b"\r"}:
                    return
                data, self._pending = self._pending, b""
                self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST)
            data = self._read(self._connection, data)

    def _read(self, connection: h11.Connection, data: bytes) -> bytes:
        """What lies behind the request, once it is whole."""
        connection.receive_data(data)
        try:
            while not isinstance(event := connection.next_event(), type):
                if isinstance(event, h11.Request):
                    minor = 1 if event.http_version == b"1.1" else 0
                    self.messages.append(ReadRequest(event.method, event.target, minor, list(event.headers)))
                elif isinstance(event, h11.Data):
                    self.messages[-1].body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    self.messages[-1].trailers = list(event.headers)
                    self.messages[-1].whole = True
                    self._connection = None
                    return connection.trailing_data[0]
        except h11.RemoteProtocolError as error:
            self.refusal = str(error)
        return b""


def read_requests(data: bytes) -> RequestReader:
    """The requests in `data`."""
    reader = RequestReader()
    reader.feed(data)
    return reader


class Answers(NamedTuple):
    """What was read, and why no more was, if that was h11's will."""

    messages: list[ReadAnswer]
    refusal: str | None


def read_answers(data: bytes, methods: Iterable[bytes] = (), *, ended: bool = False) -> Answers:
    """The answers in `data` to requests with `methods`, then GETs. `ended`: by a FIN behind the last byte."""
    read: list[ReadAnswer] = []
    for method in chain(methods, repeat(b"GET")):
        if not data:
            break
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=LARGEST)
        connection.send(h11.Request(method=method, target="/", headers=[("host", "a")]))
        connection.send(h11.EndOfMessage())
        connection.receive_data(data)
        if ended:
            connection.receive_data(b"")
        answer = ReadAnswer()
        read.append(answer)
        try:
            _read_answer(connection, answer)
        except h11.RemoteProtocolError as error:
            return Answers(read, str(error))
        if not answer.whole:
            break
        data = connection.trailing_data[0]
    return Answers(read, None)


def _read_answer(connection: h11.Connection, answer: ReadAnswer) -> None:
    while not isinstance(event := connection.next_event(), type):
        if isinstance(event, h11.InformationalResponse):
            answer.interim += (event.status_code,)
        elif isinstance(event, h11.Response):
            answer.status = event.status_code
            answer.fields = list(event.headers)
        elif isinstance(event, h11.Data):
            answer.body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            answer.whole = True
            return
