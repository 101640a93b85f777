"""The bench measures what it says: its load, its figures, its table, and one tiny run of the real thing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from router.settings.load import load
from tests.bench import contenders
from tests.bench.bulk import exchange
from tests.bench.contenders import CONTENDERS
from tests.bench.field import Runner, started
from tests.bench.load import read_summary
from tests.bench.measure import measure_cold, measure_loads, takers
from tests.bench.plan import MEBIBYTE, REGIONS, BenchError, Cores, Plan, fill, read_plan, workspaces
from tests.bench.processes import cpu_seconds, resident_bytes, running
from tests.bench.report import BulkFigures, LoadFigures, Report, median_bulk, median_load, put_table, ratios, table
from tests.bench.site import Site, bulk_origin, json_of, origin, origin_config, prepare
from tests.programs import require_program

if TYPE_CHECKING:
    from pathlib import Path

SUMMARY = 'BENCH {"requests": 3000, "microseconds": 1500000, "p50": 900, "p99": 4200, "not_ok": %d, "broken": 0}\n'
TINY = Plan(seconds=1, rounds=1, workspaces=20, connections=4, bulk_mebibytes=4, idle_connections=20, cold_requests=50)


@pytest.fixture
def needs_taskset() -> None:
    require_program("taskset")


@pytest.fixture
def needs_nginx(needs_taskset: None) -> None:
    require_program("nginx")


@pytest.fixture
def needs_wrk() -> None:
    require_program("wrk")


def site(folder: Path) -> Site:
    ports = dict(zip(REGIONS, range(10_001, 10_006), strict=True))
    return Site(folder, TINY, Cores(0, 1), ports)


def cores() -> Cores:
    usable = sorted(os.sched_getaffinity(0))
    return Cores(usable[0], usable[-1])


def figures(cpu: float) -> LoadFigures:
    return LoadFigures(
        cpu_us=cpu,
        requests_per_second=1e6 / cpu,
        p50_ms=1.0,
        p99_ms=2.0,
        rss_mb=50.0,
        busy=0.95,
        cpu_us_by_round=[cpu],
    )


def bulk(speed: float, growth: float = 1.0) -> BulkFigures:
    return BulkFigures(mb_per_cpu_second=speed, mb_per_second=speed, rss_growth_mb=growth)


def report() -> Report:
    loads = {"get": {"router": figures(40.0), "envoy": figures(50.0)}}
    large = {"router": bulk(3000.0), "envoy": bulk(2000.0)}
    return Report(
        cpu_us_per_request={"router": 40.0, "envoy": 50.0},
        loads=loads,
        bulk=large,
        idle={"router": {"connections": 5000, "kb_each": 1.3}},
        cold={"requests": 1000, "answered": 1000, "lookups": 1},
        ratios=ratios(loads, large),
        contenders={"router": "this gateway", "envoy": "a plain route", "caddy": "a proxy", "haproxy": "a map"},
        missing={"caddy": "not installed"},
        failed={"haproxy": "start: it ended with 1"},
        plan={"seconds": 3, "rounds": 3, "connections": 32, "workspaces": 100_000},
        machine={"cpu": "a CPU", "cores": 2, "kernel": "6.1", "date": "2026-01-01", "versions": {"wrk": "4.1.0"}},
    )


def test_the_workspaces_are_the_same_every_time() -> None:
    assert next(workspaces(1)) == ("14cebf65f2300ed87737d5fc", "global")


def test_the_workspaces_are_many_different_ones_spread_over_the_regions() -> None:
    placed = list(workspaces(1000))
    assert len({workspace for workspace, _ in placed}) == 1000
    assert {sum(region == name for _, region in placed) for name in REGIONS} == {200}


def test_a_walk_of_the_load_meets_every_workspace_before_any_twice() -> None:
    [line] = [line for line in fill("wrk.lua", {"post_bytes": 1024}).splitlines() if "% count" in line]
    stride = int(line.partition("number * ")[2].partition(" ")[0])
    count = Plan().workspaces
    assert len({number * stride % count for number in range(count)}) == count


def test_the_environment_chooses_less() -> None:
    plan = read_plan({"BENCH_SECONDS": "1", "BENCH_ROUNDS": "2", "BENCH_ONLY": "router, envoy"}, ("router", "envoy"))
    assert (plan.seconds, plan.rounds, plan.only) == (1, 2, ("router", "envoy"))


def test_every_mistake_in_the_environment_is_named_at_once() -> None:
    with pytest.raises(BenchError, match=r"BENCH_SECONDS is '0'.*BENCH_ONLY names 'squid'"):
        read_plan({"BENCH_SECONDS": "0", "BENCH_ONLY": "squid"}, ("router",))


def test_wrk_is_read_in_seconds_and_milliseconds() -> None:
    assert read_summary("Running 1s test\n" + SUMMARY % 0) == (3000, 1.5, 0.9, 4.2)


def test_an_error_among_the_answers_fails_the_measurement() -> None:
    with pytest.raises(BenchError, match="of 3000 requests 7 "):
        read_summary(SUMMARY % 7)


def test_a_wrk_that_could_not_start_fails_the_measurement_with_what_it_said() -> None:
    with pytest.raises(BenchError, match="unable to connect"):
        read_summary("unable to connect to 127.0.0.1:1 Connection refused\n")


def test_a_variant_takes_part_in_what_it_is_there_for_alone(tmp_path: Path) -> None:
    field = [Runner(contender, 1, 1) for contender in CONTENDERS]
    everybody = [contender.name for contender in CONTENDERS]
    assert [runner.contender.name for runner in takers(field, "get")] == everybody
    assert [name for name in everybody if name not in {each.contender.name for each in takers(field, "bulk")}] == [
        "router-log",
        "router-2",
    ]


@pytest.mark.parametrize("name", ["router-log", "router-2"])
def test_a_variants_configuration_is_one_that_it_accepts(tmp_path: Path, name: str) -> None:
    [variant] = [contender for contender in CONTENDERS if contender.name == name]
    command = variant.configure(site(tmp_path), 10_000, tmp_path / "program")
    loaded = load(tmp_path / "router-10000.toml", {})
    assert loaded.gateway.log_sample == (0.01 if name == "router-log" else None)
    assert ("--workers" in command) == (variant.workers == 2)


def test_the_median_round_counts() -> None:
    assert median_load([figures(40.0), figures(90.0), figures(42.0)])["cpu_us"] == 42.0


def test_the_worst_growth_of_memory_counts() -> None:
    assert median_bulk([bulk(3000, 1.0), bulk(3000, 9.0), bulk(3000, 2.0)])["rss_growth_mb"] == 9.0


def test_a_ratio_is_the_routers_figure_over_the_contenders() -> None:
    assert report()["ratios"] == {"get": {"envoy": 0.8}, "bulk": {"envoy": 1.5}}


def test_the_table_has_the_figures_with_their_ratios() -> None:
    assert "| envoy: a plain route | 50.0 (×0.80) | – | – | 20000 | 1.00 / 2.00 |" in table(report())


def test_the_table_says_who_is_missing_and_who_failed() -> None:
    lines = table(report()).splitlines()
    assert "caddy is missing: not installed." in lines
    assert "haproxy failed: start: it ended with 1." in lines


def test_the_table_is_the_same_from_the_file() -> None:
    assert table(json.loads(json.dumps(report()))) == table(report())


def test_the_table_goes_between_its_marks_alone(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- bench -->\nold\n<!-- end -->\nafter\n<!-- end -->\n")
    put_table(readme, "new\n")
    assert readme.read_text() == "before\n<!-- bench -->\nnew\n<!-- end -->\nafter\n<!-- end -->\n"


def test_a_readme_without_the_marks_is_left_alone(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("no marks\n")
    with pytest.raises(BenchError, match="no place for the table"):
        put_table(readme, "new\n")


def test_every_answer_of_the_origin_has_the_size_that_is_checked() -> None:
    assert [len(json_of(size)) for size in (512, 10_240)] == [512, 10_240]


def test_the_routers_configuration_is_one_that_it_accepts(tmp_path: Path) -> None:
    config = tmp_path / "router.toml"
    config.write_text(contenders.router_config(site(tmp_path), 8080, 9090))
    assert tuple(load(config, {}).table.regions) == REGIONS


def test_every_configuration_is_filled_in_completely(tmp_path: Path) -> None:
    stage = site(tmp_path)
    for number, contender in enumerate(CONTENDERS):
        contender.configure(stage, 10_000 + number, tmp_path / "program")
    (tmp_path / "origin.conf").write_text(origin_config(tmp_path, stage.origins))
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert len(written) >= len(CONTENDERS)
    assert [name for name, text in written.items() if "{{" in text] == []


def test_every_router_by_workspace_knows_every_regions_origin(tmp_path: Path) -> None:
    stage = site(tmp_path)
    texts = (
        contenders.router_config(stage, 1, 2),
        contenders.envoy_config(stage, 1, by_workspace=True),
        contenders.haproxy_config(stage, 1),
        contenders.nginx_config(stage, 1, modules=tmp_path),
    )
    assert [port for text in texts for port in stage.origins.values() if str(port) not in text] == []


def test_the_processes_below_one_are_counted_with_it() -> None:
    held = resident_bytes(os.getpid())
    child = subprocess.Popen([sys.executable, "-c", "print(flush=True); input()"], stdin=-1, stdout=-1)
    with child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        grown = resident_bytes(os.getpid()) - held
        child.stdin.close()
    assert grown > MEBIBYTE


def test_cpu_time_is_what_was_used() -> None:
    before = cpu_seconds(os.getpid())
    while cpu_seconds(os.getpid()) - before < 0.05:
        sum(range(10_000))


@pytest.mark.usefixtures("needs_taskset")
def test_a_process_is_ended_with_its_block(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import signal; signal.pause()"]
    with running(command, core=cores().proxy, log=tmp_path / "log") as process:
        assert process.poll() is None
    assert process.poll() is not None


@pytest.mark.usefixtures("needs_taskset")
def test_large_bodies_are_counted_at_both_ends(tmp_path: Path) -> None:
    with bulk_origin(tmp_path, TINY, cores()) as stage:
        port = stage.origins[REGIONS[0]]
        assert exchange(port, TINY.bulk_mebibytes * MEBIBYTE, next(workspaces(1))[0]) > 0
        with pytest.raises(OSError, match="the client received 4194304 of 5242880 bytes"):
            exchange(port, 5 * MEBIBYTE, next(workspaces(1))[0])


@pytest.mark.usefixtures("needs_nginx")
@pytest.mark.usefixtures("needs_wrk")
def test_a_tiny_run_measures_a_contender(tmp_path: Path) -> None:
    folder = tmp_path / "bench"
    prepare(folder, TINY)
    [aiohttp] = [contender for contender in CONTENDERS if contender.name == "aiohttp"]
    with origin(folder, TINY, cores()) as stage:
        loads, failed = measure_loads(stage, [aiohttp], ("get",))
    assert failed == {}
    assert 0 < loads["get"]["aiohttp"]["cpu_us"] < 100_000


@pytest.mark.usefixtures("needs_taskset")
def test_a_contender_that_does_not_start_is_named_with_what_it_said_last(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such option')"]
    broken = replace(CONTENDERS[-1], name="broken", configure=lambda *_: command)
    with started(Site(tmp_path, TINY, cores(), {}), [broken]) as field:
        assert list(field) == []
    assert field.failed["broken"].startswith("start: it ended with 1 before it listened: no such option ")


@pytest.mark.usefixtures("needs_nginx")
def test_a_cold_cache_asks_its_directory_once(tmp_path: Path) -> None:
    folder = tmp_path / "bench"
    prepare(folder, TINY)
    router = contenders.find_router()
    assert router is not None
    with origin(folder, TINY, cores()) as stage:
        contenders.make_directory(stage, router)
        cold = measure_cold(stage, str(folder / "directory.toml"))
    assert cold == {"requests": 50, "answered": 50, "lookups": 1}
