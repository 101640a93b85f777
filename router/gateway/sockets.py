"""What is set on a connection's socket and asked of it, beyond what asyncio's transports offer.

The law of the room: on systems without an option the answer is "nothing is known", and whoever asked goes on with what
the transport tells; only Linux is promised the whole of it.
"""

from __future__ import annotations

import socket
import struct
import sys
from typing import Final, Protocol

USER_TIMEOUT_MS: Final = 20_000

_LINGER_RESET: Final = struct.pack("ii", 1, 0)
_TCP_CLOSE: Final = 7
_TCP_CLOSE_WAIT: Final = 8
_TCP_INFO: Final = getattr(socket, "TCP_INFO", None) if sys.platform == "linux" else None
_BYTES_ACKED_AT: Final = 120
_INFO_SIZE: Final = 128


class Socket(Protocol):
    """A socket, or what a transport shows of its own."""

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes:
        """See `socket.socket`."""

    def setsockopt(self, level: int, option: int, value: int | bytes, /) -> None:
        """See `socket.socket`."""


def prepare_upstream(sock: Socket) -> None:
    """Options that hold from connect on: no delay, a cut is a reset, unacknowledged bytes have an end."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reset_on_close(sock)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)


def reset_on_close(sock: Socket) -> None:
    """Discard what the kernel still holds when `sock` is closed, and tell the peer by a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)


def was_reset(sock: Socket) -> bool:
    """Whether the peer has reset the connection: the transport does not notice while its reading is paused.

    It looks the same once both sides have sent their FIN, and all of it has been delivered.
    """
    return _state(sock) == _TCP_CLOSE


def has_ended(sock: Socket) -> bool:
    """Whether the peer has reset the connection or sent its FIN, be it behind bytes that nobody has read."""
    return _state(sock) in {_TCP_CLOSE, _TCP_CLOSE_WAIT}


def _state(sock: Socket) -> int | None:
    return None if _TCP_INFO is None else sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 1)[0]


def acknowledged(sock: Socket) -> int:
    """How many bytes the peer has acknowledged so far: a slow reader moves here long before the transport's own buffer
    does, because the kernel's is large. 0 where that is not known.
    """
    if _TCP_INFO is None:
        return 0
    info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _INFO_SIZE)
    return int.from_bytes(info[_BYTES_ACKED_AT:_INFO_SIZE], sys.byteorder)
