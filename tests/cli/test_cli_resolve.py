"""`resolve`: each decision explained, with what would go out or be answered, and no credential repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.conftest import W1, W2, W3

if TYPE_CHECKING:
    from tests.cli.conftest import Place, Program

UNKNOWN = "64a687e29ae1f428e7ebe3aa"
API = "https://clockify.me/api/v1"
EU_ORIGIN = "https://euc1.internal:8443"

DECISIONS: list[tuple[str, tuple[str, ...], dict[str, Any]]] = [
    (
        f"{API}/workspaces/{W2}/projects",
        (),
        {
            "decision": "proxy",
            "region": "eu",
            "service": "api",
            "workspace": W2,
            "epoch": 1,
            "origin": EU_ORIGIN,
            "request_line": f"GET /api/v1/workspaces/{W2}/projects HTTP/1.1",
            "host": "euc1.clockify.me",
        },
    ),
    (f"{API}/workspaces/{W1}/projects", ("-X", "POST"), {"region": "global", "host": "clockify.me"}),
    (
        f"https://reports.api.clockify.me/v1/workspaces/{W2}/x",
        (),
        {"request_line": f"GET /report/v1/workspaces/{W2}/x HTTP/1.1"},
    ),
    ("https://acme.clockify.me/api/v1/user", (), {"region": "eu", "workspace": W2, "host": "acme.clockify.me"}),
    (f"{API}/user", ("-H", "Host: acme.clockify.me"), {"region": "eu", "workspace": W2, "host": "acme.clockify.me"}),
    (f"{API}/user", ("-H", "X-Api-Key: key-of-w3"), {"region": "us", "workspace": W3, "epoch": 1}),
    (f"{API}/user", ("-H", "X-Api-Key: key-of-eu"), {"region": "eu", "workspace": None, "epoch": None}),
    (f"{API}/user", ("-H", "X-Api-Key: key-of-nobody"), {"decision": "proxy", "region": "global"}),
    (f"{API}/workspaces", ("-H", "X-Api-Key: key-of-eu"), {"region": "global"}),
    (f"{API}/workspaces/{W3}", ("-H", "X-Api-Key: key-of-eu"), {"region": "us"}),
    (f"{API}/user", (), {"decision": "proxy", "region": "global"}),
    ("https://euc1.clockify.me/api/v1/user", (), {"decision": "proxy", "region": "eu"}),
    ("https://clockify.me/pricing", (), {"decision": "proxy", "region": "global", "service": "site"}),
    (
        f"https://app.clockify.me/workspaces/{W2}/tracker",
        (),
        {
            "decision": "redirect",
            "region": "eu",
            "status": 307,
            "location": f"https://euc1.clockify.me/workspaces/{W2}/tracker",
        },
    ),
    (f"https://app.clockify.me/workspaces/{W1}/tracker", (), {"decision": "proxy", "region": "global"}),
    (f"{API}/workspaces/{UNKNOWN}/projects", (), {"decision": "proxy", "region": "global", "workspace": UNKNOWN}),
    (f"{API}/workspaces/no-id/projects", (), {"decision": "proxy", "region": "global", "workspace": None}),
    (
        f"https://acme.clockify.me/api/v1/workspaces/{W3}",
        (),
        {"decision": "refuse", "status": 400, "problem": "workspace-conflict", "code": 9401},
    ),
    (f"{API}/workspaces/{W2}/../{W3}", (), {"decision": "refuse", "status": 400, "problem": "ambiguous-path"}),
    (f"{API}/workspaces/%36{W2[1:]}", (), {"decision": "refuse", "status": 400, "problem": "ambiguous-path"}),
    ("https://evil.example/api/v1/user", (), {"decision": "refuse", "status": 421, "problem": "misdirected"}),
    ("https://api.clockify.me/other", (), {"decision": "refuse", "status": 404, "problem": "no-service"}),
    (f"{API}/a b", (), {"decision": "refuse", "status": 400, "problem": "bad-request"}),
    (f"{API}/user", ("-X", "TRACE"), {"decision": "refuse", "status": 405, "problem": "method-not-allowed"}),
    (f"{API}/user", ("-H", "Via: 1.1 region-router-global"), {"status": 508, "problem": "loop-detected"}),
    (f"{API}/user", ("-H", "Content-Length: 1", "-H", "Content-Length: 2"), {"status": 400, "problem": "bad-request"}),
]


@pytest.fixture
def known(populated: Place, program: Program) -> Place:
    """With a key of a workspace and one of a region."""
    program("key", "put", "--workspace", W3, stdin=b"key-of-w3")
    program("key", "put", "--region", "eu", stdin=b"key-of-eu")
    return populated


@pytest.mark.parametrize(("url", "more", "expected"), DECISIONS)
def test_the_decision_and_what_would_go_out(
    program: Program, known: Place, url: str, more: tuple[str, ...], expected: dict[str, Any]
) -> None:
    resolved = program("resolve", url, *more, "--json").object
    assert {name: resolved[name] for name in expected} == expected


@pytest.mark.parametrize(("url", "more", "expected"), DECISIONS)
def test_the_object_always_has_the_same_keys(
    program: Program, known: Place, url: str, more: tuple[str, ...], expected: dict[str, Any]
) -> None:
    resolved = program("resolve", url, *more, "--json").object
    assert list(resolved) == [
        *("decision", "region", "service", "workspace", "epoch", "origin", "request_line", "host"),
        *("location", "status", "problem", "code", "steps"),
    ]


def test_a_workspace_in_transfer_is_locked(program: Program, known: Place) -> None:
    program("transfer", "start", W2, "--to", "us")
    resolved = program("resolve", f"{API}/workspaces/{W2}", "--json").object
    assert (resolved["decision"], resolved["status"], resolved["region"]) == ("locked", 423, "eu")


PREFLIGHT = ("-X", "OPTIONS", "-H", "Origin: https://a.example", "-H", "Access-Control-Request-Method: POST")


def test_a_preflight_for_a_workspace_in_transfer_is_answered(program: Program, known: Place) -> None:
    program("transfer", "start", W2, "--to", "us")
    resolved = program("resolve", f"{API}/workspaces/{W2}", *PREFLIGHT, "--json").object
    assert (resolved["decision"], resolved["status"], resolved["problem"]) == ("locked", 204, None)


def test_a_preflight_is_proxied_where_anything_else_is_redirected(program: Program, known: Place) -> None:
    url = f"https://app.clockify.me/workspaces/{W2}/tracker"
    decisions = [program("resolve", url, *more, "--json").object["decision"] for more in ((), PREFLIGHT)]
    assert decisions == ["redirect", "proxy"]


def test_an_unknown_workspace_is_refused_where_policy_says_so(program: Program, known: Place) -> None:
    known.configure('unknown_workspace = "home"', 'unknown_workspace = "refuse"')
    resolved = program("resolve", f"{API}/workspaces/{UNKNOWN}", "--json").object
    assert (resolved["status"], resolved["problem"]) == (404, "workspace-unknown")


def test_a_region_that_is_not_configured_is_never_home(program: Program, known: Place) -> None:
    text = known.config.read_text("utf-8")
    known.config.write_text(text[: text.index("[regions.au]")], "utf-8")
    known.configure("[regions.us]", "[regions.usa]")
    resolved = program("resolve", f"{API}/workspaces/{W3}", "--json").object
    assert (resolved["status"], resolved["problem"]) == (503, "region-unavailable")


def test_a_directory_that_is_not_opened_answers_nobody(program: Program, place: Place) -> None:
    resolved = program("resolve", f"{API}/workspaces/{W2}", "--json").object
    assert (resolved["status"], resolved["problem"]) == (503, "directory-unavailable")


def test_a_request_that_asks_nothing_of_the_directory_needs_none(program: Program, place: Place) -> None:
    place.database.unlink()
    assert program("resolve", f"{API}/user", "--json").object["decision"] == "proxy"


def test_a_route_that_names_a_region_is_said_to(program: Program, known: Place) -> None:
    known.configure("# Services ---", '[[policy.routes]]\npath = "/shared-reports/*"\nregion = "eu"\n\n# Services ---')
    ran = program("resolve", f"{API}/shared-reports/1")
    assert "4 decide    proxy to eu: no workspace is named, and a route of policy.routes names that region" in ran.out


def test_people_are_told_the_steps_in_order(program: Program, known: Place) -> None:
    ran = program("resolve", f"{API}/workspaces/{W2}/projects")
    assert ran.out.splitlines() == [
        f"1 admit     GET /api/v1/workspaces/{W2}/projects, HTTP/1.1, host clockify.me, no body",
        f"2 identify  service api; workspace {W2} by the path",
        f"3 locate    workspace {W2} lives in eu, epoch 1",
        "4 decide    proxy to eu: the workspace lives there",
        f"5 act       connects to {EU_ORIGIN}",
        f"            sends GET /api/v1/workspaces/{W2}/projects HTTP/1.1",
        "            with Host: euc1.clockify.me",
    ]


def test_a_refused_request_is_told_up_to_where_it_was_refused(program: Program, known: Place) -> None:
    ran = program("resolve", "https://api.clockify.me/other")
    assert [line[:10].strip() for line in ran.out.splitlines()] == ["1 admit", "2 identify", "5 act"]
    assert "host api.clockify.me serves /api (api), and the path is under none of it" in ran.out


@pytest.mark.parametrize("form", [(), ("--json",)])
@pytest.mark.parametrize(
    ("url", "more"),
    [
        (f"{API}/workspaces/{W2}?token=hush-hush", ()),
        (f"https://app.clockify.me/workspaces/{W2}?hush-hush", ()),
        (f"{API}/user", ("-H", "X-Api-Key: hush-hush")),
        (f"{API}/user", ("-H", "Authorization: Bearer hush-hush", "-H", "Cookie: a=hush-hush")),
        (f"{API}/user", ("-H", "hush-hush")),
        ("https://user:hush-hush@clockify.me/", ()),
        ("ftp://hush-hush", ()),
        ("https://clockify.me/", ("-X", "a hush-hush")),
    ],
)
def test_no_credential_and_no_query_is_repeated(
    program: Program, known: Place, url: str, more: tuple[str, ...], form: tuple[str, ...]
) -> None:
    ran = program("resolve", url, *more, *form)
    assert "hush-hush" not in ran.out + ran.err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("clockify.me/api",), "URL is not an http or https URL"),
        (("https://clockify.me/\r\nX: y",), "URL is not an http or https URL"),
        (("https://a:b@clockify.me/",), "URL names a user: leave that out, or give it as a header"),
        (("https://clockify.me/", "-H", "A: b", "-H", "nonsense"), "Header 2 is not of the form 'Name: value'"),
        (("https://clockify.me/", "-H", "A: b\r\nC: d"), "Header 1 is not of the form 'Name: value'"),
        (("https://clockify.me/", "-X", "GET /"), "The method has a blank or a control character"),
    ],
)
def test_what_no_client_could_send_is_a_wrong_command_line(
    program: Program, place: Place, arguments: tuple[str, ...], problem: str
) -> None:
    ran = program("resolve", *arguments)
    assert (ran.code, ran.errors) == (2, [f"{problem}; mend: see `region-router resolve --help`"])


def test_nothing_is_written(program: Program, known: Place) -> None:
    before = program("directory", "show").out
    for url, more, _ in DECISIONS:
        program("resolve", url, *more)
    assert program("directory", "show").out == before
