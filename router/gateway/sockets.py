"""What is set on a connection's socket and asked of it, beyond what asyncio's transports offer.

The law of the room: on systems without an option the answer is "nothing is known", and whoever asked goes on with what
the transport tells; only Linux is promised the whole of it.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
import sys
from typing import Final, Protocol

USER_TIMEOUT_MS: Final = 20_000

_LINGER_RESET: Final = struct.pack("ii", 1, 0)
_TCP_CLOSE: Final = 7
_TCP_CLOSE_WAIT: Final = 8
_TCP_INFO: Final = getattr(socket, "TCP_INFO", None) if sys.platform == "linux" else None
_POLL_HUP: Final = getattr(select, "POLLHUP", 0) if sys.platform == "linux" else 0
_POLL_RDHUP: Final = getattr(select, "POLLRDHUP", 0)
_BYTES_ACKED_AT: Final = 120
_INFO_SIZE: Final = 128


class Socket(Protocol):
    """A socket, or what a transport shows of its own."""

    def fileno(self) -> int:
        """See `socket.socket`."""

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
    state = _state(sock)
    return state == _TCP_CLOSE if state is not None else bool(_hang_up(sock) & _POLL_HUP)


def has_ended(sock: Socket) -> bool:
    """Whether the peer has reset the connection or sent its FIN, be it behind bytes that nobody has read."""
    state = _state(sock)
    return state in {_TCP_CLOSE, _TCP_CLOSE_WAIT} if state is not None else bool(_hang_up(sock))


def _hang_up(sock: Socket) -> int:
    """What a poll tells of the ends of a connection: of a UNIX socket's too."""
    if not _POLL_HUP:
        return 0
    poll = select.poll()
    poll.register(sock.fileno(), _POLL_RDHUP)
    return sum(events & (_POLL_HUP | _POLL_RDHUP) for _, events in poll.poll(0))


def _state(sock: Socket) -> int | None:
    info = _tcp_info(sock, 1)
    return info[0] if info else None


def acknowledged(sock: Socket) -> int:
    """How many bytes the peer has acknowledged so far: a slow reader moves here long before the transport's own buffer
    does, because the kernel's is large. 0 where that is not known.
    """
    return int.from_bytes(_tcp_info(sock, _INFO_SIZE)[_BYTES_ACKED_AT:_INFO_SIZE], sys.byteorder)


def _tcp_info(sock: Socket, size: int) -> bytes:
    """What the kernel knows of a connection, empty where it knows nothing: a UNIX socket's has no segments."""
    if _TCP_INFO is None:
        return b""
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, size)
    except OSError as error:
        if error.errno in {errno.EOPNOTSUPP, errno.ENOPROTOOPT}:
            return b""
        raise
