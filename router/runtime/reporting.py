"""Where a gateway's closer looks at requests go: opened before the gateway, closed when its last request has ended.

OpenTelemetry is loaded when something is traced, and not before: it is an extra, and a large one.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from router.telemetry.access_log import AccessLog
from router.telemetry.reports import Reports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from router.settings.values import TelemetrySettings


@contextlib.asynccontextmanager
async def reporting(settings: TelemetrySettings, instance: str) -> AsyncIterator[Reports]:
    """The access log and, if there is a collector, tracing, until the block ends and they have told what they can."""
    async with contextlib.AsyncExitStack() as stack:
        access_log = AccessLog(settings.form, shows_workspace=settings.shows_workspace)
        stack.push_async_callback(access_log.close)
        tracing = None
        if settings.collector is not None:
            from router.telemetry.tracing import open_tracing  # noqa: PLC0415 - see above

            tracing = open_tracing(
                settings.collector,
                name=settings.service_name,
                instance=instance,
                shows_workspace=settings.shows_workspace,
            )
            stack.push_async_callback(tracing.close)
        yield Reports(access_log, tracing)
