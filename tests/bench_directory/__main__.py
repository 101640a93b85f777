"""The directory's bench: `python -m tests.bench_directory` measures, `… table` puts the figures into the README.

`BENCH_DIRECTORY_SIZES` (1000,100000,10000000) are the numbers of placements, `BENCH_DIRECTORY_CACHED` (1000000) how
many a gateway caches. SQLite is in `build/bench-directory`, PostgreSQL in /tmp; 10^7 placements take 5 GB meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, Final

import uvloop

from tests.bench.machine import describe
from tests.bench_directory.measure import ROOT, measure, measure_memory
from tests.bench_directory.report import Report, put_table, table
from tests.bench_directory.sites import PostgresSite, SqliteSite

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.bench_directory.sites import Site

BUILD: Final = ROOT / "build"
FOLDER: Final = BUILD / "bench-directory"
RESULT: Final = BUILD / "bench-directory.json"


async def bench(sizes: Sequence[int], cached: int, folder: Path) -> Report:
    """Measure directories of these sizes, and a gateway that caches so many placements."""
    # First: afterwards the load is ours.
    machine = describe([])
    directories = []
    kinds: tuple[Callable[[], Site], ...] = (lambda: SqliteSite(folder), PostgresSite)
    for placements in sizes:
        for make in kinds:
            site = await asyncio.to_thread(make)
            try:
                figures = await measure(site, placements, folder)
            finally:
                site.remove()
            print(figures, file=sys.stderr, flush=True)
            directories.append(figures)
    memory = await measure_memory(cached, folder)
    return Report(directories=directories, memory=memory, machine=machine)


def run() -> int:
    """Measure, write `build/bench-directory.json`, print the table. The exit code."""
    sizes = [int(text) for text in os.environ.get("BENCH_DIRECTORY_SIZES", "1000,100000,10000000").split(",")]
    cached = int(os.environ.get("BENCH_DIRECTORY_CACHED", "1000000"))
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            report = runner.run(bench(sizes, cached, FOLDER))
    finally:
        shutil.rmtree(FOLDER)
    RESULT.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", "utf-8")
    print(table(report), end="")
    print(f"written to {RESULT.relative_to(ROOT)}")
    return 0


def write_readme() -> int:
    """Put the table of the last run into the README. The exit code."""
    if not RESULT.exists():
        print(f"there is no {RESULT.relative_to(ROOT)}: run `make bench-directory` first", file=sys.stderr)
        return 1
    report: Report = json.loads(RESULT.read_text("utf-8"))
    put_table(ROOT / "README.md", table(report))
    return 0


if __name__ == "__main__":
    sys.exit(write_readme() if sys.argv[1:] == ["table"] else run())
