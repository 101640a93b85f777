"""What happens to the process itself, for a scrape: its configuration, and the processes that it started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

from router.telemetry.catalogue import CONFIG_ACCEPTED, CONFIG_INFO, CONFIG_RELOADS, WORKER_RESTARTS, WORKERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric


class Lifecycle:
    """Plain numbers, to be registered with the registry that is shown.

    - `digest`: tells configurations apart; `accepted`, `refused`: reloads so far; `last_accepted`: how the last ended.
    - `workers`: processes that serve now; `restarts`: how many were replaced because they had died.
    """

    def __init__(self, digest: str) -> None:
        self.digest = digest
        self.accepted = 0
        self.refused = 0
        self.last_accepted = True
        self.workers = 1
        self.restarts = 0

    def took(self, digest: str) -> None:
        """A configuration was taken over."""
        self.digest = digest
        self.accepted += 1
        self.last_accepted = True

    def refuse(self) -> None:
        """A configuration was refused, and the one before goes on."""
        self.refused += 1
        self.last_accepted = False

    def collect(self) -> Iterator[Metric]:
        """Every metric of the room: the library calls this for each scrape."""
        reloads = CounterMetricFamily(CONFIG_RELOADS.name, CONFIG_RELOADS.meaning, labels=CONFIG_RELOADS.labels)
        reloads.add_metric(("accepted",), self.accepted)
        reloads.add_metric(("refused",), self.refused)
        yield reloads
        yield GaugeMetricFamily(CONFIG_ACCEPTED.name, CONFIG_ACCEPTED.meaning, self.last_accepted)
        yield InfoMetricFamily(CONFIG_INFO.name.removesuffix("_info"), CONFIG_INFO.meaning, {"digest": self.digest})
        yield GaugeMetricFamily(WORKERS.name, WORKERS.meaning, self.workers)
        yield CounterMetricFamily(WORKER_RESTARTS.name, WORKER_RESTARTS.meaning, self.restarts)
