"""The catalogue of metrics: one row a metric, its name and labels a contract with dashboards and alerts.

The law of the room: label values come from closed sets (configured regions, the vocabulary of decisions, faults and
sources, registered methods, HTTP statuses), so that no client can make a series; a workspace is never a label.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final


class Across(Enum):
    """What a gauge shows of several processes that share a listener."""

    SUM = auto()
    MAX = auto()
    MIN = auto()


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One row. `kind` is `counter`, `gauge`, `histogram` or `info`; `name` is what a query names.

    `across`: what a gauge shows of several processes.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str
    across: Across = Across.SUM


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
    "Connections that were reset at once, because their client address, or the process, has as many as it may.",
)
OBSERVED: Final = MetricSpec(
    "router_observed_total",
    "counter",
    ("region", "decision", "problem"),
    "Requests that went home because policy.mode is observe, by what would have been done: the region (none where none "
    "was found), the decision, and the problem that would have been answered (none if none).",
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
    across=Across.MAX,
)
FAULTS: Final = MetricSpec(
    "router_upstream_faults_total",
    "counter",
    ("region", "fault"),
    "Requests that ended without a whole answer by the region's or the router's fault; a client's own are not counted.",
)
UPSTREAM_CONNECTIONS: Final = MetricSpec(
    "router_upstream_connections",
    "gauge",
    ("region", "state"),
    "Connections to a region's origins: busy (a request is on its way there or back), idle, dialling.",
)
UPSTREAM_WAITING: Final = MetricSpec(
    "router_upstream_waiting_requests",
    "gauge",
    ("region",),
    "Requests that wait for a connection to a region's origins.",
)
LEASE_LEFT: Final = MetricSpec(
    "router_lease_seconds_left",
    "gauge",
    (),
    "Seconds for which the cache may be trusted if no renewal is answered any more; at 0 nothing is served that needs "
    "the directory.",
    across=Across.MIN,
)
TERMS_ENDED: Final = MetricSpec(
    "router_terms_ended_total",
    "counter",
    ("reason",),
    "Spans of trust that ended: lapsed (the directory was away for a whole lease), refused (the row was taken away), "
    "reset (the feed broke, or another generation), stopped, internal. Each is followed by a cold cache.",
)
RENEWAL_FAILURES: Final = MetricSpec(
    "router_directory_renewal_failures_total",
    "counter",
    (),
    "Calls of the registration (to register, renew, leave) that the directory did not answer, or not in time.",
)
LOOKUP_FAILURES: Final = MetricSpec(
    "router_directory_lookup_failures_total",
    "counter",
    ("reason",),
    "Lookups that failed: error, timeout, refused (older than what is known, or not opened); crowded counts requests "
    "that were not let wait, because too many do. Who waited for one gets 503.",
)
GENERATION: Final = MetricSpec(
    "router_directory_generation",
    "gauge",
    (),
    "Which history of the directory is followed; another one after a restore or a failover. 0 between terms.",
    across=Across.MAX,
)
QUARANTINE: Final = MetricSpec(
    "router_directory_quarantine_seconds",
    "gauge",
    (),
    "Seconds until transfers may get past their lock again after a restore or a failover; 0 usually.",
    across=Across.MAX,
)
GATEWAYS: Final = MetricSpec(
    "router_directory_gateways",
    "gauge",
    (),
    "Gateways that are registered with the directory, this one included.",
    across=Across.MAX,
)
TRANSFERS: Final = MetricSpec(
    "router_transfers",
    "gauge",
    ("state",),
    "Transfers that are locking or transferring, as this gateway saw them last.",
    across=Across.MAX,
)
BARRIER_WAITING: Final = MetricSpec(
    "router_barrier_waiting_gateways",
    "gauge",
    (),
    "Gateways for which transfers wait that are locking. `transfer show` names them.",
    across=Across.MAX,
)
UNANSWERED: Final = MetricSpec(
    "router_unanswered_requests",
    "gauge",
    (),
    "Requests without a whole answer that are remembered for transfers to come.",
)
UNANSWERED_FORGOTTEN: Final = MetricSpec(
    "router_unanswered_requests_forgotten_total",
    "counter",
    (),
    "Times that even the workspace of such requests had to be forgotten: directory.unanswered_size is too small.",
)
CONFIG_RELOADS: Final = MetricSpec(
    "router_config_reloads_total",
    "counter",
    ("result",),
    "Configurations that were taken over while the process ran (accepted), or were not (refused).",
)
CONFIG_ACCEPTED: Final = MetricSpec(
    "router_config_last_reload_accepted",
    "gauge",
    (),
    "1, or 0 if the configuration as it stands was refused and the one before is in force.",
)
CONFIG_INFO: Final = MetricSpec(
    "router_config_info",
    "info",
    ("digest",),
    "Always 1; the label tells whether two processes run by the same configuration and certificates.",
)
WORKERS: Final = MetricSpec(
    "router_workers",
    "gauge",
    (),
    "Gateway processes that serve.",
)
WORKER_RESTARTS: Final = MetricSpec(
    "router_worker_restarts_total",
    "counter",
    (),
    "Gateway processes that died and were replaced.",
)
ACCESS_LOG_DROPPED: Final = MetricSpec(
    "router_access_log_dropped_total",
    "counter",
    (),
    "Lines of the access log that were not written, because its reader was too slow or gone.",
)
SPANS_DROPPED: Final = MetricSpec(
    "router_spans_dropped_total",
    "counter",
    (),
    "Spans of traces that the collector did not get, because it was too slow or could not be reached.",
)
CONTROL_TRANSFERS: Final = MetricSpec(
    "router_control_transfers",
    "gauge",
    ("state",),
    "Transfers in the directory by their state, ended ones included, as this process's control plane saw them last.",
)
CONTROL_LOCKING: Final = MetricSpec(
    "router_control_locking_seconds",
    "gauge",
    (),
    "Seconds for which the oldest transfer that is locking has waited for gateways; 0 if none does.",
)
CONTROL_DELIVERIES: Final = MetricSpec(
    "router_control_deliveries",
    "gauge",
    ("destination", "state"),
    "Events that a destination of webhooks has not got: pending (on their way), or dead (given up after a day, or "
    "because the configuration does not name it any more).",
)
CONTROL_ATTEMPTS: Final = MetricSpec(
    "router_control_delivery_attempts_total",
    "counter",
    ("destination", "outcome"),
    "Attempts of this process to deliver an event: delivered, or failed.",
)
CONTROL_AGE: Final = MetricSpec(
    "router_control_seen_seconds",
    "gauge",
    (),
    "Seconds since the control plane of this process last read how its transfers and events stand (since the start, "
    "before the first time).",
)
BUILD_INFO: Final = MetricSpec(
    "router_build_info",
    "info",
    ("version", "python"),
    "Always 1; the labels say what is running.",
)

DIRECTORY: Final = (
    *(LEASE_LEFT, TERMS_ENDED, RENEWAL_FAILURES, LOOKUP_FAILURES, GENERATION, QUARANTINE, GATEWAYS),
    *(TRANSFERS, BARRIER_WAITING, UNANSWERED, UNANSWERED_FORGOTTEN),
)
"""What is read from the directory's rooms at each scrape."""

CONTROL: Final = (CONTROL_TRANSFERS, CONTROL_LOCKING, CONTROL_DELIVERIES, CONTROL_ATTEMPTS, CONTROL_AGE)
"""What is read from the control plane at each scrape, where a process has one."""

UPSTREAM: Final = (UPSTREAM_CONNECTIONS, UPSTREAM_WAITING)
"""What is read from the pools at each scrape."""

REPORTS: Final = (ACCESS_LOG_DROPPED, SPANS_DROPPED)
"""What was to be told of requests, and was not."""

LIFECYCLE: Final = (CONFIG_RELOADS, CONFIG_ACCEPTED, CONFIG_INFO, WORKERS, WORKER_RESTARTS)
"""What happens to the process itself."""

CATALOGUE: Final = (
    *(REQUESTS, DURATION, IN_FLIGHT, TURNED_AWAY, OBSERVED, LOOKUPS, CACHE_ENTRIES, FEED_LAG, FAULTS, BUILD_INFO),
    *UPSTREAM,
    *DIRECTORY,
    *CONTROL,
    *REPORTS,
    *LIFECYCLE,
)


def metrics_table() -> str:
    """The catalogue as a Markdown table, every line ended: what the README shows."""
    lines = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for spec in CATALOGUE:
        labels = ", ".join(f"`{label}`" for label in spec.labels) or "–"
        lines.append(f"| `{spec.name}` | {spec.kind} | {labels} | {spec.meaning} |")
    return "\n".join(lines) + "\n"
