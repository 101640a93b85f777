"""Locations of regions: passed on as they came, or told as the client would write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from router.gateway.locations import Facade, hide, hide_region
from router.model.region import Endpoint, Origin, PublicUrl
from tests.gateway.origin import ok
from tests.gateway.stage import IN_EU, path, request

if TYPE_CHECKING:
    from tests.gateway.conftest import Launch
    from tests.gateway.stage import Stage

HIDES = 'hide_regions = true\ndisclose_region = "never"\n'
REPORTS = '[services.reports]\nmatch = ["reports.clockify.me/v1"]\npath = "/report/v1"\n'
REPORT = f"/v1/workspaces/{IN_EU}/reports"
ENDPOINT = Endpoint(
    Origin("http", "127.0.0.1", 9101), PublicUrl("https", "euc1.clockify.me", "euc1.clockify.me"), b"/report/v1"
)
FACADE = Facade(b"https", b"reports.clockify.me", b"/v1")


async def location(stage: Stage, value: str, *fields: str, name: bytes = b"Location") -> bytes | None:
    """What a client reads of a region's Location."""
    stage.eu.answers.append(ok(b"", name + b": " + value.encode("latin-1")))
    answer = await stage.ask(request("POST", path(), *fields))
    return answer.value(name)


@pytest.mark.parametrize("value", ["https://euc1.clockify.me/api/x", "/api/x", "//evil", "caf\xe9", ""])
async def test_a_location_is_untouched_by_default(stage: Stage, value: str) -> None:
    assert await location(stage, value) == value.encode("latin-1")


@pytest.mark.parametrize("name", [b"Location", b"content-LOCATION"])
async def test_a_location_that_names_the_region_names_the_client_s_host(launch: Launch, name: bytes) -> None:
    stage = await launch(policy=HIDES)
    told = await location(stage, "https://euc1.clockify.me/api/v1/x?a=%2F#b", name=name)
    assert told == b"http://clockify.me/api/v1/x?a=%2F#b"


async def test_so_does_one_that_names_its_origin(launch: Launch) -> None:
    stage = await launch(policy=HIDES)
    assert await location(stage, f"http://127.0.0.1:{stage.eu.port}/api/x") == b"http://clockify.me/api/x"


async def test_one_that_names_anybody_else_is_untouched(launch: Launch) -> None:
    stage = await launch(policy=HIDES)
    elsewhere = f"http://127.0.0.1:{stage.us.port}/api/x"
    assert await location(stage, elsewhere) == elsewhere.encode()
    assert await location(stage, "https://login.example/x") == b"https://login.example/x"


async def test_the_client_s_scheme_and_host_are_what_a_trusted_proxy_says(launch: Launch) -> None:
    stage = await launch(policy=HIDES, gateway='trusted_proxies = ["127.0.0.1"]')
    claims = ("X-Forwarded-Proto: https", "X-Forwarded-Host: api.shop.example")
    assert await location(stage, "https://euc1.clockify.me/api/x", *claims) == b"https://api.shop.example/api/x"


async def test_nobody_else_can_say_so(launch: Launch) -> None:
    stage = await launch(policy=HIDES)
    claims = ("X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example")
    assert await location(stage, "https://euc1.clockify.me/api/x", *claims) == b"http://clockify.me/api/x"


async def test_the_prefix_is_mapped_back_to_the_client_s(launch: Launch) -> None:
    stage = await launch(policy=HIDES + REPORTS)
    stage.eu.answers.append(ok(b"", b"Location: https://euc1.clockify.me/report/v1/x"))
    answer = await stage.ask(f"GET {REPORT} HTTP/1.1\r\nHost: reports.clockify.me\r\n\r\n".encode())
    assert answer.value(b"Location") == b"http://reports.clockify.me/v1/x"
    assert (await stage.eu.request()).line == f"GET /report{REPORT} HTTP/1.1".encode()


async def test_a_redirect_of_ours_still_names_the_region(launch: Launch) -> None:
    stage = await launch(policy=HIDES)
    answer = await stage.ask(f"GET /workspaces/{IN_EU}/x HTTP/1.1\r\nHost: app.clockify.me\r\n\r\n".encode())
    assert answer.value(b"Location") == f"https://euc1.clockify.me/workspaces/{IN_EU}/x".encode()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (b"https://euc1.clockify.me/report/v1/x", b"https://reports.clockify.me/v1/x"),
        (b"HTTPS://EUC1.Clockify.ME:443/report/v1/x", b"https://reports.clockify.me/v1/x"),
        (b"http://euc1.clockify.me/report/v1", b"https://reports.clockify.me/v1"),
        (b"//euc1.clockify.me/report/v1?a", b"https://reports.clockify.me/v1?a"),
        (b"http://127.0.0.1:9101/report/v1/x", b"https://reports.clockify.me/v1/x"),
        (b"https://euc1.clockify.me/report/v10/x", b"https://reports.clockify.me/report/v10/x"),
        (b"https://euc1.clockify.me/login", b"https://reports.clockify.me/login"),
        (b"https://euc1.clockify.me", b"https://reports.clockify.me"),
        (b"https://euc1.clockify.me:", b"https://reports.clockify.me"),
        (b"/report/v1/x", b"/v1/x"),
        (b"/login", b"/login"),
        (b"http://127.0.0.1/report/v1/x", b"http://127.0.0.1/report/v1/x"),
        (b"https://euc1.clockify.me:8443/x", b"https://euc1.clockify.me:8443/x"),
        (b"https://euc1.clockify.me@evil.example/x", b"https://euc1.clockify.me@evil.example/x"),
        (b"https://u@euc1.clockify.me/x", b"https://u@euc1.clockify.me/x"),
        (b"https://evil.example/https://euc1.clockify.me/x", b"https://evil.example/https://euc1.clockify.me/x"),
        (b"ftp://euc1.clockify.me/x", b"ftp://euc1.clockify.me/x"),
        (b"relative", b"relative"),
        (b"", b""),
    ],
)
def test_only_what_names_the_region_is_told_otherwise(given: bytes, told: bytes) -> None:
    assert hide(given, ENDPOINT, FACADE) == told


def test_a_service_at_the_root_of_its_client_s_host_keeps_a_path() -> None:
    assert hide(b"/report/v1", ENDPOINT, FACADE._replace(prefix=b"")) == b"/"
    assert hide(b"/report/v1?a", ENDPOINT, FACADE._replace(prefix=b"")) == b"/?a"


def test_the_fields_around_are_left_alone() -> None:
    kept = b"X-Location: https://euc1.clockify.me/x\r\nlocation:https://euc1.clockify.me/x\r\nB: 1\r\n"
    expected = b"X-Location: https://euc1.clockify.me/x\r\nlocation:https://reports.clockify.me/x\r\nB: 1\r\n"
    assert hide_region(kept, ENDPOINT, FACADE) == expected
