"""A rolling restart: real gateways are replaced one after the other under load, and no request is lost."""

from __future__ import annotations

import asyncio
import re
import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from tests.gateway.stage import GET
from tests.programs import require_program
from tests.runtime.balancer import Balancer, checking_clients, progress
from tests.runtime.gateways import PATIENCE, gateways, write_configuration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.runtime.gateways import GatewayProcess

# Several times what the balancer takes to look away.
DRAIN_DELAY = "drain_delay = 0.5"


@pytest.fixture
async def two(place: Path, ports: dict[str, int]) -> AsyncIterator[list[GatewayProcess]]:
    configs = [write_configuration(place, ports, f"{name}.toml", gateway=DRAIN_DELAY) for name in ("a", "b")]
    async with gateways(*configs) as processes:
        yield processes


async def restart(gateway: GatewayProcess) -> None:
    assert await gateway.stop() == 0, gateway.log
    await gateway.start()
    await gateway.ready()


async def test_a_rolling_restart_loses_no_request(two: list[GatewayProcess]) -> None:
    async with (
        asyncio.timeout(4 * PATIENCE),
        Balancer(two).balancing() as balancer,
        checking_clients(balancer, b"region") as clients,
    ):
        await progress(clients)
        for gateway in two:
            await restart(gateway)
            await progress(clients)
    assert [lost for client in clients for lost in client.lost] == []


async def test_a_rolling_restart_shows_wrk_no_error(two: list[GatewayProcess]) -> None:
    wrk = require_program("wrk")
    async with asyncio.timeout(4 * PATIENCE), AsyncExitStack() as stack:
        balancer = await stack.enter_async_context(Balancer(two).balancing())
        url = f"http://127.0.0.1:{balancer.port}{GET.split()[1].decode()}"
        command = [wrk, "-t1", "-c16", "-d300", "-H", "Host: clockify.me", url]
        load = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        try:
            for gateway in two:
                await restart(gateway)
        finally:
            load.send_signal(signal.SIGINT)
            output, _ = await load.communicate()
    told = output.decode()
    assert "Socket errors" not in told, told
    assert "Non-2xx" not in told, told
    answered = re.search(r"(\d+) requests in", told)
    assert answered is not None
    assert int(answered[1]) > 100, told


async def test_a_gateway_that_was_told_to_stop_goes_on_for_the_delay_and_says_so(
    place: Path, ports: dict[str, int]
) -> None:
    config = write_configuration(place, ports, gateway="drain_delay = 3600.0")
    async with gateways(config) as (gateway,):
        gateway.send(signal.SIGTERM)
        await gateway.logged("not ready any more")
        assert await gateway.ask_ops("/readyz") == (503, '{"ready": false, "reasons": ["draining"]}\n')
        reader, writer = await asyncio.open_connection(*gateway.address)
        writer.write(GET)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"Connection" not in head
        gateway.send(signal.SIGTERM)
        assert await gateway.ended() == 0
        writer.close()


async def test_a_gateway_that_has_stopped_is_registered_no_more(place: Path, ports: dict[str, int]) -> None:
    config = write_configuration(place, ports, gateway="drain_delay = 0.0")
    async with gateways(config) as (gateway,):
        assert await gateway.stop() == 0
    assert list((place / "directory.db-gateways").iterdir()) == []
