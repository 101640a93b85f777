"""The region processes, and what the job asks of one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.chaos.plan import REGIONS

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Mapping, Sequence

    from router.model.placement import WorkspaceId
    from router.model.region import RegionName
    from router.model.transfer import TransferId

_ROOT: Final = Path(__file__).resolve().parents[2]
_LARGEST_LINE: Final = 1 << 26
_PATIENCE: Final = 40.0


class Backend:
    """One region, as the job sees it."""

    def __init__(self, process: Process, port: int, job_port: int, database: Path) -> None:
        self.process = process
        self.port = port
        self.database = database
        self._job_port = job_port

    async def close(self, workspace: WorkspaceId, transfer: TransferId, epoch: int) -> None:
        """Commit nothing more of it. It is an error of the job's if the region does not take that."""
        assert await self._ask("close", workspace, transfer=transfer, epoch=epoch)

    async def open(self, workspace: WorkspaceId, epoch: int, transfer: TransferId | None = None) -> None:
        """Commit what comes under that epoch or a later one. As above."""
        assert await self._ask("open", workspace, epoch=epoch, transfer=transfer)

    async def settle(self, workspace: WorkspaceId) -> None:
        """Return when nothing of it is executed any more."""
        await self._ask("settle", workspace)

    async def take(self, workspace: WorkspaceId) -> list[str]:
        """A copy of its data."""
        names: list[str] = await self._ask("take", workspace)
        return names

    async def put(self, workspace: WorkspaceId, names: Sequence[str]) -> None:
        """That is its data from now on."""
        await self._ask("put", workspace, names=names)

    async def _ask(self, order: str, workspace: WorkspaceId, **rest: Any) -> Any:
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._job_port, limit=_LARGEST_LINE)
            with contextlib.closing(writer):
                writer.write(json.dumps({"order": order, "workspace": workspace, **rest}).encode() + b"\n")
                return json.loads(await reader.readline())


@contextlib.asynccontextmanager
async def region_processes(folder: Path, *, fences: bool, seed: str) -> AsyncIterator[Mapping[RegionName, Backend]]:
    """A process for each region, with its database in `folder`, until the block ends."""
    backends: dict[RegionName, Backend] = {}
    async with contextlib.AsyncExitStack() as stack:
        for name in REGIONS:
            backends[name] = await _start(stack, folder / f"{name}.db", fences=fences, seed=f"{seed}-{name}")
        yield backends
        for backend in backends.values():
            assert backend.process.returncode is None, "a region has ended"
            assert backend.process.stdin is not None
            backend.process.stdin.close()
            assert await backend.process.wait() == 0


async def _start(stack: contextlib.AsyncExitStack, database: Path, *, fences: bool, seed: str) -> Backend:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.region", str(database), "fences" if fences else "trusts", seed),
        cwd=_ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    stack.push_async_callback(_end, process)
    assert process.stdout is not None
    port, job_port = json.loads(await process.stdout.readline())
    return Backend(process, port, job_port, database)


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()
