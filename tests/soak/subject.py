"""The gateway that is soaked: a process of its own, as `serve` runs it, that tells what it holds when it is asked.

    python -m tests.soak.subject CONFIGURATION

Each line on standard input is answered by a census as one line of JSON; the end of the input ends the process.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from router.runtime.process import running
from router.runtime.serve import run
from router.settings.load import load_text

if TYPE_CHECKING:
    from router.runtime.process import Running
    from router.settings.values import Settings


class Census(NamedTuple):
    """What a process holds. `rss` in kB, `cpu` in seconds; `errors` are all that were logged or not caught so far."""

    listen: str
    ready: bool
    connections: int
    in_flight: int
    tasks: int
    descriptors: int
    rss: int
    cpu: float
    errors: list[str]


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(self.format(record))


def _census(process: Running, errors: _Errors) -> Census:
    gc.collect()
    return Census(
        process.listen[0],
        process.directory.state.ready,
        len(process.gateway.connections),
        process.directory.ledger.in_flight,
        len(asyncio.all_tasks()),
        len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - names are counted, not used
        int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024,
        time.process_time(),
        errors.seen,
    )


async def main(settings: Settings) -> None:
    """Serve, and answer, until the input ends."""
    errors = _Errors()
    logging.getLogger().addHandler(errors)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: errors.seen.append(repr(context)))
    lines: asyncio.Queue[bytes] = asyncio.Queue()

    def read() -> Any:
        lines.put_nowait(os.read(0, 65536))

    async with running(settings) as process:
        loop.add_reader(0, read)
        while asked := await lines.get():
            for _ in range(asked.count(b"\n")):
                print(json.dumps(_census(process, errors)), flush=True)
        loop.remove_reader(0)


if __name__ == "__main__":
    _file = Path(sys.argv[1])
    run(main(load_text(_file.read_text("utf-8"), {}, folder=_file.parent)))
