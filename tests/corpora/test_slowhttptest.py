"""slowhttptest's attacks: slow heads, slow bodies, slow readers. All of them are ended, and nobody else notices."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import pytest

from tests.gateway.origin import ok
from tests.gateway.stage import AT_HOME, GET, path, staged
from tests.programs import require_program

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gateway.stage import Stage

EVERY_HOST: Final = '[services.any]\nmatch = ["*"]\npath = "/"'
SHORT: Final = {"head": 1, "body_idle": 1, "write_idle": 1}
CONNECTIONS: Final = 20
SECONDS: Final = 10
"""How long an attack lasts that nobody ends: twice as long as it may last here."""

LARGE: Final = ok(bytes(4 << 20))
"""More than the kernel takes for a client that does not read."""

ATTACKS: Final = {
    "slow heads": ("-H", "-i", "2", "-x", "8"),
    "slow bodies": ("-B", "-i", "2", "-s", "100000", "-x", "8"),
    "slow readers": ("-X", "-n", "3", "-w", "10", "-y", "20", "-z", "32"),
}
"""Each asks for more patience than the deadlines have: a piece every two or three seconds."""


@pytest.mark.parametrize("attack", ATTACKS)
async def test_an_attack_is_ended_while_others_are_served(attack: str, tmp_path: Path) -> None:
    program = require_program("slowhttptest")
    async with staged(tmp_path, policy=EVERY_HOST, timeouts=SHORT) as stage:
        stage.home.default = LARGE
        url = f"http://{stage.address[0]}:{stage.address[1]}{path(AT_HOME)}"
        general = ("-c", str(CONNECTIONS), "-r", "200", "-l", str(SECONDS), "-p", "2", "-v", "1", "-u", url)
        process = await asyncio.create_subprocess_exec(
            program, *general, *ATTACKS[attack], stdout=asyncio.subprocess.DEVNULL
        )
        over = asyncio.create_task(process.wait())
        async with asyncio.timeout(SECONDS / 2):
            await outlast(stage, over)
        if not over.done():
            process.terminate()
        await over


async def outlast(stage: Stage, over: asyncio.Task[int]) -> None:
    """Be served, again and again, until all of the attack's connections have been there and were ended."""
    connections = stage.gateway.connections
    most = 0
    while most < CONNECTIONS or len(connections) > 1:
        most = max(most, len(connections))
        async with asyncio.timeout(1):
            client = await stage.client()
            assert (await client.ask(GET)).body == b"eu"
            client.close()
        await asyncio.wait({over}, timeout=0.02)
