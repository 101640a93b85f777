"""The server: makes client connections for aiohttp's sites, sweeps their deadlines, and drains them at the end.

aiohttp runs the listeners (`ServerRunner` and its sites) and calls this factory for each connection; client bytes do
not pass through its parser or `RequestHandler`. The README's *Decisions* say why.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from router.gateway.client import ClientConnection
from router.model.fault import Fault

if TYPE_CHECKING:
    from router.gateway.handler import Gateway

SWEEP_SECONDS: Final = 0.25
"""Between two looks at the deadlines: one timer for all of them, instead of one for each request."""


class GatewayServer(web.Server):
    """aiohttp's server with our own protocol. Made inside a running loop."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(_never_called)
        self._gateway = gateway
        self._timer = self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def __call__(self) -> Any:
        """A protocol for a new connection."""
        return ClientConnection(self._gateway)

    @property
    def connections(self) -> list[Any]:
        """The connections that are open."""
        return list(self._gateway.connections)

    def pre_shutdown(self) -> None:
        """The listeners are closed: end what is idle, and let the rest end with its answer."""
        self._gateway.draining = True
        for client in list(self._gateway.connections):
            client.drain()

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - aiohttp's signature
        """Wait until the last connection has ended, at most `timeout` seconds; then end the rest."""
        gateway = self._gateway
        try:
            async with asyncio.timeout(timeout):
                await gateway.emptied()
        except TimeoutError:
            for client in list(gateway.connections):
                client.abort(Fault.SHUTDOWN)
            await gateway.emptied()
        await gateway.pools.close()
        self._timer.cancel()

    def _sweep(self) -> None:
        self._timer = self._loop.call_later(SWEEP_SECONDS, self._sweep)
        self._gateway.sweep()


async def _never_called(request: web.BaseRequest) -> web.StreamResponse:
    raise AssertionError("client bytes do not pass through aiohttp's handler")
