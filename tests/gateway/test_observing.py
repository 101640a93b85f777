"""Shadow mode: every request goes home as if no gateway were there, and what would have been done is counted."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from router.directory.evaluator import evaluate_transfer
from router.directory.ports import SystemClock
from router.directory.watch import Watch
from router.model.transfer import TransferState
from router.runtime.directories import host_locks_of
from router.settings.load import load_text
from tests.gateway.stage import AT_HOME, GET, IN_EU, MOVING, UNKNOWN, configure, path, request
from tests.gateway.wire import Client

if TYPE_CHECKING:
    from tests.gateway.conftest import Launch
    from tests.gateway.stage import Stage

OBSERVE = 'mode = "observe"'
LOGGER = "router.gateway.observing"


@pytest.fixture
async def observing(launch: Launch) -> Stage:
    return await launch(policy=OBSERVE)


async def counted(stage: Stage, region: str, decision: str, problem: str = "none") -> int:
    """How many requests would have ended so."""
    host, _, port = stage.process.ops_listen[0].rpartition(":")
    ops = await Client.connect((host, int(port)))
    stage.clients.append(ops)
    answer = await ops.ask(b"GET /metrics HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n")
    series = f'router_observed_total{{decision="{decision}",problem="{problem}",region="{region}"}} '
    values = [line.removeprefix(series) for line in answer.body.decode().splitlines() if line.startswith(series)]
    return int(float(values[0])) if values else 0


async def test_a_request_for_another_region_goes_home_with_its_own_host(observing: Stage) -> None:
    assert (await observing.ask(request("GET", path(IN_EU)))).body == b"global"
    seen = await observing.home.request()
    assert seen.values(b"Host") == [b"clockify.me"]
    assert seen.values(b"X-Workspace-Epoch") == []
    assert await counted(observing, "eu", "proxy") == 1
    assert observing.eu.requests == []


async def test_a_request_for_home_goes_home(observing: Stage) -> None:
    assert (await observing.ask(request("GET", path(AT_HOME)))).body == b"global"
    assert await counted(observing, "global", "proxy") == 1


async def test_a_subdomain_keeps_its_host(observing: Stage) -> None:
    asked = b"GET /api/v1/user HTTP/1.1\r\nHost: acme.clockify.me\r\n\r\n"
    assert (await observing.ask(asked)).body == b"global"
    assert (await observing.home.request()).values(b"Host") == [b"acme.clockify.me"]
    assert await counted(observing, "eu", "proxy") == 1


async def test_a_locked_workspace_is_served(observing: Stage) -> None:
    await observing.start_transfer(MOVING)
    await observing.until(lambda: followed(observing))
    assert (await observing.ask(request("POST", path(MOVING), body=b"written"))).body == b"global"
    assert await counted(observing, "eu", "locked", "workspace-locked") == 1


def followed(stage: Stage) -> bool:
    """Whether the gateway has heard of all four workspaces and the lock on one."""
    state = stage.directory.state
    return state.caught_up and state.head > 4


async def test_a_redirect_is_not_made(observing: Stage) -> None:
    asked = f"GET /workspaces/{IN_EU}/tracker HTTP/1.1\r\nHost: app.clockify.me\r\n\r\n".encode()
    assert (await observing.ask(asked)).status == 200
    assert await counted(observing, "eu", "redirect") == 1


async def test_a_path_that_would_be_refused_passes_byte_for_byte(observing: Stage) -> None:
    target = f"/api/v1/workspaces/{IN_EU}/../x;y//%2f?a=%zz"
    assert (await observing.ask(request("GET", target))).status == 200
    assert (await observing.home.request()).line == f"GET {target} HTTP/1.1".encode()
    assert await counted(observing, "none", "refuse", "ambiguous-path") == 1


async def test_an_unknown_workspace_is_not_refused(launch: Launch) -> None:
    stage = await launch(policy=f'{OBSERVE}\nunknown_workspace = "refuse"')
    assert (await stage.ask(request("GET", path(UNKNOWN)))).status == 200
    assert await counted(stage, "none", "refuse", "workspace-unknown") == 1


async def test_a_directory_that_cannot_be_asked_keeps_nobody_from_home(launch: Launch) -> None:
    stage = await launch(policy=OBSERVE, opened=False)
    assert (await stage.ask(GET)).body == b"global"
    assert await counted(stage, "none", "refuse", "directory-unavailable") == 1


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (b"GET /api/v1/user HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        (request("GET", "/nothing"), 404),
        (request("TRACE", "/api/v1/user"), 405),
    ],
)
async def test_what_has_no_home_or_is_no_request_is_refused_all_the_same(
    observing: Stage, asked: bytes, status: int
) -> None:
    assert (await observing.ask(asked)).status == status
    assert observing.home.requests == []


async def test_what_would_be_different_is_logged_once_for_a_workspace(
    observing: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, LOGGER):
        for workspace in (IN_EU, IN_EU, AT_HOME):
            await observing.ask(request("GET", f"{path(workspace)}?secret=1"))
    lines = [record.getMessage() for record in caplog.records if record.name == LOGGER]
    assert lines == [f"observed: GET, workspace {IN_EU}: would be proxy eu"]


async def test_no_transfer_gets_past_its_lock_while_a_gateway_observes(observing: Stage) -> None:
    transfer = await observing.start_transfer(MOVING)
    await observing.until(lambda: followed(observing))
    settings = load_text(configure({"global": 1, "eu": 2, "us": 3}), {}, folder=observing.folder)
    clock = SystemClock()
    watch = Watch(clock, settings.directory.options)
    locks = host_locks_of(settings.directory)
    evaluated = await evaluate_transfer(observing.store, locks, clock, watch, transfer.id)
    assert evaluated is not None
    assert evaluated[0].state is TransferState.LOCKING
    assert [row.applied for row in evaluated[1].registrations] == [0]
