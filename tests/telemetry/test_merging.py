"""Merging: what several processes report is shown as if one had counted it, through lives and deaths."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics

from router.model.record import Record
from router.telemetry.catalogue import CATALOGUE
from router.telemetry.lifecycle import Lifecycle
from router.telemetry.merging import Fleet, report
from router.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from prometheus_client.core import Metric

REGIONS = ("eu", "us")
records = st.builds(
    Record,
    st.sampled_from((*REGIONS, "")),
    st.sampled_from(("proxy", "locked", "refuse")),
    st.sampled_from(("GET", "POST", "PURGE")),
    st.sampled_from((200, 201, 423, 503)),
    st.sampled_from((0.001, 0.02, 0.25, 3.0, 100.0)),
    st.sampled_from(("hit", "none")),
    st.none(),
)


@dataclass
class Gauges:
    cache_entries: int = 0
    feed_lag: float = 0.0


class Process:
    """One process's metrics, and its reports as they come through a channel."""

    def __init__(self, gauges: Gauges | None = None) -> None:
        self.metrics = Metrics(REGIONS, gauges or Gauges())

    def record(self, records: Iterable[Record]) -> Process:
        for record in records:
            self.metrics.record(record)
        return self

    def report(self) -> Any:
        return json.loads(json.dumps(report(self.metrics.registry)))


def usual(region: str = "eu", duration: float = 0.02) -> Record:
    return Record(region, "proxy", "GET", 200, duration, "hit", None)


def shown(fleet: Fleet) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(fleet)
    return registry


def counted(registry: CollectorRegistry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families: Iterable[Metric] = registry.collect()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        if family.type in {"counter", "histogram"}
        for sample in family.samples
    }


def requests_of(fleet: Fleet) -> float:
    labels = {"region": "eu", "decision": "proxy", "method": "GET", "code": "200"}
    value = shown(fleet).get_sample_value("router_requests_total", labels)
    assert value is not None
    return value


@settings(deadline=None)
@given(st.lists(st.lists(records, max_size=20), min_size=1, max_size=4))
def test_several_processes_show_what_one_would_have_counted(shares: Sequence[list[Record]]) -> None:
    fleet = Fleet()
    for number, share in enumerate(shares):
        fleet.heard(number, Process().record(share).report())
    alone = Process().record(record for share in shares for record in share)
    merged, expected = counted(shown(fleet)), counted(alone.metrics.registry)
    assert merged.keys() == expected.keys()
    assert all(abs(merged[key] - expected[key]) < 1e-6 for key in expected)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(("work", "die")), st.integers(0, 2)), max_size=30))
def test_no_counter_ever_goes_down(events: list[tuple[str, int]]) -> None:
    fleet = Fleet()
    living = {number: Process() for number in range(3)}
    for number, process in living.items():
        fleet.heard(number, process.report())
    before = 0.0
    for event, number in events:
        if event == "work":
            fleet.heard(number, living[number].record([usual()]).report())
        else:
            fleet.bury(number)
            living[number] = Process()
        now = requests_of(fleet)
        assert now >= before
        before = now
    assert before == sum(event == "work" for event, _ in events)


def test_what_a_dead_process_had_in_flight_is_in_flight_no_more() -> None:
    fleet = Fleet()
    dead, living = Process(), Process()
    for process in (dead, living):
        process.metrics.entered("eu")
    fleet.heard("dead", dead.report())
    fleet.heard("living", living.report())
    fleet.bury("dead")
    assert shown(fleet).get_sample_value("router_requests_in_flight", {"region": "eu"}) == 1


def test_a_gauge_of_an_age_shows_the_oldest() -> None:
    fleet = Fleet()
    for number, lag in enumerate((0.5, 7.0, 0.1)):
        fleet.heard(number, Process(Gauges(cache_entries=10, feed_lag=lag)).report())
    registry = shown(fleet)
    assert registry.get_sample_value("router_feed_lag_seconds") == 7.0
    assert registry.get_sample_value("router_cache_entries") == 30


def test_what_is_running_is_shown_once() -> None:
    fleet = Fleet()
    for number in range(3):
        fleet.heard(number, Process().report())
    (build,) = [family for family in shown(fleet).collect() if family.name == "router_build"]
    assert [sample.value for sample in build.samples] == [1.0]


def test_a_merged_exposition_is_valid_open_metrics() -> None:
    fleet = Fleet()
    fleet.heard(1, Process().record([usual(), usual("us", 3.0)]).report())
    fleet.heard(2, Process().record([usual("us"), Record("us", "proxy", "PUT", 207, 1.0, "hit", None)]).report())
    registry = shown(fleet)
    registry.register(Lifecycle("0123456789ab"))
    encode, _ = choose_encoder("application/openmetrics-text")
    families = list(parse_open_metrics(encode(registry).decode()))  # type: ignore[no-untyped-call]  # it has no types
    names = {spec.name.removesuffix("_total").removesuffix("_info") for spec in CATALOGUE}
    assert {family.name for family in families} <= names
