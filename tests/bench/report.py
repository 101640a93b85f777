"""From what was measured to figures: medians and ratios, `build/bench.json`, and the table that people read.

The law of the room: a ratio is of one run on one machine. What was not measured is said, never left out.
"""

from __future__ import annotations

import re
from statistics import median
from typing import TYPE_CHECKING, Final, TypedDict

from tests.bench.plan import LOADS, BenchError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

ROUTER: Final = "router"
BEGIN: Final = "<!-- bench -->\n"
END: Final = "<!-- end -->"
FULL: Final = 0.9
"""The share of its core from which a contender counts as at its limit."""


class LoadFigures(TypedDict):
    """One contender under one load: the median of the rounds, and each round's CPU.

    `busy` is the share of its core that it used: below `FULL` the load was the limit, and requests per second and
    latency are the load's; CPU per request is the contender's own either way.
    """

    cpu_us: float
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    rss_mb: float
    busy: float
    cpu_us_by_round: list[float]


class BulkFigures(TypedDict):
    """Large bodies up and down at once: MB (10^6 bytes, both ways) per CPU-second and per second; the largest growth
    of memory, in MB (2^20 bytes).
    """

    mb_per_cpu_second: float
    mb_per_second: float
    rss_growth_mb: float


class IdleFigures(TypedDict):
    """Idle connections, and kB (1024 bytes) of memory for each."""

    connections: int
    kb_each: float


class ColdFigures(TypedDict):
    """Requests at the same moment for one workspace that was not cached; how many were answered 200; lookups."""

    requests: int
    answered: int
    lookups: int


class Report(TypedDict):
    """All of `build/bench.json`. `missing` and `failed` say why, by contender."""

    cpu_us_per_request: dict[str, float]
    loads: dict[str, dict[str, LoadFigures]]
    bulk: dict[str, BulkFigures]
    idle: dict[str, IdleFigures]
    cold: ColdFigures | None
    ratios: dict[str, dict[str, float]]
    contenders: dict[str, str]
    missing: dict[str, str]
    failed: dict[str, str]
    plan: dict[str, object]
    machine: dict[str, object]


def median_load(rounds: Sequence[LoadFigures]) -> LoadFigures:
    """The median of each figure."""
    return LoadFigures(
        cpu_us=round(median(one["cpu_us"] for one in rounds), 1),
        requests_per_second=round(median(one["requests_per_second"] for one in rounds)),
        p50_ms=round(median(one["p50_ms"] for one in rounds), 2),
        p99_ms=round(median(one["p99_ms"] for one in rounds), 2),
        rss_mb=round(median(one["rss_mb"] for one in rounds), 1),
        busy=round(median(one["busy"] for one in rounds), 2),
        cpu_us_by_round=[round(one["cpu_us"], 1) for one in rounds],
    )


def median_bulk(rounds: Sequence[BulkFigures]) -> BulkFigures:
    """The median of the speeds; the worst round's growth of memory."""
    return BulkFigures(
        mb_per_cpu_second=round(median(one["mb_per_cpu_second"] for one in rounds)),
        mb_per_second=round(median(one["mb_per_second"] for one in rounds)),
        rss_growth_mb=round(max(one["rss_growth_mb"] for one in rounds), 1),
    )


def ratios(
    loads: Mapping[str, Mapping[str, LoadFigures]], bulk: Mapping[str, BulkFigures]
) -> dict[str, dict[str, float]]:
    """The router's figure ÷ each contender's. Of CPU per request less is better, of `bulk` (MB per CPU-second) more."""
    by_kind = {kind: {name: one["cpu_us"] for name, one in figures.items()} for kind, figures in loads.items()}
    by_kind["bulk"] = {name: one["mb_per_cpu_second"] for name, one in bulk.items()}
    return {
        kind: {
            name: round(figures[ROUTER] / figure, 2) for name, figure in figures.items() if name != ROUTER and figure
        }
        for kind, figures in by_kind.items()
        if ROUTER in figures
    }


def table(report: Report) -> str:
    """The report as Markdown, every line ended: two tables, and what one has to know to read them."""
    plan, names = report["plan"], report["contenders"]
    lines = [
        "| CPU µs per request | GET 0.5 kB | POST 1 kB | GET chunked 10 kB | GET: requests/s | p50 / p99 ms |",
        "|---|---|---|---|---|---|",
        *(f"| {_title(report, name)} | {' | '.join(_speed(report, name))} |" for name in names),
        "",
        "| memory, large bodies | RSS MB | idle connection kB | 1 GiB up + down: MB per CPU-second | RSS growth MB |",
        "|---|---|---|---|---|",
        *(f"| {_title(report, name)} | {' | '.join(_size(report, name))} |" for name in names),
        "",
        f"One core each, {plan['connections']} connections, {plan['workspaces']} workspaces, medians of "
        f"{plan['rounds']} interleaved rounds of {plan['seconds']} s. (×) is the router's figure ÷ that contender's: "
        "less is better for CPU, more for MB per CPU-second. * marks a core that was not full: the load was the limit.",
        f"Measured on {_machine(report['machine'])}.",
    ]
    cold = report["cold"]
    if cold is not None:
        lookups = f"{cold['lookups']} lookup{'' if cold['lookups'] == 1 else 's'}"
        asked = f"{cold['requests']} requests at once for one workspace"
        lines.append(f"Cold cache: {asked}, {cold['answered']} answered, {lookups} in the directory.")
    lines += [f"{name} failed: {reason}." for name, reason in report["failed"].items()]
    lines += [f"{name} is missing: {reason}." for name, reason in report["missing"].items()]
    return "\n".join(lines) + "\n"


def _title(report: Report, name: str) -> str:
    return f"{f'**{name}**' if name == ROUTER else name}: {report['contenders'][name]}"


def _speed(report: Report, name: str) -> list[str]:
    absent = _absent(report, name)
    cells = []
    for kind in LOADS:
        figures = report["loads"].get(kind, {}).get(name)
        cells.append(absent if figures is None else f"{figures['cpu_us']:.1f}{_ratio(report, kind, name)}")
    first = report["loads"].get("get", {}).get(name)
    if first is None:
        return [*cells, absent, absent]
    limited = "" if first["busy"] >= FULL else " *"
    return [*cells, f"{first['requests_per_second']:.0f}{limited}", f"{first['p50_ms']:.2f} / {first['p99_ms']:.2f}"]


def _size(report: Report, name: str) -> list[str]:
    absent = _absent(report, name)
    first = report["loads"].get("get", {}).get(name)
    idle = report["idle"].get(name)
    bulk = report["bulk"].get(name)
    return [
        absent if first is None else f"{first['rss_mb']:.0f}",
        absent if idle is None else f"{idle['kb_each']:.1f}",
        absent if bulk is None else f"{bulk['mb_per_cpu_second']:.0f}{_ratio(report, 'bulk', name)}",
        absent if bulk is None else f"{bulk['rss_growth_mb']:.1f}",
    ]


def _absent(report: Report, name: str) -> str:
    """What stands in the place of a figure that is not there."""
    return "missing" if name in report["missing"] else "failed" if name in report["failed"] else "–"


def _ratio(report: Report, kind: str, name: str) -> str:
    ratio = report["ratios"].get(kind, {}).get(name)
    return "" if ratio is None else f" (×{ratio:.2f})"


def _machine(machine: Mapping[str, object]) -> str:
    versions = machine["versions"]
    assert isinstance(versions, dict)
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, {machine['date']}; {named}"


def put_table(readme: Path, text: str) -> None:
    """Write `text` between the marks in `readme`. Raises `BenchError` if they are not there."""
    page = readme.read_text("utf-8")
    found = re.search(f"{re.escape(BEGIN)}.*?{re.escape(END)}", page, re.DOTALL)
    if found is None:
        raise BenchError(f"{readme.name} has no place for the table: put the lines {BEGIN.strip()} and {END} there")
    readme.write_text(page[: found.start()] + BEGIN + text + END + page[found.end() :], "utf-8")
