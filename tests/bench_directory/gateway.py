"""A gateway process that is measured: it fills its cache, and prints its RSS in bytes before and after that.

python -m tests.bench_directory.gateway FOLDER PLACEMENTS
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from pathlib import Path

from router.runtime.process import running
from router.runtime.serve import run
from router.settings.load import load_text
from tests.bench_directory.measure import fill_cache
from tests.bench_directory.sites import SqliteSite

_CONFIGURATION = """
[gateway]
listen = ["127.0.0.1:0"]
[ops]
listen = ["127.0.0.1:0"]
[directory]
url = "sqlite:///directory.db"
cache_size = {placements}
[services.api]
match = ["*"]
path = "/"
[regions.global]
origin = "http://127.0.0.1:1"
public_url = "https://example.com"
"""


def _resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def main(folder: Path, placements: int) -> None:
    """Serve, fill, tell."""
    await SqliteSite(folder).fill(1)
    async with running(load_text(_CONFIGURATION.format(placements=placements), {}, folder=folder)) as process:
        directory = process.directory
        while not directory.state.ready:  # noqa: ASYNC110 - it rings no bell
            await asyncio.sleep(0.01)
        before = _resident()
        fill_cache(directory._cache, placements)
        if directory.cached != placements:
            raise RuntimeError(f"{directory.cached} placements are cached")
        print(json.dumps([before, _resident()]))


if __name__ == "__main__":
    run(main(Path(sys.argv[1]), int(sys.argv[2])))
