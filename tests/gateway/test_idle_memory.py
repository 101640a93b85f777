"""Idle clients: what one costs in memory, measured from outside on a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.gateway.stage import configure
from tests.gateway.wire import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.gateway.conftest import Launch

CLIENTS = 2000
FIRST = 200
"""So many come before the measure is taken: they bring the arenas and buffers that all share."""
KILOBYTE = 1024
OPENS = b"GET /api/v1/user HTTP/1.1\r\nHost: clockify.me\r\n\r\n"


@contextmanager
def serving(config: Path) -> Iterator[tuple[int, tuple[str, int]]]:
    """A gateway in a process of its own: its id, and where it listens."""
    command = [sys.executable, "-m", "router", "serve", "--config", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            seen = []
            for line in process.stderr:
                seen.append(line)
                if found := re.search(r"listening on (\S+):(\d+), ops", line):
                    yield process.pid, (found[1], int(found[2]))
                    return
            pytest.fail(f"it did not listen: {seen}")
        finally:
            process.kill()


def resident(process: int) -> int:
    """Bytes of a process's own memory."""
    match = re.search(r"(?m)^RssAnon:\s+(\d+) kB$", Path(f"/proc/{process}/status").read_text())
    assert match is not None
    return int(match[1]) * KILOBYTE


async def crowd(address: tuple[str, int], number: int) -> list[Client]:
    """Clients that have been answered once, and are kept."""
    clients = []
    for _ in range(number):
        client = await Client.connect(address)
        assert (await client.ask(OPENS)).status == 200
        clients.append(client)
    return clients


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read as Linux shows it")
async def test_an_idle_client_costs_four_kilobytes_at_most(launch: Launch) -> None:
    stage = await launch()
    config = stage.folder / "router.toml"
    limits = {"max_connections_per_client": FIRST + CLIENTS + 1}
    config.write_text(configure({name: origin.port for name, origin in stage.origins.items()}, limits=limits))
    with serving(config) as (process, address):
        clients = await crowd(address, FIRST)
        before = resident(process)
        clients += await crowd(address, CLIENTS)
        each = (resident(process) - before) / CLIENTS
        for client in clients:
            client.close()
    assert each <= 4 * KILOBYTE
