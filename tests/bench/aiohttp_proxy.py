"""What one would write first: an aiohttp server with a `ClientSession` behind it. Kept to see what the rest is worth.

It is written as well as the public API allows: on uvloop, no access log, no decompression, nothing that is not needed,
and an answer that is small and whole goes out in one piece.

    python -m tests.bench.aiohttp_proxy PORT ORIGIN_PORT
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Final

import aiohttp
import uvloop
from aiohttp import hdrs, web
from multidict import CIMultiDict

_CONNECTION_FIELDS: Final = (
    hdrs.CONNECTION,
    hdrs.KEEP_ALIVE,
    hdrs.TRANSFER_ENCODING,
    hdrs.TE,
    hdrs.TRAILER,
    hdrs.UPGRADE,
)
_SMALL: Final = 65_536


class Proxy:
    """Passes each request to the one origin."""

    def __init__(self, session: aiohttp.ClientSession, origin: str) -> None:
        self._session = session
        self._origin = origin

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The origin's answer to `request`."""
        fields = _end_to_end(request.headers)
        fields[hdrs.X_FORWARDED_FOR] = request.remote or "unknown"
        fields[hdrs.X_FORWARDED_PROTO] = request.scheme
        body = request.content if request.body_exists else None
        url = self._origin + request.raw_path
        async with self._session.request(
            request.method, url, headers=fields, data=body, allow_redirects=False
        ) as answer:
            length = answer.content_length
            if length is not None and length <= _SMALL:
                return web.Response(status=answer.status, headers=_end_to_end(answer.headers), body=await answer.read())
            response = web.StreamResponse(status=answer.status, headers=_end_to_end(answer.headers))
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response


def _end_to_end(fields: aiohttp.typedefs.LooseHeaders) -> CIMultiDict[str]:
    kept = CIMultiDict(fields)
    for name in _CONNECTION_FIELDS:
        kept.popall(name, None)
    return kept


async def serve(port: int, origin_port: int) -> None:
    """Serve on 127.0.0.1 until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=600)
    async with aiohttp.ClientSession(
        connector=connector,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        skip_auto_headers=(hdrs.USER_AGENT, hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE),
    ) as session:
        proxy = Proxy(session, f"http://127.0.0.1:{origin_port}")
        runner = web.ServerRunner(
            web.Server(proxy.handle, access_log=None, keepalive_timeout=600, auto_decompress=False)
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
            await stopped.wait()
        finally:
            await runner.cleanup()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1]), int(sys.argv[2])))
