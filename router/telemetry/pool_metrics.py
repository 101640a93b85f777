"""How the connections to regions stand: read at each scrape, counted nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from prometheus_client.core import GaugeMetricFamily

from router.telemetry.catalogue import UPSTREAM_CONNECTIONS, UPSTREAM_WAITING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.core import Metric


class PoolNumbers(NamedTuple):
    """Of one region: `connections` by their state, and requests that wait for one."""

    connections: Mapping[str, int]
    waiting: int


class PoolMetrics:
    """A collector. `read` is called for each scrape, on the event loop's thread, and gives the numbers by region."""

    def __init__(self, read: Callable[[], Mapping[str, PoolNumbers]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Every metric of `UPSTREAM`, in its order."""
        connections = GaugeMetricFamily(
            UPSTREAM_CONNECTIONS.name, UPSTREAM_CONNECTIONS.meaning, labels=UPSTREAM_CONNECTIONS.labels
        )
        waiting = GaugeMetricFamily(UPSTREAM_WAITING.name, UPSTREAM_WAITING.meaning, labels=UPSTREAM_WAITING.labels)
        for region, numbers in self._read().items():
            for state, number in numbers.connections.items():
                connections.add_metric((region, state), number)
            waiting.add_metric((region,), numbers.waiting)
        yield connections
        yield waiting
