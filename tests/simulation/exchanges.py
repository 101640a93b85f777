"""A request in a simulated gateway: the product's walk, table of states and upstream connection, without HTTP.

Which step follows an event in which state is the product's own table; the write check, the buffer behind it and the
reset are its upstream connection. Steps that only concern the client do nothing here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.directory.directory import DirectoryUnavailableError
from router.directory.locate import Found, Missing
from router.gateway.exchange_table import TABLE, Event, State, Step
from router.gateway.rerouting import ask_again
from router.model.fault import Fault
from router.model.placement import Kind
from router.routing.decide import decide
from router.routing.values import Locked, Proxy, RequestHead
from tests.simulation.sockets import dial
from tests.simulation.table import TABLE as ROUTING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from router.directory.ledger import Hold, Ticket
    from router.gateway.upstream import Upstream
    from router.model.region import RegionName
    from router.routing.values import Target
    from tests.simulation.processes import GatewayProcess
    from tests.simulation.sockets import KernelSocket

MAX_FETCHES: Final = 3
"""As the gateway's own walk has it."""

PIECE: Final = b"**"
"""Of two bytes, so that a kernel can take one of them."""

HEAD: Final = RequestHead("PUT", b"/v1/x", 1, "api.example", b"api.example", None)


class Request:
    """One client's request, from its arrival until `outcome` says how it ended for the client."""

    def __init__(self, name: str, target: Target, pieces: int, room: int, *, hung: bool) -> None:
        self.name = name
        self.target = target
        self.pieces = pieces
        self.room = room
        self.hung = hung
        """Its region neither reads nor answers."""
        self.gateway: GatewayProcess | None = None
        self.exchange: Exchange | None = None
        self.retried = False
        self.outcome: str | None = None

    def end(self, outcome: str) -> None:
        """The client was answered, or left."""
        if self.outcome is None:
            self.outcome = outcome


def walk(gateway: GatewayProcess, request: Request, fetched: int = 0) -> None:
    """Locate, decide, and enter the ledger, in one step."""
    directory = gateway.directory
    lookup = directory.locate(request.target, fetched=fetched > 0)
    if isinstance(lookup, Found):
        decision = decide(HEAD, request.target, lookup.located, ROUTING)
        gateway.world.watch_decision(gateway, request, lookup)
        if isinstance(decision, Proxy):
            exchange = request.exchange = Exchange(gateway, request, decision.region)
            exchange.begin(directory.ledger.enter(lookup.holds, exchange) if lookup.holds else None)
        else:
            request.end("423" if isinstance(decision, Locked) else "404")
    elif isinstance(lookup, Missing) and fetched < MAX_FETCHES:
        gateway.spawner.spawn(_fetch(gateway, request, lookup, fetched), "fetch")
    else:
        request.end("503")


async def _fetch(gateway: GatewayProcess, request: Request, missing: Missing, fetched: int) -> None:
    try:
        await gateway.directory.fetch(missing)
    except DirectoryUnavailableError:
        request.end("503")
    else:
        walk(gateway, request, fetched + 1)


class Exchange:
    """Implements `router.directory.ledger.Holder` and `router.gateway.upstream.User`."""

    def __init__(self, gateway: GatewayProcess, request: Request, region: RegionName) -> None:
        self.gateway = gateway
        self.request = request
        self.region = region
        self.state = State.CONNECTING
        self.ticket: Ticket | None = None
        self.holds: tuple[Hold, ...] = ()
        self.incarnation = gateway.directory.state.incarnation
        self.kernel: KernelSocket | None = None
        self.sent = 0
        self.executed = False
        self._upstream: Upstream | None = None
        self._draining = False

    # What happens to it

    def begin(self, ticket: Ticket | None) -> None:
        """It stands in the ledger, and waits for a connection."""
        self.ticket = ticket
        self.holds = () if ticket is None else ticket.holds

    def fire(self, event: Event) -> None:
        """One event: the step and the state that the table names."""
        step, self.state = TABLE[self.state][event]
        if step is Step.IMPOSSIBLE:
            self.gateway.world.violate(f"{event.name} came to {self.request.name} in a state that forbids it")
        _STEPS[step](self)

    def superseded(self) -> None:
        """See `Holder`."""
        self.fire(Event.SUPERSEDED)

    def term_ended(self) -> None:
        """See `Holder`."""
        self.fire(Event.TERM_ENDED)

    def refreshed(self, *, moved: bool) -> None:
        """See `router.gateway.rerouting.Disowned`."""
        if self.state is not State.HELD:
            return
        self.fire(Event.MOVED if moved else Event.STAYED)
        if not moved:
            self.fire(Event.ANSWERED)

    def connected(self) -> None:
        """The pool has a connection for it."""
        if self.state is State.CONNECTING:
            self.fire(Event.CONNECTED)

    def piece(self) -> None:
        """The client sends another piece of the body."""
        if self.takes_piece:
            self.fire(Event.BODY_PIECE)

    def writable(self) -> None:
        """The region has read, so that its connection's kernel has room again."""
        writer = None if self.kernel is None else self.gateway.loop.writers.get(self.kernel.fileno())
        if writer is not None:
            writer()

    def answered(self) -> None:
        """The region answers, all at once unless the answer disowns the workspace and is held back."""
        if self.state is not State.AWAITING:
            return
        hold = self.placement_held()
        if hold is not None and not self.request.retried and self.gateway.world.truth.disowns(self.region, hold[0]):
            self.fire(Event.DISOWNED)
        else:
            self.fire(Event.ANSWER_HEAD)
            self.fire(Event.ANSWERED)

    def may_write(self) -> bool:
        """See `router.gateway.upstream.User`."""
        if self.ticket is None or self.gateway.directory.may_write(self.ticket):
            return self.state is not State.OVER
        if self.state not in {State.OVER, State.AWAITING, State.DOWNLOADING}:
            self.fire(Event.TERM_ENDED)
        return False

    def region_drained(self) -> None:
        """See `router.gateway.upstream.User`."""
        self._maybe_uploaded()

    def answer_received(self, data: bytes) -> None:
        """See `router.gateway.upstream.User`. Answers come as `answer_head`."""

    def region_finished(self) -> bool:
        """See `router.gateway.upstream.User`."""
        return False

    def region_closed(self, clean: bool) -> None:
        """See `router.gateway.upstream.User`."""

    # What can be asked of it

    @property
    def takes_piece(self) -> bool:
        """Whether another piece of the client's would be read."""
        full = self._upstream is not None and self._upstream.full
        return self.state in {State.UPLOADING, State.CROSSING} and self.sent < self.request.pieces and not full

    def placement_held(self) -> Hold | None:
        """The placement that it was decided on."""
        holds = self.ticket.holds if self.ticket is not None else ()
        return next((hold for hold in holds if hold[0].kind is Kind.WORKSPACE), None)

    # The steps

    def _send_head(self) -> None:
        self._upstream, self.kernel = dial(self.gateway.loop, self.request.room, self._written)
        self._upstream.attach(self)
        self._send_piece()

    def _send_piece(self) -> None:
        upstream = self._upstream
        if upstream is None or not self.may_write():
            return
        self.sent += 1
        upstream.send(PIECE)
        self._maybe_uploaded()

    def _maybe_uploaded(self) -> None:
        whole = self.sent == self.request.pieces and self._upstream is not None and not self._upstream.full
        if whole and self.state in {State.UPLOADING, State.CROSSING}:
            self.fire(Event.UPLOADED)

    def _written(self, size: int) -> None:
        self.gateway.world.watch_write(self)

    def _hold_back(self) -> None:
        hold = self.placement_held()
        assert hold is not None
        self.gateway.spawner.spawn(ask_again(self.gateway.directory, self, hold), "refresh")

    def _reroute(self) -> None:
        self.request.retried = True
        self._abort()
        walk(self.gateway, self.request)

    def _decide_again(self) -> None:
        self._leave_ledger()
        walk(self.gateway, self.request)

    def _arm_drain(self) -> None:
        if not self._draining:
            self._draining = True
            self.gateway.spawner.spawn(self._cut_late(), "drain")

    async def _cut_late(self) -> None:
        await self.gateway.clock.sleep(self.gateway.lock_drain_timeout)
        self.fire(Event.EXPIRED)

    def _finish(self) -> None:
        self._abort()
        self.request.end("answered")

    def _fail(self) -> None:
        if self._upstream is not None and self.ticket is not None:
            name, fault = self.request.name.encode("ascii"), Fault.LOCK_CUT
            self.gateway.directory.unanswered.note(self.ticket.holds, name, self.region, fault)
            self.gateway.world.truth.note_end(self)
        self._abort()
        self.request.end("cut")

    def _abort(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is None:
            self._leave_ledger()
        else:
            upstream.abort(self._leave_ledger)

    def _leave_ledger(self) -> None:
        ticket, self.ticket = self.ticket, None
        if ticket is not None:
            self.gateway.directory.ledger.leave(ticket)

    def _nothing(self) -> None:
        pass


_STEPS: Final[Mapping[Step, Callable[[Exchange], Any]]] = {
    **dict.fromkeys(Step, Exchange._nothing),
    Step.SEND_HEAD: Exchange._send_head,
    Step.SEND_PIECE: Exchange._send_piece,
    Step.HOLD_BACK: Exchange._hold_back,
    Step.REROUTE: Exchange._reroute,
    Step.DECIDE_AGAIN: Exchange._decide_again,
    Step.ARM_DRAIN: Exchange._arm_drain,
    Step.FINISH: Exchange._finish,
    Step.FINISH_EARLY: Exchange._finish,
    **dict.fromkeys((Step.FAIL, Step.CUT, Step.LEAVE, Step.RETRY_OR_FAIL, Step.REFUSE_SWITCH), Exchange._fail),
}
