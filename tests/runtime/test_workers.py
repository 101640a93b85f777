"""Workers: several real gateway processes on one address, kept alive, shown as one and ended together."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from router.directory.ports import SystemClock
from router.directory.sqlite import SqliteStore
from router.runtime import supervisor
from router.runtime.channel import open_channel
from router.runtime.process import running_workers
from router.runtime.role import Role
from router.runtime.source import Source
from router.telemetry.lifecycle import Lifecycle
from router.telemetry.merging import Fleet
from tests.gateway.origin import Origin
from tests.gateway.stage import GET, configure
from tests.gateway.wire import Client
from tests.runtime.balancer import Balancer, checking_clients, progress
from tests.runtime.gateways import PATIENCE, eventually, gateways, write_configuration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable

    from router.telemetry.merging import Report
    from tests.runtime.gateways import GatewayProcess

SOON = "drain_delay = 0.0"
WORKERS = ("--workers", "2")
PROXIED = 'router_requests_total{code="200",decision="proxy",method="GET",region="eu"}'


@pytest.fixture
def config(place: Path, ports: dict[str, int]) -> Path:
    return write_configuration(place, ports, gateway=SOON)


@pytest.fixture
async def pair(config: Path) -> AsyncIterator[GatewayProcess]:
    """A gateway of two workers."""
    async with gateways(config, options=WORKERS) as (gateway,):
        yield gateway


def children(gateway: GatewayProcess) -> list[int]:
    assert gateway.process is not None
    return children_of(gateway.process.pid)


def children_of(pid: int) -> list[int]:
    """The workers among the children of a process."""
    found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [child for child in found if b"router.runtime.worker" in Path(f"/proc/{child}/cmdline").read_bytes()]


async def ask(gateway: GatewayProcess, times: int) -> None:
    """Each time on a connection of its own, so that both workers get some."""
    for _ in range(times):
        client = await Client.connect(gateway.address)
        assert (await client.ask(GET)).status == 200
        client.close()


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def locks(place: Path) -> list[Path]:
    return list((place / "directory.db-gateways").iterdir())


def remove(file: Path) -> None:
    file.unlink()


def write(config: Path, text: str) -> None:
    config.write_text(text, "utf-8")


async def registered(folder: Path) -> int:
    store = SqliteStore(folder / "directory.db", clock=SystemClock())
    try:
        return len((await store.registrations()).registrations)
    finally:
        await store.close()


async def test_every_worker_is_registered(pair: GatewayProcess, place: Path) -> None:
    assert len(children(pair)) == 2
    assert await registered(place) == 2
    assert await pair.metric("router_workers") == 2


async def test_what_all_workers_counted_is_one_sum(pair: GatewayProcess) -> None:
    await ask(pair, 40)
    assert await pair.metric(PROXIED) == 40


async def test_the_sum_outlives_a_worker_that_was_killed(pair: GatewayProcess) -> None:
    await ask(pair, 40)
    assert await pair.metric(PROXIED) == 40
    os.kill(children(pair)[0], signal.SIGKILL)
    await pair.logged("worker . ended with signal 9")
    assert await pair.metric(PROXIED) == 40
    await pair.ready()
    await ask(pair, 10)
    assert await pair.metric(PROXIED) == 50
    assert await pair.metric("router_worker_restarts_total") == 1


async def test_nobody_is_turned_away_while_a_worker_is_replaced(pair: GatewayProcess) -> None:
    for _ in range(3):
        os.kill(children(pair)[0], signal.SIGKILL)
        # More than the living one would get alone, were connections not kept for the other.
        await asyncio.gather(*(ask(pair, 1) for _ in range(20)))

    async def all_back() -> bool:
        return await pair.metric("router_workers") == 2

    await eventually(all_back)


async def test_what_a_killed_worker_left_in_the_directory_is_forgotten_at_once(
    pair: GatewayProcess, place: Path
) -> None:
    os.kill(children(pair)[0], signal.SIGKILL)
    await pair.logged("forgot registration .* its process is dead")
    await pair.logged("registered as", times=3)

    async def two_again() -> bool:
        return await registered(place) == 2

    await eventually(two_again)
    assert len(locks(place)) == 2


async def test_a_drain_ends_all_of_them_and_leaves_nothing(pair: GatewayProcess, place: Path) -> None:
    workers = children(pair)
    assert await pair.stop() == 0
    assert await registered(place) == 0
    assert alive(workers) == []


async def test_workers_end_by_themselves_when_their_supervisor_was_killed(pair: GatewayProcess, place: Path) -> None:
    workers = children(pair)
    pair.send(signal.SIGKILL)

    async def gone() -> bool:
        return not alive(workers)

    await eventually(gone)
    assert await registered(place) == 0


async def test_a_signal_to_every_process_is_one_drain(pair: GatewayProcess, place: Path) -> None:
    for pid in children(pair):
        os.kill(pid, signal.SIGTERM)
    assert await pair.stop() == 0
    assert not any(re.search("worker . ended with", line) for line in pair.log)
    assert await registered(place) == 0


async def test_every_worker_takes_a_new_configuration_over(
    pair: GatewayProcess, config: Path, ports: dict[str, int]
) -> None:
    other = Origin("other")
    await other.start()
    write(config, configure({**ports, "eu": other.port}, gateway=SOON))
    pair.send(signal.SIGHUP)
    await pair.logged("configuration .* is in force")
    bodies = set()
    for _ in range(30):
        client = await Client.connect(pair.address)
        bodies.add((await client.ask(GET)).body)
        client.close()
    assert bodies == {b"other"}
    assert await pair.metric('router_config_reloads_total{result="accepted"}') == 1
    await pair.stop()
    await other.stop()


async def test_a_worker_that_comes_later_has_the_configuration_that_is_in_force(
    pair: GatewayProcess, config: Path, ports: dict[str, int]
) -> None:
    other = Origin("other")
    await other.start()
    write(config, configure({**ports, "eu": other.port}, gateway=SOON))
    pair.send(signal.SIGHUP)
    await pair.logged("configuration .* is in force")
    write(config, "broken")
    for pid in children(pair):
        os.kill(pid, signal.SIGKILL)
    await pair.logged("worker . ended with signal 9", times=2)
    client = await Client.connect(pair.address)
    assert (await client.ask(GET)).body == b"other"
    client.close()
    await pair.stop()
    await other.stop()


async def test_a_bad_configuration_is_refused_once_for_all(pair: GatewayProcess, config: Path) -> None:
    write(config, "broken")
    pair.send(signal.SIGHUP)
    await pair.logged("configuration refused, the one before goes on: ")
    await ask(pair, 10)
    assert await pair.metric('router_config_reloads_total{result="refused"}') == 1


async def test_what_one_worker_cannot_take_over_none_goes_on_by(
    pair: GatewayProcess, config: Path, ports: dict[str, int]
) -> None:
    other = Origin("other")
    await other.start()
    # Enough for the configuration there is, and not for the one that comes.
    resource.prlimit(children(pair)[0], resource.RLIMIT_NOFILE, (1500, 1500))
    write(config, configure({**ports, "eu": other.port}, gateway=SOON, limits={"max_connections": 2000}))
    pair.send(signal.SIGHUP)
    await pair.logged("configuration refused, the one before goes on: .*worker 1: gateway.limits.max_connections")
    bodies = set()
    for _ in range(30):
        client = await Client.connect(pair.address)
        bodies.add((await client.ask(GET)).body)
        client.close()
    assert bodies == {b"region"}
    await pair.stop()
    await other.stop()


async def test_a_worker_that_cannot_be_listened_to_is_ended_before_it_is_replaced(
    config: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear = Fleet.heard
    broken: list[Hashable] = []

    def hear_all_but_the_first(fleet: Fleet, process: Hashable, report: Report) -> None:
        if not broken:
            broken.append(process)
            raise ValueError("a report that nobody understands")
        hear(fleet, process, report)

    monkeypatch.setattr(Fleet, "heard", hear_all_but_the_first)
    present, lifecycle = Source(config, {}).read(), Lifecycle("none")
    workers = running_workers(config, present, lifecycle, workers=2, role=Role.ALL, log_level="error")
    async with workers, asyncio.timeout(2 * PATIENCE):

        async def replaced() -> bool:
            return lifecycle.restarts == 1 and lifecycle.workers == 2

        await eventually(replaced)
        assert len(children_of(os.getpid())) == 2
    assert await registered(place) == 0


async def test_a_channel_is_clear_unless_the_other_side_takes_nothing() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        channel = await open_channel(ours)
        channel.send("report")
        assert channel.is_clear
        channel.send("report", families="x" * (4 << 20))
        assert not channel.is_clear
    await channel.close()


async def test_workers_that_do_not_get_ready_say_so(config: Path, place: Path) -> None:
    remove(place / "directory.db")
    async with gateways(config, options=WORKERS, ready=False) as (gateway,):

        async def told() -> bool:
            _, body = await gateway.ask_ops("/readyz")
            return all(f"worker {number}: not registered with the directory" in body for number in (1, 2))

        await eventually(told)
        client = await Client.connect(gateway.address)
        assert (await client.ask(GET)).status == 503
        client.close()


async def test_a_rolling_restart_of_gateways_with_workers_loses_no_request(place: Path, ports: dict[str, int]) -> None:
    delay = "drain_delay = 0.5"
    configs = [write_configuration(place, ports, f"{name}.toml", gateway=delay) for name in ("a", "b")]
    async with (
        gateways(*configs, options=WORKERS) as two,
        asyncio.timeout(4 * PATIENCE),
        Balancer(two).balancing() as balancer,
        checking_clients(balancer, b"region") as clients,
    ):
        await progress(clients, 20)
        for gateway in two:
            assert await gateway.stop() == 0, gateway.log
            await gateway.start()
            await gateway.ready()
            await progress(clients, 20)
    assert [lost for client in clients for lost in client.lost] == []


async def test_a_worker_that_says_nothing_any_more_is_replaced(
    config: Path, place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Ten seconds instead of thirty.
    monkeypatch.setattr(supervisor, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(supervisor, "SILENT_LOOKS", 100)
    present, lifecycle = Source(config, {}).read(), Lifecycle("none")
    workers = running_workers(config, present, lifecycle, workers=2, role=Role.ALL, log_level="error")
    async with workers, asyncio.timeout(2 * PATIENCE):

        async def both() -> bool:
            return lifecycle.workers == 2

        await eventually(both)
        stopped, _ = children_of(os.getpid())
        os.kill(stopped, signal.SIGSTOP)

        async def replaced() -> bool:
            return lifecycle.restarts == 1 and lifecycle.workers == 2

        await eventually(replaced)
        assert stopped not in children_of(os.getpid())
    assert "has said nothing for too long" in caplog.text
    assert await registered(place) == 0
