"""A cold cache: many requests at the same moment for one workspace that the gateway has not asked for yet.

The whole gateway on its real directory, here in one process with the clients, so that the lookups which reach the store
can be counted: no metric tells them from the requests that waited for them. All requests are written in one step of the
event loop; the gateway reads them in the next ones, while the lookup is under way in the store's thread.

    python -m tests.bench.cold CONFIG REQUESTS WORKSPACE
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from router.runtime.process import Running, running
from router.runtime.serve import run
from router.settings.load import load

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from router.directory.store import Answer
    from router.model.placement import Entry

_READY_SECONDS: Final = 20.0
_ANSWER_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.05


async def rush(config: Path, requests: int, workspace: str) -> dict[str, int]:
    """How many lookups reached the store, and how many of `requests` were answered with 200.

    Raises `TimeoutError`, `OSError`.
    """
    async with running(load(config, os.environ)) as process:
        lookups = count_lookups(process)
        await asyncio.wait_for(_ready(process), _READY_SECONDS)
        host, port = process.listen[0].rsplit(":", 1)
        streams = [await asyncio.open_connection(host, int(port)) for _ in range(requests)]
        head = f"GET /api/v1/workspaces/{workspace}/projects HTTP/1.1\r\nHost: api.clockify.me\r\n\r\n".encode("ascii")
        for _, writer in streams:
            writer.write(head)
        lines = await asyncio.wait_for(asyncio.gather(*(reader.readline() for reader, _ in streams)), _ANSWER_SECONDS)
        for _, writer in streams:
            writer.close()
    answered = sum(line.startswith(b"HTTP/1.1 200 ") for line in lines)
    return {"requests": requests, "answered": answered, "lookups": len(lookups)}


def count_lookups(process: Running) -> list[Entry]:
    """A list that grows by the entry of each lookup that reaches the store of `process`."""
    seen: list[Entry] = []
    ask: Callable[..., Awaitable[Answer]] = process.store.lookup

    async def lookup(entry: Entry, *, primary: bool) -> Answer:
        seen.append(entry)
        return await ask(entry, primary=primary)

    # On this one object, in front of the real method, which answers.
    vars(process.store)["lookup"] = lookup
    return seen


async def _ready(process: Running) -> None:
    state = process.directory.state
    while not (state.trusted and state.opened and state.caught_up):
        await asyncio.sleep(_LOOK_SECONDS)
        state = process.directory.state


async def main(config: str, requests: str, workspace: str) -> None:
    """See the top of this file."""
    print(json.dumps(await rush(Path(config), int(requests), workspace)))


if __name__ == "__main__":
    run(main(*sys.argv[1:]))
