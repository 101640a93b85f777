"""Sums over processes: what each of several has counted, shown as if one had.

Theory. A counter must never go down, and a gauge must not show what is not there. So what a process has counted stays
when it dies, as it last reported it, and what it measured goes. Everything here works on reports, flat values that one
process makes of its registry and another one merges; which requests cost nothing at all.

The law of the room: a family is merged by its kind in the catalogue's sense, a gauge as its row there says; nothing is
known here of any single metric.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from prometheus_client.core import Metric

from router.telemetry.catalogue import CATALOGUE, Across

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from prometheus_client import CollectorRegistry

Family: TypeAlias = "list[Any]"
"""Name, kind, meaning and samples of one metric: `[text, text, text, [[name, [[label, value], …], number], …]]`."""
Report: TypeAlias = "list[Family]"
"""What one process shows, of plain lists, texts and numbers."""

_Key: TypeAlias = "tuple[str, tuple[tuple[str, str], ...]]"

_ACROSS: Final = {spec.name: spec.across for spec in CATALOGUE}
_COUNTED: Final = frozenset({"counter", "histogram"})


def report(registry: CollectorRegistry) -> Report:
    """What `registry` shows now."""
    return [
        [
            family.name,
            family.type,
            family.documentation,
            [[sample.name, sorted(sample.labels.items()), sample.value] for sample in family.samples],
        ]
        for family in registry.collect()
    ]


class Fleet:
    """Shows what several processes report. To be registered with the registry that is shown."""

    def __init__(self) -> None:
        self._reports: dict[Hashable, Report] = {}
        self._buried: dict[str, _Family] = {}

    def heard(self, process: Hashable, report: Report) -> None:
        """The last report of a process that lives."""
        self._reports[process] = report

    def bury(self, process: Hashable) -> None:
        """The process is gone: what it counted stays."""
        for family in self._reports.pop(process, ()):
            if family[1] in _COUNTED:
                self._buried.setdefault(family[0], _Family(family)).add(family)

    def collect(self) -> Iterator[Metric]:
        """The merged families: the library calls this for each scrape."""
        merged: dict[str, _Family] = {name: kept.copy() for name, kept in self._buried.items()}
        for reported in self._reports.values():
            for family in reported:
                merged.setdefault(family[0], _Family(family)).add(family)
        return (family.show() for family in merged.values())


class _Family:
    """One metric: its samples by the labels that tell its children apart, each child's together."""

    def __init__(self, family: Family) -> None:
        self._name, self._kind, self._meaning, _ = family
        self._across = _ACROSS.get(self._name, Across.SUM)
        self._children: dict[tuple[tuple[str, str], ...], dict[_Key, float]] = {}

    def copy(self) -> _Family:
        copied = _Family([self._name, self._kind, self._meaning, []])
        copied._children = {labels: dict(samples) for labels, samples in self._children.items()}
        return copied

    def add(self, family: Family) -> None:
        for name, pairs, value in family[3]:
            labels = tuple((label, text) for label, text in pairs)
            child = tuple(pair for pair in labels if pair[0] != "le") if self._kind == "histogram" else labels
            samples = self._children.setdefault(child, {})
            key = (name, labels)
            samples[key] = self._merge(samples[key], value) if key in samples else value

    def show(self) -> Metric:
        metric = Metric(self._name, self._meaning, self._kind)
        for samples in self._children.values():
            for (name, labels), value in samples.items():
                metric.add_sample(name, dict(labels), value)
        return metric

    def _merge(self, one: float, other: float) -> float:
        if self._kind in _COUNTED or (self._kind == "gauge" and self._across is Across.SUM):
            return one + other
        return min(one, other) if self._across is Across.MIN else max(one, other)
