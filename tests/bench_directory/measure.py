"""What is measured of one directory: lookups one at a time and many at a time, and how a gateway catches up with it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import sys
import time
from pathlib import Path
from random import Random
from statistics import quantiles
from typing import TYPE_CHECKING, Final, TypedDict

from router.directory.directory import assemble
from router.directory.hostlock import FileHostLocks
from router.directory.options import DirectoryOptions
from router.directory.ports import SystemClock, TaskSpawner
from router.directory.registration import Identity, TermEnd
from router.directory.store import Answer
from router.model.placement import Entry, Kind, Placement, Version
from router.model.region import RegionName
from tests.bench_directory.sites import REGIONS, workspace_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from router.directory.cache import PlacementCache
    from router.directory.directory import CachedDirectory
    from router.directory.store import LookupStore
    from router.runtime.directories import MaintainedStore
    from tests.bench_directory.sites import Site

LOOKUPS: Final = 3000
WARMING: Final = 300
AT_A_TIME: Final = 32
CHANGES: Final = 100_000
ROOT: Final = Path(__file__).resolve().parents[2]


class Figures(TypedDict):
    """One directory. Times in ms or s, as their names say; sizes in MB (10^6 bytes)."""

    store: str
    placements: int
    fill_s: float
    size_mb: float
    lookup_p50_ms: float
    lookup_p99_ms: float
    lookups_per_second: float
    catch_up_s: float


class Memory(TypedDict):
    """A gateway process with so many placements cached: its RSS in MB (10^6 bytes), and bytes for each placement."""

    cached: int
    rss_mb: float
    bytes_each: float


async def measure(site: Site, placements: int, folder: Path) -> Figures:
    """Fill `site`, and measure it."""
    started = time.perf_counter()
    await site.fill(placements)
    filled = time.perf_counter() - started
    store = site.connect()
    try:
        times = await _one_at_a_time(store, placements)
        rate = await _many_at_a_time(store, placements)
        size = site.size()
        caught_up = await _catch_up(site, store, placements, folder)
    finally:
        await store.close()
    percentiles = quantiles(times, n=100)
    return Figures(
        store=site.name,
        placements=placements,
        fill_s=round(filled, 1),
        size_mb=round(size / 1e6, 1),
        lookup_p50_ms=round(1000 * percentiles[49], 3),
        lookup_p99_ms=round(1000 * percentiles[98], 3),
        lookups_per_second=round(rate),
        catch_up_s=round(caught_up, 2),
    )


async def measure_memory(cached: int, folder: Path) -> Memory:
    """A gateway process of its own, with a directory of its own, that caches so many placements."""
    command = (sys.executable, "-m", "tests.bench_directory.gateway", str(folder), str(cached))
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the gateway that is measured ended with {process.returncode}")
    before, after = json.loads(out)
    return Memory(cached=cached, rss_mb=round(after / 1e6, 1), bytes_each=round((after - before) / cached, 1))


def fill_cache(cache: PlacementCache, placements: int) -> None:
    """Let `cache` have that many placements, as answers to lookups bring them."""
    position = cache.position
    assert position is not None
    for number in range(placements):
        workspace = workspace_of(number)
        ticket = cache.begin_lookup(Entry(Kind.WORKSPACE, workspace))
        # Decoded each time: a row of a database brings a text of its own too.
        region = RegionName(REGIONS[number % len(REGIONS)].encode().decode())
        placement = Placement(workspace, region, Version(position.generation, 1))
        cache.finish_lookup(ticket, Answer(placement, position.generation, position.seq, opened=True))
        cache.end_lookup(ticket)


async def _one_at_a_time(store: LookupStore, placements: int) -> list[float]:
    chance, times = Random(1), []
    for number in range(WARMING + LOOKUPS):
        started = time.perf_counter()
        await _look_up(store, chance.randrange(placements))
        if number >= WARMING:
            times.append(time.perf_counter() - started)
    return times


async def _many_at_a_time(store: LookupStore, placements: int) -> float:
    """Lookups per second, as many at a time as a gateway sends."""

    async def look_up(seed: int) -> None:
        chance = Random(seed)
        for _ in range(math.ceil(LOOKUPS / AT_A_TIME)):
            await _look_up(store, chance.randrange(placements))

    started = time.perf_counter()
    await asyncio.gather(*(look_up(seed) for seed in range(AT_A_TIME)))
    return AT_A_TIME * math.ceil(LOOKUPS / AT_A_TIME) / (time.perf_counter() - started)


async def _look_up(store: LookupStore, number: int) -> None:
    answer = await store.lookup(Entry(Kind.WORKSPACE, workspace_of(number)), primary=True)
    if not isinstance(answer.fact, Placement):
        raise LookupError(f"placement {number} is not there")


async def _catch_up(site: Site, store: MaintainedStore, placements: int, folder: Path) -> float:
    """Seconds from `CHANGES` changes, committed at once, to the gateway that has taken all of them in."""
    async with _gateway(store, folder) as directory:
        fill_cache(directory._cache, min(placements, CHANGES))
        await asyncio.to_thread(site.change, placements, CHANGES)
        directory.wake()
        started = time.perf_counter()
        while (position := directory.state.position) is None or position.seq < CHANGES:  # noqa: ASYNC110 - no bell
            await asyncio.sleep(0.001)
        taken = time.perf_counter() - started
        if directory.state.terms_ended[TermEnd.RESET]:
            raise RuntimeError("the gateway did not catch up: it began anew")
        return taken


@contextlib.asynccontextmanager
async def _gateway(store: MaintainedStore, folder: Path) -> AsyncIterator[CachedDirectory]:
    """A cached directory as a process has it; it looks at the feed when it is woken."""
    clock, spawner = SystemClock(), TaskSpawner()
    directory = assemble(
        store,
        store,
        identity=Identity("gateway", "host"),
        locks=FileHostLocks(folder / "locks"),
        options=DirectoryOptions(poll_interval=600.0),
        clock=clock,
        spawner=spawner,
        random=Random(1),
    )
    directory.start()
    try:
        while not directory.state.ready:  # noqa: ASYNC110 - it rings no bell
            await asyncio.sleep(0.01)
        yield directory
    finally:
        await directory.close()
        await spawner.close()
