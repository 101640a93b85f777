"""Tracing: what was measured of a request, as spans for an OpenTelemetry collector.

Theory. The gateway decides which requests are traced and gives them their numbers (`router.gateway.trace_context`), so
that nothing of OpenTelemetry is on the path of a request. When one has ended its spans are made, all at once, and
handed to the SDK's processor, whose thread sends them in batches (OTLP over HTTP). What is under way there is bounded:
spans that find it full are dropped, and counted, as are those that the collector does not take.

    request (server) ── the whole of it; its parent is the caller's span
    ├── walk (internal) ── until it was clear what is done with it
    └── call (client) ── each attempt to have a region answer; the region's parent

The law of the room: attributes are made of the values of `router.model.record` alone. This module comes with the extra
`otel`: whoever does not trace need not have it, so it is imported where tracing is asked for.
"""

from __future__ import annotations

import asyncio
from threading import Thread
from typing import TYPE_CHECKING, Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from router import __version__
from router.model.fault import Side

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from router.model.record import Attempt, Details, Measures, Record, Trace

WAITING: Final = 8192
"""Spans that may be on their way to the collector."""
BATCH: Final = 512
SEND_MILLISECONDS: Final = 1000.0
"""Between two batches that are not full."""
EXPORT_SECONDS: Final = 5.0
"""One batch, repetitions included."""
CLOSE_SECONDS: Final = 3.0
"""How long the end of the process waits for a collector that takes nothing."""

_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_IDS: Final = RandomIdGenerator()
_FAILED: Final = Status(StatusCode.ERROR)
_UNSET: Final = Status(StatusCode.UNSET)


class Counting(SpanExporter):
    """Counts what `exporter` is done with: `settled` spans in all, of which `lost` ones did not arrive."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self.settled = 0
        self.lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See `SpanExporter`."""
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            self.settled += len(spans)
            if result is not SpanExportResult.SUCCESS:
                self.lost += len(spans)
        return result

    def shutdown(self) -> None:
        """See `SpanExporter`."""
        self._exporter.shutdown()


class Tracing:
    """Makes spans and has them sent by `exporter`. `name`, `instance`: who we are in the traces."""

    def __init__(
        self, exporter: SpanExporter, *, name: str, instance: str, waiting: int = WAITING, shows_workspace: bool
    ) -> None:
        self._exporter = Counting(exporter)
        self._waiting = waiting
        self._shows_workspace = shows_workspace
        self._handed = 0
        self._crowded_out = 0
        self._resource = Resource.create(
            {"service.name": name, "service.version": __version__, "service.instance.id": instance}
        )
        self._scope = InstrumentationScope("region-router", __version__)
        # The queue is never the limit: ours is, which counts.
        self._processor = BatchSpanProcessor(
            self._exporter,
            max_queue_size=waiting + BATCH,
            schedule_delay_millis=SEND_MILLISECONDS,
            max_export_batch_size=BATCH,
        )

    @property
    def dropped(self) -> int:
        """Spans that did not get to the collector."""
        return self._crowded_out + self._exporter.lost

    def write(self, record: Record, details: Details, measures: Measures, trace: Trace) -> None:
        """Hand on the spans of one request. Never blocks."""
        spans = self._spans(record, details, measures, trace)
        if self._handed - self._exporter.settled + len(spans) > self._waiting:
            self._crowded_out += len(spans)
            return
        self._handed += len(spans)
        for span in spans:
            self._processor.on_end(span)

    async def close(self) -> None:
        """Send what waits, for `CLOSE_SECONDS` at most."""
        ending = Thread(target=self._processor.shutdown, name="the end of tracing", daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, CLOSE_SECONDS)
        # Ends the pause before a repetition, if it is in one.
        self._exporter.shutdown()

    def _spans(self, record: Record, details: Details, measures: Measures, trace: Trace) -> list[ReadableSpan]:
        start = details.ended - measures.total
        own = _context(trace.trace_id, trace.span)
        calls = [
            self._call_span(record, own, (start, attempt), number, last=number == len(measures.attempts))
            for number, attempt in enumerate(measures.attempts, start=1)
        ]
        return [
            self._request_span(record, details, measures, trace, start),
            self._span(
                "walk",
                _context(trace.trace_id, _IDS.generate_span_id()),
                own,
                (start, start + (measures.total if measures.decided is None else measures.decided)),
                {"router.lookup": str(record.source)},
            ),
            *calls,
        ]

    def _request_span(
        self, record: Record, details: Details, measures: Measures, trace: Trace, start: float
    ) -> ReadableSpan:
        attributes: dict[str, str | int] = {
            "http.request.method": record.method,
            "router.request_id": details.request_id,
            "router.decision": record.decision,
            "router.bytes_in": measures.bytes_in,
            "router.bytes_out": measures.bytes_out,
        }
        optional: dict[str, str | int | None] = {
            "http.route": details.route,
            "http.response.status_code": record.status,
            "router.service": details.service,
            "router.region": record.region,
            "router.epoch": details.epoch,
            "router.workspace": details.workspace if self._shows_workspace else None,
            "error.type": None if record.fault is None else record.fault.label,
        }
        attributes |= {name: value for name, value in optional.items() if value}
        failed = (record.fault is not None and record.fault.side is not Side.CLIENT) or record.status >= 500
        return self._span(
            f"{record.method} {details.route}".rstrip(),
            _context(trace.trace_id, trace.span),
            _context(trace.trace_id, trace.parent, remote=True) if trace.parent else None,
            (start, start + measures.total),
            attributes,
            kind=SpanKind.SERVER,
            failed=failed,
        )

    def _call_span(
        self, record: Record, parent: SpanContext, when: tuple[float, Attempt], number: int, *, last: bool
    ) -> ReadableSpan:
        """The span of attempt `number`. `when`: the request's start, and the attempt, which counts from there."""
        start, attempt = when
        attributes: dict[str, str | int] = {"http.request.method": record.method, "router.region": attempt.region}
        if number > 1:
            attributes["http.request.resend_count"] = number - 1
        if last and record.fault is not None:
            attributes["error.type"] = record.fault.label
        elif last and attempt.answered is not None and record.decision == "proxy":
            attributes["http.response.status_code"] = record.status
        events = [
            Event(name, timestamp=_nanoseconds(start + at))
            for name, at in (("connected", attempt.connected), ("first byte", attempt.answered))
            if at is not None
        ]
        return self._span(
            record.method,
            _context(parent.trace_id, attempt.span),
            parent,
            (start + attempt.began, start + attempt.ended),
            attributes,
            kind=SpanKind.CLIENT,
            events=events,
            # One that is followed by another has got no answer that was passed on.
            failed=not last or record.fault is not None or record.status >= 400,
        )

    def _span(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        times: tuple[float, float],
        attributes: Mapping[str, str | int],
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        events: Sequence[Event] = (),
        failed: bool = False,
    ) -> ReadableSpan:
        return ReadableSpan(
            name,
            context,
            parent,
            self._resource,
            attributes,
            events,
            kind=kind,
            status=_FAILED if failed else _UNSET,
            start_time=_nanoseconds(times[0]),
            end_time=_nanoseconds(times[1]),
            instrumentation_scope=self._scope,
        )


def open_tracing(endpoint: str, *, name: str, instance: str, shows_workspace: bool) -> Tracing:
    """Tracing to the collector at the URL `endpoint`. Fields that it wants, such as a token, come from the variables
    of OpenTelemetry (`OTEL_EXPORTER_OTLP_HEADERS`), which no file shows.
    """
    exporter = OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_SECONDS)
    return Tracing(exporter, name=name, instance=instance, shows_workspace=shows_workspace)


def _context(trace_id: int, span: int, *, remote: bool = False) -> SpanContext:
    return SpanContext(trace_id, span, remote, _SAMPLED)


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
