"""Dashboards, alerts and recording rules ask for nothing that the gateway does not show."""

from __future__ import annotations

import pytest

from tests.deploy.queries import (
    CLOSED,
    Query,
    dashboard,
    dashboard_queries,
    known_metrics,
    names_in,
    panels,
    parse,
    rule_queries,
    variables,
    variables_in,
)

QUERIES = [*rule_queries("recording.yaml"), *rule_queries("alerts.yaml"), *dashboard_queries()]
ROWS = [
    "Traffic by region and decision",
    "Faults",
    "Latency and router overhead",
    "Directory: cache and feed",
    "Lease",
    "Transfers and the lock barrier",
    "Upstream pools",
    "Processes and configuration",
]


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_a_query_is_promql(query: Query) -> None:
    parse(query)


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_a_query_names_metrics_and_labels_that_exist(query: Query) -> None:
    for metric, labels in names_in(query).metrics:
        assert metric in known_metrics()
        assert labels <= known_metrics()[metric]


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_a_query_groups_by_labels_that_its_metrics_have(query: Query) -> None:
    names = names_in(query)
    assert names.grouped <= frozenset().union(*(known_metrics()[metric] for metric, _ in names.metrics))


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_a_query_compares_labels_with_values_that_they_can_have(query: Query) -> None:
    for label, value in names_in(query).values:
        assert value in CLOSED.get(label, {value})


def test_every_panel_asks_something() -> None:
    assert all(panel["targets"] for panel in panels())


def test_no_two_panels_have_one_id() -> None:
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(ids) == len(set(ids))


def test_no_panel_lies_on_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("query", dashboard_queries(), ids=str)
def test_a_panel_refers_to_variables_of_the_dashboard(query: Query) -> None:
    assert variables_in(query.text) <= set(variables())


@pytest.mark.parametrize("row", ROWS)
def test_the_dashboard_has_a_row_for_each_subject(row: str) -> None:
    assert row in [panel["title"] for panel in dashboard()["panels"] if panel["type"] == "row"]
