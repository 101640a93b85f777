"""The measurements: who is loaded when, and what is read off /proc before and after.

The law of the room: contenders take turns within each round, so that whatever else the machine does hits all of them;
CPU time is the figure to trust where a machine is shared, and everything is bounded in number and time.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from tests.bench.field import check_loads, say, started, warm
from tests.bench.load import apply_load
from tests.bench.plan import MEBIBYTE, BenchError, workspaces
from tests.bench.processes import cpu_seconds, forget_peak, peak_bytes, pinned, resident_bytes
from tests.bench.report import BulkFigures, ColdFigures, IdleFigures, LoadFigures, median_bulk, median_load

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.bench.contenders import Contender
    from tests.bench.field import Runner
    from tests.bench.site import Site

_BULK_SECONDS: Final = 180
_CROWD_SECONDS: Final = 120
_COLD_SECONDS: Final = 120
_STEP: Final = 37_003
"""Workspaces by which each round starts further on."""


def measure_loads(
    site: Site, contenders: Iterable[Contender], kinds: tuple[str, ...]
) -> tuple[dict[str, dict[str, LoadFigures]], dict[str, str]]:
    """Each kind of load on each contender, in turns. The medians, and who failed."""
    rounds: dict[str, dict[str, list[LoadFigures]]] = {kind: {} for kind in kinds}
    with started(site, [one for one in contenders if set(kinds) & set(one.scenarios)]) as field:
        for runner in field:
            with field.trying(runner.contender.name, "check"):
                check_loads(site, runner)
                warm(site, runner)
        for number in range(site.plan.rounds):
            for kind in kinds:
                for runner in takers(field, kind):
                    name = runner.contender.name
                    with field.trying(name, kind):
                        figures = measure_load(site, runner, kind, number)
                        rounds[kind].setdefault(name, []).append(figures)
                        say(f"round {number + 1}: {kind}: {name}: {figures['cpu_us']:.1f} µs a request")
    medians = {kind: {name: median_load(all_of) for name, all_of in of.items()} for kind, of in rounds.items()}
    return medians, field.failed


def measure_load(site: Site, runner: Runner, kind: str, number: int) -> LoadFigures:
    """One contender under one kind of load, once. Raises `BenchError`, `OSError`."""
    before = cpu_seconds(runner.pid)
    load = apply_load(site, runner.port, kind, seconds=site.plan.seconds, first=number * _STEP)
    used = cpu_seconds(runner.pid) - before
    return LoadFigures(
        cpu_us=used / load.requests * 1e6,
        requests_per_second=load.requests / load.seconds,
        p50_ms=load.p50,
        p99_ms=load.p99,
        rss_mb=resident_bytes(runner.pid) / MEBIBYTE,
        busy=used / load.seconds,
        cpu_us_by_round=[],
    )


def measure_bulk(site: Site, contenders: Iterable[Contender]) -> tuple[dict[str, BulkFigures], dict[str, str]]:
    """One large body up and one down at the same time, in turns. The medians, and who failed."""
    rounds: dict[str, list[BulkFigures]] = {}
    with started(site, [one for one in contenders if "bulk" in one.scenarios]) as field:
        for number in range(site.plan.rounds):
            for runner in field:
                name = runner.contender.name
                with field.trying(name, "bulk"):
                    figures = _measure_bulk_once(site, runner)
                    rounds.setdefault(name, []).append(figures)
                    say(f"round {number + 1}: bulk: {name}: {figures['mb_per_cpu_second']:.0f} MB per CPU-second")
    return {name: median_bulk(all_of) for name, all_of in rounds.items()}, field.failed


def _measure_bulk_once(site: Site, runner: Runner) -> BulkFigures:
    size = site.plan.bulk_mebibytes
    held = resident_bytes(runner.pid)
    forget_peak(runner.pid)
    before = cpu_seconds(runner.pid)
    said = _run_module(site, "bulk", "client", str(runner.port), str(size), first_workspace(), seconds=_BULK_SECONDS)
    used = cpu_seconds(runner.pid) - before
    moved = 2 * size * MEBIBYTE / 1e6
    return BulkFigures(
        mb_per_cpu_second=moved / used,
        mb_per_second=moved / float(said["seconds"]),
        rss_growth_mb=(peak_bytes(runner.pid) - held) / MEBIBYTE,
    )


def measure_idle(site: Site, contenders: Iterable[Contender]) -> tuple[dict[str, IdleFigures], dict[str, str]]:
    """What an idle connection costs in memory: once each, in processes that did little else. Also who failed."""
    measured: dict[str, IdleFigures] = {}
    with started(site, [one for one in contenders if "idle" in one.scenarios]) as field:
        for runner in field:
            name = runner.contender.name
            with field.trying(name, "idle"):
                apply_load(site, runner.port, "get", seconds=1, first=0)
                measured[name] = _measure_idle_once(site, runner)
                say(f"idle: {name}: {measured[name]['kb_each']:.1f} kB a connection")
    return measured, field.failed


def _measure_idle_once(site: Site, runner: Runner) -> IdleFigures:
    wanted = site.plan.idle_connections
    held = resident_bytes(runner.pid)
    command = [sys.executable, "-m", "tests.bench.crowd", str(runner.port), str(wanted), first_workspace()]
    crowd = subprocess.Popen(
        pinned(site.cores.load, command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert crowd.stdout is not None
        opened = crowd.stdout.readline().strip()
        grown = resident_bytes(runner.pid) - held
        said, complaint = crowd.communicate(timeout=_CROWD_SECONDS)
    finally:
        crowd.kill()
        crowd.wait()
    if opened != "open":
        raise BenchError(complaint.strip().rpartition("\n")[2] or "the connections could not be opened")
    if int(said) != wanted:
        raise BenchError(f"only {int(said)} of {wanted} connections stayed open")
    return IdleFigures(connections=wanted, kb_each=round(grown / wanted / 1024, 2))


def measure_cold(site: Site, config: str) -> ColdFigures:
    """Many requests at once for one workspace that nobody has asked for. Raises `BenchError`."""
    said = _run_module(site, "cold", config, str(site.plan.cold_requests), first_workspace(), seconds=_COLD_SECONDS)
    return ColdFigures(requests=int(said["requests"]), answered=int(said["answered"]), lookups=int(said["lookups"]))


def takers(field: Iterable[Runner], scenario: str) -> list[Runner]:
    """Who takes part in a scenario."""
    return [runner for runner in field if scenario in runner.contender.scenarios]


def first_workspace() -> str:
    """The id that is used where one is enough."""
    return next(workspaces(1))[0]


def _run_module(site: Site, module: str, *arguments: str, seconds: int) -> dict[str, float]:
    """Run a module of the bench on the load's core, and read the object that it prints. Raises `BenchError`."""
    command = pinned(site.cores.load, [sys.executable, "-m", f"tests.bench.{module}", *arguments])
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    if done.returncode:
        raise BenchError(done.stderr.strip().rpartition("\n")[2] or f"it ended with {done.returncode}")
    said: dict[str, float] = json.loads(done.stdout)
    return said
