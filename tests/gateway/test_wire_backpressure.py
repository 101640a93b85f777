"""Backpressure: whoever takes nothing stops whoever sends, and what waits in between is bounded."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.certificates import region_context, write_authority
from tests.gateway.origin import ok
from tests.gateway.stage import GET, path, request

if TYPE_CHECKING:
    from tests.gateway.conftest import Launch
    from tests.gateway.origin import Turn
    from tests.gateway.stage import Stage

MIB = 1 << 20
SIZE = 64 * MIB
PIECE = bytes(range(256)) * 4096
STALL = 0.3
"""Seconds without a byte taken after which a flow is held to have stopped."""
KERNEL = 24 * MIB
"""More than the kernel's own buffers of two connections take."""
ROOM = 16 * MIB


@pytest.fixture(params=["plain", "TLS"])
async def stage(request: pytest.FixtureRequest, launch: Launch, folder: Path) -> Stage:
    """With a region that is connected to either way."""
    if request.param == "plain":
        return await launch()
    write_authority(folder / "ca.pem")
    return await launch(tls='{ ca = "ca.pem" }', served_with=region_context())


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def memory(which: str) -> int:
    """Bytes: `VmRSS` now, `VmHWM` at the most since the last reset."""
    match = re.search(rf"(?m)^{which}:\s+(\d+) kB$", Path("/proc/self/status").read_text())
    assert match is not None
    return int(match[1]) * 1024


class Digest:
    """What has come so far, without keeping it."""

    def __init__(self) -> None:
        self.size = 0
        self._hash = hashlib.sha256()

    def take(self, data: bytes) -> None:
        self.size += len(data)
        self._hash.update(data)

    @property
    def hex(self) -> str:
        return self._hash.hexdigest()


def whole() -> str:
    """The digest of all of it."""
    digest = Digest()
    for _ in range(SIZE // len(PIECE)):
        digest.take(PIECE)
    return digest.hex


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is read as Linux shows it")
async def test_an_upload_waits_for_its_region_in_bounded_memory_and_arrives_whole(stage: Stage) -> None:
    stage.eu.never_reads = True
    client = await stage.client()
    await client.send(request("POST", path(), f"Content-Length: {SIZE}"))
    connection = await stage.eu.connection()
    reset_peak()
    before = memory("VmRSS")
    sent = await client.send_until_blocked(PIECE, SIZE, STALL)
    assert sent < KERNEL
    head = await headless(stage)
    connection.transport.resume_reading()
    # The stream is one pattern: the rest starts inside of it.
    rest = PIECE[sent % len(PIECE) :] + PIECE[: sent % len(PIECE)]
    assert await client.send_until_blocked(rest, SIZE - sent, STALL * 30) == SIZE - sent
    got = await stage.eu.bell.until(lambda: head if head.size == SIZE else None)
    assert got.hex == whole()
    connection.send(ok())
    assert (await client.answer()).status == 200
    assert memory("VmHWM") - before < ROOM


async def headless(stage: Stage) -> Digest:
    """The digest of what comes behind the head."""
    digest = Digest()
    head = b""

    def take(data: bytes) -> None:
        nonlocal head
        if b"\r\n\r\n" not in head:
            head += data
            data = head.partition(b"\r\n\r\n")[2]
        digest.take(data)
        stage.eu.bell.ring()

    stage.eu.discards, stage.eu.take = True, take
    return digest


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is read as Linux shows it")
@pytest.mark.parametrize("framing", [b"Content-Length: %d" % SIZE, b"Connection: close", b"Transfer-Encoding: chunked"])
async def test_a_download_waits_for_its_client_in_bounded_memory_and_arrives_whole(
    stage: Stage, framing: bytes
) -> None:
    chunked = framing.endswith(b"chunked")
    flood = Flood(chunked)

    async def floods(turn: Turn) -> None:
        turn.send(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % framing)
        await flood.run(turn)
        if framing == b"Connection: close":
            turn.connection.close()

    stage.eu.answers.append(floods)
    client = await stage.client()
    reset_peak()
    before = memory("VmRSS")
    await client.send(GET)
    await flood.stalled()
    assert flood.sent < KERNEL
    await client.receive_until(b"\r\n\r\n")
    got = Digest()
    while got.size < SIZE:
        if chunked:
            size = int(await client.receive_until(b"\r\n"), 16)
            await client.receive_into(got.take, size)
            assert await client.receive_exactly(2) == b"\r\n"
        else:
            await client.receive_into(got.take, SIZE)
    assert got.hex == whole()
    assert memory("VmHWM") - before < ROOM


class Flood:
    """A region's endless answer: a piece whenever its transport has room."""

    def __init__(self, chunked: bool) -> None:
        self.sent = 0
        self._chunked = chunked
        self._moved = asyncio.Event()

    async def run(self, turn: Turn) -> None:
        transport = turn.connection.transport
        # Not 0: asyncio's TLS transport would pause an empty buffer, for ever.
        transport.set_write_buffer_limits(high=1)
        while self.sent < SIZE:
            turn.send(b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if self._chunked else PIECE)
            self.sent += len(PIECE)
            self._moved.set()
            await turn.origin.bell.until(lambda: turn.connection.writable or None)
        if self._chunked:
            turn.send(b"0\r\n\r\n")

    async def stalled(self) -> None:
        """Return when nothing more was taken for a while."""
        with contextlib.suppress(TimeoutError):
            while True:
                self._moved.clear()
                await asyncio.wait_for(self._moved.wait(), STALL)
