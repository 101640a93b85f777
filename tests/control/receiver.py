"""A destination of webhooks that checks every signature with the `standardwebhooks` package, and says what it got."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Receiver:
    """Answers with `statuses` in their order, and with 204 behind the last."""

    def __init__(self, secret: str = SECRET) -> None:
        self.secret = secret
        self.statuses: list[int] = []
        self.ids: list[str] = []
        self.got: list[dict[str, Any]] = []
        self.url = ""

    @property
    def types(self) -> list[str]:
        """Of the events that it took, in their order."""
        return [one["type"] for one in self.got]

    async def take(self, request: web.Request) -> web.Response:
        body = await request.text()
        self._verify(request.headers, body)
        self.ids.append(request.headers["webhook-id"])
        status = self.statuses.pop(0) if self.statuses else 204
        if status < 300:
            self.got.append(json.loads(body))
        return web.Response(status=status, headers={"Location": "/elsewhere"} if 300 <= status < 400 else None)

    def _verify(self, fields: Mapping[str, str], body: str) -> None:
        """Raises unless the signature is the package's own. With the time, which is a test's, only if that is today."""
        hook = Webhook(self.secret)
        at = datetime.fromtimestamp(int(fields["webhook-timestamp"]), UTC)
        if abs(at - datetime.now(UTC)) < timedelta(minutes=4):
            hook.verify(body, dict(fields))
        elif hook.sign(fields["webhook-id"], at, body) not in fields["webhook-signature"].split():
            raise WebhookVerificationError("No matching signature found")


@contextlib.asynccontextmanager
async def receiving(secret: str = SECRET) -> AsyncIterator[Receiver]:
    receiver = Receiver(secret)
    application = web.Application()
    application.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        receiver.url = f"http://{host}:{port}/hook"
        yield receiver
    finally:
        await runner.cleanup()
