"""Counts what the walk's records say, and shows it to Prometheus.

Theory. Counting happens at the end of every request, showing every few seconds, so all the work that a metrics library
does per observation (finding the child of a label set, its lock) is moved to the scrape. A request costs one tuple, one
dictionary look-up and a few additions on plain numbers; the label texts are made when somebody asks. Counting and
showing both run on the event loop's thread, each in one synchronous step: there is nothing to lock, and every scrape
is one consistent snapshot.

The law of the room: what was counted is found by the raw values of the record, and only values of the closed sets are
kept. Everything else takes the slow path through `_fold`, each time, and is counted under `none` or `other`.
"""

from __future__ import annotations

import platform
from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Final, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.utils import floatToGoString

from router import __version__
from router.model.fault import Fault, Side
from router.routing.values import Source
from router.telemetry.catalogue import (
    BUILD_INFO,
    CACHE_ENTRIES,
    DURATION,
    FAULTS,
    FEED_LAG,
    IN_FLIGHT,
    LOOKUPS,
    OBSERVED,
    REQUESTS,
    TURNED_AWAY,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.core import Metric

    from router.model.record import Record

NONE: Final = "none"
"""The region label of a request for which no region was found."""
OTHER: Final = "other"
"""The label of a method, decision or status outside its closed set."""

DECISIONS: Final = ("proxy", "redirect", "locked", "refuse")
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE")
SOURCES: Final = tuple(source for source in Source if source is not Source.NONE)
"""A request that names nothing to look up is no lookup: counting it would spoil every hit ratio."""
COUNTED_FAULTS: Final = tuple(fault for fault in Fault if fault.side is not Side.CLIENT)

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds in seconds: from what the router alone costs to the default deadline of a region's first byte."""

EXPECTED_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
EXPECTED_STATUSES: Final = (
    ("proxy", (200, 502, 503, 504)),
    ("redirect", (307,)),
    ("locked", (423,)),
)
EXPECTED_REFUSALS: Final = (400, 404, 421, 503)
"""What is shown as 0 before it has happened: a series that is born at 1 hides its first event from `rate()`, so
the answers that alerts are about are there from the start. The rest appears with its first request."""

_NO_REGION: Final = ""
_ODD_STATUS: Final = -1


class DirectoryGauges(Protocol):
    """What the cached directory lets a scrape read."""

    @property
    def cache_entries(self) -> int:
        """Entries in the cache, those of other kinds and of absences included."""

    @property
    def feed_lag(self) -> float:
        """Seconds since the feed was last followed to its head, or since the start if it never was."""


class _Durations:
    """One histogram: `counts` per bucket, not yet cumulative, the last one beyond every bound; `total` in seconds."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0


class _Requests:
    """One counter, and the histogram that its requests are timed in."""

    __slots__ = ("count", "durations")

    def __init__(self, durations: _Durations) -> None:
        self.count = 0
        self.durations = durations


class Metrics:
    """The counters of one process. `registry` is its own, never the library's global one.

    `regions` are the configured names; `gauges` is read at each scrape.
    """

    def __init__(self, regions: Iterable[str], gauges: DirectoryGauges) -> None:
        self._regions = tuple(regions)
        self._gauges = gauges
        self._in_flight = dict.fromkeys((*self._regions, _NO_REGION), 0)
        self._turned_away = 0
        self._observed: dict[tuple[str, str, str], int] = {}
        self._lookups: dict[str, int] = dict.fromkeys(SOURCES, 0)
        self._faults = {(region, fault): 0 for region in self._in_flight for fault in COUNTED_FAULTS}
        self._durations = {(region, decision): _Durations() for region in self._in_flight for decision in DECISIONS}
        self._requests: dict[tuple[str, str, str, int], _Requests] = {}
        self._expect()
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def adopt(self, regions: Iterable[str]) -> None:
        """Count for these regions too. What was counted for others stays, as counters do."""
        for region in regions:
            if region not in self._in_flight:
                self._regions = (*self._regions, region)
                self._in_flight[region] = 0
                self._faults |= {(region, fault): 0 for fault in COUNTED_FAULTS}
                self._durations |= {(region, decision): _Durations() for decision in DECISIONS}
        self._expect()

    def record(self, record: Record) -> None:
        """Count one request that has ended."""
        region, decision, method, status, duration, source, fault = record
        requests = self._requests.get((region, decision, method, status)) or self._fold(
            region, decision, method, status
        )
        requests.count += 1
        durations = requests.durations
        durations.counts[bisect_left(BUCKETS, duration)] += 1
        durations.total += duration
        if source in self._lookups:
            self._lookups[source] += 1
        if fault is not None and fault.side is not Side.CLIENT:
            self._faults[region if region in self._in_flight else _NO_REGION, fault] += 1

    def turned_away(self) -> None:
        """A connection was reset at once, because its client has as many as it may."""
        self._turned_away += 1

    def observed(self, seen: tuple[str, str, str]) -> None:
        """A request went home; `seen` is what would have been done: the region, the decision, the problem."""
        region, decision, problem = seen
        place = (region if region in self._in_flight else _NO_REGION, decision, problem)
        self._observed[place] = self._observed.get(place, 0) + 1

    def entered(self, region: str) -> None:
        """One more request is in flight; `region` as its record will have it."""
        self._in_flight[region if region in self._in_flight else _NO_REGION] += 1

    def left(self, region: str) -> None:
        """A request that had `entered(region)` has ended."""
        self._in_flight[region if region in self._in_flight else _NO_REGION] -= 1

    def collect(self) -> Iterator[Metric]:
        """Every metric of the catalogue, in its order: the library calls this for each scrape."""
        yield self._show_requests()
        yield self._show_durations()
        in_flight = GaugeMetricFamily(IN_FLIGHT.name, IN_FLIGHT.meaning, labels=IN_FLIGHT.labels)
        for region, number in self._in_flight.items():
            in_flight.add_metric((region or NONE,), number)
        yield in_flight
        turned_away = CounterMetricFamily(TURNED_AWAY.name, TURNED_AWAY.meaning)
        turned_away.add_metric((), self._turned_away)
        yield turned_away
        observed = CounterMetricFamily(OBSERVED.name, OBSERVED.meaning, labels=OBSERVED.labels)
        for (region, decision, problem), number in self._observed.items():
            observed.add_metric((region or NONE, decision, problem or NONE), number)
        yield observed
        lookups = CounterMetricFamily(LOOKUPS.name, LOOKUPS.meaning, labels=LOOKUPS.labels)
        for source, number in self._lookups.items():
            lookups.add_metric((source,), number)
        yield lookups
        yield GaugeMetricFamily(CACHE_ENTRIES.name, CACHE_ENTRIES.meaning, self._gauges.cache_entries)
        yield GaugeMetricFamily(FEED_LAG.name, FEED_LAG.meaning, self._gauges.feed_lag)
        faults = CounterMetricFamily(FAULTS.name, FAULTS.meaning, labels=FAULTS.labels)
        for (region, fault), number in self._faults.items():
            faults.add_metric((region or NONE, fault.label), number)
        yield faults
        build = {"version": __version__, "python": platform.python_version()}
        yield InfoMetricFamily(BUILD_INFO.name.removesuffix("_info"), BUILD_INFO.meaning, build)

    def _show_requests(self) -> Metric:
        family = CounterMetricFamily(REQUESTS.name, REQUESTS.meaning, labels=REQUESTS.labels)
        for (region, decision, method, status), requests in self._requests.items():
            code = OTHER if status == _ODD_STATUS else str(status)
            family.add_metric((region or NONE, decision, method, code), requests.count)
        return family

    def _show_durations(self) -> Metric:
        bounds = [*map(floatToGoString, BUCKETS), "+Inf"]
        family = HistogramMetricFamily(DURATION.name, DURATION.meaning, labels=DURATION.labels)
        for (region, decision), durations in self._durations.items():
            buckets = list(zip(bounds, accumulate(durations.counts), strict=True))
            family.add_metric((region or NONE, decision), buckets, durations.total)
        return family

    def _expect(self) -> None:
        # A head that could not be read has no method, so that refusals alone are expected of `other`.
        for method in (*EXPECTED_METHODS, OTHER):
            for status in EXPECTED_REFUSALS:
                self._fold(_NO_REGION, "refuse", method, status)
        for method in EXPECTED_METHODS:
            for region in self._regions:
                for decision, statuses in EXPECTED_STATUSES:
                    for status in statuses:
                        self._fold(region, decision, method, status)

    def _fold(self, region: str, decision: str, method: str, status: int) -> _Requests:
        """The counter of these values, each one that is outside its closed set folded; made if it is the first."""
        place = (region if region in self._in_flight else _NO_REGION, decision if decision in DECISIONS else OTHER)
        known = status == 0 or 100 <= status <= 599
        key = (*place, method if method in METHODS else OTHER, status if known else _ODD_STATUS)
        requests = self._requests.get(key)
        if requests is None:
            # How long a tunnel lasts is its client's choice: it would only hide how long answers take.
            shown = self._durations.setdefault(place, _Durations()) if status != 101 else _Durations()
            requests = self._requests[key] = _Requests(shown)
        return requests
