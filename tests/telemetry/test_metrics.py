"""The counters: what a record adds to, what no request can make them do, and what a scrape shows."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from router.model.fault import Fault, Side
from router.model.record import Record
from router.routing.values import Decision, Source
from router.telemetry import metrics as metrics_module
from router.telemetry.access_log import AccessLog
from router.telemetry.catalogue import CATALOGUE, metrics_table
from router.telemetry.control_metrics import ControlMetrics, ControlNumbers
from router.telemetry.directory_metrics import DirectoryMetrics, DirectoryNumbers
from router.telemetry.lifecycle import Lifecycle
from router.telemetry.logs import Form
from router.telemetry.metrics import BUCKETS, DECISIONS, METHODS, Metrics
from router.telemetry.pool_metrics import PoolMetrics, PoolNumbers
from router.telemetry.reports import Reports

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

    from prometheus_client.core import Metric
    from prometheus_client.samples import Sample

REGIONS = ("global", "eu", "us")
LABELS_OF_A_REGION = {*REGIONS, "none"}
CODES = {str(status) for status in (0, *range(100, 600))} | {"other"}
NUMBERS = DirectoryNumbers(
    lease_left=3600.0,
    terms_ended={"lapsed": 1, "refused": 0},
    renewal_failures=2,
    lookup_failures={"timeout": 3},
    generation=4,
    quarantine=5.0,
    gateways=6,
    transfers={"locking": 7, "transferring": 8},
    barrier_waiting=9,
    unanswered=10,
    unanswered_forgotten=11,
)
USUAL = Record("eu", "proxy", "GET", 200, 0.02, "hit", None)


@dataclass
class Gauges:
    cache_entries: int = 0
    feed_lag: float = 0.0


CONTROL_NUMBERS = ControlNumbers(1.5, {"locking": 2}, 61.0, {("hook", "dead"): 3}, {("hook", "delivered"): 4})


def made(gauges: Gauges | None = None) -> Metrics:
    metrics = Metrics(REGIONS, gauges or Gauges())
    metrics.registry.register(PoolMetrics(lambda: {"eu": PoolNumbers({"busy": 12, "idle": 13}, 14)}))
    metrics.registry.register(DirectoryMetrics(lambda: NUMBERS))
    metrics.registry.register(ControlMetrics(lambda: CONTROL_NUMBERS))
    metrics.registry.register(Lifecycle("0123456789ab"))
    metrics.registry.register(Reports(AccessLog(Form.HUMAN, shows_workspace=False), None))
    return metrics


def samples(metrics: Metrics) -> list[Sample]:
    families: Iterable[Metric] = metrics.registry.collect()
    return [sample for family in families for sample in family.samples]


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def total(metrics: Metrics, name: str) -> float:
    return sum(sample.value for sample in samples(metrics) if sample.name == name)


def open_metrics_of(metrics: Metrics) -> list[Metric]:
    encode, _ = choose_encoder("application/openmetrics-text")
    text = encode(metrics.registry).decode()
    return list(parse_open_metrics(text))  # type: ignore[no-untyped-call]  # the library left it without types


def test_the_live_exposition_names_exactly_the_metrics_and_labels_of_the_table() -> None:
    live: dict[str, tuple[str, set[str]]] = {}
    metrics = made()
    metrics.observed(("eu", "proxy", ""))
    for family in open_metrics_of(metrics):
        name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        live[name] = (family.type, labels)
    assert live == {spec.name: (spec.kind, set(spec.labels)) for spec in CATALOGUE}


def test_the_control_plane_is_shown_as_it_was_seen_last() -> None:
    metrics = made()
    assert value(metrics, "router_control_seen_seconds") == 1.5
    assert value(metrics, "router_control_transfers", state="locking") == 2
    assert value(metrics, "router_control_locking_seconds") == 61
    assert value(metrics, "router_control_deliveries", destination="hook", state="dead") == 3
    assert value(metrics, "router_control_delivery_attempts_total", destination="hook", outcome="delivered") == 4


def test_the_table_has_one_row_a_metric() -> None:
    rows = metrics_table().splitlines()[2:]
    assert [row.split("|")[1].strip(" `") for row in rows] == [spec.name for spec in CATALOGUE]
    assert all(row.count("|") == 5 for row in rows)


def test_both_text_formats_parse_to_the_same_numbers() -> None:
    metrics = made()
    metrics.record(USUAL)
    text = parse_text(generate_latest(metrics.registry).decode())
    assert {(s.name, *sorted(s.labels.items()), s.value) for family in text for s in family.samples} == {
        (s.name, *sorted(s.labels.items()), s.value) for family in open_metrics_of(metrics) for s in family.samples
    }


def test_nothing_is_registered_with_the_global_registry() -> None:
    made()
    assert not [name for family in REGISTRY.collect() if (name := family.name).startswith("router")]


def test_the_decisions_are_those_of_the_walk() -> None:
    assert set(DECISIONS) == {decision.__name__.lower() for decision in get_args(Decision)}


@pytest.mark.parametrize("region", sorted(LABELS_OF_A_REGION))
@pytest.mark.parametrize("decision", DECISIONS)
def test_every_histogram_is_there_before_its_first_request(region: str, decision: str) -> None:
    assert value(made(), "router_request_duration_seconds_count", region=region, decision=decision) == 0


@pytest.mark.parametrize("region", sorted(LABELS_OF_A_REGION))
def test_every_region_has_its_requests_in_flight_before_its_first_request(region: str) -> None:
    assert value(made(), "router_requests_in_flight", region=region) == 0


@pytest.mark.parametrize("region", sorted(LABELS_OF_A_REGION))
@pytest.mark.parametrize("fault", [fault for fault in Fault if fault.side is not Side.CLIENT])
def test_every_fault_is_there_before_it_first_happens(region: str, fault: Fault) -> None:
    assert value(made(), "router_upstream_faults_total", region=region, fault=fault.label) == 0


@pytest.mark.parametrize("source", ["hit", "miss", "negative", "stale"])
def test_every_source_is_there_before_its_first_lookup(source: str) -> None:
    assert value(made(), "router_directory_lookups_total", source=source) == 0


@pytest.mark.parametrize(
    ("region", "decision", "method", "code"),
    [
        ("eu", "proxy", "GET", "200"),
        ("us", "proxy", "POST", "502"),
        ("global", "redirect", "GET", "307"),
        ("eu", "locked", "PATCH", "423"),
        ("none", "refuse", "DELETE", "503"),
        ("none", "refuse", "other", "400"),
    ],
)
def test_the_answers_that_are_expected_are_there_before_the_first(
    region: str, decision: str, method: str, code: str
) -> None:
    labels = {"region": region, "decision": decision, "method": method, "code": code}
    assert value(made(), "router_requests_total", **labels) == 0


@pytest.mark.parametrize(
    ("record", "labels"),
    [
        (USUAL, ("eu", "proxy", "GET", "200")),
        (USUAL._replace(status=418), ("eu", "proxy", "GET", "418")),
        (USUAL._replace(method="BREW"), ("eu", "proxy", "other", "200")),
        (USUAL._replace(method="get"), ("eu", "proxy", "other", "200")),
        (USUAL._replace(method=""), ("eu", "proxy", "other", "200")),
        (USUAL._replace(region="", decision="refuse", status=404), ("none", "refuse", "GET", "404")),
        (USUAL._replace(region="mars"), ("none", "proxy", "GET", "200")),
        (USUAL._replace(decision="ponder"), ("eu", "other", "GET", "200")),
        (USUAL._replace(status=0, fault=Fault.CLIENT_GONE), ("eu", "proxy", "GET", "0")),
        (USUAL._replace(status=999), ("eu", "proxy", "GET", "other")),
    ],
)
def test_a_request_is_counted_under_its_own_labels_and_strange_ones_are_folded(
    record: Record, labels: tuple[str, str, str, str]
) -> None:
    metrics = made()
    metrics.record(record)
    metrics.record(record)
    names = ("region", "decision", "method", "code")
    assert value(metrics, "router_requests_total", **dict(zip(names, labels, strict=True))) == 2
    assert total(metrics, "router_requests_total") == 2


@pytest.mark.parametrize("bound", BUCKETS)
def test_a_duration_counts_in_the_bucket_whose_bound_it_equals_and_in_none_below(bound: float) -> None:
    metrics = made()
    metrics.record(USUAL._replace(duration=bound))
    counted = {
        float(sample.labels["le"]): sample.value
        for sample in samples(metrics)
        if sample.name == "router_request_duration_seconds_bucket"
        and sample.labels["region"] == "eu"
        and sample.labels["decision"] == "proxy"
    }
    assert counted == {le: float(le >= bound) for le in (*BUCKETS, float("inf"))}


def test_durations_of_all_methods_and_codes_of_a_decision_share_a_histogram() -> None:
    metrics = made()
    metrics.record(USUAL._replace(duration=0.25))
    metrics.record(USUAL._replace(duration=100.0, method="POST", status=504))
    labels = {"region": "eu", "decision": "proxy"}
    assert value(metrics, "router_request_duration_seconds_sum", **labels) == 100.25
    assert value(metrics, "router_request_duration_seconds_count", **labels) == 2
    assert value(metrics, "router_request_duration_seconds_bucket", **labels, le="60.0") == 1


@pytest.mark.parametrize("source", list(Source))
def test_a_lookup_is_counted_by_its_source_and_a_request_without_one_is_no_lookup(source: Source) -> None:
    metrics = made()
    metrics.record(USUAL._replace(source=source))
    expected = None if source is Source.NONE else 1
    assert value(metrics, "router_directory_lookups_total", source=source.value) == expected
    assert total(metrics, "router_directory_lookups_total") == (expected or 0)


@pytest.mark.parametrize("fault", list(Fault))
def test_a_fault_of_the_region_or_the_router_is_counted_and_one_of_the_client_is_not(fault: Fault) -> None:
    metrics = made()
    metrics.record(USUAL._replace(fault=fault))
    expected = None if fault.side is Side.CLIENT else 1
    assert value(metrics, "router_upstream_faults_total", region="eu", fault=fault.label) == expected
    assert total(metrics, "router_upstream_faults_total") == (expected or 0)


def test_a_fault_before_any_region_was_found_is_counted_under_none() -> None:
    metrics = made()
    metrics.record(USUAL._replace(region="", fault=Fault.SHUTDOWN))
    assert value(metrics, "router_upstream_faults_total", region="none", fault="shutdown") == 1


def test_requests_in_flight_are_those_that_entered_and_have_not_left() -> None:
    metrics = made()
    for _ in range(3):
        metrics.entered("eu")
    metrics.left("eu")
    assert value(metrics, "router_requests_in_flight", region="eu") == 2
    assert total(metrics, "router_requests_in_flight") == 2


def test_a_request_to_a_region_that_is_not_configured_enters_and_leaves_under_none() -> None:
    metrics = made()
    metrics.entered("mars")
    metrics.entered("")
    assert value(metrics, "router_requests_in_flight", region="none") == 2
    metrics.left("mars")
    metrics.left("")
    assert value(metrics, "router_requests_in_flight", region="none") == 0


def test_the_directory_is_asked_at_each_scrape() -> None:
    gauges = Gauges()
    metrics = made(gauges)
    gauges.cache_entries, gauges.feed_lag = 7, 0.5
    assert value(metrics, "router_cache_entries") == 7
    assert value(metrics, "router_feed_lag_seconds") == 0.5


@given(
    st.lists(
        st.builds(
            Record,
            region=st.sampled_from([*REGIONS, ""]) | st.text(),
            decision=st.sampled_from(DECISIONS) | st.text(),
            method=st.sampled_from(METHODS) | st.text(),
            status=st.integers(-10, 1100),
            duration=st.floats(0, 1e6),
            source=st.sampled_from(list(Source)) | st.text(),
            fault=st.none() | st.sampled_from(Fault),
        )
    )
)
def test_whatever_is_recorded_every_request_is_counted_once_and_every_label_is_of_a_closed_set(
    records: list[Record],
) -> None:
    metrics = made()
    for record in records:
        metrics.record(record)
    assert total(metrics, "router_requests_total") == len(records)
    # How long a tunnel was open says nothing of how fast anything was.
    timed = [record for record in records if record.status != 101]
    assert total(metrics, "router_request_duration_seconds_count") == len(timed)
    closed: dict[str, set[str]] = {
        "region": LABELS_OF_A_REGION,
        "decision": {*DECISIONS, "other"},
        "method": {*METHODS, "other"},
        "code": CODES,
        "source": {source.value for source in Source if source is not Source.NONE},
        "fault": {fault.label for fault in Fault},
    }
    for sample in samples(metrics):
        for label, text in sample.labels.items():
            assert label not in closed or text in closed[label], sample


def test_counting_a_usual_request_calls_no_python_but_itself_and_makes_no_series() -> None:
    metrics = made()
    before = len(samples(metrics))
    called: list[str] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            called.append(frame.f_code.co_qualname)

    outer = sys.getprofile()
    sys.setprofile(note)
    try:
        metrics.record(USUAL)
        metrics.entered("eu")
        metrics.left("eu")
    finally:
        sys.setprofile(outer)
    # Native code is no Python at all.
    native = metrics_module.__file__.endswith(".so")
    assert called == ([] if native else ["Metrics.record", "Metrics.entered", "Metrics.left"])
    assert len(samples(metrics)) == before


def test_a_scrape_shows_how_the_directory_and_the_transfers_stand() -> None:
    metrics = made()
    shown = {
        "router_lease_seconds_left": 3600.0,
        "router_directory_renewal_failures_total": 2.0,
        "router_directory_generation": 4.0,
        "router_directory_quarantine_seconds": 5.0,
        "router_directory_gateways": 6.0,
        "router_barrier_waiting_gateways": 9.0,
        "router_unanswered_requests": 10.0,
        "router_unanswered_requests_forgotten_total": 11.0,
    }
    assert {name: value(metrics, name) for name in shown} == shown
    assert value(metrics, "router_terms_ended_total", reason="lapsed") == 1.0
    assert value(metrics, "router_directory_lookup_failures_total", reason="timeout") == 3.0
    assert [value(metrics, "router_transfers", state=state) for state in ("locking", "transferring")] == [7.0, 8.0]
