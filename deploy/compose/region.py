"""One of the demo's fake regions as a process of its own: `python region.py NAME PORT`."""

from __future__ import annotations

import asyncio
import signal
import sys

from aiohttp import web

from router.demo.region import FakeRegion
from router.model.region import RegionName


async def main(name: str, port: int) -> None:
    """Answer on every address until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    region = FakeRegion(RegionName(name), is_superseded=_no_key_is)
    runner = web.ServerRunner(web.Server(region.answer, access_log=None, auto_decompress=False))
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", port).start()  # noqa: S104 - inside a container's own network
    print(f"region {name} listens on {runner.addresses[0][1]}", flush=True)
    await stopped.wait()
    await runner.cleanup()


async def _no_key_is(digest: str) -> bool:
    return False


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
