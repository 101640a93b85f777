"""Tracing: the spans of a request at a real collector, and the trace context on its way through the gateway."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.collector import Collector, collecting, values
from tests.gateway.origin import Turn, ok
from tests.gateway.stage import GET, IN_EU, MOVING, Stage, path, request, staged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
PARENT = f"traceparent: 00-{TRACE}-{CALLER}-01"
UNRECORDED = f"traceparent: 00-{TRACE}-{CALLER}-00"
STATE = "tracestate: vendor=1"


@contextlib.asynccontextmanager
async def traced(
    folder: Path, collector: Collector, *, sample: float = 1.0, extra: str = "", **more: Any
) -> AsyncIterator[Stage]:
    """A stage that sends spans. They are all there when it has ended."""
    tables = f'[tracing]\nendpoint = "{collector.url}"\nsample = {sample}\n{extra}'
    async with staged(folder, tables=tables, **more) as stage:
        yield stage


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as collector:
        yield collector


def passed(stage: Stage, name: bytes, number: int = 0) -> list[bytes]:
    """What the region got of a field."""
    return stage.eu.requests[number].values(name)


async def test_a_request_is_a_span_with_its_walk_and_its_call_below(folder: Path, collector: Collector) -> None:
    async with traced(folder, collector) as stage:
        answer = await stage.ask(GET)
        carried = passed(stage, b"traceparent")
    whole = collector.named("GET /workspaces/{workspace}/…")
    walk, call = collector.named("walk"), collector.named("GET")
    assert (whole.kind, walk.kind, call.kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_INTERNAL, Span.SPAN_KIND_CLIENT)
    assert whole.parent_span_id == b""
    assert walk.parent_span_id == call.parent_span_id == whole.span_id
    assert whole.start_time_unix_nano <= walk.end_time_unix_nano <= call.end_time_unix_nano <= whole.end_time_unix_nano
    assert [event.name for event in call.events] == ["connected", "first byte"]
    assert carried == [f"00-{whole.trace_id.hex()}-{call.span_id.hex()}-01".encode()]
    assert (whole.status.code, call.status.code) == (Status.STATUS_CODE_UNSET, Status.STATUS_CODE_UNSET)
    told = values(whole)
    assert told.pop("router.request_id").encode() == answer.value(b"X-Request-ID")
    assert told == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/workspaces/{workspace}/…",
        "router.bytes_in": len(GET),
        "router.bytes_out": len(answer.head + answer.raw),
        "router.decision": "proxy",
        "router.epoch": told["router.epoch"],
        "router.region": "eu",
        "router.service": "api",
    }
    assert values(walk) == {"router.lookup": "miss"}
    assert collector.resource["service.name"] == "region-router"


async def test_the_callers_span_is_the_parent(folder: Path, collector: Collector) -> None:
    async with traced(folder, collector) as stage:
        await stage.ask(request("GET", path(), PARENT, STATE))
        (carried,) = passed(stage, b"traceparent")
        assert passed(stage, b"tracestate") == [b"vendor=1"]
    whole, call = collector.named("GET /workspaces/{workspace}/…"), collector.named("GET")
    assert (whole.trace_id.hex(), whole.parent_span_id.hex()) == (TRACE, CALLER)
    assert carried == f"00-{TRACE}-{call.span_id.hex()}-01".encode()


@pytest.mark.parametrize(("fields", "sample"), [((UNRECORDED, STATE), 1.0), ((PARENT, STATE), 0.0), ((), 0.0)])
async def test_what_is_not_traced_passes_as_it_came(
    folder: Path, collector: Collector, fields: tuple[str, ...], sample: float
) -> None:
    async with traced(folder, collector, sample=sample) as stage:
        await stage.ask(request("GET", path(), *fields))
        lines = [b"%b: %b" % field for field in stage.eu.requests[0].fields]
    assert [line for line in lines if line.startswith(b"trace")] == [field.encode() for field in fields]
    assert collector.spans == []


async def test_without_a_collector_the_context_passes_as_it_came(folder: Path) -> None:
    async with staged(folder) as stage:
        await stage.ask(request("GET", path(), PARENT, STATE))
        assert passed(stage, b"traceparent") == [PARENT.partition(": ")[2].encode()]


async def test_a_trusted_proxys_choice_is_followed(folder: Path, collector: Collector) -> None:
    trusting = 'trusted_proxies = ["127.0.0.1"]'
    async with traced(folder, collector, sample=0.0, gateway=trusting) as stage:
        await stage.ask(request("GET", path(), PARENT))
    assert collector.named("GET").trace_id.hex() == TRACE


@pytest.mark.parametrize(
    "fields",
    [
        (f"traceparent: 00-{'0' * 32}-{CALLER}-01",),
        (f"traceparent: 00-{TRACE}-{'0' * 16}-01",),
        (f"traceparent: ff-{TRACE}-{CALLER}-01",),
        (f"traceparent: 00-{TRACE}-{CALLER}-01-more",),
        (f"traceparent: 00-{TRACE.upper()}-{CALLER}-01",),
        ("traceparent: nonsense",),
        (PARENT, PARENT),
    ],
)
async def test_what_is_no_context_begins_a_trace(folder: Path, collector: Collector, fields: tuple[str, ...]) -> None:
    async with traced(folder, collector) as stage:
        await stage.ask(request("GET", path(), *fields, "TraceState: vendor=1"))
        (carried,) = passed(stage, b"traceparent")
        assert passed(stage, b"tracestate") == []
    whole = collector.named("GET /workspaces/{workspace}/…")
    assert whole.parent_span_id == b""
    assert whole.trace_id.hex() != TRACE
    assert carried.startswith(b"00-%b-" % whole.trace_id.hex().encode())


async def test_a_later_version_is_read_as_far_as_it_is_known(folder: Path, collector: Collector) -> None:
    async with traced(folder, collector) as stage:
        await stage.ask(request("GET", path(), f"TraceParent: cc-{TRACE}-{CALLER}-01-more"))
        (carried,) = passed(stage, b"traceparent")
    assert re.fullmatch(rb"00-%b-[0-9a-f]{16}-01" % TRACE.encode(), carried)


async def test_nothing_else_of_a_traced_request_changes(folder: Path, collector: Collector) -> None:
    async with traced(folder, collector) as stage:
        await stage.ask(request("GET", path(), "X-A: 1", "TE: trailers", PARENT, "x-a: 2"))
        await stage.ask(request("GET", path(), "X-A: 1", "TE: trailers", UNRECORDED, "x-a: 2"))
        one, other = (
            [field for field in each.fields if field[0] not in {b"traceparent", b"X-Request-ID"}]
            for each in stage.eu.requests
        )
    assert one == other


async def test_each_attempt_is_a_call_and_its_regions_parent(folder: Path, collector: Collector) -> None:
    async def leaves(turn: Turn) -> None:
        turn.connection.close()

    async with traced(folder, collector) as stage:
        client = await stage.client()
        await client.ask(request("GET", path(), UNRECORDED))
        stage.eu.answers.append(leaves)
        assert (await client.ask(GET)).status == 200
        carried = [passed(stage, b"traceparent", number)[0].split(b"-")[2].decode() for number in (1, 2)]
    calls = [span for span in collector.spans if span.name == "GET"]
    assert [span.span_id.hex() for span in calls] == carried
    assert [span.status.code for span in calls] == [Status.STATUS_CODE_ERROR, Status.STATUS_CODE_UNSET]
    assert values(calls[1])["http.request.resend_count"] == 1


async def test_what_is_answered_here_has_no_call(folder: Path, collector: Collector) -> None:
    async with traced(folder, collector) as stage:
        await stage.start_transfer(MOVING)
        await stage.answered(423, request("GET", path(MOVING), UNRECORDED))
        await stage.ask(request("GET", path(MOVING)))
    assert {span.name for span in collector.spans} == {"GET /workspaces/{workspace}/…", "walk"}
    assert values(collector.named("GET /workspaces/{workspace}/…"))["router.decision"] == "locked"


async def test_a_fault_is_the_spans_error(folder: Path, collector: Collector) -> None:
    async with traced(folder, collector) as stage:
        stage.eu.answers.append(b"garbage\r\n\r\n")
        assert (await stage.ask(GET)).status == 502
    whole, call = collector.named("GET /workspaces/{workspace}/…"), collector.named("GET")
    assert whole.status.code == call.status.code == Status.STATUS_CODE_ERROR
    assert values(whole)["error.type"] == values(call)["error.type"] == "protocol_error"


async def test_no_span_shows_a_credential_a_query_a_path_or_a_workspace(folder: Path, collector: Collector) -> None:
    fields = ("X-Api-Key: very-secret", "Cookie: a=very-secret", "Authorization: Bearer very-secret", STATE)
    async with traced(folder, collector) as stage:
        stage.eu.answers.extend([ok(), b"garbage very-secret\r\n\r\n"])
        for _ in range(2):
            target = f"{path(rest='very-secret')}?q=very-secret"
            await stage.ask(request("POST", target, *fields, body=b"very-secret"))
        await stage.ask(request("GET", "/api/v1/user/very-secret", *fields))
        await stage.ask(request("GET", "/very-secret", *fields))
    assert len(collector.spans) >= 10
    assert b"very-secret" not in collector.raw
    assert IN_EU.encode() not in collector.raw


async def test_the_workspace_is_named_where_the_setting_says_so(folder: Path, collector: Collector) -> None:
    async with traced(folder, collector, extra="[log]\nworkspace = true\n") as stage:
        await stage.ask(GET)
    assert values(collector.named("GET /workspaces/{workspace}/…"))["router.workspace"] == IN_EU


async def test_a_line_of_the_log_names_its_trace(
    folder: Path, collector: Collector, capfd: pytest.CaptureFixture[str]
) -> None:
    async with traced(folder, collector, extra='[log]\naccess = true\nformat = "json"\n') as stage:
        await stage.ask(request("GET", path(), PARENT))
    assert f'"trace": "{TRACE}"' in capfd.readouterr().out


async def test_a_collector_that_fails_costs_spans_and_no_request(folder: Path, collector: Collector) -> None:
    collector.status = 400
    async with traced(folder, collector) as stage:
        assert [(await stage.ask(GET)).status for _ in range(3)] == [200, 200, 200]
    assert len(collector.spans) == 9
