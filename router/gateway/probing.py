"""Probing: which requests are looked at closely, and what is told of them when they have ended.

Theory. A line for every request costs more than the request, so most are only counted. The few that are looked at get a
`Probe`, when they come: what has to be measured on the way is measured for those alone (`router.gateway.probed`). Which
ones is a matter of the request's id and nothing else, so that every gateway that sees an id, and everybody who reads
about it, comes to the same verdict. A request that fails by our fault or its region's is told of whether it was looked
at or not, with what is known of every request.

The law of the room: nothing of a request but its method and its id leaves it as the client wrote it.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final
from zlib import crc32

from router.gateway.trace_context import draw_span, draw_trace_id, read_parent, samples
from router.model.fault import Side
from router.model.placement import Kind
from router.model.record import Attempt, Details, Measures, Trace
from router.routing.naming import name_route

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.directory.ledger import Hold
    from router.gateway.options import GatewayOptions
    from router.gateway.ports import Reporter
    from router.gateway.request import Request
    from router.model.record import Record
    from router.routing.table import RoutingTable
    from router.routing.values import RequestHead

_ALL: Final = 1 << 32


class Pass:
    """One attempt under way. Times are `monotonic` ones."""

    __slots__ = ("answered", "began", "connected", "region", "span")

    def __init__(self, region: str, span: int) -> None:
        self.region = region
        self.span = span
        self.began = monotonic()
        self.connected: float | None = None
        self.answered: float | None = None


class Probe:
    """What is measured of one request. `received`, `sent`: the bytes of its client's side so far, its head included."""

    __slots__ = ("decided", "logged", "passes", "received", "sent", "started", "trace")

    def __init__(self, *, logged: bool, trace: Trace | None, received: int) -> None:
        self.logged = logged
        self.trace = trace
        self.received = received
        self.sent = 0
        self.started = monotonic()
        self.decided: float | None = None
        self.passes: list[Pass] = []

    def decide(self) -> None:
        """It is clear what is done with the request. Only the first time counts."""
        if self.decided is None:
            self.decided = monotonic()

    def begin(self, region: str) -> Pass:
        """It goes out to `region`."""
        self.decide()
        begun = Pass(region, 0 if self.trace is None else draw_span())
        self.passes.append(begun)
        return begun

    def measures(self, unread: int) -> Measures:
        """All of it, now that the request has ended. `unread`: what has come of the next one already."""
        started = self.started
        total = monotonic() - started
        ends = [*(each.began - started for each in self.passes[1:]), total]
        attempts = tuple(
            Attempt(
                each.region,
                each.span,
                each.began - started,
                None if each.connected is None else each.connected - started,
                None if each.answered is None else each.answered - started,
                end,
            )
            for each, end in zip(self.passes, ends, strict=False)
        )
        decided = None if self.decided is None else self.decided - started
        return Measures(self.received - unread, self.sent, decided, total, attempts, self.trace)


class Prober:
    """Chooses, by `options`, and tells `reporter`. `wall` gives seconds since 1970."""

    def __init__(
        self, table: RoutingTable, options: GatewayOptions, reporter: Reporter, wall: Callable[[], float]
    ) -> None:
        self._table = table
        self._reporter = reporter
        self._wall = wall
        log, trace = options.log_sample, options.trace_sample
        self._logs = log is not None
        self._logged_below = 0 if log is None else round(log * _ALL)
        self._traces = trace is not None
        self._traced_share = trace or 0.0

    def look(self, request: Request) -> None:
        """A request has come: give it a probe if it is one of the few."""
        logged = crc32(request.request_id) < self._logged_below
        trace = self._find_trace(request) if self._traces else None
        if logged or trace is not None:
            client = request.client
            received = len(request.admitted.block) + client.unread
            request.probe = client.probe = Probe(logged=logged, trace=trace, received=received)

    def report(self, request: Request, record: Record) -> None:
        """It has ended."""
        probe = request.probe
        logged = self._logs and (is_failure(record) or (probe is not None and probe.logged))
        if probe is None and not logged:
            return
        client = request.client
        client.probe = None
        measures = None if probe is None else probe.measures(client.unread)
        self._tell(record, request.request_id, request.admitted.head, request.holds, measures, logged=logged)

    def report_refused(self, request_id: bytes, record: Record) -> None:
        """A head was not admitted."""
        if self._logs and (is_failure(record) or crc32(request_id) < self._logged_below):
            self._tell(record, request_id, None, (), None, logged=True)

    def _tell(
        self,
        record: Record,
        request_id: bytes,
        head: RequestHead | None,
        holds: tuple[Hold, ...],
        measures: Measures | None,
        *,
        logged: bool,
    ) -> None:
        service, route = ("", "") if head is None else name_route(head, self._table)
        workspace: str | None = None
        epoch: int | None = None
        for entry, version in holds:
            if entry.kind is Kind.WORKSPACE:
                workspace, epoch = entry.name, version.number
        told = Details(request_id.decode("ascii"), service, route, workspace, epoch, self._wall(), logged, measures)
        self._reporter.report(record, told)

    def _find_trace(self, request: Request) -> Trace | None:
        parent = read_parent(request.admitted.kept)
        trace_id = draw_trace_id() if parent is None else parent.trace_id
        if not samples(trace_id, parent, self._traced_share, trusted=request.client.peer.trusted):
            return None
        return Trace(trace_id, draw_span(), 0 if parent is None else parent.span)


def is_failure(record: Record) -> bool:
    """Whether a request ended by our fault or its region's, without an answer of the region."""
    if record.fault is not None and record.fault.side is not Side.CLIENT:
        return True
    return record.status >= 500 and record.decision != "proxy"
