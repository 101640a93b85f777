"""Sites: one listening socket each, and what a client's connection has to go through before it is one.

Theory. A plain listener is asyncio's own. Where something comes before the first request, a PROXY header or TLS, its
connections are accepted by hand, because nobody else could count them: until it has said who it is and has shaken
hands a connection is no client yet, and a thousand that never do would cost as many descriptors as a thousand clients.

A header stands in front of TLS, and nothing behind it may be read with it. So what has come is only looked at
(`MSG_PEEK`), and as much of it taken as is header for certain; then the socket is handed on, with its next byte the
first one of TLS or of a request. A header is believed from trusted proxies alone; whoever else comes is reset.

The law of the room: whatever goes wrong before a connection is a client's, ends that connection and is no more than a
line in the log. A site accepts until it is stopped, and what it has accepted is not its own any more.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from aiohttp import web

from router.gateway.client import ClientConnection, TlsClient
from router.gateway.proxy_protocol import LONGEST_BLOCK, BadHeaderError, Whose, read_header
from router.gateway.sockets import reset_on_close
from router.gateway.trust import LOCAL, NOBODY, UNKNOWN

if TYPE_CHECKING:
    import ssl

    from router.gateway.proxy_protocol import Header
    from router.gateway.server import GatewayServer
    from router.gateway.trust import Peer

BACKLOG: Final = 4096
"""Connections that may wait to be accepted; the kernel's own limit (`net.core.somaxconn`) may be lower."""

ACCEPTED_AT_ONCE: Final = 64
"""Before others get their turn."""

PAUSE_SECONDS: Final = 1.0
"""Without descriptors nothing can be accepted, and trying on would keep the processor busy."""

TLS_GOODBYE_SECONDS: Final = 2.0
"""How long a client may take to answer the end of TLS."""

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_log = logging.getLogger(__name__)


class Tls(NamedTuple):
    """What is laid around a client's connection, and for how many seconds each end of it may take."""

    context: ssl.SSLContext | None
    handshake: float | None
    goodbye: float | None


class GatewaySite(web.BaseSite):
    """Where clients connect to `server`, by a socket that is bound. `context`: by TLS; `prefixed`: a PROXY header comes
    first.
    """

    __slots__ = ("_acceptor", "_gateway", "_gateway_server", "_prefixed", "_sock", "_tls")

    def __init__(
        self,
        runner: web.ServerRunner,
        server: GatewayServer,
        sock: socket.socket,
        *,
        context: ssl.SSLContext | None = None,
        prefixed: bool = False,
    ) -> None:
        super().__init__(runner, ssl_context=context, backlog=BACKLOG)
        self._gateway = server.gateway
        self._gateway_server = server
        self._sock = sock
        self._prefixed = prefixed
        self._acceptor: _Acceptor | None = None
        # A handshake has as much time as a head: it is as silent a client.
        self._tls = Tls(None, None, None)
        if context is not None:
            self._tls = Tls(context, self._gateway.options.head_timeout, TLS_GOODBYE_SECONDS)

    @property
    def name(self) -> str:
        """Where it listens."""
        return str(self._sock.getsockname())

    async def start(self) -> None:
        """Accept connections from now on."""
        await super().start()
        loop = asyncio.get_running_loop()
        is_local = self._sock.family == socket.AF_UNIX
        own = self._gateway.trust.peer(LOCAL, False) if is_local else NOBODY
        make = partial(self._gateway_server.connection, own)
        if self._prefixed or self._tls.context is not None:
            self._acceptor = _Acceptor(self._sock, self._gateway_server, own, self._tls, prefixed=self._prefixed)
            self._acceptor.start()
        elif is_local:
            self._server = await loop.create_unix_server(make, sock=self._sock, backlog=BACKLOG)
        else:
            self._server = await loop.create_server(make, sock=self._sock, backlog=BACKLOG)

    async def stop(self) -> None:
        """Accept no more."""
        if self._acceptor is not None:
            self._acceptor.close()
        await super().stop()


class _Acceptor:
    """Accepts by hand. `own` is who everybody is at first; `NOBODY`: the socket tells."""

    def __init__(self, sock: socket.socket, server: GatewayServer, own: Peer, tls: Tls, *, prefixed: bool) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._server = server
        self._gateway = server.gateway
        self._kind = ClientConnection if tls.context is None else TlsClient
        self._own = own
        self._tls = tls
        self._prefixed = prefixed
        self._unnamed: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Listen and accept from now on."""
        self._sock.setblocking(False)
        self._sock.listen(BACKLOG)
        self._resume()

    def close(self) -> None:
        """Accept no more. Who has not said whom it is for yet will not be served."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()
        for introduction in self._unnamed:
            introduction.cancel()

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                connection, name = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                _log.error("no connection can be accepted: %s", error.strerror)
                self._loop.remove_reader(self._sock)
                self._pause = self._loop.call_later(PAUSE_SECONDS, self._resume)
                return
            self._welcome(connection, name)

    def _welcome(self, connection: socket.socket, name: Any) -> None:
        connection.setblocking(False)
        peer = self._own
        if peer is NOBODY:
            peer = self._gateway.trust.peer(str(name[0]), self._tls.context is not None)
        if self._prefixed and not peer.trusted:
            _log.debug("a connection that may not bring a PROXY header was reset")
            _reset(connection)
        elif self._server.is_full():
            _reset(connection)
        else:
            self._server.arrive(self._introduce(connection, peer))

    async def _introduce(self, connection: socket.socket, peer: Peer) -> None:
        if self._prefixed:
            named = await self._named(connection, peer)
            if named is None:
                return
            peer = named
        with self._server.arriving(peer) as may_stay:
            if may_stay:
                await self._hand_on(connection, peer)
            else:
                _reset(connection)

    async def _named(self, connection: socket.socket, balancer: Peer) -> Peer | None:
        """Whom the PROXY header names; `None`: the connection has been ended."""
        introduction = asyncio.current_task()
        assert introduction is not None
        self._unnamed.add(introduction)
        try:
            async with asyncio.timeout(self._gateway.options.head_timeout):
                return self._peer(await self._take_header(connection), balancer)
        except (BadHeaderError, OSError) as error:
            # A time-out is an `OSError`, one without a text.
            _log.info("a connection from %s was reset: %s", balancer.address, str(error) or "no PROXY header in time")
            _reset(connection)
            return None
        except asyncio.CancelledError:
            connection.close()
            raise
        finally:
            self._unnamed.discard(introduction)

    async def _hand_on(self, connection: socket.socket, peer: Peer) -> None:
        try:
            await self._loop.connect_accepted_socket(
                partial(self._make, peer),
                connection,
                ssl=self._tls.context,
                ssl_handshake_timeout=self._tls.handshake,
                ssl_shutdown_timeout=self._tls.goodbye,
            )
        except OSError as error:
            _log.debug("a TLS handshake failed: %s", error)
            connection.close()

    def _make(self, peer: Peer) -> asyncio.Protocol:
        # The limit has been kept already, when it was accepted.
        return cast(asyncio.Protocol, self._kind(self._gateway, peer))

    def _peer(self, header: Header, balancer: Peer) -> Peer:
        secure = self._tls.context is not None if header.secure is None else header.secure
        match header.whose:
            case Whose.NAMED:
                return self._gateway.trust.peer(header.address, secure)
            case Whose.UNNAMED:
                # Nobody vouches for what an unknown client claims.
                return self._gateway.trust.peer(UNKNOWN, secure)
            case Whose.OWN:
                return self._gateway.trust.peer(balancer.address, self._tls.context is not None)

    async def _take_header(self, connection: socket.socket) -> Header:
        """Take the header and not a byte more. Raises `BadHeaderError`, `OSError`."""
        taken = b""
        while True:
            await self._readable(connection)
            try:
                seen = connection.recv(LONGEST_BLOCK, socket.MSG_PEEK)
            except (BlockingIOError, InterruptedError):
                continue
            if not seen:
                raise BadHeaderError("it ended before its PROXY header did")
            header = read_header(taken + seen)
            wanted = len(seen) if header is None else header.length - len(taken)
            # What has been seen is there: taking it neither blocks nor comes short.
            taken += connection.recv(wanted)
            if header is not None:
                return header

    async def _readable(self, connection: socket.socket) -> None:
        readable: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(connection, _resolve, readable)
        try:
            await readable
        finally:
            self._loop.remove_reader(connection)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _reset(connection: socket.socket) -> None:
    reset_on_close(connection)
    connection.close()
