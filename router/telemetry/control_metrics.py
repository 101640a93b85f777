"""How transfers and the delivery of events stand, as the control plane saw them last: read at each scrape."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from router.telemetry.catalogue import (
    CONTROL_AGE,
    CONTROL_ATTEMPTS,
    CONTROL_DELIVERIES,
    CONTROL_LOCKING,
    CONTROL_TRANSFERS,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.core import Metric


@dataclass(frozen=True, slots=True)
class ControlNumbers:
    """One reading. `age` and `locking` are in seconds; deliveries and attempts are by destination and label."""

    age: float
    transfers: Mapping[str, int] = field(default_factory=dict)
    locking: float = 0.0
    deliveries: Mapping[tuple[str, str], int] = field(default_factory=dict)
    attempts: Mapping[tuple[str, str], int] = field(default_factory=dict)


class ControlMetrics:
    """A collector. `read` is called for each scrape, on the event loop's thread."""

    def __init__(self, read: Callable[[], ControlNumbers]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Every metric of `router.telemetry.catalogue.CONTROL`, in its order."""
        numbers = self._read()
        transfers = GaugeMetricFamily(
            CONTROL_TRANSFERS.name, CONTROL_TRANSFERS.meaning, labels=CONTROL_TRANSFERS.labels
        )
        for state, count in numbers.transfers.items():
            transfers.add_metric((state,), count)
        yield transfers
        yield GaugeMetricFamily(CONTROL_LOCKING.name, CONTROL_LOCKING.meaning, numbers.locking)
        deliveries = GaugeMetricFamily(
            CONTROL_DELIVERIES.name, CONTROL_DELIVERIES.meaning, labels=CONTROL_DELIVERIES.labels
        )
        for labels, count in numbers.deliveries.items():
            deliveries.add_metric(labels, count)
        yield deliveries
        attempts = CounterMetricFamily(CONTROL_ATTEMPTS.name, CONTROL_ATTEMPTS.meaning, labels=CONTROL_ATTEMPTS.labels)
        for labels, count in numbers.attempts.items():
            attempts.add_metric(labels, count)
        yield attempts
        yield GaugeMetricFamily(CONTROL_AGE.name, CONTROL_AGE.meaning, numbers.age)
