"""CORS: browsers can read what the router itself says, and a preflight always gets somewhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from router.gateway.cors import Cors, answer_lines, is_preflight, preflight_lines
from tests.gateway.origin import ok
from tests.gateway.stage import GET, IN_EU, MOVING, path, request

if TYPE_CHECKING:
    from tests.gateway.conftest import Launch
    from tests.gateway.stage import Stage
    from tests.gateway.wire import Answer

ORIGIN = "https://app.example.com"
ASKS = f"Origin: {ORIGIN}"
METHOD = "Access-Control-Request-Method: POST"
NAMED = f'[cors]\nallow_origins = ["{ORIGIN}", "https://other.example.com"]\n'
ALLOWED = b"Access-Control-Allow-Origin"


def preflight(target: str = path(MOVING), *fields: str, host: str = "clockify.me") -> bytes:
    lines = [f"OPTIONS {target} HTTP/1.1", f"Host: {host}", ASKS, METHOD, *fields, "", ""]
    return "\r\n".join(lines).encode()


async def locked(stage: Stage) -> None:
    await stage.start_transfer(MOVING)
    await stage.answered(423, request("GET", path(MOVING)))


def cors_of(answer: Answer) -> dict[bytes, bytes]:
    return {name: value for name, value in answer.fields if name.lower().startswith(b"access-control-")}


async def test_a_page_may_read_a_lock_and_when_to_come_back(stage: Stage) -> None:
    await locked(stage)
    answer = await stage.ask(request("GET", path(MOVING), ASKS))
    assert (answer.status, answer.value(ALLOWED)) == (423, b"*")
    assert answer.value(b"Access-Control-Expose-Headers") == (
        b"Retry-After, X-Request-ID, X-Router-Hint, X-Router-Region, X-Router-Region-URL"
    )
    assert b"Origin" in answer.values(b"Vary")


async def test_who_is_no_page_is_told_nothing_of_it(stage: Stage) -> None:
    answer = await stage.ask(request("GET", "/nothing"))
    assert not cors_of(answer)
    assert answer.values(b"Vary") == [b"Accept"]


async def test_a_region_s_answer_is_passed_on_as_it_came(stage: Stage) -> None:
    theirs = b"access-control-allow-origin: https://theirs.example"
    stage.eu.answers.append(ok(b"ok", theirs))
    answer = await stage.ask(request("GET", path(), ASKS))
    assert cors_of(answer) == {b"access-control-allow-origin": b"https://theirs.example"}
    assert not answer.values(b"Vary")


@pytest.mark.parametrize(
    ("target", "status"), [("/nothing", 404), ("/api/v1/workspaces/../x", 400), ("/api/v1/workspaces/%2e%2e/x", 400)]
)
async def test_any_problem_of_ours_can_be_read(stage: Stage, target: str, status: int) -> None:
    answer = await stage.ask(request("GET", target, ASKS))
    assert (answer.status, answer.value(ALLOWED)) == (status, b"*")


async def test_a_fault_of_a_region_can_be_read(launch: Launch) -> None:
    stage = await launch(ports={"eu": 1})
    answer = await stage.ask(request("GET", path(), ASKS))
    assert (answer.status, answer.value(ALLOWED)) == (502, b"*")


async def test_a_redirect_of_ours_can_be_followed(stage: Stage) -> None:
    raw = f"GET /workspaces/{IN_EU}/x HTTP/1.1\r\nHost: app.clockify.me\r\n{ASKS}\r\n\r\n".encode()
    answer = await stage.ask(raw)
    assert (answer.status, answer.value(ALLOWED)) == (307, b"*")


async def test_named_origins_are_echoed_and_no_others(launch: Launch) -> None:
    stage = await launch(policy=NAMED + "allow_credentials = true\n")
    answer = await stage.ask(request("GET", "/nothing", ASKS))
    assert (answer.value(ALLOWED), answer.value(b"Access-Control-Allow-Credentials")) == (ORIGIN.encode(), b"true")
    evil = await stage.ask(request("GET", "/nothing", "Origin: https://evil.example"))
    assert not cors_of(evil)
    assert b"Origin" in evil.values(b"Vary")


async def test_without_origins_there_is_no_cors(launch: Launch) -> None:
    stage = await launch(policy="[cors]\nallow_origins = []\n")
    answer = await stage.ask(request("GET", "/nothing", ASKS))
    assert not cors_of(answer)
    assert answer.values(b"Vary") == [b"Accept"]


# Preflights


async def test_a_preflight_is_the_region_s_to_answer(stage: Stage) -> None:
    theirs = b"HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: https://theirs.example\r\n\r\n"
    stage.eu.answers.append(theirs)
    answer = await stage.ask(preflight(path()))
    assert (answer.status, answer.value(ALLOWED)) == (204, b"https://theirs.example")
    assert (await stage.eu.request()).values(b"Access-Control-Request-Method") == [b"POST"]


async def test_a_preflight_is_answered_while_its_workspace_is_locked(stage: Stage) -> None:
    await locked(stage)
    answer = await stage.ask(preflight())
    assert answer.status == 204
    assert answer.value(ALLOWED) == b"*"
    assert answer.value(b"Access-Control-Allow-Methods") == b"GET, HEAD, POST, PUT, PATCH, DELETE"
    assert b"X-Api-Key" in (answer.value(b"Access-Control-Allow-Headers") or b"")
    assert answer.value(b"Access-Control-Max-Age") == b"60"
    assert answer.value(b"X-Request-ID")
    assert not any(request.line.startswith(b"OPTIONS") for request in stage.eu.requests)


async def test_the_connection_goes_on_behind_it(stage: Stage) -> None:
    await locked(stage)
    client = await stage.client()
    assert (await client.ask(preflight())).status == 204
    assert (await client.ask(request("POST", path(MOVING), ASKS))).status == 423


async def test_a_preflight_is_answered_without_a_directory(launch: Launch) -> None:
    stage = await launch(furnished=False, directory="renewal_timeout = 0.1")
    answer = await stage.ask(preflight())
    assert (answer.status, answer.value(ALLOWED)) == (204, b"*")
    refused = await stage.ask(request("GET", path(), ASKS))
    assert (refused.status, refused.value(ALLOWED)) == (503, b"*")


async def test_what_is_allowed_is_what_is_configured(launch: Launch) -> None:
    more = 'allow_methods = ["GET"]\nallow_headers = ["X-One", "X-Two"]\nexpose_headers = []\nmax_age = 5\n'
    stage = await launch(policy=NAMED + more)
    await locked(stage)
    assert cors_of(await stage.ask(preflight())) == {
        ALLOWED: ORIGIN.encode(),
        b"Access-Control-Allow-Methods": b"GET",
        b"Access-Control-Allow-Headers": b"X-One, X-Two",
        b"Access-Control-Max-Age": b"5",
    }


async def test_a_page_of_another_origin_is_allowed_nothing(launch: Launch) -> None:
    stage = await launch(policy='[cors]\nallow_origins = ["https://other.example.com"]\n')
    await locked(stage)
    answer = await stage.ask(preflight())
    assert (answer.status, cors_of(answer)) == (204, {})


@pytest.mark.parametrize(
    "raw",
    [
        request("OPTIONS", path(MOVING)),
        request("OPTIONS", path(MOVING), ASKS),
        request("OPTIONS", path(MOVING), METHOD),
        request("GET", path(MOVING), ASKS, METHOD),
    ],
)
async def test_what_is_no_preflight_is_locked_like_anything(stage: Stage, raw: bytes) -> None:
    await locked(stage)
    answer = await stage.ask(raw)
    assert (answer.status, json.loads(answer.body)["code"]) == (423, 9423)


async def test_a_preflight_of_a_page_of_nobody_is_locked_like_anything(launch: Launch) -> None:
    stage = await launch(policy="[cors]\nallow_origins = []\n")
    await locked(stage)
    assert (await stage.ask(preflight())).status == 423


async def test_a_preflight_is_never_redirected(stage: Stage) -> None:
    answer = await stage.ask(preflight(f"/workspaces/{IN_EU}/x", host="app.clockify.me"))
    assert (answer.status, answer.body) == (200, b"eu")
    seen = await stage.eu.request()
    assert seen.line == f"OPTIONS /workspaces/{IN_EU}/x HTTP/1.1".encode()


async def test_it_is_not_redirected_where_there_is_no_cors_either(launch: Launch) -> None:
    stage = await launch(policy="[cors]\nallow_origins = []\n")
    assert (await stage.ask(preflight(f"/workspaces/{IN_EU}/x", host="app.clockify.me"))).body == b"eu"


# Pure


@pytest.mark.parametrize("origin", ["https://app.example.com.evil", "null", "https://APP.example.com", "*", ""])
def test_an_origin_is_compared_as_a_whole(origin: str) -> None:
    cors = Cors(origins=(ORIGIN,))
    block = f"GET / HTTP/1.1\r\nOrigin: {origin}\r\n\r\n".encode()
    assert answer_lines(cors, block) == b"Vary: Origin\r\n"
    assert preflight_lines(cors, block) == b""


def test_nothing_that_a_page_writes_is_echoed_but_a_configured_origin() -> None:
    block = f"OPTIONS / HTTP/1.1\r\n{ASKS}\r\n{METHOD}\r\nAccess-Control-Request-Headers: X-Evil\r\n\r\n".encode()
    assert is_preflight("OPTIONS", block)
    assert b"Evil" not in preflight_lines(Cors(), block)


def test_a_plain_get_is_no_preflight() -> None:
    assert not is_preflight("GET", GET)
