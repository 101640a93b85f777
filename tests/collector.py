"""An OpenTelemetry collector of a test's own: it takes spans by OTLP over HTTP, and keeps them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """What has come. `status` is what it answers."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.resource: dict[str, Any] = {}
        self.raw = b""
        self.status = 200
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        raw = await request.read()
        self.raw += raw
        for resource in ExportTraceServiceRequest.FromString(raw).resource_spans:
            self.resource = values(resource.resource)
            for scope in resource.scope_spans:
                self.spans += scope.spans
        return web.Response(status=self.status)

    def named(self, name: str) -> Span:
        """The one span of that name."""
        (span,) = [span for span in self.spans if span.name == name]
        return span


def values(owner: Any) -> dict[str, Any]:
    """The attributes of a span, a resource or an event."""
    kinds = {each.key: each.value.WhichOneof("value") for each in owner.attributes}
    return {each.key: getattr(each.value, str(kinds[each.key])) for each in owner.attributes}


@contextlib.asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A collector on a port that the kernel chooses."""
    collector = Collector()
    application = web.Application()
    application.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        collector.url = f"http://{host}:{port}/v1/traces"
        yield collector
    finally:
        await runner.cleanup()
