"""How the directory, this gateway's trust in it and the transfers stand: read at each scrape, counted nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from router.telemetry.catalogue import (
    BARRIER_WAITING,
    DIRECTORY,
    GATEWAYS,
    GENERATION,
    LEASE_LEFT,
    LOOKUP_FAILURES,
    QUARANTINE,
    RENEWAL_FAILURES,
    TERMS_ENDED,
    TRANSFERS,
    UNANSWERED,
    UNANSWERED_FORGOTTEN,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.core import Metric

    from router.telemetry.catalogue import MetricSpec

Reading: TypeAlias = "float | Mapping[str, int]"
"""One number, or one for each value of the only label."""


@dataclass(frozen=True, slots=True)
class DirectoryNumbers:
    """One reading, in the order and the words of the catalogue."""

    lease_left: float = 0.0
    terms_ended: Mapping[str, int] = field(default_factory=dict)
    renewal_failures: int = 0
    lookup_failures: Mapping[str, int] = field(default_factory=dict)
    generation: int = 0
    quarantine: float = 0.0
    gateways: int = 0
    transfers: Mapping[str, int] = field(default_factory=dict)
    barrier_waiting: int = 0
    unanswered: int = 0
    unanswered_forgotten: int = 0


class DirectoryMetrics:
    """A collector. `read` is called for each scrape, on the event loop's thread."""

    def __init__(self, read: Callable[[], DirectoryNumbers]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Every metric of `DIRECTORY`, in its order."""
        numbers = self._read()
        readings: dict[MetricSpec, Reading] = {
            LEASE_LEFT: numbers.lease_left,
            TERMS_ENDED: numbers.terms_ended,
            RENEWAL_FAILURES: numbers.renewal_failures,
            LOOKUP_FAILURES: numbers.lookup_failures,
            GENERATION: numbers.generation,
            QUARANTINE: numbers.quarantine,
            GATEWAYS: numbers.gateways,
            TRANSFERS: numbers.transfers,
            BARRIER_WAITING: numbers.barrier_waiting,
            UNANSWERED: numbers.unanswered,
            UNANSWERED_FORGOTTEN: numbers.unanswered_forgotten,
        }
        for spec in DIRECTORY:
            yield _show(spec, readings[spec])


def _show(spec: MetricSpec, reading: Reading) -> Metric:
    kind = CounterMetricFamily if spec.kind == "counter" else GaugeMetricFamily
    family: CounterMetricFamily | GaugeMetricFamily = kind(spec.name, spec.meaning, labels=spec.labels)
    values = {(): reading} if isinstance(reading, (int, float)) else {(name,): one for name, one in reading.items()}
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family
