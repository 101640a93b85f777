"""What reaches a region: the request as it came, without what is not its own, and with what is ours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import h11
import pytest

from tests.gateway.stage import AT_HOME, GET, IN_EU, UNKNOWN, path, request

if TYPE_CHECKING:
    from tests.gateway.stage import Stage

OURS = re.compile(
    rb"X-Forwarded-For: 127\.0\.0\.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: clockify\.me\r\n"
    rb"X-Workspace-Epoch: 1\r\nX-Request-ID: [0-9a-f]{12}-[0-9a-f]+\r\nVia: 1\.1 region-router-global\r\n\r\n"
)


async def test_a_request_reaches_its_region_byte_for_byte_but_for_host_and_our_own_fields(stage: Stage) -> None:
    fields = b"x-CASE: Kept\r\nDup: 1\r\nAccept: */*\r\ndup:2 \t\r\nLatin: caf\xe9 \xff\r\nEmpty:\r\nDup: 1\r\n"
    target = b"/api/v1/workspaces/64A687E29AE1F428E7EBE302/x%2F%7e;p=1//y?q=%zz&&a=[|]?"
    await stage.ask(b"GET " + target + b" HTTP/1.1\r\nHost: clockify.me\r\n" + fields + b"\r\n")
    seen = await stage.eu.request()
    head, ours = seen.head.split(fields)
    assert head == b"GET " + target + b" HTTP/1.1\r\nHost: euc1.clockify.me\r\n"
    assert OURS.fullmatch(ours)


async def test_a_bare_question_mark_at_the_end_is_kept(stage: Stage) -> None:
    await stage.ask(request("GET", path() + "?"))
    assert (await stage.eu.request()).line.split()[1] == path().encode() + b"?"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
async def test_a_method_passes_as_it_is(stage: Stage, method: str) -> None:
    assert (await stage.ask(request(method))).status == 200
    assert (await stage.eu.request()).line.startswith(method.encode() + b" ")


@pytest.mark.parametrize(
    "field",
    [
        "X-Workspace-Epoch: 999",
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-Proto: gopher",
        "X-Forwarded-Host: evil.example",
        "Forwarded: for=6.6.6.6",
        "x-forwarded-FOR: 6.6.6.6",
    ],
)
async def test_what_the_router_says_is_never_taken_from_outside(stage: Stage, field: str) -> None:
    await stage.ask(request("GET", path(), field, field))
    seen = await stage.eu.request()
    assert field.partition(": ")[2].encode() not in seen.head
    assert len(seen.values(field.partition(":")[0].encode())) <= 1


async def test_a_sane_request_id_is_kept_on_both_sides(stage: Stage) -> None:
    answer = await stage.ask(request("GET", path(), "X-Request-ID: my-trace/1:2"))
    assert (await stage.eu.request()).values(b"X-Request-ID") == [b"my-trace/1:2"]
    assert answer.value(b"X-Request-ID") == b"my-trace/1:2"


@pytest.mark.parametrize("ids", [["a b"], ["x" * 129], ['"><script>'], ["one", "two"], [""]])
async def test_any_other_request_id_is_replaced(stage: Stage, ids: list[str]) -> None:
    answer = await stage.ask(request("GET", path(), *(f"X-Request-ID: {each}" for each in ids)))
    (ours,) = (await stage.eu.request()).values(b"X-Request-ID")
    assert re.fullmatch(rb"[0-9a-f]{12}-[0-9a-f]+", ours)
    assert answer.value(b"X-Request-ID") == ours


@pytest.mark.parametrize(
    "field",
    [
        "Keep-Alive: timeout=5",
        "Proxy-Authorization: Basic Zm9v",
        "Proxy-Connection: keep-alive",
        "TE: trailers, deflate",
        "Connection: keep-alive",
    ],
)
async def test_hop_by_hop_fields_are_removed(stage: Stage, field: str) -> None:
    await stage.ask(request("GET", path(), field, "X-Stays: yes"))
    seen = await stage.eu.request()
    assert not seen.values(field.partition(":")[0].encode())
    assert seen.values(b"X-Stays") == [b"yes"]


async def test_nominated_fields_are_removed(stage: Stage) -> None:
    await stage.ask(request("GET", path(), "Connection: X-One, x-TWO", "X-One: 1", "X-Two: 2", "X-Three: 3"))
    seen = await stage.eu.request()
    assert [seen.values(name) for name in (b"X-One", b"X-Two", b"X-Three")] == [[], [], [b"3"]]


async def test_a_nomination_never_removes_what_a_backend_relies_on(stage: Stage) -> None:
    nominations = "Connection: close, Host, Cookie, X-Api-Key, Authorization, X-Forwarded-For, X-Workspace-Epoch, Via"
    relied_on = ["Cookie: a=b", "X-Api-Key: key", "Authorization: Bearer x"]
    await stage.ask(request("GET", path(), nominations, *relied_on))
    seen = await stage.eu.request()
    for name in (b"Host", b"Cookie", b"X-Api-Key", b"Authorization", b"X-Forwarded-For", b"X-Workspace-Epoch", b"Via"):
        assert len(seen.values(name)) == 1


async def test_an_upgrade_is_not_offered_to_the_region(stage: Stage) -> None:
    answer = await stage.ask(request("GET", path(), "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"))
    assert answer.status == 200
    assert not (await stage.eu.request()).values(b"Upgrade")


async def test_via_is_added_behind_the_others(stage: Stage) -> None:
    await stage.ask(request("GET", path(), "Via: 1.0 fred, 1.1 p.example"))
    assert (await stage.eu.request()).values(b"Via") == [b"1.0 fred, 1.1 p.example", b"1.1 region-router-global"]


async def test_a_request_of_http_1_0_goes_out_as_1_1_and_says_so_in_via(stage: Stage) -> None:
    await stage.ask(request("GET", path(), version="1.0"))
    seen = await stage.eu.request()
    assert seen.line.endswith(b" HTTP/1.1")
    assert seen.values(b"Via") == [b"1.0 region-router-global"]


async def test_an_absolute_target_rules_over_host(stage: Stage) -> None:
    await stage.ask(b"GET http://acme.clockify.me/api/v1/user HTTP/1.1\r\nHost: clockify.me\r\n\r\n")
    seen = await stage.eu.request()
    assert seen.line == b"GET /api/v1/user HTTP/1.1"
    assert seen.values(b"Host") == seen.values(b"X-Forwarded-Host") == [b"acme.clockify.me"]


async def test_a_workspace_s_own_subdomain_stays_the_host(stage: Stage) -> None:
    await stage.ask(b"GET /api/v1/user HTTP/1.1\r\nHost: Acme.clockify.me:8080\r\n\r\n")
    assert (await stage.eu.request()).values(b"Host") == [b"Acme.clockify.me:8080"]


async def test_the_epoch_is_zero_for_a_workspace_that_is_unknown(stage: Stage) -> None:
    await stage.ask(request("GET", path(UNKNOWN)))
    assert (await stage.home.request()).values(b"X-Workspace-Epoch") == [b"0"]


async def test_no_epoch_is_sent_where_no_workspace_is_named(stage: Stage) -> None:
    await stage.ask(request("GET", "/api/v1/user"))
    assert not (await stage.home.request()).values(b"X-Workspace-Epoch")


@pytest.mark.parametrize(("workspace", "region"), [(AT_HOME, "global"), (IN_EU, "eu")])
async def test_the_placement_decides_where_a_request_goes(stage: Stage, workspace: str, region: str) -> None:
    assert (await stage.ask(request("GET", path(workspace)))).body == region.encode()


async def test_what_reaches_a_region_is_what_a_strict_server_reads(stage: Stage) -> None:
    client = await stage.client()
    await client.ask(GET)
    await client.ask(request("POST", path(), "Expect: 100-continue", body=b"x" * 100))
    chunked = request("PUT", path(), "Transfer-Encoding: chunked") + b"3;e=1\r\nabc\r\n0\r\nT: 1\r\n\r\n"
    await client.ask(chunked)
    await stage.eu.request(2)
    for connection in stage.eu.connections:
        server = h11.Connection(h11.SERVER)
        server.receive_data(bytes(connection.received))
        for _ in connection.requests:
            while not isinstance(server.next_event(), h11.EndOfMessage):
                pass
            server.send(h11.Response(status_code=204, headers=[]))
            server.send(h11.EndOfMessage())
            server.start_next_cycle()


async def test_empty_lines_before_a_request_are_ignored(stage: Stage) -> None:
    assert (await stage.ask(b"\r\n\r\n" + GET)).status == 200


async def test_a_head_may_come_in_any_segmentation(stage: Stage) -> None:
    client = await stage.client()
    await client.send(*(GET[at : at + 1] for at in range(len(GET))))
    assert (await client.answer()).body == b"eu"
    assert len(stage.eu.requests) == 1
