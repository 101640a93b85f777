"""The catalogue of metrics: one row a metric, its name and labels a contract with dashboards and alerts.

The law of the room: label values come from closed sets (configured regions, the vocabulary of decisions, faults and
sources, registered methods, HTTP statuses), so that no client can make a series; a workspace is never a label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One row. `kind` is `counter`, `gauge`, `histogram` or `info`; `name` is what a query names."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


REQUESTS: Final = MetricSpec(
    "router_requests_total",
    "counter",
    ("region", "decision", "method", "code"),
    "Requests that have ended. code is the status the client was told, 0 if it left or was cut off before any; "
    "region is none where no region was found; method is other for one that is not registered or was not readable.",
)
DURATION: Final = MetricSpec(
    "router_request_duration_seconds",
    "histogram",
    ("region", "decision"),
    "Seconds from the arrival of a request's head to the end of its answer, the region's time included. WebSockets are "
    "left out.",
)
IN_FLIGHT: Final = MetricSpec(
    "router_requests_in_flight",
    "gauge",
    ("region",),
    "Requests that are on their way to a region or back.",
)
TURNED_AWAY: Final = MetricSpec(
    "router_connections_turned_away_total",
    "counter",
    (),
    "Connections that were reset at once, because their client address has as many as it may.",
)
LOOKUPS: Final = MetricSpec(
    "router_directory_lookups_total",
    "counter",
    ("source",),
    "Requests that had to be located, by where the answer came from: hit, miss, negative or stale.",
)
CACHE_ENTRIES: Final = MetricSpec(
    "router_cache_entries",
    "gauge",
    (),
    "Entries in the directory's cache.",
)
FEED_LAG: Final = MetricSpec(
    "router_feed_lag_seconds",
    "gauge",
    (),
    "Seconds since the directory's change feed was last followed to its head (since the start, before the first time).",
)
FAULTS: Final = MetricSpec(
    "router_upstream_faults_total",
    "counter",
    ("region", "fault"),
    "Requests that ended without a whole answer by the region's or the router's fault; a client's own are not counted.",
)
BUILD_INFO: Final = MetricSpec(
    "router_build_info",
    "info",
    ("version", "python"),
    "Always 1; the labels say what is running.",
)

CATALOGUE: Final = (REQUESTS, DURATION, IN_FLIGHT, TURNED_AWAY, LOOKUPS, CACHE_ENTRIES, FEED_LAG, FAULTS, BUILD_INFO)


def metrics_table() -> str:
    """The catalogue as a Markdown table, every line ended: what the README shows."""
    lines = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for spec in CATALOGUE:
        labels = ", ".join(f"`{label}`" for label in spec.labels) or "–"
        lines.append(f"| `{spec.name}` | {spec.kind} | {labels} | {spec.meaning} |")
    return "\n".join(lines) + "\n"
