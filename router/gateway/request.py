"""One request on its walk: what the six steps have found out so far, from its head's arrival to its record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.routing.values import Source

if TYPE_CHECKING:
    import asyncio

    from router.directory.ledger import Hold
    from router.gateway.bodies import Body
    from router.gateway.client import ClientConnection
    from router.gateway.exchange import Exchange
    from router.gateway.guests import Guest
    from router.gateway.heads import Admitted
    from router.gateway.probing import Probe
    from router.gateway.tunnel import Tunnel
    from router.model.fault import Fault


class Request:
    """Mutable on purpose, and owned by one connection: each step writes down what it found.

    - `upload`: the reader of its body, shared by whoever reads on; `received`: its bytes so far, where chunked.
    - `retried`: it is sent for the second time: a reused connection died under it, or a region disowned it.
    - `kept`: its body as it is framed for a region, as long as all that came of it is in hand; then `None`.
    - `guest`: who it counts for, `None` for nobody.
    - `holds`: what it was decided on; `probe`: what is measured of it, `None` for most.
    - `status`: what the client was told, 0 while it has been told nothing.
    """

    __slots__ = (
        "admitted",
        "client",
        "decision",
        "exchange",
        "fault",
        "fetching",
        "guest",
        "holds",
        "kept",
        "over",
        "probe",
        "received",
        "region",
        "request_id",
        "retried",
        "source",
        "started",
        "status",
        "upload",
    )

    def __init__(
        self, client: ClientConnection, admitted: Admitted, upload: Body, request_id: bytes, started: float
    ) -> None:
        self.client = client
        self.admitted = admitted
        self.upload = upload
        self.request_id = request_id
        self.started = started
        self.exchange: Exchange | Tunnel | None = None
        self.guest: Guest | None = None
        self.holds: tuple[Hold, ...] = ()
        self.probe: Probe | None = None
        self.fetching: asyncio.Task[None] | None = None
        self.decision = "refuse"
        self.region = ""
        self.source = Source.NONE
        self.status = 0
        self.fault: Fault | None = None
        self.received = 0
        self.kept: bytes | None = b""
        self.retried = False
        self.over = False
