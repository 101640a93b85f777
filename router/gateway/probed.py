"""The exchange of a request that is looked at closely: the same one, which notes when it got how far.

The law of the room: it notes, and changes nothing but the line that tells the region whose trace it is in.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from router.gateway.exchange import Exchange
from router.gateway.trace_context import carry

if TYPE_CHECKING:
    from router.gateway.handler import Gateway
    from router.gateway.probing import Probe
    from router.gateway.request import Request
    from router.gateway.upstream import Upstream
    from router.routing.values import Proxy


class ProbedExchange(Exchange):
    """An exchange, and what is noted of it."""

    __slots__ = ("_pass",)

    def __init__(self, gateway: Gateway, request: Request, proxy: Proxy, probe: Probe) -> None:
        super().__init__(gateway, request, proxy)
        self._pass = probe.begin(proxy.region)
        if probe.trace is not None:
            admitted = request.admitted
            request.admitted = admitted._replace(kept=carry(admitted.kept, probe.trace, self._pass.span))

    def connected(self, upstream: Upstream) -> None:
        """See `router.gateway.pool.Waiter`."""
        self._pass.connected = monotonic()
        super().connected(upstream)

    def answer_received(self, data: bytes) -> None:
        """See `router.gateway.upstream.User`."""
        if self._pass.answered is None:
            self._pass.answered = monotonic()
        super().answer_received(data)
