"""What logs and traces call a path is made of the configuration alone."""

from __future__ import annotations

from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from router.routing.naming import name_route
from router.routing.values import RequestHead
from router.settings.load import load_text
from tests.gateway.stage import IN_EU, configure

ROUTES = """
[[policy.routes]]
service = "api"
path = "/shared-reports/*"
region = "eu"
[[policy.routes]]
path = "/workspaces/{workspace}/files/*"
region = "eu"
"""
TABLE = load_text(configure({"global": 1, "eu": 2, "us": 3}, tables=ROUTES), {}, folder=Path()).table
TEMPLATES = (
    "/shared-reports/*",
    "/workspaces/{workspace}/files/*",
    "/workspaces/{workspace}",
    "/users/*/defaultWorkspace/{workspace}",
    "/invitations/workspaces/{workspace}",
)
NAMES = {"/", "/…", *TEMPLATES, *(f"{template}/…" for template in TEMPLATES)}
KNOWN = ("v1", "workspaces", IN_EU, "users", "files", "shared-reports", "defaultWorkspace", "..", "%2f", "")
SEGMENT = st.sampled_from(KNOWN) | st.text("abc0123456789-_~%!$&'()*+,;=:@", max_size=12)


def name(target: str, host: str = "clockify.me") -> tuple[str, str]:
    return name_route(RequestHead("GET", target.encode(), 1, host, host.encode(), None), TABLE)


@settings(max_examples=300)
@example("clockify.me", ["v1", "workspaces", IN_EU, "secret"], "token=secret")
@given(
    host=st.sampled_from(["clockify.me", "acme.clockify.me", "app.clockify.me", "example.com"]),
    segments=st.lists(SEGMENT, max_size=6),
    query=st.text("abc?/=&%", max_size=12),
)
def test_a_route_is_made_of_the_configuration_whatever_the_target(host: str, segments: list[str], query: str) -> None:
    service, route = name("/".join(["/api", *segments]) + (f"?{query}" if query else ""), host)
    assert (service, route) == ("", "") or (service in {"api", "app"} and route in NAMES)


def test_what_lies_behind_a_template_is_not_named() -> None:
    assert name(f"/api/v1/workspaces/{IN_EU}/projects?page=1") == ("api", "/workspaces/{workspace}/…")


def test_a_path_that_ends_with_its_template_is_named_whole() -> None:
    assert name(f"/api/v1/workspaces/{IN_EU}?page=1") == ("api", "/workspaces/{workspace}")


def test_a_route_of_the_policy_is_the_more_exact_name() -> None:
    assert name(f"/api/v1/workspaces/{IN_EU}/files/1/2") == ("api", "/workspaces/{workspace}/files/*/…")


def test_a_route_of_another_service_names_nothing() -> None:
    assert name("/shared-reports/1", "app.clockify.me") == ("app", "/…")


def test_the_root_is_no_more_than_that() -> None:
    assert name("/api?x") == ("api", "/")


def test_a_host_that_is_not_ours_has_no_service() -> None:
    assert name("/api/v1/user", "example.com") == ("", "")
