"""Real gateway processes on one directory, and a region for them that runs in the test's own process."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import sys
from typing import TYPE_CHECKING, NamedTuple

from tests.gateway.stage import configure

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

PATIENCE = 30.0
"""Seconds after which what should have happened soon is taken to have failed."""


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until `holds` says so of something that rings no bell, as another process does not."""
    async with asyncio.timeout(PATIENCE):
        while not await holds():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.02)


class Address(NamedTuple):
    """Where somebody listens."""

    host: str
    port: int

    @classmethod
    def of(cls, text: str) -> Address:
        host, _, port = text.rpartition(":")
        return cls(host.strip("[]"), int(port))


class GatewayProcess:
    """`serve` as a process, of the module `program`. Its log is kept; the addresses are those of its first start."""

    def __init__(self, config: Path, options: Sequence[str] = (), *, program: str = "router") -> None:
        self.config = config
        self.options = options
        self.program = program
        self.log: list[str] = []
        self.address = Address("", 0)
        self.listen: tuple[str, ...] = ()
        self.ops = Address("", 0)
        self.process: Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._lines = asyncio.Condition()

    async def start(self) -> None:
        """Start it, and return when it listens."""
        self.log = []
        command = [sys.executable, "-m", self.program, "serve", "--config", str(self.config), *self.options]
        self.process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
        self._reading = asyncio.create_task(self._read())
        line = await self.logged(r"ops on \S+")
        found = re.search(r"(?:listening on (.*), )?ops on ([^\s,]+)", line)
        assert found is not None
        self.ops = Address.of(found[2])
        if found[1] is not None:
            self.listen = tuple(found[1].split(", "))
            self.address = Address.of(self.listen[0])

    async def _read(self) -> None:
        assert self.process is not None
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            async with self._lines:
                self.log.append(line.decode())
                self._lines.notify_all()
        async with self._lines:
            self.log.append("")
            self._lines.notify_all()

    async def logged(self, pattern: str, *, times: int = 1) -> str:
        """Wait for the line of the log that matches `pattern` (for the `times`-th one)."""

        def found() -> list[str]:
            return [line for line in self.log if re.search(pattern, line)]

        async with asyncio.timeout(PATIENCE), self._lines:
            await self._lines.wait_for(lambda: len(found()) >= times or "" in self.log)
        assert len(found()) >= times, f"{pattern} was not logged: {self.log}"
        return found()[times - 1]

    async def ask_ops(self, path: str) -> tuple[int, str]:
        """Status and body of an answer of the ops listener; (0, "") if nobody listens."""
        try:
            reader, writer = await asyncio.open_connection(*self.ops)
        except ConnectionError:
            return 0, ""
        with contextlib.closing(writer):
            writer.write(f"GET {path} HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n".encode())
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        return int(head[9:12] or b"0"), body.decode()

    async def metric(self, series: str) -> float:
        """The value of one series, as it stands in front of its value."""
        _, body = await self.ask_ops("/metrics")
        (value,) = [line.rpartition(" ")[2] for line in body.splitlines() if line.rpartition(" ")[0] == series]
        return float(value)

    async def ready(self) -> None:
        async def says_so() -> bool:
            return (await self.ask_ops("/readyz"))[0] == 200

        await eventually(says_so)

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Wait until it has ended; its exit code."""
        assert self.process is not None
        assert self._reading is not None
        async with asyncio.timeout(PATIENCE):
            code = await self.process.wait()
            await self._reading
        return code

    async def stop(self) -> int:
        """End it as an operator does."""
        self.send(signal.SIGTERM)
        return await self.ended()

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.ended()


def write_configuration(folder: Path, ports: Mapping[str, int], name: str = "router.toml", **settings: str) -> Path:
    """The stage's configuration in a file. `settings` are those of `tests.gateway.stage.configure`."""
    path = folder / name
    path.write_text(configure(ports, **settings), "utf-8")  # type: ignore[arg-type] # its texts alone are used here
    return path


@contextlib.asynccontextmanager
async def gateways(
    *configs: Path, options: Sequence[str] = (), ready: bool = True
) -> AsyncIterator[list[GatewayProcess]]:
    """A gateway process for each configuration, `ready` or not; whichever still runs at the end is killed."""
    processes = [GatewayProcess(config, options) for config in configs]
    try:
        for process in processes:
            await process.start()
            if ready:
                await process.ready()
        yield processes
    finally:
        for process in processes:
            await process.kill()
