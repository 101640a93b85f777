"""Small programs that use a directory in processes of their own."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from asyncio.subprocess import Process

ROOT = Path(__file__).parents[2]

PREAMBLE = """
import asyncio, os, resource, sys
from pathlib import Path
from router.directory.migrate import migrations
from router.directory.ports import SystemClock
from router.directory.sqlite import SqliteStore, migrate
from router.directory.store import *
from router.model.placement import Entry, Kind
from tests.directory.feeds import *
path, clock = Path(sys.argv[1]), SystemClock()
"""

AS_NOBODY = """
# File permissions mean nothing to root. What is imported or read from the package lazily must be there before.
migrations("sqlite")
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
"""


class Ended(NamedTuple):
    """How a program ended."""

    code: int | None
    out: str


async def start(program: str, path: Path) -> Process:
    """Start `program` behind the preamble."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PREAMBLE + program,
        str(path),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def run(program: str, path: Path) -> Ended:
    """Run it to its end."""
    process = await start(program, path)
    out, _ = await process.communicate()
    return Ended(process.returncode, out.decode())
