"""A tunnel: what an exchange turns into once its region has agreed to speak WebSocket with the client.

Theory. Bytes are relayed as they came, both ways, each way with backpressure, and each way ends for itself: a FIN of
one side becomes a FIN for the other. Frames are only counted (`router.gateway.frames`), because a tunnel that has to be
ended should not leave its endpoints guessing: at the border of a frame, a close frame of our own can go in.

| state | client → region | region → client |
|---|---|---|
| RELAYING | relayed until the client's FIN | relayed until the region's FIN |
| PARTING | relayed to the next border, then our close frame, then nothing | the same |
| CUTTING | nothing: no byte may go to the region any more | the same as PARTING; with the border it is over |
| SETTLING | all relayed, FIN included: the kernel still delivers it | all relayed, FIN included |
| OVER | — | — |

The gateway's end and an idle tunnel lead to PARTING, a lock and the end of a lease to CUTTING. What is not at its
border `GRACE_SECONDS` later is ended by force, with resets. The request stays in the ledger all that time, because its
write side to the region is gone only with the connection.
"""

from __future__ import annotations

import secrets
from enum import Enum, auto
from math import inf
from typing import TYPE_CHECKING, Final

from router.gateway.client import Hold
from router.gateway.frames import FrameCounter, close_frame, masked_close_frame
from router.model.fault import Fault

if TYPE_CHECKING:
    from router.directory.ledger import Ticket
    from router.gateway.handler import Gateway
    from router.gateway.request import Request
    from router.gateway.upstream import Upstream

GRACE_SECONDS: Final = 2.0
"""How long a tunnel that has to end waits for the border of a frame, and for the region to end its side."""

GOING_AWAY: Final = 1001
SERVICE_RESTART: Final = 1012
"""Close codes: the endpoint goes away; come back, the service is only being moved."""


class _State(Enum):
    RELAYING = auto()
    PARTING = auto()
    CUTTING = auto()
    SETTLING = auto()
    OVER = auto()


class _Way:
    """One direction: the frames that have been relayed, and whether it is `done`: nothing more will be."""

    __slots__ = ("done", "frames")

    def __init__(self) -> None:
        self.done = False
        self.frames = FrameCounter()


class Tunnel:
    """Made in the step in which the exchange gives up its connection, and its place in the ledger, if it has one."""

    __slots__ = (
        "_client",
        "_client_finished",
        "_code",
        "_down",
        "_fault",
        "_force_at",
        "_gateway",
        "_idle_limit",
        "_moved_at",
        "_request",
        "_state",
        "_ticket",
        "_up",
        "_upstream",
    )

    uploading: Final = True
    """What the client sends is for the region, all the time."""

    def __init__(self, gateway: Gateway, request: Request, upstream: Upstream, ticket: Ticket | None) -> None:
        self._gateway = gateway
        self._request = request
        self._client = request.client
        self._upstream = upstream
        self._ticket = ticket
        self._state = _State.RELAYING
        self._up = _Way()
        self._down = _Way()
        self._client_finished = False
        self._code = GOING_AWAY
        self._fault: Fault | None = None
        self._force_at = inf
        self._idle_limit = gateway.options.tunnel_idle_timeout
        self._moved_at = gateway.now

    def begin(self, head: bytes, early: bytes) -> None:
        """Tell the client that its region agrees. `early` is what the region has sent behind its `head`."""
        self._upstream.attach(self)
        if self._ticket is not None:
            self._ticket.hand_over(self)
        self._client.write(head)
        if early:
            self.answer_received(early)
        if self._gateway.draining:
            self.drain()
        self._client.release(Hold.BUSY)

    # --- client → region

    def upload(self, data: bytes) -> bytes:
        """Take bytes of the client's: all of them."""
        self._moved_at = self._gateway.now
        if self._state is _State.RELAYING:
            self._up.frames.advance(data)
            self._send(data)
        elif not self._up.done:
            self._part_up(data)
        return b""

    def client_finished(self) -> bool:
        """The client has closed its sending half. Whether it is still there: it reads on."""
        self._client_finished = True
        if self._state is _State.RELAYING:
            self._up.done = True
            if not self._upstream.finish():
                # The region can't be told. What it is about to say may still come, but it is not waited for.
                self._idle_limit = GRACE_SECONDS
            elif self._down.done:
                self._settle()
        return True

    def region_drained(self) -> None:
        """See `router.gateway.upstream.User`."""
        self._moved_at = self._gateway.now
        self._client.release(Hold.UPSTREAM_FULL)

    def may_write(self) -> bool:
        """See `router.gateway.upstream.User`."""
        ticket = self._ticket
        if ticket is not None and not self._gateway.directory.may_write(ticket):
            self.term_ended()
        return self._state in {_State.RELAYING, _State.PARTING}

    def _send(self, data: bytes) -> None:
        """Write to the region: the only place where a tunnel does."""
        if data and self.may_write():
            self._upstream.send(data)
            if self._upstream.full:
                self._client.hold(Hold.UPSTREAM_FULL)

    # --- region → client

    def answer_received(self, data: bytes) -> None:
        """See `router.gateway.upstream.User`."""
        self._moved_at = self._gateway.now
        if self._state is _State.RELAYING:
            self._down.frames.advance(data)
            self._client.write(data)
        elif not self._down.done:
            self._part_down(data)

    def region_finished(self) -> bool:
        """See `router.gateway.upstream.User`."""
        if self._state is not _State.RELAYING:
            return False
        self._down.done = True
        self._client.finish()
        if self._up.done:
            self._settle()
        return True

    def region_closed(self, clean: bool) -> None:
        """See `router.gateway.upstream.User`. A reset behind the region's FIN or close frame takes nothing away."""
        if self._state is _State.RELAYING and (clean or self._down.frames.closed):
            self._down.done = True
        self._end(self._fault or (None if self._down.done else Fault.TRUNCATED))

    def client_full(self) -> None:
        """The client takes no more for now."""
        self._upstream.pause()

    def client_drained(self) -> None:
        """The client takes more again."""
        self._moved_at = self._gateway.now
        self._upstream.resume()

    def client_gone(self) -> None:
        """The client's connection ended."""
        self._leave(self._fault or self._request.fault or Fault.CLIENT_GONE)

    # --- the end

    def superseded(self) -> None:
        """See `router.directory.ledger.Holder`."""
        self._cut(Fault.LOCK_CUT)

    def term_ended(self) -> None:
        """See `router.directory.ledger.Holder`."""
        self._cut(Fault.LEASE_LOST)

    def drain(self) -> None:
        """The gateway shuts down."""
        self._part(None)

    def moved(self, now: float) -> None:
        """The client has read something of what waits for it."""
        self._moved_at = now

    def sweep(self, now: float) -> None:
        """End what has lasted too long."""
        if now > self._force_at:
            self._end(self._fault or (None if self._down.done else Fault.SHUTDOWN))
        elif self._state is _State.SETTLING:
            self._settle()
        elif self._state is _State.RELAYING:
            self._expire(now - self._moved_at)

    def _expire(self, quiet: float) -> None:
        """Nothing has moved for `quiet` seconds."""
        options = self._gateway.options
        if self._client.full:
            if quiet > options.write_idle_timeout:
                self._end(Fault.CLIENT_STALLED)
        elif self._upstream.full:
            if quiet > options.upstream_idle_timeout:
                self._part(Fault.BODY_TIMEOUT)
        elif quiet > self._idle_limit:
            self._part(Fault.TUNNEL_IDLE)

    def _part(self, fault: Fault | None) -> None:
        """End both ways at their next border. `fault` is why, if it is one."""
        if self._state is not _State.RELAYING:
            return
        self._state = _State.PARTING
        self._fault = fault
        self._force_at = self._gateway.now + GRACE_SECONDS
        if not self._down.done:
            self._part_down(b"")
        if not self._up.done:
            self._part_up(b"")

    def _cut(self, fault: Fault) -> None:
        """Write nothing to the region any more, and end the way to the client at its next border."""
        if self._state in {_State.CUTTING, _State.OVER}:
            return
        self._state = _State.CUTTING
        self._code = SERVICE_RESTART
        self._fault = fault
        self._force_at = self._gateway.now + GRACE_SECONDS
        if self._down.done:
            self._end(fault)
        else:
            self._part_down(b"")

    def _part_up(self, data: bytes) -> None:
        """Relay `data` up to the next border, and put our close frame there."""
        frames = self._up.frames
        out = data[: frames.advance_to_border(data)]
        if frames.at_border:
            self._up.done = True
            if not frames.closed:
                out += masked_close_frame(self._code, secrets.token_bytes(4))
        self._send(out)

    def _part_down(self, data: bytes) -> None:
        frames = self._down.frames
        out = data[: frames.advance_to_border(data)]
        if frames.at_border and not frames.closed:
            out += close_frame(self._code)
        if out:
            self._client.write(out)
        if frames.at_border:
            self._down.done = True
            self._client.finish()
            if self._state is _State.CUTTING:
                self._end(self._fault)

    def _settle(self) -> None:
        """Both ways have ended well. The connection to the region lives until the kernel has delivered all of it."""
        if self._state is _State.RELAYING:
            self._state = _State.SETTLING
            self._force_at = self._gateway.now + GRACE_SECONDS
        if self._upstream.settled:
            self._end(None)

    def _end(self, fault: Fault | None) -> None:
        """Leave, and let the client go: with a FIN if it has been sent all there is, else with a reset."""
        self._leave(fault)
        if self._down.done:
            self._client.finished(persistent=False, upload_done=self._client_finished)
        else:
            self._client.cut(reset=True)

    def _leave(self, fault: Fault | None) -> None:
        """The one way out."""
        self._state = _State.OVER
        request = self._request
        if fault is not None and self._ticket is not None:
            note = self._gateway.directory.unanswered.note
            note(self._ticket.holds, request.request_id, request.region, fault)
        self._upstream.abort(self._leave_ledger)
        request.exchange = None
        request.fault = fault
        self._gateway.exchange_ended(request.region)
        self._gateway.end(request)

    def _leave_ledger(self) -> None:
        ticket, self._ticket = self._ticket, None
        if ticket is not None:
            self._gateway.directory.ledger.leave(ticket)
