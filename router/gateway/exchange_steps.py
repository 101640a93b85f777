"""The steps of an exchange: what is done when something has happened, and what all of them work on.

The law of the room: a step decides nothing that stands in `router.gateway.exchange_table`; it may fire the next event.
Only `_send` writes to a region, and it asks for the right to first; only `_end` ends an exchange.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final

from router.gateway.answer import AnswerReader
from router.gateway.bodies import LAST_CHUNK, BadBodyError, chunk, last_chunk
from router.gateway.client import Hold
from router.gateway.exchange_table import Event, State, Step
from router.gateway.heads import CHUNKED, UNTIL_CLOSE
from router.gateway.tunnel import Tunnel
from router.gateway.upgrades import Upgrade
from router.model.fault import Fault
from router.model.placement import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.directory import ledger
    from router.directory.ledger import Ticket
    from router.gateway.handler import Gateway
    from router.gateway.heads import AnswerHead
    from router.gateway.pool import OriginPool
    from router.gateway.request import Request
    from router.gateway.upstream import Upstream
    from router.routing.values import Proxy

_log = logging.getLogger(__name__)

JOIN_BELOW: Final = 16_384
"""Below this size two pieces are joined into one write; above it copying costs more than a second call."""

KEEP_BELOW: Final = 65_536
"""Bytes of an upload that are kept, so that the request can be sent to another region if this one disowns it."""

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})

UPLOADING: Final = frozenset({State.UPLOADING, State.CROSSING})

# What every exchange meets, found once: to find a member in its class costs more than all that is done with it.
_CONNECTING: Final = State.CONNECTING
_CROSSING: Final = State.CROSSING
_OVER: Final = State.OVER
_UPLOADED: Final = Event.UPLOADED
_ANSWERED: Final = Event.ANSWERED
_WEBSOCKET: Final = Upgrade.WEBSOCKET


class Steps(ABC):
    """The state of an exchange and its steps. Who inherits this is told of events, and fires them."""

    __slots__ = (
        "_answer",
        "_drain_until",
        "_gateway",
        "_kept_end",
        "_moved_at",
        "_persistent",
        "_pool",
        "_proxy",
        "_request",
        "_ticket",
        "_uploaded",
        "_upstream",
        "_waits_for_continue",
        "state",
    )

    def __init__(self, gateway: Gateway, request: Request, proxy: Proxy) -> None:
        self.state: State = _CONNECTING
        self._gateway = gateway
        self._request = request
        self._proxy = proxy
        self._pool: OriginPool = gateway.pools.of(proxy.endpoint)
        self._ticket: Ticket | None = None
        self._upstream: Upstream | None = None
        self._answer = AnswerReader(
            request.admitted.head.method,
            gateway.answer_heads,
            gateway.options,
            switching=request.admitted.upgrade is _WEBSOCKET,
        )
        self._persistent = request.admitted.persistent
        self._waits_for_continue = request.admitted.expects_continue
        self._moved_at = gateway.now
        self._drain_until: float | None = None
        self._uploaded = 0
        self._kept_end: tuple[Event, Fault | None] | None = None

    @abstractmethod
    def _fire(self, event: Event, detail: Any = None) -> None:
        """What `router.gateway.exchange` makes of it: the next step, and the state that follows."""

    @abstractmethod
    def refreshed(self, *, moved: bool) -> None:
        """See `router.gateway.rerouting.Disowned`."""

    @property
    def uploading(self) -> bool:
        """Whether the client's input is this exchange's upload."""
        return self.state in UPLOADING and not self._request.upload.done

    def may_write(self) -> bool:
        """See `router.gateway.upstream.User`. Ends this exchange if the lease that it was decided under is gone."""
        ticket = self._ticket
        if ticket is None or self._gateway.directory.may_write(ticket):
            return self.state is not _OVER
        # What was sent whole may still be answered.
        if self.state not in {State.OVER, State.AWAITING, State.DOWNLOADING}:
            self._fire(Event.TERM_ENDED, Fault.LEASE_LOST)
        return False

    # --- reading

    def _read_upload(self, data: bytes) -> tuple[bytes, bytes]:
        """The upload's payload in `data`, framed for the region, and the bytes behind the upload."""
        request = self._request
        body = request.upload
        if data:
            self._waits_for_continue = False
        try:
            payload, behind = body.feed(data)
        except BadBodyError:
            self._fire(Event.BODY_FAULT, Fault.BAD_BODY)
            return b"", b""
        if request.admitted.body == CHUNKED:
            request.received += len(payload)
            limit = self._gateway.options.max_body
            if limit is not None and request.received > limit:
                self._fire(Event.BODY_FAULT, Fault.BODY_TOO_LARGE)
                return b"", b""
            payload = chunk(payload) + last_chunk(body.trailers) if body.done else chunk(payload)
        kept = request.kept
        if kept is not None:
            request.kept = kept + payload if len(kept) + len(payload) <= KEEP_BELOW else None
        return payload, behind

    def _relay_interim(self, head: AnswerHead) -> None:
        """Relay a 1xx (RFC 9110 §15.2), except to a 1.0 client; a 100 only if it was asked for."""
        admitted = self._request.admitted
        if admitted.head.minor == 1 and (head.status != 100 or admitted.expects_continue):
            self._request.client.write(b"HTTP/1.1 %d %b\r\n%b\r\n" % (head.status, head.reason, head.kept))

    # --- steps; the comments of `Step` say when each is right

    def _ignore(self, _: object) -> None:  # noqa: B027 - doing nothing is a step too
        """Nothing is to be done."""

    def _impossible(self, _: object) -> None:
        raise AssertionError("an event that can't be in this state")

    def _send_head(self, _: object) -> None:
        request = self._request
        client = request.client
        self._moved_at = self._gateway.now
        head = self._gateway.request_head(request, self._proxy)
        # Nothing, unless another region has disowned this request.
        payload = request.kept or b""
        if not request.upload.done:
            payload, behind = self._read_upload(client.take_input())
            if self.state is State.OVER:
                return
            client.give_back(behind)
        self._send(head, payload)
        if self.uploading:
            client.release(Hold.BUSY)

    def _send_piece(self, payload: bytes) -> None:
        self._send(payload, b"")

    def _send(self, first: bytes, second: bytes) -> None:
        """Write to the region: the only place where an exchange does."""
        upstream = self._upstream
        assert upstream is not None
        if not self.may_write():
            return
        if len(first) + len(second) <= JOIN_BELOW:
            upstream.send(first + second)
        else:
            upstream.send(first)
            upstream.send(second)
        if upstream.full:
            self._request.client.hold(Hold.UPSTREAM_FULL)
        elif self._request.upload.done:
            self._fire(_UPLOADED)

    def _await_answer(self, _: object) -> None:
        self._request.client.release(Hold.UPSTREAM_FULL)

    def _relay_head(self, _: object) -> None:
        head, request = self._answer.head, self._request
        if self.state is _CROSSING or not self._shows_its_end() or self._gateway.draining:
            self._persistent = False
        request.status = head.status
        out = self._gateway.answer_head(request, self._proxy, head, closes=not self._persistent)
        self._relay(out, self._answer.take_rest())

    def _open_tunnel(self, _: object) -> None:
        """Hand everything over, unless nothing may be written to the region any more."""
        upstream, ticket, request = self._upstream, self._ticket, self._request
        assert upstream is not None
        if self._drain_until is not None:
            self._fail(Fault.LOCK_CUT)
        elif ticket is not None and not self._gateway.directory.may_write(ticket):
            self._fail(Fault.LEASE_LOST)
        else:
            self._upstream = self._ticket = None
            request.status = self._answer.head.status
            out = self._gateway.answer_head(request, self._proxy, self._answer.head, closes=False)
            tunnel = request.exchange = Tunnel(self._gateway, request, upstream, ticket)
            tunnel.begin(out, self._answer.take_rest())

    def _refuse_switch(self, _: object) -> None:
        self._fail(Fault.PROTOCOL_ERROR)

    def _hold_back(self, _: object) -> None:
        upstream, hold = self._upstream, self._disputed()
        assert upstream is not None
        assert hold is not None
        upstream.pause()
        self._gateway.ask_again(self, hold)

    def _hold_for_key(self, _: object) -> None:
        upstream = self._upstream
        assert upstream is not None
        upstream.pause()
        self._gateway.ask_for_key(self, self._request)

    def _keep_end(self, fault: Fault | None) -> None:
        self._kept_end = (Event.ANSWERED if fault is None else Event.REGION_FAULT, fault)

    def _relay_held(self, _: object) -> None:
        if self._upstream is not None and not self._request.client.full:
            self._upstream.resume()
        self._relay_head(None)
        if self._kept_end is not None:
            self._fire(*self._kept_end)

    def _reroute(self, _: object) -> None:
        request = self._request
        request.retried = True
        self._abort_upstream()
        self._gateway.walk_again(request)

    def _relay_piece(self, data: bytes) -> None:
        self._relay(b"", data)

    def _relay(self, out: bytes, data: bytes) -> None:
        """Write `out` and the payload in `data` to the client, and see whether the answer is whole."""
        answer, client = self._answer, self._request.client
        try:
            payload = answer.read_body(data) if data else b""
        except BadBodyError:
            client.write(out)
            self._fire(Event.REGION_FAULT, Fault.PROTOCOL_ERROR)
            return
        if answer.head.body == CHUNKED and self._request.admitted.head.minor == 1:
            payload = chunk(payload) + self._last_chunk() if answer.body.done else chunk(payload)
        if len(out) + len(payload) <= JOIN_BELOW:
            client.write(out + payload)
        else:
            client.write(out)
            client.write(payload)
        if answer.body.done:
            self._fire(_ANSWERED)

    def _finish(self, _: object) -> None:
        upstream, self._upstream = self._upstream, None
        assert upstream is not None
        if self._answer.persistent and upstream.usable:
            self._leave_ledger()
            self._pool.release(upstream, self._gateway.now)
        else:
            # Bytes behind the answer are nobody's: it was whole and is passed on, the connection is not used again.
            upstream.abort(self._leave_ledger)
        self._end(None)
        self._request.client.finished(persistent=self._persistent, upload_done=True)

    def _finish_early(self, _: object) -> None:
        self._abort_upstream()
        self._end(None)
        self._request.client.finished(persistent=False, upload_done=False)

    def _decide_again(self, _: object) -> None:
        self._pool.withdraw(self)
        self._leave_ledger()
        self._gateway.walk_again(self._request)

    def _arm_drain(self, _: object) -> None:
        if self._drain_until is None:
            self._drain_until = self._gateway.now + self._gateway.options.lock_drain_timeout

    def _retry_or_fail(self, fault: Fault) -> None:
        upstream, request = self._upstream, self._request
        reused = upstream is not None and upstream.reused
        if reused and not request.retried and not self._answer.spoken and self._is_repeatable():
            request.retried = True
            self._abort_upstream(fault)
            self._gateway.walk_again(request)
        else:
            self._fail(fault)

    def _fail(self, fault: Fault) -> None:
        self._pool.withdraw(self)
        self._abort_upstream(fault)
        self._end(fault, record=False)
        self._gateway.answer_fault(self._request, fault)

    def _cut(self, fault: Fault) -> None:
        self._abort_upstream(fault)
        self._end(fault)
        self._request.client.cut(reset=fault is Fault.CLIENT_STALLED or not self._shows_its_end())

    def _leave(self, fault: Fault) -> None:
        self._pool.withdraw(self)
        self._abort_upstream(fault)
        self._end(fault)

    def _last_chunk(self) -> bytes:
        """The answer's end. Trailers are dropped for a client that has not said that it takes any (RFC 9110 §6.5.1)."""
        trailers = self._answer.body.trailers
        return last_chunk(trailers) if trailers and self._request.admitted.takes_trailers else LAST_CHUNK

    # --- another region's

    def _disputed(self) -> ledger.Hold | None:
        """The placement that this exchange was decided on, by its name and version; an absence is one too."""
        holds = self._ticket.holds if self._ticket is not None else ()
        return next((hold for hold in holds if hold[0].kind is Kind.WORKSPACE), None)

    # --- endings

    def _shows_its_end(self) -> bool:
        """Whether the client can tell a short answer from a whole one by its framing, and so where the next begins."""
        framing = self._answer.head.body
        return framing != UNTIL_CLOSE and (framing != CHUNKED or self._request.admitted.head.minor == 1)

    def _is_repeatable(self) -> bool:
        """Whether nothing can be executed twice that must not be (RFC 9110 §9.2.2), and nothing of it is lost."""
        admitted = self._request.admitted
        return admitted.body == 0 and admitted.head.method in IDEMPOTENT

    def _abort_upstream(self, fault: Fault | None = None) -> None:
        """Reset the region's connection. The request leaves the ledger only when its write side is gone.

        `fault` is why there is no whole answer, if that is so: a transfer may have to know of it.
        """
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            if fault is not None and self._ticket is not None:
                request_id, region = self._request.request_id, self._proxy.region
                self._gateway.directory.unanswered.note(self._ticket.holds, request_id, region, fault)
            upstream.abort(self._leave_ledger)
        else:
            self._leave_ledger()

    def _leave_ledger(self) -> None:
        ticket, self._ticket = self._ticket, None
        if ticket is not None:
            self._gateway.directory.ledger.leave(ticket)

    def _break_down(self) -> None:
        """A bug of ours: nothing of this exchange may stay behind, and nobody may take its answer for whole."""
        request = self._request
        self.state = State.OVER
        self._pool.withdraw(self)
        self._abort_upstream(Fault.INTERNAL)
        if request.exchange is self:
            self._end(Fault.INTERNAL, record=False)
        if not self._answer.begun:
            self._gateway.break_down(request.client)
            return
        _log.exception("request %s broke down", request.request_id.decode("ascii"))
        request.client.abort(Fault.INTERNAL)
        self._gateway.end(request)

    def _end(self, fault: Fault | None, *, record: bool = True) -> None:
        """The one way out."""
        request = self._request
        request.exchange = None
        request.fault = fault
        self._gateway.exchange_ended(self._proxy.region)
        if record:
            self._gateway.end(request)


STEPS: Final[dict[Step, Callable[[Steps, Any], None]]] = {
    Step.IGNORE: Steps._ignore,
    Step.IMPOSSIBLE: Steps._impossible,
    Step.SEND_HEAD: Steps._send_head,
    Step.SEND_PIECE: Steps._send_piece,
    Step.AWAIT_ANSWER: Steps._await_answer,
    Step.RELAY_HEAD: Steps._relay_head,
    Step.OPEN_TUNNEL: Steps._open_tunnel,
    Step.REFUSE_SWITCH: Steps._refuse_switch,
    Step.HOLD_BACK: Steps._hold_back,
    Step.HOLD_FOR_KEY: Steps._hold_for_key,
    Step.KEEP_END: Steps._keep_end,
    Step.RELAY_HELD: Steps._relay_held,
    Step.REROUTE: Steps._reroute,
    Step.RELAY_PIECE: Steps._relay_piece,
    Step.FINISH: Steps._finish,
    Step.FINISH_EARLY: Steps._finish_early,
    Step.DECIDE_AGAIN: Steps._decide_again,
    Step.ARM_DRAIN: Steps._arm_drain,
    Step.RETRY_OR_FAIL: Steps._retry_or_fail,
    Step.FAIL: Steps._fail,
    Step.CUT: Steps._cut,
    Step.LEAVE: Steps._leave,
}
