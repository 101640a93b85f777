"""Where the closer look at a request goes: to the access log, to the traces, or both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily

from router.telemetry.catalogue import ACCESS_LOG_DROPPED, SPANS_DROPPED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from router.model.record import Details, Record
    from router.telemetry.access_log import AccessLog
    from router.telemetry.tracing import Tracing


class Reports:
    """Hands on what it is told; a collector of what could not be handed on."""

    def __init__(self, access_log: AccessLog, tracing: Tracing | None) -> None:
        self._access_log = access_log
        self._tracing = tracing

    def report(self, record: Record, details: Details) -> None:
        """A request has ended that is logged, or traced."""
        if details.logged:
            self._access_log.write(record, details)
        measures = details.measures
        if self._tracing is not None and measures is not None and measures.trace is not None:
            self._tracing.write(record, details, measures, measures.trace)

    def collect(self) -> Iterator[Metric]:
        """Every metric of the room: the library calls this for each scrape."""
        yield CounterMetricFamily(ACCESS_LOG_DROPPED.name, ACCESS_LOG_DROPPED.meaning, self._access_log.dropped)
        lost = 0 if self._tracing is None else self._tracing.dropped
        yield CounterMetricFamily(SPANS_DROPPED.name, SPANS_DROPPED.meaning, lost)
