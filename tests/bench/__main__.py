"""The bench: `python -m tests.bench` measures, `python -m tests.bench table` puts the figures into the README.

`BENCH_SECONDS`, `BENCH_ROUNDS`, `BENCH_ONLY` (contenders) and `BENCH_SCENARIOS` choose less or more than the default.
The exit code is 1 if anything failed; what is not installed is named, and no failure.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from tests.bench.contenders import CONTENDERS, find_router, make_directory, router_config
from tests.bench.crowd import raise_descriptor_limit
from tests.bench.field import say
from tests.bench.machine import describe
from tests.bench.measure import measure_bulk, measure_cold, measure_idle, measure_loads
from tests.bench.plan import BUILD, LOADS, ROOT, BenchError, read_cores, read_plan
from tests.bench.report import ROUTER, Report, put_table, ratios, table
from tests.bench.site import bulk_origin, origin, prepare

if TYPE_CHECKING:
    from tests.bench.contenders import Contender
    from tests.bench.plan import Cores, Plan
    from tests.bench.site import Site

FOLDER: Final = BUILD / "bench"
RESULT: Final = BUILD / "bench.json"
README: Final = ROOT / "README.md"


def measure(plan: Plan, cores: Cores) -> Report:
    """All of `plan`. Raises `BenchError` if it cannot even begin."""
    chosen = [one for one in CONTENDERS if not plan.only or one.name in plan.only]
    present = [one for one in chosen if one.find() is not None]
    report = _begin(plan, chosen, present)
    prepare(FOLDER, plan)
    _measure_small(report, plan, cores, present)
    if "bulk" in plan.scenarios:
        with bulk_origin(FOLDER, plan, cores) as site:
            report["bulk"], failed = measure_bulk(site, present)
        _add_failures(report, failed)
    report["cpu_us_per_request"] = {name: one["cpu_us"] for name, one in report["loads"].get("get", {}).items()}
    report["ratios"] = ratios(report["loads"], report["bulk"])
    return report


def _begin(plan: Plan, chosen: list[Contender], present: list[Contender]) -> Report:
    """The report of what is known before anything is measured."""
    return Report(
        cpu_us_per_request={},
        loads={},
        bulk={},
        idle={},
        cold=None,
        ratios={},
        contenders={one.name: one.what for one in chosen},
        missing={one.name: f"it comes with {one.comes_from}" for one in chosen if one not in present},
        failed={},
        plan={
            "seconds": plan.seconds,
            "rounds": plan.rounds,
            "connections": plan.connections,
            "workspaces": plan.workspaces,
        },
        machine=describe(present),
    )


def _measure_small(report: Report, plan: Plan, cores: Cores, present: list[Contender]) -> None:
    """What has the origin of small answers behind it. It also makes the directory, which everything needs."""
    with origin(FOLDER, plan, cores) as site:
        router = find_router()
        if router is not None:
            say(f"making a directory of {plan.workspaces} workspaces")
            make_directory(site, router)
        kinds = tuple(kind for kind in LOADS if kind in plan.scenarios)
        if kinds:
            report["loads"], failed = measure_loads(site, present, kinds)
            _add_failures(report, failed)
        if "idle" in plan.scenarios:
            report["idle"], failed = measure_idle(site, present)
            _add_failures(report, failed)
        if "cold" in plan.scenarios and any(one.name == ROUTER for one in present):
            _measure_cold(report, site)


def _measure_cold(report: Report, site: Site) -> None:
    config = site.folder / "cold.toml"
    config.write_text(router_config(site, 0, 0))
    try:
        cold = measure_cold(site, str(config))
    except (BenchError, OSError, subprocess.TimeoutExpired) as error:
        _add_failures(report, {ROUTER: f"cold: {error}"})
        return
    report["cold"] = cold
    if cold["lookups"] != 1 or cold["answered"] != cold["requests"]:
        _add_failures(report, {ROUTER: "cold: it takes one lookup, and every request is answered"})


def _add_failures(report: Report, failed: dict[str, str]) -> None:
    for name, reason in failed.items():
        earlier = report["failed"].get(name)
        report["failed"][name] = reason if earlier is None else f"{earlier}; {reason}"


def run() -> int:
    """Measure, write `build/bench.json`, print the table. The exit code."""
    plan = read_plan(os.environ, tuple(one.name for one in CONTENDERS))
    cores = read_cores()
    problem = raise_descriptor_limit(plan.idle_connections)
    if problem is not None and "idle" in plan.scenarios:
        raise BenchError(problem)
    busy = os.getloadavg()[0]
    if busy > 0.5:
        say(f"the load average is {busy:.1f}: other work is in the way, and shows most in latency")
    report = measure(plan, cores)
    RESULT.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", "utf-8")
    print(table(report), end="")
    print(f"written to {RESULT.relative_to(ROOT)}")
    return 1 if report["failed"] else 0


def write_readme() -> int:
    """Put the table of the last run into the README. The exit code."""
    if not RESULT.exists():
        raise BenchError(f"there is no {RESULT.relative_to(ROOT)}: run `make bench` first")
    report: Report = json.loads(RESULT.read_text("utf-8"))
    put_table(README, table(report))
    return 0


def main(arguments: list[str]) -> int:
    """See the top of this file."""
    actions = {(): run, ("table",): write_readme}
    action = actions.get(tuple(arguments))
    if action is None:
        print("usage: python -m tests.bench [table]", file=sys.stderr)
        return 2
    try:
        return action()
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: ended; nothing was written", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
