"""Upstream connections: one HTTP/1.1 connection to an origin, driven by callbacks.

The law of the room: before each write to a region its user's right to write is asked, and nothing is left in a
user-space buffer behind that question. An asyncio transport buffers what the kernel does not take, and would send it
later whatever has happened since; so the bytes go straight to the socket, what the kernel refuses stays here, and the
question is asked again before the rest goes out.

A cut is a reset: SO_LINGER(1, 0) is set from the start, so that whatever the kernel still holds is discarded with the
connection instead of being delivered by a polite close, and TCP_USER_TIMEOUT bounds how long a peer may leave bytes
unacknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Protocol, cast

from router.gateway.sockets import was_reset
from router.model.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.model.region import Origin


class User(Protocol):
    """Who is using a connection: an exchange. Called only between `attach` and `detach`."""

    def may_write(self) -> bool:
        """Whether another byte may go to the region. If not, the user has ended itself when this returns."""

    def answer_received(self, data: bytes) -> None:
        """Bytes came from the region."""

    def region_drained(self) -> None:
        """All that was sent has been handed to the kernel."""

    def region_finished(self) -> bool:
        """The region's FIN came. Whether the connection stays open for what is still to be sent; else it is closed."""

    def region_closed(self, clean: bool) -> None:
        """The connection ended; `clean` if by the region's own FIN."""


class Home(Protocol):
    """Where a connection lives while nobody uses it: its pool."""

    def forget(self, upstream: Upstream) -> None:
        """The connection is gone, used or not. Called once."""


class Upstream:
    """One connection, without TLS.

    - `address`: the IP address that it leads to; `retired`: nothing more is to be sent there once it is idle.
    - `reused`: it has answered before; `full`: it takes no more for now.
    - `fault`: what its end is called if nothing has been answered.

    A connection that turns out to be broken when something is sent stays `full`, and nothing else happens: the answer
    that the region gave before it went may still lie in the kernel, and what ends the reading tells the user.
    """

    __slots__ = (
        "_at_end",
        "_broken",
        "_finished",
        "_gone",
        "_home",
        "_loop",
        "_paused",
        "_socket",
        "_transport",
        "_unsent",
        "_user",
        "_watched",
        "address",
        "fault",
        "full",
        "idle_since",
        "origin",
        "retired",
        "reused",
    )

    def __init__(self, origin: Origin, home: Home, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        self.origin = origin
        self.address: str = sock.getpeername()[0]
        self.retired = False
        self.fault = Fault.CLOSED_EARLY
        self.reused = False
        self.full = False
        self.idle_since = 0.0
        self._home = home
        self._loop = loop
        self._socket = sock
        self._unsent = memoryview(b"")
        self._watched: socket.socket | None = None
        self._user: User | None = None
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._gone = False
        self._broken = False
        self._finished = False
        self._at_end: Callable[[], None] | None = None

    @property
    def usable(self) -> bool:
        """Whether a request may be sent: connected, unpaused, nothing left over."""
        return not (self._gone or self._paused or self.full or self._transport is None or self._transport.is_closing())

    def attach(self, user: User) -> None:
        """Make `user` the one who is called."""
        self._user = user

    def detach(self) -> None:
        """Call nobody any more. The pool calls this when the connection becomes idle."""
        self._user = None

    def pause(self) -> None:
        """Stop reading: the client can't take more."""
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._paused:
            self._paused = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()

    def abort(self, at_end: Callable[[], None] | None = None) -> None:
        """Reset the connection. `at_end` is called when its write side is gone: now, if it is gone already."""
        self._user = None
        if self._gone:
            if at_end is not None:
                at_end()
            return
        self._at_end = at_end or self._at_end
        if self._transport is not None:
            self._drop_unsent()
            self._transport.abort()

    def send(self, data: bytes) -> None:
        """Send `data`, behind what is here already. Call only after `may_write`, and once per piece of input: nobody
        asks again between two pieces of one step.
        """
        if self.full:
            if not self._broken:
                self._unsent = memoryview(bytes(self._unsent) + data)
            return
        try:
            sent = self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._break()
            return
        if sent < len(data):
            self.full = True
            self._unsent = memoryview(data)[sent:]
            if self._watched is None:
                # A duplicate, because the loop refuses to watch a descriptor that a transport owns.
                self._watched = self._socket.dup()
            self._loop.add_writer(self._watched.fileno(), self._send_rest)

    def finish(self) -> bool:
        """Send a FIN behind what was sent, if that is possible: whether it was. Not to be called while it is `full`."""
        with contextlib.suppress(OSError):
            # One that is broken tells so by other means.
            self._socket.shutdown(socket.SHUT_WR)
        return True

    @property
    def settled(self) -> bool:
        """Whether nothing is left to be delivered, once both sides have sent their FIN."""
        return was_reset(self._socket)

    def _send_rest(self) -> None:
        user = self._user
        if user is None or not user.may_write():
            # For good: a right that is lost does not come back to the same request.
            self._drop_unsent()
            return
        try:
            sent = self._socket.send(self._unsent)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._break()
            return
        self._unsent = self._unsent[sent:]
        if not self._unsent and self._watched is not None:
            self._loop.remove_writer(self._watched.fileno())
            self.full = False
            user.region_drained()

    def _break(self) -> None:
        self.full = True
        self._broken = True
        self._drop_unsent()
        if self._finished and self._transport is not None:
            # Nothing is read any more that could tell the user.
            self._transport.abort()

    def _drop_unsent(self) -> None:
        """Forget what the kernel has not taken: it must never be sent."""
        self._unsent = memoryview(b"")
        if self._watched is not None:
            watched, self._watched = self._watched, None
            self._loop.remove_writer(watched.fileno())
            watched.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`. A region has nothing to say on an idle connection: such bytes answer nobody."""
        if self._user is not None:
            self._user.answer_received(data)
        else:
            self.abort()

    def eof_received(self) -> bool:
        """See `asyncio.Protocol`. The transport closes itself when this returns, unless the user still has to send.

        A send that failed has taken the reset's error with it, and reading then ends as if by a FIN.
        """
        if self._user is not None and not self._broken and self._user.region_finished():
            self._finished = True
            return True
        user, self._user = self._user, None
        if user is not None:
            user.region_closed(clean=not self._broken)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._gone = True
        self._drop_unsent()
        user, self._user = self._user, None
        at_end, self._at_end = self._at_end, None
        self._home.forget(self)
        if user is not None:
            user.region_closed(clean=False)
        if at_end is not None:
            at_end()
