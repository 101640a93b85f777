"""varnishtest's scripts: a client and a server that somebody else wrote, at both sides of the gateway."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.gateway.stage import staged
from tests.programs import require_program

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPTS: Final = {script.stem: script for script in sorted(Path(__file__).with_name("varnish").glob("*.vtc"))}
SECONDS: Final = 20


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """A port for varnishtest's server: bound here and not listened on, so that nobody else is given it meanwhile."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@pytest.mark.parametrize("name", SCRIPTS)
async def test_the_script_runs_through(name: str, tmp_path: Path) -> None:
    program = require_program("varnishtest")
    with reserved_port() as port:
        async with staged(tmp_path, ports={"eu": port}) as stage:
            host, gateway_port = stage.address
            macros = {"origin": f"127.0.0.1:{port}", "gateway": f"{host}:{gateway_port}", "tmpdir": str(tmp_path)}
            defined = [argument for macro, value in macros.items() for argument in ("-D", f"{macro}={value}")]
            process = await asyncio.create_subprocess_exec(
                *(program, "-t", str(SECONDS), *defined, str(SCRIPTS[name])),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            said, _ = await process.communicate()
    assert process.returncode == 0, said.decode("utf-8", "replace")
