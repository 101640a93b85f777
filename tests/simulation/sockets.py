"""What the product's upstream connection stands on in the simulation: a kernel's socket and asyncio's transport."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, Final

from router.gateway.upstream import Upstream
from router.model.region import Origin

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.loop import SimulatedLoop

NOWHERE: Final = Origin("http", "region", 80)

_descriptors = count(1)


class KernelSocket:
    """Takes what it has room for, and says so to `written`. A region that does not read leaves it no room."""

    def __init__(self, room: int, written: Callable[[int], None]) -> None:
        self.room = room
        self._written = written
        self._descriptor = next(_descriptors)

    def send(self, data: Any) -> int:
        """See `socket.socket`."""
        if not self.room:
            raise BlockingIOError
        sent = min(self.room, len(data))
        self.room -= sent
        self._written(sent)
        return sent

    def getpeername(self) -> tuple[str, int]:
        """See `socket.socket`."""
        return "127.0.0.1", 80

    def dup(self) -> KernelSocket:
        """See `socket.socket`. One descriptor is as good as two here."""
        return self

    def fileno(self) -> int:
        """See `socket.socket`."""
        return self._descriptor

    def close(self) -> None:
        """See `socket.socket`."""


class KernelTransport:
    """The side of a transport that an upstream connection uses."""

    def __init__(self, loop: SimulatedLoop, protocol: Upstream) -> None:
        self._loop = loop
        self._protocol = protocol
        self._closing = False

    def abort(self) -> None:
        """See asyncio: the protocol is told in a later turn."""
        if not self._closing:
            self._closing = True
            self._loop.deliver(self._protocol.connection_lost, None)

    def is_closing(self) -> bool:
        """See asyncio."""
        return self._closing

    def pause_reading(self) -> None:
        """See asyncio. What a region answers is told to the exchange directly."""

    def resume_reading(self) -> None:
        """See asyncio."""


class NoPool:
    """A home of connections that are used once."""

    def forget(self, upstream: Upstream) -> None:
        """See `router.gateway.upstream.Home`."""


def dial(loop: SimulatedLoop, room: int, written: Callable[[int], None]) -> tuple[Upstream, KernelSocket]:
    """A connection of the product's, on a kernel that takes `room` bytes before a region reads."""
    kernel = KernelSocket(room, written)
    upstream = Upstream(NOWHERE, NoPool(), loop, kernel)  # type: ignore[arg-type]  # as much of a socket as it uses
    upstream.connection_made(KernelTransport(loop, upstream))  # type: ignore[arg-type]  # as much as it uses
    return upstream, kernel
