"""What a configuration file may say of logs and traces, and what of it can't work.

The law of the room: that of `router.settings.schema`, to which these tables belong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from router.settings.notation import CollectorUrl, Flag, Share, Table, Text
from router.settings.values import TelemetrySettings
from router.telemetry.logs import Form

if TYPE_CHECKING:
    from router.settings.problems import Findings
    from router.settings.schema import Document


class LogTable(Table):
    """`[log]`: what is written, and how."""

    format: Annotated[Form, Field(strict=False)] = Field(
        default=Form.HUMAN, description="how lines are written: the log on stderr and the access log on stdout"
    )
    access: Flag = Field(
        default=False,
        description="a line for a request that failed by the router's fault or its region's, and for others by chance",
    )
    access_sample: Share = Field(
        default=1.0, description="the chance of every other request, by its id: 0 none, 0.01 one in a hundred, 1 all"
    )
    workspace: Flag = Field(default=False, description="the access log and traces name the workspace")


class TracingTable(Table):
    """`[tracing]`: spans for an OpenTelemetry collector."""

    endpoint: CollectorUrl | None = Field(
        default=None, description="where spans are sent (OTLP over HTTP). Not set: nothing is traced"
    )
    sample: Share = Field(
        default=0.01,
        description="the share of traces that are recorded here. A trusted proxy's own choice is followed, and so is "
        "anybody's not to be recorded",
    )
    service_name: Text = Field(default="region-router", description="who the gateway is in a trace")


def check_tracing(document: Document, findings: Findings) -> None:
    """What traces are sent with is there."""
    if document.tracing.endpoint is None:
        return
    try:
        import opentelemetry.exporter.otlp.proto.http.trace_exporter  # noqa: PLC0415 - comes with an extra
        import opentelemetry.sdk.trace.export  # noqa: F401, PLC0415 - the same
    except ImportError:
        text = "tracing needs OpenTelemetry, which is not here"
        findings.problem(("tracing", "endpoint"), text, "pip install 'region-router[otel]'")


def build_telemetry(document: Document) -> TelemetrySettings:
    """What the process needs; what the gateway chooses by is among its options."""
    log, tracing = document.log, document.tracing
    return TelemetrySettings(log.format, log.workspace, tracing.endpoint, tracing.service_name)
