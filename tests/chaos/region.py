"""A region as a process: it takes time to execute a write, commits it, and answers; and it obeys the job.

    python -m tests.chaos.region DATABASE fences|trusts SEED

It prints the ports of its two listeners, for requests and for the job, and ends when its input does. Like a backend it
goes on executing what it has read, whatever becomes of the connection. The job speaks lines of JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import uvloop

from tests.chaos.plan import LONGEST_EXECUTION
from tests.chaos.records import Outcome, Records, Write

if TYPE_CHECKING:
    from collections.abc import Callable

_REQUEST: Final = re.compile(rb"POST /api/v1/workspaces/([0-9a-f]{24})/entries HTTP/1\.1\r\n")
_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)\r\n")
_EPOCH: Final = re.compile(rb"\r\nX-Workspace-Epoch: ([0-9]+)\r\n")
_ID: Final = re.compile(rb"\r\nX-Request-ID: ([^\r]+)\r\n")

_ANSWERS: Final = {
    Outcome.EXECUTED: b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}",
    Outcome.CLOSED: b"HTTP/1.1 423 Locked\r\nContent-Length: 2\r\n\r\n{}",
    Outcome.STALE: b"HTTP/1.1 421 Misdirected Request\r\nContent-Length: 2\r\n\r\n{}",
}
_LARGEST_LINE: Final = 1 << 26
_SLOW: Final = 0.05
"""The share of writes that take long to execute."""


class _Pending(NamedTuple):
    write: Write
    outcome: asyncio.Future[Outcome]


class Region:
    """One region. What comes while a transaction is under way is committed together in the next one."""

    def __init__(self, records: Records, chance: Random) -> None:
        self._records = records
        self._chance = chance
        self._turn = asyncio.Lock()
        self._pending: list[_Pending] = []
        self._wanted = asyncio.Event()
        self._executing: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)

    async def commit(self) -> None:
        """Commit what is executed, until it is cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            batch, self._pending = self._pending, []
            outcomes = await self._alone(self._records.execute, [pending.write for pending in batch])
            for pending, outcome in zip(batch, outcomes, strict=True):
                pending.outcome.set_result(outcome)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                asked, length = _REQUEST.match(head), _LENGTH.search(head)
                epoch, request = _EPOCH.search(head), _ID.search(head)
                assert asked and length and epoch and request, head
                workspace = asked[1].decode()
                ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._executing[workspace].add(ended)
                try:
                    name = (await reader.readexactly(int(length[1]))).strip().decode()
                    outcome = await self._execute(Write(name, workspace, request[1].decode(), int(epoch[1])))
                finally:
                    self._executing[workspace].discard(ended)
                    ended.set_result(None)
                if writer.transport.is_closing():
                    break  # what was executed stays executed
                writer.write(_ANSWERS[outcome])
        writer.close()

    async def obey(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Do what the job says, line by line."""
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                order = json.loads(line)
                result = await self._obey(order.pop("order"), **order)
                writer.write(json.dumps(result).encode() + b"\n")
        writer.close()

    async def _execute(self, write: Write) -> Outcome:
        slow = self._chance.random() < _SLOW
        await asyncio.sleep(self._chance.uniform(0.1, LONGEST_EXECUTION) if slow else self._chance.expovariate(300.0))
        pending = _Pending(write, asyncio.get_running_loop().create_future())
        self._pending.append(pending)
        self._wanted.set()
        return await pending.outcome

    async def _obey(self, order: str, workspace: str, **rest: Any) -> Any:
        if order == "settle":
            await self._settle(workspace)
            return None
        orders: dict[str, Callable[..., Any]] = {
            "close": self._records.close,
            "open": self._records.open,
            "take": self._records.take,
            "put": self._records.put,
        }
        return await self._alone(orders[order], workspace, **rest)

    async def _settle(self, workspace: str) -> None:
        """Return when all is over that had come of `workspace` by now: this is how a job waits out the longest time
        that a region executes a request, however slow this machine is.
        """
        # What lies in the kernel's buffers now has been read then: in the first turns of the loop.
        await asyncio.sleep(0.1)
        await _until_ended(self._executing[workspace])

    async def settled(self) -> None:
        """Return when nothing is executed any more."""
        for executing in self._executing.values():
            await _until_ended(executing)

    async def _alone(self, work: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        async with self._turn:
            return await asyncio.to_thread(work, *arguments, **more)


async def _until_ended(executing: set[asyncio.Future[None]]) -> None:
    if executing:
        await asyncio.wait(tuple(executing))


async def main(database: Path, *, fences: bool, seed: str) -> None:
    """Serve until the input ends."""
    region = Region(Records(database, fences=fences), Random(seed))
    committing = asyncio.create_task(region.commit())
    serving = await asyncio.start_server(region.serve, "127.0.0.1", 0)
    obeying = await asyncio.start_server(region.obey, "127.0.0.1", 0, limit=_LARGEST_LINE)
    ports = [server.sockets[0].getsockname()[1] for server in (serving, obeying)]
    print(json.dumps(ports), flush=True)
    asked = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await asyncio.wait([asked, committing], return_when=asyncio.FIRST_COMPLETED)
    if committing.done():
        await committing
    await region.settled()
    # Connections are left open, and end with us.
    asyncio.get_running_loop().set_exception_handler(lambda _, __: None)


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), fences=sys.argv[2] == "fences", seed=sys.argv[3]))
