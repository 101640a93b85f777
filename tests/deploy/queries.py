"""Every query that `deploy/` asks Prometheus, and what each one names."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import promql_parser

from router.directory.directory import LookupFailure
from router.directory.registration import TermEnd
from router.model.problem import Problem
from router.telemetry.catalogue import CATALOGUE
from router.telemetry.metrics import COUNTED_FAULTS, DECISIONS, METHODS, OTHER, SOURCES
from tests.deploy.places import DEPLOY, rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DASHBOARD: Final = DEPLOY / "grafana" / "region-router.json"

SCRAPED: Final = frozenset({"job", "instance"})
"""Labels that Prometheus adds."""

CLOSED: Final[Mapping[str, frozenset[str]]] = {
    "decision": frozenset({*DECISIONS, OTHER}),
    "fault": frozenset(fault.label for fault in COUNTED_FAULTS),
    "method": frozenset({*METHODS, OTHER}),
    "problem": frozenset({*(problem.name.lower().replace("_", "-") for problem in Problem), "none"}),
    "reason": frozenset({*map(str, TermEnd), *map(str, LookupFailure)}),
    "result": frozenset({"accepted", "refused"}),
    "source": frozenset(str(source) for source in SOURCES),
}
"""What these labels can be. Regions are configured, statuses are HTTP's, and jobs belong to who scrapes."""

_HISTOGRAM: Final = ("_bucket", "_count", "_sum")


@dataclass(frozen=True)
class Query:
    """One, and where it stands."""

    place: str
    text: str

    def __str__(self) -> str:
        return self.place


@dataclass
class Names:
    """What a query names: metrics with the labels they are asked by, and the values that labels are compared with."""

    metrics: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    values: list[tuple[str, str]] = field(default_factory=list)
    grouped: set[str] = field(default_factory=set)


def rule_queries(file: str) -> list[Query]:
    return [Query(f"{file}: {rule.get('alert') or rule['record']}", rule["expr"]) for rule in rules(file)]


def dashboard() -> dict[str, Any]:
    content = json.loads(DASHBOARD.read_text("utf-8"))
    assert isinstance(content, dict)
    return content


def panels() -> Iterator[dict[str, Any]]:
    """Every panel that asks something."""
    return (panel for panel in dashboard()["panels"] if panel["type"] != "row")


def dashboard_queries() -> list[Query]:
    return [Query(f"dashboard: {panel['title']}", target["expr"]) for panel in panels() for target in panel["targets"]]


def parse(query: Query) -> promql_parser.Expr:
    """Raises `ValueError` for what is no PromQL. Grafana's own variables are what they could be."""
    return promql_parser.parse(query.text.replace("$__rate_interval", "5m"))


def names_in(query: Query) -> Names:
    names = Names()

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            assert node.name is not None, "a selector without a metric's name asks for everything"
            matchers = node.matchers.matchers
            names.metrics.append((node.name, frozenset(matcher.name for matcher in matchers)))
            for matcher in matchers:
                # Statuses and buckets are patterns; closed sets are always written out.
                names.values.extend((matcher.name, value) for value in matcher.value.split("|"))
        elif isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            names.grouped |= set(node.modifier.labels)

    promql_parser.walk(parse(query), pre_visit=visit)
    return names


@cache
def known_metrics() -> dict[str, frozenset[str]]:
    """Each series that can be asked for, with its labels: the catalogue, what is recorded, and `up`."""
    known = {"up": SCRAPED}
    for spec in CATALOGUE:
        labels = SCRAPED | set(spec.labels)
        if spec.kind == "histogram":
            known |= {spec.name + ending: labels | ({"le"} if ending == "_bucket" else set()) for ending in _HISTOGRAM}
        else:
            known[spec.name] = labels
    for rule, query in zip(rules("recording.yaml"), rule_queries("recording.yaml"), strict=True):
        known[rule["record"]] = frozenset(names_in(query).grouped - {"le"})
    return known


def variables() -> list[str]:
    """Names that a dashboard's query may refer to."""
    return [variable["name"] for variable in dashboard()["templating"]["list"]]


def variables_in(text: str) -> set[str]:
    return set(re.findall(r"\$\{?(\w+)", text)) - {"__rate_interval"}
