"""Upstream connections under TLS.

The law of the room: TLS is a layer that turns bytes into other bytes, and does nothing else. The event loop's own TLS
would encrypt what it likes when it likes and buffer what the kernel does not take; so an `ssl.SSLObject` works between
two buffers in memory, and what it has encrypted goes the way of any other bytes (`router.gateway.upstream`): it waits
there, and goes out or is dropped, under the same question. A cut is a reset without a close_notify, which would tell
the region that the request was meant to end there.
"""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING, Final

from router.gateway.tls import ALPN
from router.gateway.upstream import Upstream
from router.model.fault import Fault

if TYPE_CHECKING:
    import asyncio
    import socket

    from router.gateway.upstream import Home
    from router.model.region import Origin

_log = logging.getLogger(__name__)

RECORD: Final = 16_384
"""The most that one TLS record carries (RFC 8446 §5.1)."""

TLS_STEP: Final = 4 * RECORD
"""Bytes that go through TLS at a time: what an `ssl.MemoryBIO` has once held it keeps allocated for good."""


class TlsUpstream(Upstream):
    """A connection under TLS. Await `secured` before the first use.

    Nothing is sent of its own accord but the handshake. An answer to what the region's TLS says later (a key update)
    waits for the next `send`, as RFC 8446 §4.6.3 has it.
    """

    __slots__ = ("_encrypted", "_greeted", "_received", "_secured", "_tls")

    def __init__(
        self, origin: Origin, home: Home, loop: asyncio.AbstractEventLoop, sock: socket.socket, context: ssl.SSLContext
    ) -> None:
        super().__init__(origin, home, loop, sock)
        self._received = ssl.MemoryBIO()
        self._encrypted = ssl.MemoryBIO()
        name = origin.server_name or origin.host
        self._tls = context.wrap_bio(self._received, self._encrypted, server_hostname=name)
        self._greeted = False
        self._secured: asyncio.Future[None] = loop.create_future()

    async def secured(self) -> None:
        """Return once the region is verified. Raises `ssl.SSLError`; `OSError` if the connection ends before that."""
        await self._secured

    def send(self, data: bytes) -> None:
        """See `Upstream.send`."""
        pieces = []
        view = memoryview(data)
        try:
            while view:
                taken = self._tls.write(view[:TLS_STEP])
                view = view[taken:]
                pieces.append(self._encrypted.read())
        except ssl.SSLError:
            self._break()
        else:
            super().send(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def finish(self) -> bool:
        """See `Upstream.finish`."""
        return False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self._shake_hands()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._secured.done():
            self._decrypt(data)
        else:
            self._greeted = True
            self._received.write(data)
            self._shake_hands()

    def eof_received(self) -> bool:
        """See `asyncio.Protocol`. Without a close_notify before it anybody may have made it, so it ends no answer."""
        self._end(clean=False)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        super().connection_lost(exc)
        # A region that has begun to shake hands and then leaves has refused us; else a balancer may have had nobody.
        kind = ssl.SSLEOFError if self._greeted else ConnectionResetError
        self._not_secured(kind("the connection ended during the TLS handshake"))

    def _shake_hands(self) -> None:
        """Go on with the handshake, as far as what has come allows."""
        error: ssl.SSLError | None = None
        try:
            self._tls.do_handshake()
        except ssl.SSLError as raised:
            error = raised
        # An alert too: it tells the region's operators why. Nothing of a request is in it, so nobody has to be asked.
        super().send(self._encrypted.read())
        if error is None:
            self._check_protocol()
        elif not isinstance(error, ssl.SSLWantReadError):
            self._not_secured(error)

    def _check_protocol(self) -> None:
        """A region that negotiates nothing speaks HTTP/1.1; one that has chosen what was not offered can't be used."""
        chosen = self._tls.selected_alpn_protocol()
        if chosen in {None, ALPN}:
            self._secured.set_result(None)
            # What the region said right behind its part of the handshake.
            self._decrypt(b"")
        else:
            self._not_secured(ssl.SSLError(f"{chosen} was chosen, which is not offered"))

    def _not_secured(self, error: OSError) -> None:
        if not self._secured.done():
            self._secured.set_exception(error)
            # If the dial was given up, nobody asks for it.
            self._secured.exception()
            self.abort()

    def _decrypt(self, data: bytes) -> None:
        """Hand over what is in `data` and in what had come before it, and end with what ends there."""
        view = memoryview(data)
        pieces: list[bytes] = []
        clean: bool | None = None
        while clean is None:
            self._received.write(view[:TLS_STEP])
            view = view[TLS_STEP:]
            clean = self._read_records(pieces)
            if not view:
                break
        if pieces:
            super().data_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if clean is not None:
            self._end(clean=clean)

    def _read_records(self, pieces: list[bytes]) -> bool | None:
        """Add what has come whole to `pieces`. If the stream has ended, whether that was the region's intention."""
        try:
            while self._received.pending:
                piece = self._tls.read(RECORD)
                if not piece:
                    return True
                pieces.append(piece)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLError as error:
            # Under TLS 1.3 the region judges our certificate only behind the handshake.
            _log.log(Fault.TLS_FAILED.level, "TLS with %s failed: %s", self.origin, error)
            self.fault = Fault.TLS_FAILED
            return False
        return None

    def _end(self, *, clean: bool) -> None:
        user, self._user = self._user, None
        if user is not None:
            user.region_closed(clean=clean)
        self.abort()
