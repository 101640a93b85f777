"""Bodies: where one ends (RFC 9112 §6–7). One set of classes for both directions.

The law of the room: `feed` takes bytes as they came and gives back the payload in them and what lies behind the body;
nothing is buffered but an unfinished line of chunk framing, and that is bounded. Framing is strict: no blanks around
a chunk's size, at most 15 digits, bounded extensions and trailers, and no trailer that could frame, route or
authenticate. A chunk's borders carry no meaning, so they are not kept: one read becomes one chunk.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final, Protocol

from router.gateway.heads import CHUNKED, UNTIL_CLOSE
from router.routing.fields import FORWARDED, HOP_BY_HOP, PROTECTED

MAX_CHUNK_LINE: Final = 1024
MAX_TRAILERS: Final = 8192

_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t\x20-\x7e\x80-\xff]*")
_FORBIDDEN_TRAILERS: Final = HOP_BY_HOP | FORWARDED | (PROTECTED - {b"date", b"age"})


class BadBodyError(Exception):
    """The framing of a body is wrong. The text is for the log."""


class Body(Protocol):
    """A body that is being read."""

    done: bool

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """The payload in `data` and the bytes behind the body. Raises `BadBodyError`."""


class LengthBody:
    """A body of a known number of bytes."""

    __slots__ = ("done", "remaining")

    def __init__(self, length: int) -> None:
        self.remaining = length
        self.done = length == 0

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


class UntilCloseBody:
    """A body that ends with its connection; whoever sees the end sets `done`."""

    __slots__ = ("done",)

    def __init__(self) -> None:
        self.done = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """See `Body`."""
        return data, b""


class _At(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILERS = auto()


class ChunkedBody:
    """A body in the chunked coding."""

    __slots__ = ("_at", "_pending", "_remaining", "_trailers", "done")

    def __init__(self) -> None:
        self.done = False
        self._at = _At.SIZE
        self._pending = b""
        self._remaining = 0
        self._trailers = 0

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
        """Trailers are judged and then dropped: a recipient may discard them (RFC 9110 §6.5.1)."""
        self._trailers += len(text)
        match = _TRAILER.fullmatch(text)
        if match is None or self._trailers > MAX_TRAILERS or match[1].lower() in _FORBIDDEN_TRAILERS:
            raise BadBodyError("trailer")


NO_BODY: Final = LengthBody(0)
"""The body of a head that has none: done, and nothing it is fed belongs to it, so that all can share one."""


def body_of(framing: int) -> Body:
    """The reader for a framing of `router.gateway.heads`."""
    if framing == CHUNKED:
        return ChunkedBody()
    if framing == UNTIL_CLOSE:
        return UntilCloseBody()
    return LengthBody(framing) if framing else NO_BODY


def chunk(payload: bytes) -> bytes:
    """`payload` as one chunk; nothing for no payload, because an empty chunk is the last one."""
    return b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""


LAST_CHUNK: Final = b"0\r\n\r\n"
