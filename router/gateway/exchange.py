"""An exchange: one request that is proxied, from its place in the ledger until nothing of it is left.

`router.gateway.exchange_table` is the theory and the table, `router.gateway.exchange_steps` what is done; this is what
happens. Everything is a callback: of the client's connection, of the region's, of the ledger, of the sweep. Each
callback fires one event; the table says what is done. A late callback finds `OVER`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from router.gateway.client import Hold
from router.gateway.exchange_steps import STEPS, UPLOADING, Steps
from router.gateway.exchange_table import TABLE, Event, State
from router.gateway.heads import BadAnswerError
from router.model.fault import Fault

if TYPE_CHECKING:
    from router.directory.ledger import Ticket
    from router.gateway.upstream import Upstream

_log = logging.getLogger(__name__)


class Exchange(Steps):
    """The interpreter. Made in the same synchronous step as its decision."""

    __slots__ = ()

    def begin(self, ticket: Ticket | None) -> None:
        """Ask for a connection. `ticket` is this exchange's place in the ledger, if its decision rests on anything."""
        self._ticket = ticket
        request = self._request
        # The first request of a client's connection can't be repeated by a client that does not know that it was a
        # reused one; what nothing can repeat gets a connection that has never been used.
        fresh = request.retried or (request.client.first and not self._is_repeatable())
        upstream = self._pool.acquire(self, self._gateway.now, fresh=fresh)
        if upstream is not None:
            self.connected(upstream)

    def _fire(self, event: Event, detail: Any = None) -> None:
        perform, self.state = _ROWS[self.state - 1][event - 1]
        try:
            perform(self, detail)
        except Exception:
            self._break_down()

    # --- what others call: each is one event

    def connected(self, upstream: Upstream) -> None:
        """See `router.gateway.pool.Waiter`."""
        self._upstream = upstream
        upstream.attach(self)
        if self._request.client.full:
            upstream.pause()
        self._fire(_CONNECTED)

    def not_connected(self, fault: Fault) -> None:
        """See `router.gateway.pool.Waiter`."""
        self._fire(Event.NOT_CONNECTED, fault)

    def upload(self, data: bytes) -> bytes:
        """Take the upload's bytes from `data`; what lies behind them is given back.

        A body that trickles does not move, so that the average over `body_idle_timeout` counts. Behind an early answer
        any byte will do: the two sides may be having a conversation.
        """
        now = self._gateway.now
        self._uploaded += len(data)
        owed = self._gateway.options.min_body_rate * (now - self._moved_at)
        if self._uploaded >= owed or self._waits_for_continue or self.state is State.CROSSING:
            self._moved_at, self._uploaded = now, 0
        payload, behind = self._read_upload(data)
        if payload:
            self._fire(Event.BODY_PIECE, payload)
        return behind

    def answer_received(self, data: bytes) -> None:
        """See `router.gateway.upstream.User`. A head moves by coming whole, not by each of its bytes."""
        if self._answer.begun:
            self._moved_at = self._gateway.now
            self._fire(Event.ANSWER_PIECE, data)
            return
        try:
            heads = self._answer.read_head(data)
        except BadAnswerError as error:
            _log.debug("request %s: bad answer: %s", self._request.request_id.decode("ascii"), error)
            self._fire(Event.REGION_FAULT, Fault.PROTOCOL_ERROR)
            return
        for head in heads:
            self._moved_at = self._gateway.now
            self._waits_for_continue = False
            if head is self._answer.head:
                self._fire(_ANSWER_HEAD if 200 <= head.status < 400 else self._name_head(head.status))
            else:
                self._relay_interim(head)

    def refreshed(self, *, moved: bool) -> None:
        """The directory has been asked; `moved`: the workspace has another placement now, which is not locked."""
        self._fire(Event.MOVED if moved else Event.STAYED)

    def region_finished(self) -> bool:
        """See `router.gateway.upstream.User`. What a region has ended it has closed."""
        return False

    def region_closed(self, clean: bool) -> None:
        """See `router.gateway.upstream.User`."""
        if not self._answer.begun:
            assert self._upstream is not None
            self._fire(Event.REGION_FAULT, self._upstream.fault)
        elif clean and self._answer.ends_with_connection:
            self._fire(Event.ANSWERED)
        else:
            self._fire(Event.REGION_FAULT, Fault.TRUNCATED)

    def region_drained(self) -> None:
        """See `router.gateway.upstream.User`."""
        self._moved_at = self._gateway.now
        if self._request.upload.done:
            self._fire(Event.UPLOADED)
        else:
            self._request.client.release(Hold.UPSTREAM_FULL)

    def client_full(self) -> None:
        """The client takes no more for now."""
        if self._upstream is not None:
            self._upstream.pause()

    def client_drained(self) -> None:
        """The client takes more again."""
        self._moved_at = self._gateway.now
        if self._upstream is not None and self.state is not State.HELD:
            self._upstream.resume()

    def client_finished(self) -> bool:
        """The client has closed its sending half. Whether it is still there: it counts as gone."""
        return False

    def drain(self) -> None:
        """The gateway shuts down: an exchange ends with its answer."""

    def client_gone(self) -> None:
        """The client's connection ended."""
        self._fire(Event.CLIENT_GONE, self._request.fault or Fault.CLIENT_GONE)

    def superseded(self) -> None:
        """See `router.directory.ledger.Holder`."""
        self._fire(Event.SUPERSEDED)

    def term_ended(self) -> None:
        """See `router.directory.ledger.Holder`."""
        self._fire(Event.TERM_ENDED, Fault.LEASE_LOST)

    def sweep(self, now: float) -> None:
        """Fire `EXPIRED` if nothing has moved for too long, or a lock has waited long enough for this exchange."""
        if self._drain_until is not None and now > self._drain_until:
            self._fire(Event.EXPIRED, Fault.LOCK_CUT)
            return
        limit, fault = self._limit()
        if now - self._moved_at > limit:
            self._fire(Event.EXPIRED, fault)

    def moved(self, now: float) -> None:
        """The client has read something of what waits for it."""
        self._moved_at = now

    def _limit(self) -> tuple[float, Fault]:
        """How long nothing may move in this state, and whose fault it is then."""
        options = self._gateway.options
        upstream = self._upstream
        if self.state is State.CONNECTING:
            # The pool limits a dial and a place in its queue. This is for what its arithmetic may have missed.
            return options.connect_timeout + options.pool_wait_timeout, Fault.POOL_FULL
        if self._request.client.full:
            return options.write_idle_timeout, Fault.CLIENT_STALLED
        if upstream is not None and upstream.full:
            return options.upstream_idle_timeout, Fault.BODY_TIMEOUT
        if self.state in {State.AWAITING, State.HELD} or self._waits_for_continue:
            return options.first_byte_timeout, Fault.ANSWER_TIMEOUT
        if self.state in UPLOADING:
            return options.body_idle_timeout, Fault.CLIENT_SLOW
        return options.upstream_idle_timeout, Fault.BODY_TIMEOUT

    def _name_head(self, status: int) -> Event:
        """What the final head of an answer that is no success and no redirect means."""
        if status == 101:
            return Event.SWITCHED
        request = self._request
        whole = self.state is State.AWAITING and request.kept is not None and not request.retried
        if whole and status in self._gateway.stale_statuses and self._disputed() is not None:
            return Event.DISOWNED
        if status == 401 and self.state is State.AWAITING and self._gateway.must_ask_for_key(request):
            return Event.KEY_REFUSED
        return Event.ANSWER_HEAD


_CONNECTED: Final = Event.CONNECTED
_ANSWER_HEAD: Final = Event.ANSWER_HEAD
_ROWS: Final = [
    [(STEPS[step], following) for step, following in (TABLE[state][event] for event in Event)] for state in State
]
"""The table with its steps looked up, as lists by number: every event of every request passes here."""
