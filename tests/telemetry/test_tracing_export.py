"""The way to a collector: bounded, counted, and no reason for a process not to end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from threading import Event
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from router.model.record import Attempt, Details, Measures, Record, Trace
from router.telemetry.tracing import CLOSE_SECONDS, Tracing, open_tracing
from tests.collector import collecting, values

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan

RECORD = Record("eu", "proxy", "GET", 200, 0.25, "hit", None)
TRACE = Trace(1, 2, 0)
MEASURES = Measures(10, 20, 0.01, 0.25, (Attempt("eu", 3, 0.01, 0.02, 0.2, 0.25),), TRACE)
DETAILS = Details("one", "api", "/…", None, 7, 1000.0, False, MEASURES)
SPANS = 3


class Stuck(SpanExporter):
    """Takes nothing until it is let go."""

    def __init__(self) -> None:
        self.let_go = Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.let_go.wait(30)
        return SpanExportResult.SUCCESS


def hand(tracing: Tracing, times: int) -> None:
    for _ in range(times):
        tracing.write(RECORD, DETAILS, MEASURES, TRACE)


async def test_times_are_those_of_the_request() -> None:
    async with collecting() as collector:
        tracing = open_tracing(collector.url, name="edge", instance="one", shows_workspace=False)
        hand(tracing, 1)
        await tracing.close()
    whole, call = collector.named("GET /…"), collector.named("GET")
    assert (whole.start_time_unix_nano, whole.end_time_unix_nano) == (999_750_000_000, 1_000_000_000_000)
    assert [event.time_unix_nano for event in call.events] == [999_770_000_000, 999_950_000_000]
    assert (collector.resource["service.name"], collector.resource["service.instance.id"]) == ("edge", "one")
    assert values(call) == {"http.request.method": "GET", "http.response.status_code": 200, "router.region": "eu"}
    assert tracing.dropped == 0


async def test_what_finds_the_way_full_is_dropped_and_counted() -> None:
    exporter = Stuck()
    tracing = Tracing(exporter, name="edge", instance="one", waiting=30, shows_workspace=False)
    hand(tracing, 100)
    assert tracing.dropped == 270
    exporter.let_go.set()
    await tracing.close()
    assert tracing.dropped == 270


async def test_what_a_collector_does_not_take_is_counted() -> None:
    async with collecting() as collector:
        collector.status = 400
        tracing = open_tracing(collector.url, name="edge", instance="one", shows_workspace=False)
        hand(tracing, 2)
        await tracing.close()
    assert tracing.dropped == 2 * SPANS


async def test_a_collector_that_never_answers_keeps_no_process_from_ending() -> None:
    exporter = Stuck()
    tracing = Tracing(exporter, name="edge", instance="one", shows_workspace=False)
    hand(tracing, 1)
    began = time.monotonic()
    ending = asyncio.create_task(tracing.close())
    await ending
    assert time.monotonic() - began < CLOSE_SECONDS + 10
    exporter.let_go.set()


PROGRAM = """
import importlib.abc, sys


class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(name)


sys.meta_path.insert(0, Absent())
from router.cli import main

main()
"""


def check_config(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    config = folder / "router.toml"
    regions = (
        '[services.api]\nmatch = ["example.com/api"]\npath = "/api"\n[regions.global]\n'
        'origin = "http://127.0.0.1:1"\npublic_url = "https://example.com"\n'
    )
    config.write_text(regions + text)
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, "check-config", "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_without_the_extra_tracing_is_one_clear_problem(tmp_path: Path) -> None:
    done = check_config(tmp_path, '[tracing]\nendpoint = "http://127.0.0.1:4318/v1/traces"\n')
    assert done.returncode != 0
    assert "tracing.endpoint" in done.stdout + done.stderr
    assert "pip install 'region-router[otel]'" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_without_the_extra_everything_else_goes_on(tmp_path: Path) -> None:
    assert check_config(tmp_path, "").returncode == 0
