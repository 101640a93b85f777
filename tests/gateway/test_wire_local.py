"""What the router answers itself: one shape for every problem, whatever client asks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from router.model.problem import Problem
from tests.gateway.stage import AT_HOME, GET, IN_EU, IN_US, UNKNOWN, path, request

if TYPE_CHECKING:
    from tests.gateway.conftest import Launch
    from tests.gateway.stage import Stage
    from tests.gateway.wire import Answer

PROBLEMS = {
    "host not ours": (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", Problem.MISDIRECTED),
    "no host, 1.0": (b"GET / HTTP/1.0\r\n\r\n", Problem.MISDIRECTED),
    "no service": (request("GET", "/nothing"), Problem.NO_SERVICE),
    "climbing": (request("GET", path(IN_EU, "../x")), Problem.AMBIGUOUS_PATH),
    "climbing, encoded": (request("GET", path(IN_EU, "%2e%2e/x")), Problem.AMBIGUOUS_PATH),
    "climbing, parameters": (request("GET", path(IN_EU, "..;/x")), Problem.AMBIGUOUS_PATH),
    "climbing, backslash": (request("GET", path(IN_EU, "..\\x")), Problem.AMBIGUOUS_PATH),
    "climbing, slash": (request("GET", path(IN_EU, "..%2fx")), Problem.AMBIGUOUS_PATH),
    "two workspaces": (
        request("GET", path(IN_US)).replace(b"Host: clock", b"Host: acme.clock"),
        Problem.WORKSPACE_CONFLICT,
    ),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", Problem.BAD_REQUEST),
    "two hosts": (request("GET", path(), "Host: clockify.me"), Problem.BAD_REQUEST),
    "two framings": (request("POST", path(), "Content-Length: 1", "Transfer-Encoding: chunked"), Problem.BAD_REQUEST),
    "two lengths": (request("POST", path(), "Content-Length: 1", "Content-Length: 1"), Problem.BAD_REQUEST),
    "folded": (request("GET", path(), "X: a\r\n b"), Problem.BAD_REQUEST),
    "line feed": (b"GET / HTTP/1.1\nHost: clockify.me\n\n", Problem.BAD_REQUEST),
    "not HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", Problem.BAD_REQUEST),
    "target without a slash": (request("GET", "x://foo"), Problem.BAD_REQUEST),
    "connect": (b"CONNECT clockify.me:443 HTTP/1.1\r\nHost: clockify.me\r\n\r\n", Problem.NOT_IMPLEMENTED),
    "trace": (request("TRACE"), Problem.METHOD_NOT_ALLOWED),
    "version": (request("GET", path(), version="1.2"), Problem.VERSION_NOT_SUPPORTED),
    "version 2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Problem.VERSION_NOT_SUPPORTED),
    "expectation": (request("GET", path(), "Expect: tea"), Problem.EXPECTATION_FAILED),
    "long line": (request("GET", path(IN_EU, "x" * 9000)), Problem.TARGET_TOO_LONG),
    "long line, without end": (b"GET /" + b"x" * 9000, Problem.TARGET_TOO_LONG),
    "large field": (request("GET", path(), "X: " + "x" * 17_000), Problem.HEAD_TOO_LARGE),
    "many fields": (request("GET", path(), *["X: x"] * 130), Problem.HEAD_TOO_LARGE),
    "large head, without end": (b"GET / HTTP/1.1\r\n" + b"X: x\r\n" * 12_000, Problem.HEAD_TOO_LARGE),
    "loop": (request("GET", path(), "Via: 1.1 cdn, 1.1 Region-Router-global (x)"), Problem.LOOP_DETECTED),
}


def members(answer: Answer) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(answer.body)
    return body


@pytest.mark.parametrize("name", PROBLEMS)
async def test_a_problem_has_one_shape_and_reaches_no_region(stage: Stage, name: str) -> None:
    raw, problem = PROBLEMS[name]
    answer = await stage.ask(raw)
    spec = problem.spec
    body = members(answer)
    request_id = answer.value(b"X-Request-ID")
    assert answer.line.startswith(b"HTTP/1.1 %d " % spec.status)
    assert answer.value(b"Content-Type") == b"application/json"
    assert answer.value(b"Cache-Control") == b"no-store"
    assert answer.value(b"Via") == b"1.1 region-router-global"
    assert request_id is not None
    assert body.pop("detail")
    assert body == {
        "type": problem.type,
        "title": spec.title,
        "status": spec.status,
        "instance": f"urn:request:{request_id.decode()}",
        "request_id": request_id.decode(),
        "message": spec.message,
        "code": spec.code,
    }
    assert not [origin for origin in stage.origins.values() if origin.connections]


@pytest.mark.parametrize("name", PROBLEMS)
async def test_the_connection_goes_on_only_where_the_request_was_understood(stage: Stage, name: str) -> None:
    raw, problem = PROBLEMS[name]
    client = await stage.client()
    answer = await client.ask(raw)
    if problem.spec.closes or b"HTTP/1.0" in raw:
        assert answer.value(b"Connection") == b"close"
        assert await client.read_to_end() == (b"", "fin")
    else:
        assert answer.value(b"Connection") is None
        assert (await client.ask(GET)).status == 200


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("application/problem+json", b"application/problem+json"),
        ("application/json, application/problem+json;q=0.5", b"application/problem+json"),
        ("application/json, application/problem+json;q=0", b"application/json"),
        ("*/*", b"application/json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", b"text/html; charset=utf-8"),
        ("application/json, text/html;q=0.9", b"application/json"),
        ("garbage;;;,", b"application/json"),
    ],
)
async def test_the_form_of_a_problem_follows_accept(stage: Stage, accept: str, content_type: bytes) -> None:
    answer = await stage.ask(request("GET", "/nothing", f"Accept: {accept}"))
    assert answer.value(b"Content-Type") == content_type


async def test_a_problem_never_echoes_what_the_client_sent(stage: Stage) -> None:
    for accept in ("text/html", "application/json"):
        answer = await stage.ask(request("GET", "/<script>", f"Accept: {accept}", "X-Request-ID: <script>"))
        assert b"script" not in answer.head + answer.body


async def test_a_problem_has_no_body_for_head(stage: Stage) -> None:
    client = await stage.client()
    answer = await client.ask(request("HEAD", "/nothing"), bodyless=True)
    assert answer.status == 404
    assert int(answer.value(b"Content-Length") or 0) > 0
    assert (await client.ask(GET)).status == 200


async def test_a_1_0_client_that_asks_for_it_is_kept_behind_a_problem(stage: Stage) -> None:
    answer = await stage.ask(request("GET", "/nothing", "Connection: keep-alive", version="1.0"))
    assert answer.value(b"Connection") == b"keep-alive"


async def test_a_body_that_has_come_whole_is_dropped_and_the_connection_kept(stage: Stage) -> None:
    client = await stage.client()
    assert (await client.ask(request("POST", "/nothing", body=b"GET / HTTP/1.1\r\n\r\n"))).status == 404
    assert (await client.ask(GET)).body == b"eu"


async def test_a_body_that_is_still_to_come_ends_the_connection_without_losing_the_answer(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request("POST", "/nothing", "Content-Length: 1000000"))
    await client.send(*[b"x" * 10_000] * 20)
    answer = await client.answer()
    assert (answer.status, answer.value(b"Connection")) == (404, b"close")
    assert await client.read_to_end() == (b"", "fin")


async def test_options_of_the_server_are_answered_here(stage: Stage) -> None:
    answer = await stage.ask(request("OPTIONS", "*"))
    assert answer.status == 204
    assert b"PATCH" in (answer.value(b"Allow") or b"")
    assert answer.value(b"Content-Length") is None


async def test_a_locked_workspace_is_423_for_every_method(stage: Stage) -> None:
    await stage.start_transfer()
    await stage.answered(423)
    client = await stage.client()
    for method in ("GET", "POST", "OPTIONS", "DELETE"):
        assert (await client.ask(request(method))).status == 423
    assert not stage.us.requests


async def test_a_423_says_when_to_come_back_and_names_no_region(stage: Stage) -> None:
    await stage.start_transfer(duration=1000)
    answer = await stage.answered(423)
    body = members(answer)
    assert (body["type"], body["code"]) == (Problem.WORKSPACE_LOCKED.type, 9423)
    assert 850 <= int(answer.value(b"Retry-After") or 0) <= 1100
    assert set(body) >= {"message", "started_at", "deadline"}
    assert not {"source", "destination"} & set(body)
    assert answer.value(b"X-Router-Region") is None
    for word in (b"euc1", b'"eu"', b'"us"'):
        assert word not in answer.head + answer.body


@pytest.mark.parametrize(("duration", "seconds"), [(1.0, 30), (40_000.0, 3600)])
async def test_retry_after_of_a_423_has_bounds(stage: Stage, duration: float, seconds: int) -> None:
    await stage.start_transfer(duration=duration)
    answer = await stage.answered(423)
    assert abs(int(answer.value(b"Retry-After") or 0) - seconds) <= seconds / 10
    assert 30 <= int(answer.value(b"Retry-After") or 0) <= 3600


async def test_retry_after_of_a_423_is_jittered(stage: Stage) -> None:
    await stage.start_transfer(duration=2000)
    await stage.answered(423)
    client = await stage.client()
    assert len({(await client.ask(GET)).value(b"Retry-After") for _ in range(20)}) > 1


async def test_a_423_names_its_regions_where_policy_discloses_always(launch: Launch) -> None:
    stage = await launch(policy='disclose_region = "always"')
    await stage.start_transfer()
    body = members(await stage.answered(423))
    assert (body["source"], body["destination"]) == ("eu", "us")


async def test_the_page_of_a_423_links_to_the_app(stage: Stage) -> None:
    await stage.start_transfer()
    await stage.answered(423)
    answer = await stage.ask(request("GET", path(), "Accept: text/html"))
    assert b'href="https://app.clockify.me"' in answer.body


async def test_a_redirect_is_307_to_the_catalogue_s_url_and_the_raw_rest(stage: Stage) -> None:
    target = f"/workspaces/{IN_EU}/tracker?a=%2F"
    answer = await stage.ask(request("GET", target).replace(b"Host: ", b"Host: app."))
    assert answer.line == b"HTTP/1.1 307 Temporary Redirect"
    assert answer.value(b"Location") == b"https://euc1.clockify.me" + target.encode()
    assert answer.value(b"Cache-Control") == b"no-store"
    assert answer.value(b"Content-Length") == b"0"
    assert not stage.eu.connections


async def test_a_redirect_owes_nothing_to_forwarded_fields(stage: Stage) -> None:
    raw = request("GET", f"/workspaces/{IN_EU}/x", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: ftp")
    answer = await stage.ask(raw.replace(b"Host: clock", b"Host: app.clock"))
    assert answer.value(b"Location") == f"https://euc1.clockify.me/workspaces/{IN_EU}/x".encode()


async def test_a_workspace_at_home_is_proxied_where_others_are_redirected(stage: Stage) -> None:
    raw = request("GET", f"/workspaces/{AT_HOME}/x").replace(b"Host: ", b"Host: app.")
    assert (await stage.ask(raw)).body == b"global"


async def test_an_unknown_workspace_is_404_where_policy_refuses(launch: Launch) -> None:
    stage = await launch(policy='unknown_workspace = "refuse"')
    assert members(await stage.ask(request("GET", path(UNKNOWN))))["code"] == 9404
    assert not stage.home.connections


async def test_an_unopened_directory_is_503_for_what_names_a_workspace_and_home_for_the_rest(launch: Launch) -> None:
    stage = await launch(opened=False)
    answer = await stage.ask(GET)
    assert (answer.status, answer.value(b"Retry-After")) == (503, b"2")
    assert members(answer)["code"] == Problem.DIRECTORY_UNAVAILABLE.spec.code
    assert (await stage.ask(request("GET", "/api/v1/user"))).body == b"global"


async def test_a_directory_that_is_not_there_is_503_for_what_names_a_workspace_or_a_key(launch: Launch) -> None:
    stage = await launch(furnished=False, directory="renewal_timeout = 0.1")
    client = await stage.client()
    for raw in (GET, request("GET", "/api/v1/user", "X-Api-Key: some")):
        assert (await client.ask(raw)).status == 503
    assert (await client.ask(request("GET", "/api/v1/user"))).body == b"global"
