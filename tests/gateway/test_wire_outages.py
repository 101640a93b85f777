"""Outages of a directory in SQLite, on the wire: what clients see, and which metric shows it."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from router.directory.registration import TermEnd
from router.model.transfer import TransferState
from tests.gateway.stage import GET, IN_US, PATIENCE, furnish, path, request

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gateway.conftest import Launch
    from tests.gateway.stage import Stage

FILE = "directory.db"
QUICK = "renewal_timeout = 0.2\nretry_max = 0.05"
MISS = request("GET", path(IN_US))


def move_away(folder: Path) -> None:
    (folder / FILE).rename(folder / "gone.db")


def move_back(folder: Path) -> None:
    (folder / "gone.db").rename(folder / FILE)


async def ops(stage: Stage, target: str) -> tuple[int, str]:
    host, _, port = stage.process.ops_listen[0].rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {target} HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split(b" ", 2)[1]), body.decode()


async def metric(stage: Stage, name: str) -> float:
    _, text = await ops(stage, "/metrics")
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found is not None, name
    return float(found[1])


async def test_gone_for_seconds_what_is_known_is_answered_and_the_rest_is_503(launch: Launch) -> None:
    stage = await launch(directory=QUICK)
    await stage.ask(GET)
    move_away(stage.folder)
    unknown = await stage.ask(MISS)
    assert (unknown.status, unknown.value(b"Retry-After") is not None) == (503, True)
    assert (await stage.ask(GET)).body == b"eu"
    assert await metric(stage, 'router_directory_lookup_failures_total{reason="error"}') >= 1
    move_back(stage.folder)
    assert (await stage.answered(200, MISS)).body == b"us"


async def test_gone_beyond_the_lease_everything_that_needs_it_is_503(launch: Launch) -> None:
    stage = await launch(directory=f"lease = 0.5\n{QUICK}")
    await stage.ask(GET)
    move_away(stage.folder)
    await stage.until(lambda: not stage.directory.trusted())
    assert (await stage.ask(GET)).status == 503
    await stage.until(lambda: stage.directory.state.incarnation is None)
    assert await metric(stage, 'router_terms_ended_total{reason="lapsed"}') == 1
    assert await metric(stage, "router_lease_seconds_left") == 0
    assert (await ops(stage, "/readyz"))[0] == 503
    move_back(stage.folder)
    assert (await stage.answered(200)).body == b"eu"


async def test_started_while_it_is_gone_a_gateway_serves_what_needs_no_directory_until_it_is_back(
    launch: Launch, folder: Path
) -> None:
    await furnish(folder)
    move_away(folder)
    stage = await launch(directory=QUICK, furnished=False)
    assert (await stage.ask(GET)).status == 503
    assert (await stage.ask(request("GET", "/api/v1/user"))).body == b"global"
    await stage.until(lambda: stage.directory.state.failures > 0)
    assert await metric(stage, "router_directory_renewal_failures_total") >= 1
    assert (await ops(stage, "/readyz"))[0] == 503
    move_back(folder)
    assert (await stage.answered(200)).body == b"eu"


async def test_empty_nobody_is_sent_anywhere_before_it_is_opened(launch: Launch) -> None:
    stage = await launch(directory=QUICK, opened=False)
    await stage.until(lambda: stage.directory.state.caught_up)
    assert (await stage.ask(GET)).status == 503
    assert (await ops(stage, "/readyz"))[0] == 503
    await stage.store.open_directory(restored=False, lease=1.0)
    assert (await stage.answered(200)).body == b"eu"


async def test_restored_it_is_served_at_once_and_transfers_wait_for_a_longest_lease(launch: Launch) -> None:
    stage = await launch(directory=QUICK)
    before = await metric(stage, "router_directory_generation")
    await stage.store.open_directory(restored=True, lease=3600.0)
    await stage.until(lambda: stage.directory.state.terms_ended[TermEnd.RESET] == 1 and stage.directory.state.ready)
    assert (await stage.answered(200)).body == b"eu"
    assert await metric(stage, "router_directory_generation") > before
    transfer = await stage.start_transfer()
    await stage.answered(423)
    evaluated = await stage.store.evaluate(transfer.id, now=transfer.started_at)
    assert evaluated is not None
    assert evaluated[0].state is TransferState.LOCKING
    async with asyncio.timeout(PATIENCE):
        while not await metric(stage, 'router_transfers{state="locking"}'):
            pass
    assert 3500 < await metric(stage, "router_directory_quarantine_seconds") <= 3600
