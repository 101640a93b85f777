"""The access log: what a line says of each kind of request, which requests have one, and what is in none."""

from __future__ import annotations

import contextlib
import json
import re
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from router.gateway.probing import is_failure
from router.model.fault import Fault
from router.model.record import Record
from router.settings.load import load_text
from tests.gateway.origin import Turn, ok
from tests.gateway.stage import GET, IN_EU, MOVING, Stage, configure, path, request, staged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ALL = '[log]\naccess = true\nformat = "json"\n'
FAILURES = f"{ALL}access_sample = 0\n"
NAMED = f"{ALL}workspace = true\n"


class Log:
    """The lines that were written to the process's stdout: all of them once the gateway has ended."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd
        self.text = ""

    @contextlib.asynccontextmanager
    async def of(self, folder: Path, tables: str, **more: Any) -> AsyncIterator[Stage]:
        async with staged(folder, tables=tables, **more) as stage:
            yield stage
        self.text = self._capfd.readouterr().out

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


async def test_a_proxied_request_is_one_line_with_all_that_is_known_of_it(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = Log(capfd)
    async with log.of(folder, ALL) as stage:
        sent = request("POST", f"{path()}?page=1", "X-Request-ID: mine-1", body=b"12345")
        answer = await stage.ask(sent)
        epoch = int(stage.eu.requests[0].values(b"X-Workspace-Epoch")[0])
    (line,) = log.lines
    times = [line.pop(name) for name in ("directory", "connect", "first_byte", "total")]
    assert line.pop("time").endswith("Z")
    assert line == {
        "logger": "access",
        "id": "mine-1",
        "method": "POST",
        "service": "api",
        "route": "/workspaces/{workspace}/…",
        "region": "eu",
        "decision": "proxy",
        "epoch": epoch,
        "source": "miss",
        "status": 200,
        "fault": None,
        "bytes_in": len(sent),
        "bytes_out": len(answer.head + answer.raw),
    }
    assert all(time >= 0 for time in times)
    assert sum(times[:3]) <= times[3]


async def test_a_connection_that_was_there_takes_no_time(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = Log(capfd)
    async with log.of(folder, ALL) as stage:
        client = await stage.client()
        await client.ask(GET)
        await client.ask(GET)
    first, second = log.lines
    assert (first["source"], second["source"]) == ("miss", "hit")
    assert second["connect"] < first["connect"]


async def test_the_bytes_of_pipelined_requests_are_each_ones_own(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = Log(capfd)
    long = request("POST", path(), body=b"x" * 1000)
    async with log.of(folder, ALL) as stage:
        client = await stage.client()
        await client.send(GET + long + GET)
        for _ in range(3):
            await client.answer()
    assert [line["bytes_in"] for line in log.lines] == [len(GET), len(long), len(GET)]


async def test_what_is_answered_here_has_its_line_too(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = Log(capfd)
    async with log.of(folder, ALL) as stage:
        await stage.start_transfer(MOVING)
        await stage.answered(423, request("GET", path(MOVING)))
        await stage.ask(request("GET", "/elsewhere"))
        await stage.ask(request("GET", f"/api/workspaces/{IN_EU}/../x"))
        await stage.ask(b"GET / HTTP/3.0\r\n\r\n")
    locked = next(line for line in log.lines if line["status"] == 423)
    assert (locked["decision"], locked["region"], locked["route"]) == ("locked", "eu", "/workspaces/{workspace}/…")
    assert locked["epoch"] > 0
    assert locked["connect"] is None
    assert locked["bytes_out"] > 100
    rest = [(line["status"], line["decision"], line["service"], line["route"]) for line in log.lines[-3:]]
    assert rest == [
        (404, "refuse", None, None),
        (400, "refuse", "api", "/workspaces/{workspace}/…"),
        (505, "refuse", None, None),
    ]


async def test_a_websocket_is_one_line_at_its_end_with_all_its_bytes(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = Log(capfd)
    upgrade = request(
        "GET",
        path(),
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    async with log.of(folder, ALL) as stage:
        stage.eu.answers.append(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        client = await stage.client()
        answer = await client.ask(upgrade)
        await client.send(b"\x81\x80abcd")
        client.finish()
        await client.read_to_end()
    (line,) = log.lines
    assert (line["status"], line["bytes_in"]) == (101, len(upgrade) + 6)
    assert line["bytes_out"] == len(answer.head)


async def test_a_request_that_was_sent_twice_says_so(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async def leaves(turn: Turn) -> None:
        turn.connection.close()

    log = Log(capfd)
    async with log.of(folder, ALL) as stage:
        client = await stage.client()
        await client.ask(GET)
        stage.eu.answers.append(leaves)
        assert (await client.ask(GET)).status == 200
    once, twice = log.lines
    assert "attempts" not in once
    assert (twice["attempts"], twice["status"]) == (2, 200)


async def test_a_failure_has_a_line_whatever_the_sample(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = Log(capfd)
    async with log.of(folder, FAILURES) as stage:
        stage.eu.answers.extend([ok(), b"garbage\r\n\r\n", b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"])
        statuses = [(await stage.ask(GET)).status for _ in range(3)]
        await stage.ask(request("GET", "/elsewhere"))
    assert statuses == [200, 502, 503]
    (line,) = log.lines
    assert (line["status"], line["fault"], line["region"]) == (502, "protocol_error", "eu")
    assert line["route"] == "/workspaces/{workspace}/…"
    assert line["epoch"] > 0
    assert line["bytes_in"] is None
    assert line["total"] >= 0


async def test_without_the_setting_there_is_no_line(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = Log(capfd)
    async with log.of(folder, "") as stage:
        stage.eu.answers.extend([ok(), b"garbage\r\n\r\n"])
        assert [(await stage.ask(GET)).status for _ in range(2)] == [200, 502]
    assert log.text == ""


async def test_a_sample_is_by_the_request_id_and_about_as_large_as_it_says(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = Log(capfd)
    ids = [f"request-{number}" for number in range(400)]
    chosen = []
    async with log.of(folder, f"{ALL}access_sample = 0.1\n") as stage:
        for _ in range(2):
            client = await stage.client()
            for each in ids:
                await client.ask(request("GET", path(), f"X-Request-ID: {each}"))
    chosen = [line["id"] for line in log.lines]
    half = len(chosen) // 2
    assert chosen[:half] == chosen[half:]
    assert 15 <= half <= 75


async def test_the_workspace_is_named_where_the_setting_says_so(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = Log(capfd)
    async with log.of(folder, NAMED) as stage:
        await stage.ask(GET)
        await stage.ask(request("GET", "/api/v1/user").replace(b"Host: ", b"Host: acme."))
        await stage.ask(request("GET", "/api/v1/user"))
    assert [line["workspace"] for line in log.lines] == [IN_EU, IN_EU, None]


async def test_no_workspace_is_named_otherwise(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = Log(capfd)
    async with log.of(folder, ALL) as stage:
        await stage.ask(GET)
    assert log.lines
    assert IN_EU not in log.text


async def test_a_line_for_people_leaves_out_what_is_not_known(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = Log(capfd)
    async with log.of(folder, "[log]\naccess = true\n") as stage:
        await stage.ask(request("GET", "/elsewhere", "X-Request-ID: one"))
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT[0-9:.]{12}Z ACCESS GET 404 refuse - - - "
        r"id=one source=none bytes_in=\d+ bytes_out=\d+ directory=[0-9.e-]+ total=[0-9.e-]+\n",
        log.text,
    )


async def test_a_reload_turns_the_log_on_and_off(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = Log(capfd)
    async with log.of(folder, ALL.replace("true", "false")) as stage:
        ports = {name: origin.port for name, origin in stage.origins.items()}
        client = await stage.client()
        for number, tables in enumerate((ALL, FAILURES)):
            wanted = load_text(configure(ports, tables=tables), {}, folder=folder)
            stage.gateway.adopt(wanted.table, wanted.gateway)
            await client.ask(request("GET", path(), f"X-Request-ID: {number}"))
    assert [line["id"] for line in log.lines] == ["0"]


def hiding(random: Random, secret: str) -> bytes:
    """A request with `secret` in one place or in several, any but the field that is logged."""
    target = random.choice([path(), path(MOVING), "/api/v1/user", "/api//x", "/nowhere", "*"])
    fields = []
    body = b""
    for place in random.sample(["segment", "climb", "query", "field", "cookie", "host", "body", "method"], 2):
        match place:
            case "segment":
                target += f"/{secret}"
            case "climb":
                target += f"/{secret}/../{secret}"
            case "query":
                target += f"?token={secret}"
            case "field":
                name = random.choice(["X-Api-Key", "Authorization", "X-Auth-Token", "X-Addon-Token", "Referer", "Via"])
                fields.append(f"{name}: {secret}")
            case "cookie":
                fields.append(f"Cookie: session={secret}")
            case "host":
                target = f"http://{secret}.clockify.me{target}"
            case "body":
                body = secret.encode()
            case "method":
                fields.append(f"X-HTTP-Method-Override: {secret}")
    return request(random.choice(["GET", "POST", "DELETE"]), target, *fields, body=body)


@pytest.mark.parametrize("seed", range(4))
async def test_no_line_shows_a_secret_wherever_it_stands(
    folder: Path, capfd: pytest.CaptureFixture[str], seed: int
) -> None:
    log = Log(capfd)
    random = Random(seed)
    secret = f"very-secret-{seed}"
    async with log.of(folder, NAMED) as stage:
        await stage.start_transfer(MOVING)
        for _ in range(60):
            stage.eu.answers.append(random.choice([ok(), b"garbage " + secret.encode() + b"\r\n\r\n"]))
            await stage.ask(hiding(random, secret))
    assert len(log.lines) == 60
    assert {line["decision"] for line in log.lines} >= {"proxy", "refuse"}
    assert secret not in log.text


def test_a_failure_is_ours_or_the_regions() -> None:
    def record(decision: str, status: int, fault: Fault | None) -> Record:
        return Record("eu", decision, "GET", status, 0.1, "hit", fault)

    assert is_failure(record("proxy", 502, Fault.CONNECT_FAILED))
    assert is_failure(record("proxy", 200, Fault.TRUNCATED))
    assert is_failure(record("refuse", 503, None))
    assert not is_failure(record("proxy", 503, None)), "the region's own answer"
    assert not is_failure(record("proxy", 0, Fault.CLIENT_GONE))
    assert not is_failure(record("locked", 423, None))
    assert not is_failure(record("refuse", 404, None))
