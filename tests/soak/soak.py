"""The soak: a gateway in a process of its own, at about half of what a core can carry, while all around it fails.

The law of the room: what was there before the crowd came is what is there after it left: no connection, no request in
the ledger, no task and no descriptor more; and memory does not grow once it is warm.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

from router.directory.ports import SystemClock
from router.directory.sqlite.store import SqliteStore
from router.model.placement import WorkspaceId
from router.model.region import RegionName
from router.model.transfer import Transfer, TransferEvent, TransferId, TransferState
from tests.gateway.stage import HOUR, MOVING, configure, furnish
from tests.soak.crowd import Crowd, Tally
from tests.soak.regions import misbehaving_region
from tests.soak.subject import Census

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT: Final = Path(__file__).resolve().parents[2]

SHORT: Final = {
    **{"head": 1, "keepalive": 2, "body_idle": 1, "write_idle": 1, "connect": 1, "pool_wait": 1, "first_byte": 1},
    **{"upstream_idle": 1, "pool_idle": 1, "lock_drain": 0.2, "shutdown": 3},
}
ASKERS: Final = 96
NUISANCES: Final = 24
HALF: Final = 0.5
"""Of one core, in the gateway."""
SETTLING: Final = 10.0
"""Seconds in which everything has to be gone once the crowd is: the deadlines above, and a slow machine."""
GROWTH_KB: Final = 8 * 1024


@dataclass
class Report:
    """How a soak went. `findings` is empty if all is well; sizes in kB, `load` is the gateway's share of one core."""

    seconds: float
    load: float
    told: int
    ended: int
    rss: tuple[int, int]
    findings: list[str] = field(default_factory=list)

    def line(self) -> str:
        """All of it in one line."""
        warm, last = self.rss
        verdict = f"{len(self.findings)} findings" if self.findings else "nothing leaked"
        return (
            f"soak: {self.seconds:.0f} s at {self.load:.0%} of a core, {self.told} answers, {self.ended} stalled "
            f"clients ended, RSS {warm / 1024:.1f} → {last / 1024:.1f} MB: {verdict}"
        )


class _Subject:
    """The process that is soaked."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def census(self) -> Census:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"\n")
        return Census(*json.loads(await self.process.stdout.readline()))


async def soak(folder: Path, seconds: float, *, seed: int) -> Report:
    """Soak a gateway that keeps its files in `folder`."""
    async with misbehaving_region() as port, misbehaving_region() as other:
        await furnish(folder)
        ports = {"global": port, "eu": port, "us": other}
        file = folder / "router.toml"
        file.write_text(configure(ports, timeouts=SHORT), "utf-8")
        async with _subject(file) as subject:
            return await _soaked(subject, folder, seconds, seed)


async def _soaked(subject: _Subject, folder: Path, seconds: float, seed: int) -> Report:
    before = await _ready(subject)
    host, _, port = before.listen.rpartition(":")
    tally = Tally()
    crowd = Crowd((host, int(port)), tally)
    started = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(ASKERS):
            group.create_task(crowd.asker(Random(f"{seed}-asker-{number}")))
        for number in range(NUISANCES):
            group.create_task(crowd.nuisance(Random(f"{seed}-nuisance-{number}")))
        group.create_task(_move_again_and_again(folder, crowd))
        warm = await _govern(subject, crowd, seconds / 2)
        last = await _govern(subject, crowd, seconds / 2)
        crowd.stopping = True
    took = time.monotonic() - started
    load = (last.cpu - warm.cpu) / (seconds / 2)
    after = await _settled(subject, before)
    report = Report(took, load, tally.told.total(), tally.ended, (warm.rss, after.rss), tally.wrong[:20])
    report.findings += after.errors[:20] + _leaks(before, after)
    if after.rss - warm.rss > GROWTH_KB:
        report.findings.append(f"RSS grew by {after.rss - warm.rss} kB")
    if not tally.told[200] or not tally.ended:
        report.findings.append(f"hardly anything was asked: {tally}")
    return report


async def _govern(subject: _Subject, crowd: Crowd, seconds: float) -> Census:
    """Keep the gateway at half load for so long; the census at the end."""
    end = time.monotonic() + seconds
    census = await subject.census()
    while (left := end - time.monotonic()) > 0:
        since = time.monotonic()
        await asyncio.sleep(min(0.5, left))
        now = await subject.census()
        load = (now.cpu - census.cpu) / (time.monotonic() - since)
        crowd.pause = min(0.2, max(0.0005, crowd.pause * (0.8 if load < HALF else 1.25)))
        census = now
    return census


async def _move_again_and_again(folder: Path, crowd: Crowd) -> None:
    """Lock a workspace and give it back, over and over: what was decided before each lock has to be gone."""
    clock = SystemClock()
    store = SqliteStore(folder / "directory.db", clock=clock)
    number = 0
    while not crowd.stopping:
        number += 1
        now = clock.wall()
        id_ = TransferId(f"soak-{number}")
        workspace, source, to = WorkspaceId(MOVING), RegionName("eu"), RegionName("us")
        await store.start_transfer(
            Transfer(id_, workspace, source, to, TransferState.LOCKING, "a soak", now, now + HOUR, 0)
        )
        await asyncio.sleep(0.4)
        await store.advance_transfer(id_, TransferEvent.FAIL, now=clock.wall(), reason="a soak")
        await asyncio.sleep(0.6)
    await store.close()


async def _ready(subject: _Subject) -> Census:
    async with asyncio.timeout(SETTLING):
        while not (census := await subject.census()).ready:  # noqa: ASYNC110 - another process rings no bell
            await asyncio.sleep(0.02)
    return census


async def _settled(subject: _Subject, before: Census) -> Census:
    """The census as soon as nothing is left, or when everything should be gone."""
    end = time.monotonic() + SETTLING
    while _leaks(before, census := await subject.census()) and time.monotonic() < end:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.1)
    return census


def _leaks(before: Census, after: Census) -> list[str]:
    held = {
        "connections": (before.connections, after.connections),
        "requests in the ledger": (before.in_flight, after.in_flight),
        "tasks": (before.tasks, after.tasks),
        "descriptors": (before.descriptors, after.descriptors),
    }
    return [f"{name}: {now} instead of {then}" for name, (then, now) in held.items() if now > then]


@contextlib.asynccontextmanager
async def _subject(file: Path) -> AsyncIterator[_Subject]:
    """A gateway with the configuration `file`. It has to end well."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.soak.subject", str(file)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield _Subject(process)
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(SETTLING):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
