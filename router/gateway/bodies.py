"""Bodies: where one ends (RFC 9112 §6–7). One set of classes for both directions.

The law of the room: `feed` takes bytes as they came and gives back the payload in them and what lies behind the body;
nothing is buffered but an unfinished line of chunk framing and the trailers, and both are bounded. Framing is strict:
no blanks around a chunk's size, at most 15 digits, bounded extensions and trailers, and no trailer that could frame,
route or authenticate. A chunk's borders carry no meaning, so they are not kept: one read becomes one chunk.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from enum import Enum, auto
from typing import Final

from router.gateway.heads import CHUNKED, UNTIL_CLOSE
from router.routing.fields import forbidden_trailers

MAX_CHUNK_LINE: Final = 1024
MAX_TRAILERS: Final = 8192
FORBIDDEN_TRAILERS: Final = forbidden_trailers("x-api-key")

_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t\x20-\x7e\x80-\xff]*")


class BadBodyError(Exception):
    """The framing of a body is wrong. The text is for the log."""


class Body(ABC):
    """A body that is being read. `trailers`: the lines behind a chunked one as they came, each with its CRLF."""

    __slots__ = ("done", "trailers")

    def __init__(self, *, done: bool = False) -> None:
        self.done = done
        self.trailers = b""

    @abstractmethod
    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """The payload in `data` and the bytes behind the body. Raises `BadBodyError`."""


class LengthBody(Body):
    """A body of a known number of bytes."""

    __slots__ = ("remaining",)

    def __init__(self, length: int) -> None:
        super().__init__(done=length == 0)
        self.remaining = length

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """See `Body`."""
        size = len(data)
        if size < self.remaining:
            self.remaining -= size
            return data, b""
        payload, behind = (data, b"") if size == self.remaining else (data[: self.remaining], data[self.remaining :])
        self.remaining = 0
        self.done = True
        return payload, behind


class UntilCloseBody(Body):
    """A body that ends with its connection; whoever sees the end sets `done`."""

    __slots__ = ()

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """See `Body`."""
        return data, b""


class _At(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILERS = auto()


class ChunkedBody(Body):
    """A body in the chunked coding. `forbidden`: what must not come as a trailer, in lower case."""

    __slots__ = ("_at", "_forbidden", "_pending", "_remaining")

    def __init__(self, forbidden: frozenset[bytes] = FORBIDDEN_TRAILERS) -> None:
        super().__init__()
        self._forbidden = forbidden
        self._at = _At.SIZE
        self._pending = b""
        self._remaining = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """See `Body`."""
        if self._pending:
            data = self._pending + data
            self._pending = b""
        payload = []
        at = 0
        size = len(data)
        while at < size and not self.done:
            if self._at is _At.DATA:
                piece = data[at : at + self._remaining]
                payload.append(piece)
                at += len(piece)
                self._remaining -= len(piece)
                if self._remaining == 0:
                    self._at = _At.DATA_END
                continue
            end = data.find(b"\n", at)
            if end < 0:
                self._keep(data[at:])
                at = size
                break
            self._take_line(data[at : end + 1])
            at = end + 1
        return (payload[0] if len(payload) == 1 else b"".join(payload)), data[at:]

    def _keep(self, line: bytes) -> None:
        if len(line) > MAX_CHUNK_LINE or (self._at is _At.DATA_END and line != b"\r"):
            raise BadBodyError("chunk framing")
        self._pending = line

    def _take_line(self, line: bytes) -> None:
        if not line.endswith(b"\r\n") or len(line) > MAX_CHUNK_LINE:
            raise BadBodyError("line of chunk framing")
        text = line[:-2]
        if self._at is _At.DATA_END:
            if text:
                raise BadBodyError("bytes behind a chunk")
            self._at = _At.SIZE
        elif self._at is _At.SIZE:
            match = _SIZE_LINE.fullmatch(text)
            if match is None:
                raise BadBodyError("chunk size")
            self._remaining = int(match[1], 16)
            self._at = _At.DATA if self._remaining else _At.TRAILERS
        elif text:
            self._take_trailer(text)
        else:
            self.done = True

    def _take_trailer(self, text: bytes) -> None:
        match = _TRAILER.fullmatch(text)
        if match is None or len(self.trailers) + len(text) > MAX_TRAILERS or self._is_forbidden(match[1].lower()):
            raise BadBodyError("trailer")
        self.trailers += text + b"\r\n"

    def _is_forbidden(self, name: bytes) -> bool:
        """A backend that merges trailers into its fields may read `_` as `-`, too."""
        return name in self._forbidden or name.replace(b"_", b"-") in self._forbidden


NO_BODY: Final = LengthBody(0)
"""The body of a head that has none: done, and nothing it is fed belongs to it, so that all can share one."""


def body_of(framing: int, forbidden: frozenset[bytes] = FORBIDDEN_TRAILERS) -> Body:
    """The reader for a framing of `router.gateway.heads`."""
    if framing == CHUNKED:
        return ChunkedBody(forbidden)
    if framing == UNTIL_CLOSE:
        return UntilCloseBody()
    return LengthBody(framing) if framing else NO_BODY


def chunk(payload: bytes) -> bytes:
    """`payload` as one chunk; nothing for no payload, because an empty chunk is the last one."""
    return b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""


def last_chunk(trailers: bytes) -> bytes:
    """The end of a chunked body, with what comes behind it."""
    return b"0\r\n%b\r\n" % trailers


LAST_CHUNK: Final = last_chunk(b"")
