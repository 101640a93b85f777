"""The writers: clients that write at full speed, each write under a name that no other has, and note what was promised.

The law of the room: a write is acknowledged by a region's whole 201 and nothing else, and none is ever sent twice. A
writer that gets no answer goes to another gateway; what became of its write it does not know.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from tests.chaos.plan import WORKSPACES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from random import Random

    from router.model.placement import WorkspaceId

PATIENCE: Final = 1.5
"""Seconds that a writer waits for an answer. A gateway that is stopped must not hold all of them."""

CREATED: Final = 201
NOTHING: Final = 0
"""What an answer counts as that did not come, or not whole."""

_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)\r\n")
_SIZES: Final = (20, 20, 20, 200, 2000, 30_000)
_SLOW: Final = 0.05
"""The share of uploads that come in two pieces with a pause between them."""


class Process(NamedTuple):
    """One life of a gateway: its place among the gateways, and which of its processes it is."""

    place: int
    life: int

    @classmethod
    def of(cls, name: str) -> Process:
        """The process that a write of that name was sent to."""
        place, life, _ = name.split("-")
        return cls(int(place), int(life))


Port: TypeAlias = int


@dataclass
class Promises:
    """What the writers were told: `acknowledged` has the writes that were promised, by their names."""

    acknowledged: dict[str, WorkspaceId] = field(default_factory=dict)
    told: Counter[int] = field(default_factory=Counter)


class Writer:
    """One client. `gateways` says who listens where; it changes while the run goes on."""

    def __init__(
        self, gateways: Mapping[Process, Port], promises: Promises, chance: Random, names: Iterator[int]
    ) -> None:
        self._gateways = gateways
        self._promises = promises
        self._chance = chance
        self._names = names

    async def write(self) -> None:
        """Write, connection after connection, until it is cancelled."""
        while True:
            if not self._gateways:
                await asyncio.sleep(0.05)
                continue
            process = self._chance.choice(tuple(self._gateways))
            try:
                async with asyncio.timeout(PATIENCE):
                    reader, writer = await asyncio.open_connection("127.0.0.1", self._gateways[process])
            except OSError:  # a timeout is one too
                await asyncio.sleep(0.02)
                continue
            try:
                for _ in range(self._chance.randint(1, 200)):
                    if writer.transport.is_closing() or not await self._write_one(process, reader, writer):
                        break
            finally:
                writer.transport.abort()

    async def _write_one(self, process: Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Write once; whether the connection can be used again."""
        name = f"{process.place}-{process.life}-{next(self._names)}"
        workspace = self._chance.choice(WORKSPACES)
        status, persistent = NOTHING, False
        with contextlib.suppress(TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            async with asyncio.timeout(PATIENCE):
                await self._send(writer, workspace, name)
                status, persistent = await _read(reader)
        self._promises.told[status] += 1
        if status == CREATED:
            self._promises.acknowledged[name] = workspace
        return persistent

    async def _send(self, writer: asyncio.StreamWriter, workspace: WorkspaceId, name: str) -> None:
        body = name.encode().ljust(self._chance.choice(_SIZES))
        head = f"POST /api/v1/workspaces/{workspace}/entries HTTP/1.1\r\nHost: example.com\r\n"
        sent = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        if self._chance.random() < _SLOW:
            half = len(sent) - len(body) // 2
            writer.write(sent[:half])
            await asyncio.sleep(self._chance.uniform(0.01, 0.6))
            sent = sent[half:]
            if writer.transport.is_closing():
                raise ConnectionResetError
        writer.write(sent)


async def _read(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """The status of one answer, and whether another may follow. Raises what a short one raises."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    if length is None:
        raise ConnectionError(f"an answer without a length: {head!r}")
    await reader.readexactly(int(length[1]))
    return int(head[9:12]), b"\r\nConnection: close\r\n" not in head
