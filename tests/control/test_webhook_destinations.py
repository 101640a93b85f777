"""Events go where the configuration says and nowhere else: no answer leads them on, and no trouble tells where."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from router.control.secret_files import SecretFile
from router.control.webhooks import Destination, WebhookSender
from router.model.journal import Event, EventType
from router.model.placement import WorkspaceId
from tests.control.receiver import SECRET

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

EVENT = Event(1, "msg_1", EventType.TRANSFER_STARTED, WorkspaceId("64a687e29ae1f428e7ebe302"), 0.0, "{}")


@pytest.fixture
async def sender() -> AsyncIterator[WebhookSender]:
    sender = WebhookSender()
    yield sender
    await sender.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(sender: WebhookSender, tmp_path: Path, status: int) -> None:
    asked = []

    async def lead_on(request: web.BaseRequest) -> web.Response:
        asked.append(request.path)
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    (tmp_path / "secret").write_text(SECRET)
    runner = web.ServerRunner(web.Server(lead_on))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        destination = Destination("hook", f"http://{host}:{port}/hook", SecretFile(tmp_path / "secret"))
        attempt = await sender.send(destination, EVENT, now=0.0)
    finally:
        await runner.cleanup()
    assert (asked, attempt.status, attempt.delivered) == (["/hook"], status, False)


@pytest.mark.parametrize("answer", [b"S3CRET\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: S3CRET\r\n\r\n"])
async def test_an_answer_that_is_no_http_tells_neither_itself_nor_the_url(
    sender: WebhookSender, tmp_path: Path, answer: bytes
) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    (tmp_path / "secret").write_text(SECRET)
    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}/hooks/S3CRET?token=S3CRET"
        attempt = await sender.send(Destination("hook", url, SecretFile(tmp_path / "secret")), EVENT, now=0.0)
    assert attempt.trouble == "ClientResponseError: the answer is not HTTP that can be read"


@pytest.mark.parametrize("authority", ["127.0.0.1:99999", "[::1", "x..y"])
async def test_a_url_that_cannot_be_used_is_trouble_that_does_not_repeat_it(
    sender: WebhookSender, tmp_path: Path, authority: str
) -> None:
    (tmp_path / "secret").write_text(SECRET)
    destination = Destination("hook", f"http://{authority}/hooks/S3CRET", SecretFile(tmp_path / "secret"))
    attempt = await sender.send(destination, EVENT, now=0.0)
    assert attempt.status is None
    assert "S3CRET" not in (attempt.trouble or "")
