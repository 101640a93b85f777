"""Fuzz for a while: `make fuzz`, or `python -m tests.fuzz FILE` to run one finding again.

`FUZZ_SECONDS` (300) bounds it, half of them on asyncio's own loop and half on uvloop; `FUZZ_SEED` (chosen) repeats it.
One line at the end; exit 1 on the first finding, whose input is then in `build/fuzz/`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final, TypeVar

import uvloop

from tests.fuzz.gauntlet import gauntlet
from tests.fuzz.runs import answer_run, dumped, loaded, request_run

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tests.fuzz.runs import Run

T = TypeVar("T")

BUILD: Final = Path(__file__).resolve().parents[2] / "build" / "fuzz"
LOOPS: Final = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
STALLS_EVERY: Final = 1000
STALLS: Final = 200


async def fuzz(seconds: float, seed: str) -> tuple[int, list[str]]:
    """Run until `seconds` are over or something is found: how many runs, and the findings."""
    started = time.monotonic()
    number = 0
    with tempfile.TemporaryDirectory() as folder:
        async with gauntlet(Path(folder)) as way:
            while time.monotonic() - started < seconds:
                chance = Random(f"{seed}-{number}")
                number += 1
                if number % STALLS_EVERY == 0:
                    found = await way.stalls([request_run(chance, "wait") for _ in range(STALLS)])
                else:
                    run: Run = answer_run(chance) if chance.random() < 0.3 else request_run(chance)
                    found = await way.findings(run)
                    if found:
                        found.append(f"fuzz: once more with: python -m tests.fuzz {_keep(f'{seed}-{number}', run)}")
                if found:
                    return number, found
    return number, []


async def once_more(run: Run) -> list[str]:
    """The findings of one kept run."""
    with tempfile.TemporaryDirectory() as folder:
        async with gauntlet(Path(folder)) as way:
            return await way.findings(run)


def _keep(name: str, run: Run) -> Path:
    BUILD.mkdir(parents=True, exist_ok=True)
    file = BUILD / f"{name}.json"
    file.write_text(dumped(run), "utf-8")
    return file


def _on(loop: str, work: Coroutine[None, None, T]) -> T:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        return runner.run(work)


def main() -> int:
    """Fuzz, or run one kept run."""
    logging.getLogger().addHandler(logging.NullHandler())  # faults of fuzzed regions are no news
    if len(sys.argv) > 1:
        run = loaded(Path(sys.argv[1]).read_text("utf-8"))
        found = [finding for loop in LOOPS for finding in _on(loop, once_more(run))]
        print(*(found or ["fuzz: no finding"]), sep="\n")
        return 1 if found else 0
    seconds = float(os.environ.get("FUZZ_SECONDS") or 300)
    seed = os.environ.get("FUZZ_SEED") or str(secrets.randbits(32))
    runs = 0
    for loop in LOOPS:
        more, found = _on(loop, fuzz(seconds / len(LOOPS), f"{seed}-{loop}"))
        runs += more
        if found:
            print(*found, f"fuzz: {runs} runs, seed {seed}: a finding", sep="\n")
            return 1
    print(f"fuzz: {runs} runs in {seconds:.0f} s, seed {seed}: no finding")
    return 0


if __name__ == "__main__":
    sys.exit(main())
