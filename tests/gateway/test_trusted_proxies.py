"""What a region is told of a request's way: the connection's own word, and a trusted proxy's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.gateway.stage import IN_US, path, request

if TYPE_CHECKING:
    from tests.gateway.conftest import Launch
    from tests.gateway.origin import Seen
    from tests.gateway.stage import Stage

TRUSTING = 'trusted_proxies = ["10.0.0.0/8", "127.0.0.1"]'
CLAIMS = (
    "X-Forwarded-For: 6.6.6.6, 203.0.113.9",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: shop.example:8443",
    'Forwarded: for=6.6.6.6;by="[::1]"',
)


async def told(stage: Stage, *fields: str) -> Seen:
    """The request as it reached its region."""
    await stage.ask(request("GET", path(), *fields))
    return await stage.eu.request(len(stage.eu.requests) - 1)


def account(seen: Seen) -> list[list[bytes]]:
    return [seen.values(name) for name in (b"X-Forwarded-For", b"X-Forwarded-Proto", b"X-Forwarded-Host")]


async def test_anybody_s_claims_are_replaced(stage: Stage) -> None:
    seen = await told(stage, *CLAIMS)
    assert account(seen) == [[b"127.0.0.1"], [b"http"], [b"clockify.me"]]
    assert not seen.values(b"Forwarded")


async def test_a_trusted_proxy_s_claims_are_kept_and_its_address_is_appended(launch: Launch) -> None:
    stage = await launch(gateway=TRUSTING)
    seen = await told(stage, *CLAIMS)
    assert account(seen) == [[b"6.6.6.6, 203.0.113.9, 127.0.0.1"], [b"https"], [b"shop.example:8443"]]


async def test_a_trusted_proxy_that_claims_nothing_is_the_client(launch: Launch) -> None:
    stage = await launch(gateway=TRUSTING)
    assert account(await told(stage)) == [[b"127.0.0.1"], [b"http"], [b"clockify.me"]]


async def test_what_a_trusted_proxy_cannot_mean_is_replaced(launch: Launch) -> None:
    stage = await launch(gateway=TRUSTING)
    seen = await told(stage, "X-Forwarded-Proto: gopher", "X-Forwarded-Host: a b/c")
    assert account(seen) == [[b"127.0.0.1"], [b"http"], [b"clockify.me"]]


async def test_a_proxy_outside_the_list_is_anybody(launch: Launch) -> None:
    stage = await launch(gateway='trusted_proxies = ["10.0.0.0/8"]')
    assert account(await told(stage, *CLAIMS)) == [[b"127.0.0.1"], [b"http"], [b"clockify.me"]]


async def test_a_nomination_deletes_nothing_of_it(launch: Launch) -> None:
    stage = await launch(gateway=TRUSTING)
    seen = await told(stage, "Connection: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host", *CLAIMS)
    assert account(seen) == [[b"6.6.6.6, 203.0.113.9, 127.0.0.1"], [b"https"], [b"shop.example:8443"]]


async def test_each_request_of_one_proxy_connection_has_a_client_of_its_own(launch: Launch) -> None:
    stage = await launch(gateway=TRUSTING)
    client = await stage.client()
    for name in ("203.0.113.1", "203.0.113.2"):
        await client.ask(request("GET", path(), f"X-Forwarded-For: {name}"))
    seen = [request.values(b"X-Forwarded-For") for request in stage.eu.requests]
    assert seen == [[b"203.0.113.1, 127.0.0.1"], [b"203.0.113.2, 127.0.0.1"]]


async def test_a_forwarded_host_is_never_routed_by(launch: Launch) -> None:
    stage = await launch(gateway=TRUSTING)
    answer = await stage.ask(request("GET", "/api/v1/user", "X-Forwarded-Host: acme.clockify.me"))
    assert answer.body == b"global"


async def test_forwarded_is_sent_where_it_is_asked_for(launch: Launch) -> None:
    stage = await launch(gateway="forwarded = true")
    seen = await told(stage, *CLAIMS)
    assert seen.values(b"Forwarded") == [b'for=127.0.0.1;host="clockify.me";proto=http']
    assert account(seen) == [[b"127.0.0.1"], [b"http"], [b"clockify.me"]]


async def test_forwarded_is_appended_to_a_trusted_proxy_s(launch: Launch) -> None:
    stage = await launch(gateway=f"forwarded = true\n{TRUSTING}")
    seen = await told(stage, *CLAIMS)
    ours = b'for=127.0.0.1;host="clockify.me";proto=http'
    assert seen.values(b"Forwarded") == [b'for=6.6.6.6;by="[::1]", ' + ours]


async def test_forwarded_is_dropped_where_it_is_not_asked_for(launch: Launch) -> None:
    stage = await launch(gateway=TRUSTING)
    assert not (await told(stage, *CLAIMS)).values(b"Forwarded")


async def test_a_trace_context_passes_untouched(stage: Stage) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    fields = (f"traceparent: {parent}", "TraceState: a=1,b=2", "tracestate: c=3", "baggage: x=y")
    seen = await told(stage, *fields)
    for field in fields:
        assert f"\r\n{field}\r\n".encode() in seen.head


@pytest.mark.parametrize(
    "hops",
    [
        "Via: 1.1 region-router-global",
        "Via: 1.0 a, 1.1 Region-Router-Global (comment)",
        "CDN-Loop: region-router-global",
        'CDN-Loop: a.example;v="1", region-router-global; x=1',
        "CDN-Loop: region-router-global;x",
    ],
)
async def test_a_request_that_was_here_already_is_a_loop(stage: Stage, hops: str) -> None:
    assert (await stage.ask(request("GET", path(), hops))).status == 508
    assert not stage.eu.requests


@pytest.mark.parametrize("hops", ["Via: 1.1 region-router-eu", "CDN-Loop: global", "CDN-Loop: my-region-router-global"])
async def test_a_request_that_was_elsewhere_is_no_loop(stage: Stage, hops: str) -> None:
    seen = await told(stage, hops)
    assert f"\r\n{hops}\r\n".encode() in seen.head


@pytest.mark.parametrize("nomination", ["Via", "CDN-Loop"])
async def test_a_loop_can_not_be_nominated_away(stage: Stage, nomination: str) -> None:
    seen = await told(stage, f"Connection: {nomination}", f"{nomination}: other")
    assert b"other" in seen.values(nomination.encode())


async def test_requests_behind_a_trusted_proxy_are_counted_for_the_clients_that_it_names(launch: Launch) -> None:
    stage = await launch(gateway=TRUSTING, limits={"max_in_flight_per_client": 1})
    stage.eu.default = b""
    held = await stage.client()
    await held.send(request("GET", path(), "X-Forwarded-For: 203.0.113.1"))
    await stage.eu.request()
    again = await stage.ask(request("GET", path(IN_US), "X-Forwarded-For: 203.0.113.1"))
    other = await stage.ask(request("GET", path(IN_US), "X-Forwarded-For: 203.0.113.2"))
    assert (again.status, other.status) == (503, 200)


async def test_the_epoch_is_never_a_proxy_s_to_claim(launch: Launch) -> None:
    stage = await launch(gateway=TRUSTING)
    seen = await told(stage, "X-Workspace-Epoch: 999")
    assert re.findall(rb"(?im)^x-workspace-epoch: (\d+)", seen.head) == [b"1"]
