"""The ops listener's answers, over real sockets."""

from __future__ import annotations

import json
import logging
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

from router.model.record import Record
from router.telemetry.metrics import Metrics
from router.telemetry.ops import ops_application, ops_runner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclass
class Gauges:
    cache_entries: int = 3
    feed_lag: float = 0.0


@dataclass
class Process:
    """A process as its probes see it: `reasons` is what keeps it from being ready."""

    metrics: Metrics
    reasons: tuple[str, ...] = ()

    def not_ready(self) -> tuple[str, ...]:
        return self.reasons


class Broken:
    def not_ready(self) -> tuple[str, ...]:
        raise RuntimeError("sesame")


@asynccontextmanager
async def listening(application: web.Application) -> AsyncIterator[aiohttp.ClientSession]:
    runner = ops_runner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        async with aiohttp.ClientSession(f"http://{host}:{port}") as client:
            yield client
    finally:
        await runner.cleanup()


@pytest.fixture
def process() -> Process:
    return Process(Metrics(("global", "eu"), Gauges()))


@pytest.fixture
async def client(process: Process) -> AsyncIterator[aiohttp.ClientSession]:
    async with listening(ops_application(process.metrics.registry, process)) as client:
        yield client


async def test_a_scrape_shows_what_was_counted(client: aiohttp.ClientSession, process: Process) -> None:
    process.metrics.record(Record("eu", "proxy", "GET", 200, 0.1, "hit", None))
    async with client.get("/metrics") as answer:
        lines = (await answer.text()).splitlines()
    assert 'router_requests_total{code="200",decision="proxy",method="GET",region="eu"} 1.0' in lines


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=0.0.4", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.2",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
        ("application/openmetrics-text;version=x", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("text/plain;version=x.y", "text/plain; version=0.0.4; charset=utf-8"),
    ],
)
async def test_the_format_is_what_accept_asks_for_and_never_repeats_it(
    client: aiohttp.ClientSession, accept: str, content_type: str
) -> None:
    async with client.get("/metrics", headers={"Accept": accept}) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, content_type)
        assert (await answer.text()).endswith("# EOF\n") == ("openmetrics" in content_type)


async def test_livez_is_200_though_the_process_is_not_ready(client: aiohttp.ClientSession, process: Process) -> None:
    process.reasons = ("draining",)
    async with client.get("/livez") as answer:
        assert (answer.status, await answer.json()) == (200, {"live": True})


async def test_readyz_is_200_while_nothing_speaks_against_it(client: aiohttp.ClientSession) -> None:
    async with client.get("/readyz") as answer:
        assert (answer.status, await answer.json()) == (200, {"ready": True, "reasons": []})


async def test_readyz_is_503_with_every_reason_in_one_line(client: aiohttp.ClientSession, process: Process) -> None:
    process.reasons = ("the directory is not opened", "draining")
    async with client.get("/readyz") as answer:
        body = await answer.text()
    assert answer.status == 503
    assert body.count("\n") == 1
    assert json.loads(body) == {"ready": False, "reasons": ["the directory is not opened", "draining"]}


async def test_readyz_follows_the_process_from_probe_to_probe(client: aiohttp.ClientSession, process: Process) -> None:
    statuses = []
    for process.reasons in ((), ("draining",), ()):
        async with client.get("/readyz") as answer:
            statuses.append(answer.status)
    assert statuses == [200, 503, 200]


async def test_a_probe_that_sends_head_gets_the_status_alone(client: aiohttp.ClientSession, process: Process) -> None:
    process.reasons = ("draining",)
    async with client.head("/readyz") as answer:
        assert (answer.status, await answer.read()) == (503, b"")


async def test_another_path_is_404_in_json_and_never_repeated(client: aiohttp.ClientSession) -> None:
    async with client.get("/secret-path?token=secret") as answer:
        assert (answer.status, await answer.json()) == (404, {"status": 404, "message": "Not Found"})


async def test_another_method_is_405_in_json_and_says_which_are_allowed(client: aiohttp.ClientSession) -> None:
    async with client.post("/metrics?token=secret", data=b"x") as answer:
        assert (answer.status, await answer.json()) == (405, {"status": 405, "message": "Method Not Allowed"})
        assert answer.headers["Allow"] == "GET,HEAD"


async def test_an_unknown_expectation_is_417_in_json_and_never_repeated(client: aiohttp.ClientSession) -> None:
    async with client.get("/metrics", headers={"Expect": "secret"}) as answer:
        assert (answer.status, await answer.json()) == (417, {"status": 417, "message": "Expectation Failed"})


async def test_no_answer_may_be_stored_or_says_what_serves_it(client: aiohttp.ClientSession) -> None:
    for path in ("/metrics", "/livez", "/readyz", "/"):
        async with client.get(path) as answer:
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Server"] == "region-router"


async def test_a_failing_probe_is_500_in_json_and_the_cause_goes_to_the_log(
    process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        listening(ops_application(process.metrics.registry, Broken())) as client,
        client.get("/readyz?token=secret") as a,
    ):
        body = await a.text()
    assert (a.status, json.loads(body)) == (500, {"status": 500, "message": "Internal Server Error"})
    assert "sesame" in caplog.text
    assert "secret" not in caplog.text


async def test_no_request_is_logged(client: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with client.get("/livez?token=secret") as answer:
        assert answer.status == 200
    assert "livez" not in caplog.text
    assert "secret" not in caplog.text
