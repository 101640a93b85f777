"""The ops listener: `/metrics`, `/livez`, `/readyz`, for the scraper, the supervisor and the load balancer.

Theory. It is an ordinary aiohttp application, run in a stricter way than aiohttp's own runner does. aiohttp reads the
bytes of a connection ahead, and what follows a chunked body's trailers or a declined upgrade may be attached to the
wrong request. Nobody who is meant to be here sends either, so a connection that carried one ends with its answer:
whatever came behind is never handed to the application. For the same reason no answer repeats a byte of the request:
neither its target, which may carry a secret in its query, nor what the parser choked on.

The law of the room: every answer is made by `_answer`, is not to be stored, and says nothing that the request brought.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any, Final, Protocol

from aiohttp import web
from prometheus_client.exposition import choose_encoder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from prometheus_client import CollectorRegistry

_LOG: Final = logging.getLogger(__name__)

_CONNECTION: Final[Mapping[str, Any]] = {
    "access_log": None,
    "auto_decompress": False,
    # Longer than the usual scrape interval; it also ends a connection that never finishes a head.
    "keepalive_timeout": 75.0,
    # Seconds for which a body that nobody reads is drained before the connection is closed on it.
    "lingering_time": 2.0,
}
_SHUTDOWN_TIMEOUT: Final = 2.0
_MAX_BODY: Final = 1024
_OPEN_METRICS: Final = "application/openmetrics-text"


class Health(Protocol):
    """What the readiness probe asks."""

    def not_ready(self) -> tuple[str, ...]:
        """Why this process should get no traffic now, one phrase a reason; empty when it should. Never awaits."""


def ops_application(
    registry: CollectorRegistry, health: Health, *, refresh: Callable[[], Awaitable[None]] | None = None
) -> web.Application:
    """The application behind the ops listener. Run it with `ops_runner`. `refresh` is awaited before each scrape."""

    async def scrape(request: web.Request) -> web.Response:
        # Only our own two texts reach the encoder's negotiation: it raises on odd versions and repeats them.
        accept = ",".join(request.headers.getall("Accept", ())).lower()
        encode, content_type = choose_encoder(_OPEN_METRICS if _OPEN_METRICS in accept else "text/plain")
        if refresh is not None:
            await refresh()
        return _answer(200, encode(registry), content_type)

    async def live(_: web.Request) -> web.Response:
        return _json_answer(200, {"live": True})

    async def ready(_: web.Request) -> web.Response:
        reasons = health.not_ready()
        return _json_answer(503 if reasons else 200, {"ready": not reasons, "reasons": reasons})

    application = web.Application(client_max_size=_MAX_BODY)
    application.add_routes([web.get("/metrics", scrape), web.get("/livez", live), web.get("/readyz", ready)])
    return application


def ops_runner(application: web.Application) -> web.AppRunner:
    """A runner for an application on a listener of ours: `await runner.setup()`, then add sites."""
    return _Runner(application, handle_signals=False, shutdown_timeout=_SHUTDOWN_TIMEOUT)


class _Runner(web.AppRunner):
    """Puts our own connections and our own last word between aiohttp and the application."""

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return _Server(_last_word(server.request_handler), request_factory=server.request_factory)


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=asyncio.get_running_loop(), **_CONNECTION)


class _Connection(web.RequestHandler):
    """Answers what never became a request, and what an application failed to answer, without repeating any of it."""

    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """See the base class, whose answer and log show the bytes that the parser choked on."""
        if status >= 500:
            _LOG.error("an ops request failed", exc_info=exc)
        else:
            _LOG.debug("an ops connection sent no valid HTTP: %s", type(exc).__name__)
        response = _refusal(status)
        response.force_close()
        return response


def _last_word(
    handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    """`handle`, its refusals in our form, and the connection ended where the next request could not be trusted.

    Outside the application, not one of its middlewares: an expectation is refused before those are asked.
    """

    async def handle_request(request: web.BaseRequest) -> web.StreamResponse:
        response: web.StreamResponse
        try:
            response = await handle(request)
        except web.HTTPException as refusal:
            response = _refusal(refusal.status)
            if "Allow" in refusal.headers:
                response.headers["Allow"] = refusal.headers["Allow"]
        if request.method == "CONNECT" or "Transfer-Encoding" in request.headers or "Upgrade" in request.headers:
            response.force_close()
        return response

    return handle_request


def _refusal(status: int) -> web.Response:
    return _json_answer(status, {"status": status, "message": web.Response(status=status).reason})


def _json_answer(status: int, content: Mapping[str, object]) -> web.Response:
    return _answer(status, json.dumps(content).encode() + b"\n", "application/json")


def _answer(status: int, body: bytes, content_type: str) -> web.Response:
    headers = {"Content-Type": content_type, "Cache-Control": "no-store", "Server": "region-router"}
    return web.Response(status=status, body=body, headers=headers)
