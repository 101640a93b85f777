"""Workers write their access log to one stdout, and cut none of each other's lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.gateway.stage import path, request
from tests.gateway.wire import Client
from tests.runtime.gateways import gateways, write_configuration

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

REQUESTS = 300


async def test_every_request_of_two_workers_is_one_whole_line(
    place: Path, ports: dict[str, int], capfd: pytest.CaptureFixture[str]
) -> None:
    tables = '[log]\naccess = true\nformat = "human"\n'
    config = write_configuration(place, ports, gateway="drain_delay = 0.0", tables=tables)
    async with gateways(config, options=("--workers", "2")) as (gateway,):
        clients = [await Client.connect(gateway.address) for _ in range(8)]
        for number in range(REQUESTS):
            client = clients[number % len(clients)]
            answer = await client.ask(request("GET", path(), f"X-Request-ID: number-{number}"))
            assert answer.status == 200
        for client in clients:
            client.close()
        assert await gateway.stop() == 0
    lines = [line for line in capfd.readouterr().out.splitlines() if " ACCESS " in line]
    assert len(lines) == REQUESTS
    ids = {line.partition(" id=")[2].split(" ")[0] for line in lines}
    assert ids == {f"number-{number}" for number in range(REQUESTS)}
