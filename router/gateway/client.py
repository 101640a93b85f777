"""A client's connection: one input loop, and the reasons why its input is held.

The law of the room: *why* input is held is a set of bits, never one boolean: who sets a bit clears it, and reading goes
on when none is left. The input loop does one thing at a time: no request → take a head; its upload is open → hand the
bytes on; else keep them, they are pipelined. There is no recursion: an answer given at once (a problem, a redirect)
returns into the loop. A client's FIN outside a tunnel means that the client is gone. A client that takes nothing gets
nothing made for it: its next head is taken only when what is written for it has room.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from router.gateway.heads import Refusal, check_incomplete
from router.gateway.sockets import acknowledged, has_ended, reset_on_close, was_reset
from router.gateway.trust import NOBODY
from router.model.problem import Problem

if TYPE_CHECKING:
    from router.gateway.guests import Guest
    from router.gateway.handler import Gateway
    from router.gateway.probing import Probe
    from router.gateway.request import Request
    from router.gateway.sockets import Socket
    from router.gateway.trust import Peer
    from router.model.fault import Fault

LINGER_SECONDS: Final = 2.0
"""How long the bytes of a client that was answered early are discarded: a plain close would send a reset, and the
client's kernel would throw the answer away."""

MAX_EMPTY_LINES: Final = 4
"""In front of a request. Some old clients end a POST with one; more would only keep a connection without a request."""

_NO_REQUEST: Final = Refusal(Problem.BAD_REQUEST, "empty lines instead of a request")
_TOO_SLOW: Final = Refusal(Problem.CLIENT_TOO_SLOW, "the head did not arrive in time")


class Hold:
    """Why the client's input is held: bits. Plain numbers, because an enumeration's arithmetic costs a microsecond."""

    BUSY: Final = 1
    """Nobody takes it yet: the request before is being answered, or this one is being decided or dialled for."""
    UPSTREAM_FULL: Final = 2
    """The region takes no more for now."""
    CLIENT_FULL: Final = 4
    """The client does not take the answers to what it has asked already."""


_OF_ONE_REQUEST: Final = Hold.BUSY | Hold.UPSTREAM_FULL
_ALL_HOLDS: Final = _OF_ONE_REQUEST | Hold.CLIENT_FULL


class ClientConnection:
    """One connection from a client: an `asyncio.Protocol` by what it does, not by inheritance, which would keep it from
    being compiled to a native class.

    - `full`: it takes no more for now; `first`: it has not been answered yet.
    - `peer`: who is at its other end, a client or a proxy; the transport is asked, unless the listener knows better.
    - `guest`: who its requests count for, `None` if that is nobody; `left`: how many it may still send.
    - `probe`: of the request under way, if its bytes are counted.
    """

    __slots__ = (
        "_closing",
        "_empty_lines",
        "_gateway",
        "_holds",
        "_input",
        "_lingering",
        "_pumping",
        "_reading",
        "_transport",
        "first",
        "full",
        "guest",
        "left",
        "moved_at",
        "peer",
        "probe",
        "request",
    )

    def __init__(self, gateway: Gateway, peer: Peer = NOBODY) -> None:
        self._gateway = gateway
        self._transport: asyncio.Transport | None = None
        self._input = b""
        self._holds = 0
        self._pumping = False
        self._closing = False
        self._lingering = False
        self._empty_lines = 0
        self._reading: tuple[float, int, int] | None = None
        self.full = False
        self.first = True
        self.peer = peer
        self.request: Request | None = None
        self.probe: Probe | None = None
        self.guest: Guest | None = None
        self.left = gateway.options.max_requests_per_connection
        self.moved_at = gateway.now

    # --- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)
        limits = self._gateway.options
        self._transport.set_write_buffer_limits(high=limits.buffer_high)
        peer = self.peer
        if peer is NOBODY:
            name = transport.get_extra_info("peername")
            address = str(name[0]) if isinstance(name, tuple) else NOBODY.address
            peer = self.peer = self._gateway.trust.peer(address, transport.get_extra_info("ssl_object") is not None)
        # A trusted proxy's connection is nobody's own: each of its requests counts for the client that it names.
        self.guest = None if peer.trusted or peer.address == NOBODY.address else self._gateway.guests.find(peer.address)
        if not self._gateway.opened(self):
            # No word: an answer would cost more than the connection did, and be lost if the request is here already.
            self._reset()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._lingering:
            return
        if self.probe is not None:
            self.probe.received += len(data)
        if self._input:
            self._input += data
        else:
            self._input = data
            if self.request is None:
                self.moved_at = self._gateway.now
        self._pump()

    def eof_received(self) -> bool:
        """See `asyncio.Protocol`. The transport closes itself, unless this is the end of one half of a tunnel.

        A client that has closed only its sending half must not take what it has got of an answer for the whole.
        """
        if self.request is None:
            return False
        if self.request.exchange is not None and self.request.exchange.client_finished():
            return True
        self._reset()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._closing = True
        self._input = b""
        self._gateway.closed(self)
        if self.request is not None:
            self._gateway.client_gone(self.request)

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self.full = True
        if self.request is not None and self.request.exchange is not None:
            self.request.exchange.client_full()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self.full = False
        if self.request is not None and self.request.exchange is not None:
            self.request.exchange.client_drained()
        self.release(Hold.CLIENT_FULL)

    # --- input

    def hold(self, why: int) -> None:
        """Take no more input, for one more reason."""
        if not self._holds and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
        self._holds |= why

    def release(self, why: int) -> None:
        """One reason less; with the last one, input goes on."""
        if not self._holds & why:
            return
        self._holds &= ~why
        if not self._holds and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self._pump()

    @property
    def unread(self) -> int:
        """Bytes that have come and that nobody has read."""
        return len(self._input)

    def take_input(self) -> bytes:
        """The bytes that have come and that nobody has read."""
        data, self._input = self._input, b""
        return data

    def give_back(self, data: bytes) -> None:
        """Bytes behind what was wanted of `take_input`: the next request's."""
        self._input = data

    def _pump(self) -> None:
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._input and not self._closing and not self._holds:
                request = self.request
                if request is None:
                    if self.full:
                        self.hold(Hold.CLIENT_FULL)
                    elif not self._take_head():
                        break
                elif request.exchange is not None and request.exchange.uploading:
                    self._input = request.exchange.upload(self.take_input())
                else:
                    self.hold(Hold.BUSY)
        except Exception:
            self._gateway.break_down(self)
        finally:
            self._pumping = False

    def _take_head(self) -> bool:
        data = self._input
        if data.startswith(b"\r\n"):
            data = self._skip_empty_lines(data)
            if self._empty_lines > MAX_EMPTY_LINES:
                self._gateway.refuse_head(self, _NO_REQUEST)
                return False
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._input = data
            refusal = check_incomplete(data, self._gateway.options)
            if refusal is not None:
                self._gateway.refuse_head(self, refusal)
            return False
        block = data[: end + 4]
        self._input = data[end + 4 :]
        self._empty_lines = 0
        self._gateway.receive(self, block)
        return True

    def _skip_empty_lines(self, data: bytes) -> bytes:
        """Empty lines in front of a request are ignored (RFC 9112 §2.2), a few of them."""
        at = 0
        while self._empty_lines <= MAX_EMPTY_LINES and data.startswith(b"\r\n", at):
            self._empty_lines += 1
            at += 2
        return data[at:]

    # --- output

    def write(self, data: bytes) -> None:
        """Send `data` to the client."""
        if self._transport is not None and not self._closing:
            if self.probe is not None:
                self.probe.sent += len(data)
            self._transport.write(data)

    def finished(self, *, persistent: bool, upload_done: bool) -> None:
        """The answer has been written whole. Go on with the next request, or close without losing the answer."""
        self.request = None
        self.first = False
        self.moved_at = self._gateway.now
        if not upload_done:
            self._linger()
        elif not persistent:
            self.close()
        elif self._holds:
            self.release(_OF_ONE_REQUEST)
        elif self._input:
            self._pump()

    def close(self) -> None:
        """Close once everything written has been sent. Nothing more is read."""
        if self._input or self._holds:
            self._linger()
        else:
            self._close_at_once()

    def finish(self) -> None:
        """Say that nothing more will come, and go on reading: one half of a tunnel has ended."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if not self._write_eof(transport):
            self._close_at_once()

    def cut(self, *, reset: bool) -> None:
        """End the connection in the middle of an answer, so that the client can tell that it is not whole.

        An answer with a length or chunks shows that by ending early; one that is delimited by the connection's end
        needs a reset, because a FIN would make it look whole.
        """
        self.request = None
        if reset:
            self._reset()
        else:
            self._close_at_once()

    def _linger(self) -> None:
        """Say that nothing more will come, and discard what the client still sends, for a while."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if not self._write_eof(transport):
            self._close_at_once()
            return
        self._lingering = True
        self._closing = True
        self._input = b""
        self.release(_ALL_HOLDS)

    def _write_eof(self, transport: asyncio.Transport) -> bool:
        """Whether it could be done: TLS has no half-close, and a client that has reset its connection hears nothing."""
        if not transport.can_write_eof():
            return False
        try:
            transport.write_eof()
        except OSError:
            return False
        return True

    def _close_at_once(self) -> None:
        self._closing = True
        if self._transport is not None:
            self._transport.close()

    def _reset(self) -> None:
        """End the connection so that nobody takes what was sent for whole. What stands in its buffers is discarded."""
        self._closing = True
        sock = self._socket()
        if sock is not None:
            reset_on_close(sock)
        if self._transport is not None:
            self._transport.abort()

    def _socket(self) -> Socket | None:
        """The socket, unless it is gone: a transport that is closing may have given it up."""
        if self._transport is None:
            return None
        sock: Socket | None = self._transport.get_extra_info("socket")
        return sock

    # --- time

    def sweep(self, now: float) -> None:
        """End what has lasted too long, and a connection whose client has left while nothing was read from it."""
        if self._holds and self._has_left():
            self._reset()
            return
        if self.full or self._closing:
            self._note_reading(now)
        else:
            self._reading = None
        request = self.request
        if request is None:
            self._expire(now - self.moved_at)
        elif request.exchange is not None:
            request.exchange.sweep(now)

    def _expire(self, quiet: float) -> None:
        """Nothing has moved for `quiet` seconds, and no request is under way."""
        options = self._gateway.options
        if self._lingering and not self._unsent():
            if quiet > LINGER_SECONDS and self._transport is not None:
                # No reset here: the client may not have read the answer yet.
                self._transport.abort()
        elif self.full or self._closing:
            if quiet > options.write_idle_timeout:
                self._reset()
        elif self._input:
            if quiet > options.head_timeout:
                self._gateway.refuse_head(self, _TOO_SLOW)
        elif quiet > options.keepalive_timeout:
            self.close()

    def _note_reading(self, now: float) -> None:
        """A client that reads slowly moves, though its buffer stays full for long; one that reads too slowly does not.

        The rate is an average since it has moved last, and so over the deadline that would end it.
        """
        sock, unsent = self._socket(), self._unsent()
        taken = acknowledged(sock) if sock is not None else 0
        if self._reading is not None:
            since, unsent_then, taken_then = self._reading
            owed = max(1, self._gateway.options.min_body_rate * (now - since))
            if taken - taken_then < owed if taken else unsent == unsent_then:
                return
        self._reading = (now, unsent, taken)
        if not self._lingering or unsent:
            self.moved_at = now
        if self.request is not None and self.request.exchange is not None:
            self.request.exchange.moved(now)

    def _unsent(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def _has_left(self) -> bool:
        """Whether the client is gone, which a transport that is not read from does not tell.

        One that has asked all that it wanted may have closed its sending half: what is answered already is its own. So
        may one that has a tunnel.
        """
        sock = self._socket()
        if sock is None:
            return False
        in_halves = self.request is None or self.request.status == 101
        return was_reset(sock) if in_halves else has_ended(sock)

    def drain(self) -> None:
        """The gateway shuts down: an idle connection ends now, a busy one with its answer.

        One whose next request has begun to come is busy, and has the time of any head.
        """
        request = self.request
        if request is not None and request.exchange is not None:
            request.exchange.drain()
        elif request is None and not self._input and not self._closing:
            self.close()

    def abort(self, fault: Fault) -> None:
        """No more waiting: the connection ends at once, and with it, for `fault`, the request that is under way."""
        if self.request is not None:
            self.request.fault = self.request.fault or fault
        self._reset()


class TlsClient(ClientConnection):
    """A client that came by TLS, which has no half-close: the end of its sending is its end."""

    __slots__ = ()

    def eof_received(self) -> bool:
        """See `asyncio.Protocol`."""
        super().eof_received()
        return False
