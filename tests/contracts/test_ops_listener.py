"""Raw bytes at the ops listener: nothing of one request reaches the next, and nothing of any comes back."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from router.telemetry.ops import ops_runner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from aiohttp.typedefs import Handler

PLAIN = b"GET /livez HTTP/1.1\r\nHost: ops\r\n\r\n"
LAST = b"GET /livez HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n"
CHUNKED = (
    b"GET /livez HTTP/1.1\r\nHost: ops\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n0\r\nX-Trailer: one\r\nX-Last-Trailer: two\r\n\r\n"
)
BEFORE_WHAT_IS_NOT_TRUSTED = {
    "chunked with trailers": CHUNKED,
    "chunked to nowhere": CHUNKED.replace(b"/livez", b"/nowhere"),
    "chunked with a method that is not allowed": CHUNKED.replace(b"GET", b"POST"),
    "chunked with an expectation that is not known": CHUNKED.replace(b"Host: ops", b"Host: ops\r\nExpect: tea"),
    "chunked with 100-continue": CHUNKED.replace(b"Host: ops", b"Host: ops\r\nExpect: 100-continue"),
    "h2c": PLAIN.replace(b"Host: ops", b"Host: ops\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c"),
    "websocket": PLAIN.replace(b"Host: ops", b"Host: ops\r\nConnection: Upgrade\r\nUpgrade: websocket"),
    "an upgrade that Connection does not name": PLAIN.replace(b"Host: ops", b"Host: ops\r\nUpgrade: websocket"),
    "connect": b"CONNECT ops:443 HTTP/1.1\r\nHost: ops:443\r\n\r\n",
}


class Listener:
    """An application behind `ops_runner` that keeps every head that was handed to it."""

    def __init__(self) -> None:
        self.seen: list[frozenset[str]] = []

        @web.middleware
        async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
            self.seen.append(frozenset(name.lower() for name in request.headers))
            return await handler(request)

        application = web.Application(middlewares=[note])
        application.router.add_get("/livez", self._live)
        self.runner = ops_runner(application)

    async def _live(self, _: web.Request) -> web.Response:
        return web.Response(text="live")

    async def exchange(self, pieces: Iterable[bytes]) -> bytes:
        """Everything that comes back until the listener ends the connection. It does, or the test times out."""
        host, port = self.runner.addresses[0][:2]
        reader, writer = await asyncio.open_connection(host, port)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            return await reader.read()
        finally:
            writer.close()


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    listener = Listener()
    await listener.runner.setup()
    await web.TCPSite(listener.runner, "127.0.0.1", 0).start()
    yield listener
    await listener.runner.cleanup()


def finals(answers: bytes) -> list[bytes]:
    """The statuses that are not interim. Where no head was understood, aiohttp answers as HTTP/1.0."""
    return re.findall(rb"HTTP/1\.[01] ([2-5]\d\d) ", answers)


@pytest.mark.parametrize("first", BEFORE_WHAT_IS_NOT_TRUSTED.values(), ids=BEFORE_WHAT_IS_NOT_TRUSTED)
async def test_what_follows_such_a_request_is_never_served(listener: Listener, first: bytes) -> None:
    answers = await listener.exchange([first + PLAIN])
    assert len(finals(answers)) == 1
    assert answers.lower().count(b"connection: close\r\n") == 1
    assert len(listener.seen) <= 1


@pytest.mark.parametrize("cut", range(1, len(CHUNKED + PLAIN), 7))
async def test_a_trailer_reaches_no_request_wherever_the_segments_are_cut(listener: Listener, cut: int) -> None:
    stream = CHUNKED + PLAIN
    answers = await listener.exchange([stream[:cut], stream[cut:]])
    assert finals(answers) == [b"200"]
    assert [names & {"x-trailer", "x-last-trailer"} for names in listener.seen] == [frozenset()]


async def test_plain_requests_before_it_are_answered_on_the_same_connection(listener: Listener) -> None:
    answers = await listener.exchange([PLAIN + PLAIN + CHUNKED + PLAIN])
    assert finals(answers) == [b"200", b"200", b"200"]
    assert len(listener.seen) == 3


async def test_plain_requests_keep_the_connection_until_the_client_ends_it(listener: Listener) -> None:
    answers = await listener.exchange([PLAIN + PLAIN + LAST])
    assert finals(answers) == [b"200", b"200", b"200"]


async def test_a_compressed_body_is_not_inflated(listener: Listener) -> None:
    head = (
        b"GET /livez HTTP/1.1\r\nHost: ops\r\nConnection: close\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\n\r\n"
    )
    assert finals(await listener.exchange([head + b"not gzip"])) == [b"200"]


@pytest.mark.parametrize(
    "bad",
    [
        b"GET /metrics?token=secret HTTP/9.9\r\nHost: ops\r\n\r\n",
        b"GET /metrics?token=\x00secret HTTP/1.1\r\nHost: ops\r\n\r\n",
        b"secret\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: ops\r\nX-Api-Key : secret\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: ops\r\nX-Api-Key: secret\x01\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: ops\r\nX-Api-Key: " + b"secret" * 4000 + b"\r\n\r\n",
        b"GET http://[secret HTTP/1.1\r\nHost: ops\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_400_in_json_and_repeated_neither_to_the_client_nor_in_the_log(
    listener: Listener, bad: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answers = await listener.exchange([bad])
    assert finals(answers) == [b"400"]
    assert answers.endswith(b'\r\n\r\n{"status": 400, "message": "Bad Request"}\n')
    assert b"secret" not in answers
    assert "secret" not in caplog.text
    assert "Traceback" not in caplog.text
    assert listener.seen == []
