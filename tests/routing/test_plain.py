"""What a plain pattern finds is what the questions find without it, and it is there for what nearly everybody sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from router.routing.identify import identify
from router.routing.plain import compile_plain
from router.routing.table import DEFAULT_TEMPLATES, Prefix
from router.routing.values import Refuse, Target
from tests.routing.tables import API, REPORTS, SITE, head, routing_table

if TYPE_CHECKING:
    from router.routing.table import RoutingTable

ID: Final = b"64a687e29ae1f428e7ebe302"
OTHER: Final = b"64A687E29AE1F428E7EBE303"
ANY_HEX: Final = b"[0-9A-Fa-f]{24}"
CATCH_ALL: Final = (Prefix(b"/report/v1", REPORTS), Prefix(b"/api", API), Prefix(b"", SITE))
HOSTS: Final = ("clockify.me", "api.clockify.me", "acme.clockify.me", "euc1.clockify.me", "127.0.0.1", "elsewhere.org")
TEMPLATES: Final = (
    DEFAULT_TEMPLATES,
    ("/workspaces/{workspace}",),
    ("/workspaces/{workspace}", "/workspaces/*/copy/{workspace}"),
    ("/*/workspaces/{workspace}",),
    ("/v2/{workspace}", "/workspaces/{workspace}"),
    ("/a.b/{workspace}/c",),
)

_PIECES: Final = (
    *(b"/api", b"/report/v1", b"/v1", b"/v12", b"/v", b"/workspaces", b"/users", b"/me", b"/defaultWorkspace"),
    *(b"/invitations", b"/copy", b"/a.b", b"/c", b"/v2", b"/" + ID, b"/" + OTHER, ID, b"/x", b"/projects", b"/"),
    *(b".", b"/..", b"//", b"%2f", b"%41", b";", b"\\", b"?", b"?a=/workspaces/" + OTHER, b"/a.b.c", b"~"),
)
targets = st.lists(st.sampled_from(_PIECES), min_size=1, max_size=8).map(lambda pieces: b"/" + b"".join(pieces)[1:])


def questions_only(table: RoutingTable, host: str) -> RoutingTable:
    """The same table, without a pattern for `host`."""
    table.host_views[host] = table.view(host)._replace(plain=None)
    return table


@given(targets, st.sampled_from(HOSTS), st.sampled_from(TEMPLATES), st.booleans())
@settings(max_examples=1500, deadline=None)
@example(b"/api/v1/workspaces/" + ID, "clockify.me", DEFAULT_TEMPLATES, True)
@example(b"/api/workspaces/" + ID + b"/x", "elsewhere.org", ("/*/workspaces/{workspace}",), True)
def test_a_pattern_finds_what_the_questions_find(
    target: bytes, host: str, templates: tuple[str, ...], catches_all: bool
) -> None:
    any_host = CATCH_ALL if catches_all else ()
    asked = questions_only(routing_table(templates=templates, any_host=any_host), host)
    table = routing_table(templates=templates, any_host=any_host)

    assert identify(head(target, host=host), table) == identify(head(target, host=host), asked)


@pytest.mark.parametrize(
    "target",
    [
        b"/api/v1/workspaces/%b" % ID,
        b"/api/workspaces/%b/" % ID,
        b"/api/v1/workspaces/%b/projects?name=a/../b;c" % OTHER,
        b"/report/v1/workspaces/%b/reports/detailed" % ID,
        b"/api/v1/users/someone/defaultWorkspace/%b" % ID,
    ],
)
def test_what_nearly_everybody_sends_is_plain(target: bytes) -> None:
    view = routing_table().view("127.0.0.1")
    found = identify(head(target, host="127.0.0.1"), routing_table())

    assert view.plain is not None
    assert view.plain.match(target)
    assert isinstance(found, Target)
    assert found.workspace in {ID.decode(), OTHER.decode().lower()}


@pytest.mark.parametrize(
    "target",
    [
        b"/api/v1/workspaces/%b/%%2e%%2e" % ID,
        b"/api/v1/workspaces/%b//x" % ID,
        b"/api/v1/workspaces/%b/.x" % ID,
        b"/api/v1/workspaces/%b;x" % ID,
        b"/api/v1/workspaces/%b0" % ID,
        b"/apis/v1/workspaces/%b" % ID,
    ],
)
def test_what_could_be_read_two_ways_is_not_plain(target: bytes) -> None:
    view = routing_table().view("127.0.0.1")

    assert view.plain is not None
    assert not view.plain.match(target)


@pytest.mark.parametrize(
    ("prefixes", "templates"),
    [
        ((), DEFAULT_TEMPLATES),
        ((b"/api",), ()),
        ((b"/a%20pi",), DEFAULT_TEMPLATES),
        ((b"/api",), ("/workspaces/{workspace}", "/workspaces/*/copy/{workspace}")),
        ((b"/api",), ("/*/{workspace}",)),
        ((b"/api",), ("/v2/{workspace}",)),
        ((b"/api",), ("/{workspace}",)),
    ],
)
def test_where_it_could_differ_there_is_no_pattern(prefixes: tuple[bytes, ...], templates: tuple[str, ...]) -> None:
    assert compile_plain(prefixes, templates, ANY_HEX) is None


def test_a_host_that_is_not_ours_has_no_pattern() -> None:
    table = routing_table()

    assert table.view("evil.example").plain is None
    assert isinstance(identify(head(b"/api/v1/workspaces/%b" % ID, host="evil.example"), table), Refuse)
