"""WebSocket frames, seen from outside: where one ends and another may be put in (RFC 6455 §5.2).

The law of the room: a tunnel's bytes are relayed as they came, never buffered, cut or framed anew. A counter is told of
each piece that has passed and knows whether the stream stands on the border of a frame: there, and only there, a close
frame of our own can be put in without being read as a payload. Whatever bytes come have a meaning here: an endpoint
judges frames, and one that sends nonsense merely never gets to a border.
"""

from __future__ import annotations

from typing import Final

_CLOSE: Final = 0x8
_FINAL: Final = 0x80
_MASKED: Final = 0x80
_MASK_SIZE: Final = 4
_LONGEST_HEAD: Final = 10
"""Two bytes, and up to eight of a length. The mask is counted with the payload."""


class FrameCounter:
    """One direction of a tunnel. `closed`: a close frame has passed whole, so that no frame may follow (§5.5.1)."""

    __slots__ = ("_closing", "_head", "_left", "closed")

    def __init__(self) -> None:
        self.closed = False
        self._closing = False
        self._head = b""
        self._left = 0

    @property
    def at_border(self) -> bool:
        """Whether the next byte begins a frame."""
        return not self._left and not self._head

    def advance(self, data: bytes) -> None:
        """`data` has passed."""
        at = 0
        while at < len(data):
            if self.at_border:
                at = _pass_short_frames(data, at)
            at = self._step(data, at)

    def advance_to_border(self, data: bytes) -> int:
        """Let `data` pass up to the next border only: how many bytes that is. None, if the stream stands on one."""
        at = 0
        while at < len(data) and not self.at_border:
            at = self._step(data, at)
        return at

    def _step(self, data: bytes, at: int) -> int:
        """Pass one head, or what there is of one frame's rest, from `at` on: where that ends."""
        if self._left:
            passed = min(self._left, len(data) - at)
            self._left -= passed
            at += passed
        elif at < len(data):
            at = self._read_head(data, at)
        if self._closing and self.at_border:
            self.closed = True
        return at

    def _read_head(self, data: bytes, at: int) -> int:
        known = len(self._head)
        head = self._head + data[at : at + _LONGEST_HEAD - known]
        size = _size_of(head)
        if len(head) < size:
            self._head = head
            return len(data)
        self._head = b""
        length = head[1] & 0x7F if size == 2 else int.from_bytes(head[2:size], "big")
        self._left = length + (_MASK_SIZE if head[1] & _MASKED else 0)
        self._closing = head[0] & 0x0F == _CLOSE
        return at + size - known


def close_frame(code: int) -> bytes:
    """A close frame as a server sends it."""
    return bytes([_FINAL | _CLOSE, 2]) + code.to_bytes(2, "big")


def masked_close_frame(code: int, mask: bytes) -> bytes:
    """A close frame as a client sends it (§5.3). `mask` are four bytes that nobody could foretell."""
    payload = bytes(byte ^ key for byte, key in zip(code.to_bytes(2, "big"), mask, strict=False))
    return bytes([_FINAL | _CLOSE, _MASKED | 2]) + mask + payload


def _pass_short_frames(data: bytes, at: int) -> int:
    """The first frame from `at` on that needs a closer look: where it begins. Most messages are one short frame that
    comes whole, and such a frame leaves the stream as it was, on a border.
    """
    size = len(data)
    while at + 1 < size and data[at] & 0x0F != _CLOSE:
        length = data[at + 1]
        if length & 0x7F > 125:
            break
        end = at + 2 + (length if length < _MASKED else length - _MASKED + _MASK_SIZE)
        if end > size:
            break
        at = end
    return at


def _size_of(head: bytes) -> int:
    """How many bytes the head has that begins with `head`, as far as that can be told."""
    if len(head) < 2:
        return 2
    return {126: 4, 127: _LONGEST_HEAD}.get(head[1] & 0x7F, 2)
