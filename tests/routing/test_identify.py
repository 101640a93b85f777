"""How a request finds its service and its workspace: each rule in its own words."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest

from router.model.problem import Problem
from router.model.region import Endpoint, Origin, PublicUrl, ServiceName
from router.routing.identify import identify, join_target
from router.routing.table import Prefix, Service
from router.routing.values import Refuse, RequestHead, Target
from tests.routing.tables import API, APP, AU, AUDIT, EU, REPORTS, SITE, TIME_OFF, head, routing_table

TABLE = routing_table()
ID = "64a687e29ae1f428e7ebe302"
OTHER = "64a687e29ae1f428e7ebe303"
KEY = b"a-key"
KEY_HASH = sha256(KEY).hexdigest()


def found(request: RequestHead) -> Target:
    target = identify(request, TABLE)
    assert isinstance(target, Target), target
    return target


def refused(request: RequestHead) -> Problem:
    target = identify(request, TABLE)
    assert isinstance(target, Refuse), target
    return target.problem


class TestService:
    """Which service, and what goes out."""

    @pytest.mark.parametrize(
        ("host", "target", "service"),
        [
            ("clockify.me", "/api/v1/user", API),
            ("api.clockify.me", "/api/v1/user", API),
            ("global.api.clockify.me", "/api/v1/user", API),
            ("acme.clockify.me", "/api/v1/user", API),
            ("reports.api.clockify.me", "/v1/x", REPORTS),
            ("acme.clockify.me", "/report/v1/x", REPORTS),
            ("pto.api.clockify.me", "/v1/x", TIME_OFF),
            ("acme.clockify.me", "/pto/v1/x", TIME_OFF),
            ("auditlog-api.api.clockify.me", "/v1/x", AUDIT),
            ("app.clockify.me", "/tracker", APP),
            ("acme.clockify.me", "/tracker", APP),
            ("clockify.me", "/pricing", SITE),
            ("[::1]", "/api/v1/user", API),
        ],
    )
    def test_host_and_prefix_say_which_service_it_is(self, host: str, target: str, service: Service) -> None:
        assert found(head(target, host)).service is service

    @pytest.mark.parametrize("host", ["evil.example", "me", "clockify.me.evil.example", "xclockify.me", "", "[::2]"])
    def test_a_host_that_is_not_ours_is_misdirected(self, host: str) -> None:
        assert refused(head("/api/v1/user", host)) is Problem.MISDIRECTED

    @pytest.mark.parametrize("host", ["a.b.clockify.me", ".clockify.me"])
    def test_a_suffix_takes_exactly_one_label(self, host: str) -> None:
        assert refused(head("/api/v1/user", host)) is Problem.MISDIRECTED

    def test_a_foreign_host_is_told_before_an_ambiguous_path(self) -> None:
        assert refused(head("/api/../x", "evil.example")) is Problem.MISDIRECTED

    def test_a_dot_segment_is_told_before_a_missing_service(self) -> None:
        assert refused(head("/x/../api", "api.clockify.me")) is Problem.AMBIGUOUS_PATH

    def test_a_host_of_ours_without_a_fitting_prefix_has_no_service(self) -> None:
        assert refused(head("/v2/x", "reports.api.clockify.me")) is Problem.NO_SERVICE

    def test_there_is_no_fall_through_from_an_exact_host_to_a_suffix(self) -> None:
        # `*.clockify.me/report/v1` would take the path, but `api.clockify.me` is the more specific host.
        assert refused(head("/report/v1/x", "api.clockify.me")) is Problem.NO_SERVICE

    def test_any_host_is_asked_last(self) -> None:
        other = Service(ServiceName("other"))
        table = routing_table(any_host=(Prefix(b"", other),))
        targets = [identify(head("/api/x", host), table) for host in ("clockify.me", "acme.clockify.me", "a.example")]
        assert [target.service for target in targets if isinstance(target, Target)] == [API, API, other]

    @pytest.mark.parametrize("host", ["euc1.clockify.me", "acme.clockify.me"], ids=["a region's", "a subdomain"])
    def test_a_host_that_no_service_matches_may_still_be_ours(self, host: str) -> None:
        table = replace(TABLE, suffix_hosts={})
        assert identify(head("/api/v1/user", host), table) == Refuse(Problem.NO_SERVICE)

    @pytest.mark.parametrize(
        ("target", "service"),
        [("/api", API), ("/api/", API), ("/api?x", API), ("/api/x", API), ("/apis", SITE), ("/api.x", SITE)],
    )
    def test_a_prefix_ends_at_a_segments_border(self, target: str, service: Service) -> None:
        assert found(head(target)).service is service

    @pytest.mark.parametrize("target", ["/API/v1", "/Api/v1"])
    def test_a_prefix_is_compared_as_bytes(self, target: str) -> None:
        assert found(head(target)).service is SITE

    def test_the_longest_prefix_wins(self) -> None:
        inner = Service(ServiceName("inner"))
        table = routing_table(more_prefixes={"x.example": (Prefix(b"/api/v2", inner), Prefix(b"/api", API))})
        target = identify(head("/api/v2/a", "x.example"), table)
        assert isinstance(target, Target)
        assert (target.service, target.rest) == (inner, b"/a")

    @pytest.mark.parametrize("target", ["/api%2fv1", "/%61pi/v1", "//api/v1", "/api;x/v1", "/\\api/v1", "/a%2570i"])
    def test_a_prefix_that_a_reader_could_find_in_another_form_is_refused(self, target: str) -> None:
        assert refused(head(target)) is Problem.AMBIGUOUS_PATH

    @pytest.mark.parametrize(
        ("target", "rest"),
        [
            ("/api", ""),
            ("/api/", "/"),
            ("/api?", "?"),
            ("/api/v1/user?", "/v1/user?"),
            (f"/api/v1/workspaces/{ID}/a%2Fb%7Ec%252ed%zz+;[]|//?q=%2e%2e/..", None),
        ],
    )
    def test_the_rest_is_every_byte_behind_the_prefix(self, target: str, rest: str | None) -> None:
        assert found(head(target)).rest == (rest if rest is not None else target[4:]).encode()

    @pytest.mark.parametrize(
        ("path", "rest", "outgoing"),
        [
            (b"/api", b"/v1/user", b"/api/v1/user"),
            (b"/api", b"", b"/api"),
            (b"/api", b"?x", b"/api?x"),
            (b"/api", b"/?", b"/api/?"),
            (b"", b"", b"/"),
            (b"", b"?", b"/?"),
            (b"", b"/", b"/"),
            (b"", b"/x?", b"/x?"),
            (b"/report/v1", b"/workspaces//x", b"/report/v1/workspaces//x"),
        ],
    )
    def test_what_goes_out_is_the_regions_path_and_then_the_rest(
        self, path: bytes, rest: bytes, outgoing: bytes
    ) -> None:
        endpoint = Endpoint(Origin("http", "h", 80), PublicUrl("http", "h", "h"), path)
        assert join_target(endpoint, rest) == outgoing


class TestOneView:
    """One view of the path."""

    @pytest.mark.parametrize(
        "climb",
        [
            "/../",
            "/%2e%2e/",
            "/..;/",
            "/..\\",
            "\\..\\",
            "/..%2f",
            "%2f..%2f",
            "%5c..%5c",
            "/.%2E;x/",
            "/./",
            "/..%3b/",
        ],
    )
    def test_a_dot_segment_behind_the_id_is_refused(self, climb: str) -> None:
        assert refused(head(f"/api/v1/workspaces/{ID}{climb}{OTHER}/projects")) is Problem.AMBIGUOUS_PATH

    @pytest.mark.parametrize("end", ["/..", "/.", "/%2e%2e", "/..?x"])
    def test_a_dot_segment_at_the_end_is_refused(self, end: str) -> None:
        assert refused(head(f"/api/v1/workspaces/{ID}/x{end}")) is Problem.AMBIGUOUS_PATH

    def test_a_nul_behind_the_id_is_refused(self) -> None:
        assert refused(head(f"/api/v1/workspaces/{ID}/x%00")) is Problem.AMBIGUOUS_PATH

    @pytest.mark.parametrize(
        "target",
        [
            f"/api//v1/workspaces/{ID}",
            f"/api/v1//workspaces/{ID}",
            f"/api/v1/workspaces//{ID}",
            f"/api/v1/workspaces;x/{ID}",
            f"/api/v1\\workspaces/{ID}",
            f"/api/v1/workspaces%2f{ID}",
            f"/api/v1/workspaces%5C{ID}",
            f"/api/v1/%77orkspaces/{ID}",
            f"/api/v1/workspaces%3bx/{ID}",
            f"/api/v1/%2577orkspaces/{ID}",
            f"/api/v1/workspaces/{ID};x",
            f"/api/v1/workspaces/{ID}%3bx",
            f"/api/v1/workspaces/%36{ID[1:]}",
            f"/api/v1/users/a%2fb/defaultWorkspace/{ID}",
            f"/api/v1/users/a;b/defaultWorkspace/{ID}",
            "/api/v1/file/a%2fb",
            "/api/v1/file;x",
            "/api/v1//user",
            "//evil.example/x",
        ],
    )
    def test_two_readings_up_to_the_id_or_without_one_are_refused(self, target: str) -> None:
        assert refused(head(target)) is Problem.AMBIGUOUS_PATH

    @pytest.mark.parametrize(
        "rest",
        ["//", "/a//b", "/a;x", "/a\\b", "/a%2fb", "/a%5cb", "/a%25b", "/%7e", "/%252e%252e/x", "/%zz", "/[a]|+"],
    )
    def test_behind_the_id_all_other_bytes_pass(self, rest: str) -> None:
        target = found(head(f"/api/v1/workspaces/{ID}{rest}"))
        assert (target.workspace, target.rest) == (ID, f"/v1/workspaces/{ID}{rest}".encode())

    @pytest.mark.parametrize("query", [f"?next=/../workspaces/{OTHER}", "?a=%2e%2e/%00;\\//", f"?/workspaces/{OTHER}"])
    def test_the_query_is_never_inspected(self, query: str) -> None:
        assert found(head(f"/api/v1/user{query}")).workspace is None

    def test_a_pinned_service_gets_no_second_view_either(self) -> None:
        assert refused(head(f"/blog/workspaces/{ID}/a%2fb")) is Problem.AMBIGUOUS_PATH

    @pytest.mark.parametrize("target", ["/api/v1/user/a%20b", "/api/v1/user/a%40b.example", "/api/v1/user/caf%C3%A9"])
    def test_escapes_that_every_reader_leaves_in_their_place_pass(self, target: str) -> None:
        assert found(head(target)).rest == target[4:].encode()


class TestWorkspace:
    """The id in the path."""

    @pytest.mark.parametrize("version", ["", "/v1", "/v2", "/v10"])
    @pytest.mark.parametrize(
        "path", [f"/workspaces/{ID}", f"/users/u1/defaultWorkspace/{ID}", f"/invitations/workspaces/{ID}"]
    )
    @pytest.mark.parametrize("behind", ["", "/", "/projects", "?x=1", "/projects/1?x"])
    def test_the_id_stands_where_a_template_says(self, version: str, path: str, behind: str) -> None:
        assert found(head(f"/api{version}{path}{behind}")).workspace == ID

    @pytest.mark.parametrize(
        "path",
        [
            f"/v1/v1/workspaces/{ID}",
            f"/vx/workspaces/{ID}",
            f"/v/workspaces/{ID}",
            f"/x/workspaces/{ID}",
            f"/v1/users/a/b/defaultWorkspace/{ID}",
            f"/v1/Workspaces/{ID}",
            f"/v1/workspaces.x/{ID}",
        ],
    )
    def test_a_template_is_anchored_behind_at_most_one_version(self, path: str) -> None:
        target = found(head(f"/api{path}"))
        assert (target.workspace, target.malformed) == (None, False)

    def test_the_version_may_stand_in_the_prefix(self) -> None:
        assert found(head(f"/v1/workspaces/{ID}/reports", "reports.api.clockify.me")).workspace == ID

    def test_an_id_is_looked_up_in_lower_case_and_sent_as_it_came(self) -> None:
        target = found(head(f"/api/v1/workspaces/{ID.upper()}/x"))
        assert (target.workspace, target.rest) == (ID, f"/v1/workspaces/{ID.upper()}/x".encode())

    @pytest.mark.parametrize("target", ["/api/v1/workspaces", "/api/v1/workspaces/", "/api/v1/workspaces/?x"])
    def test_an_empty_segment_is_no_id(self, target: str) -> None:
        assert found(head(target)) == Target(API, target[4:].encode())

    @pytest.mark.parametrize("text", ["info", ID[:-1], ID + "0", "g" * 24, f"{ID}%20", f"{ID}.", f"%20{ID}", "{id}"])
    def test_other_text_in_the_ids_place_is_an_unknown_workspace(self, text: str) -> None:
        target = found(head(f"/api/v1/workspaces/{text}/projects"))
        assert (target.workspace, target.malformed) == (None, True)

    def test_other_text_in_the_ids_place_is_no_reason_to_ask_the_subdomain_or_the_key(self) -> None:
        target = found(head("/api/v1/workspaces/info", "acme.clockify.me", key=KEY))
        assert (target.subdomain, target.key) == (None, None)

    def test_a_pinned_service_is_not_searched_for_a_workspace(self) -> None:
        target = found(head(f"/workspaces/{ID}", key=KEY))
        assert target == Target(SITE, f"/workspaces/{ID}".encode())


class TestSubdomain:
    """The label in front of the pattern."""

    def test_the_one_label_in_front_may_name_a_workspace(self) -> None:
        assert found(head("/api/v1/user", "acme.clockify.me")).subdomain == "acme"

    def test_the_subdomain_is_looked_up_beside_an_id_in_the_path(self) -> None:
        target = found(head(f"/api/v1/workspaces/{ID}", "acme.clockify.me"))
        assert (target.workspace, target.subdomain) == (ID, "acme")

    @pytest.mark.parametrize("host", ["app.clockify.me", "api.clockify.me", "euc1.clockify.me", "clockify.me"])
    def test_a_host_of_a_service_or_a_region_names_no_workspace(self, host: str) -> None:
        target = identify(head("/api/x", host), TABLE)
        assert isinstance(target, Target)
        assert target.subdomain is None

    def test_without_a_pattern_no_label_names_a_workspace(self) -> None:
        target = identify(head("/api/v1/user", "acme.clockify.me"), routing_table(subdomains=None))
        assert isinstance(target, Target)
        assert target.subdomain is None


class TestConflict:
    """Two ids in one path; what the subdomain names is known only to decide."""

    TABLE = routing_table(templates=("/workspaces/{workspace}", "/workspaces/*/copy/{workspace}"))

    def test_two_ids_in_one_path_are_refused(self) -> None:
        outcome = identify(head(f"/api/workspaces/{ID}/copy/{OTHER}"), self.TABLE)
        assert outcome == Refuse(Problem.WORKSPACE_CONFLICT)

    def test_the_same_id_twice_is_no_conflict(self) -> None:
        outcome = identify(head(f"/api/workspaces/{ID}/copy/{ID.upper()}"), self.TABLE)
        assert isinstance(outcome, Target)
        assert outcome.workspace == ID

    def test_only_ids_conflict(self) -> None:
        outcome = identify(head(f"/api/workspaces/{ID}/copy/template"), self.TABLE)
        assert isinstance(outcome, Target)
        assert (outcome.workspace, outcome.malformed) == (ID, False)

    @pytest.mark.parametrize("version", ["", "/v1"])
    @pytest.mark.parametrize(
        "between", [";x/copy/", "//copy/", "/copy%2f", "/%63opy/", "/copy;x/", "\\copy/", "/copy//"]
    )
    def test_there_is_one_view_of_every_place_where_an_id_could_stand(self, version: str, between: str) -> None:
        outcome = identify(head(f"/api{version}/workspaces/{ID}{between}{OTHER}"), self.TABLE)
        assert outcome == Refuse(Problem.AMBIGUOUS_PATH)

    def test_behind_all_places_of_ids_other_bytes_pass(self) -> None:
        outcome = identify(head(f"/api/v1/workspaces/{ID}/copy/{ID}//a%2fb"), self.TABLE)
        assert isinstance(outcome, Target)


class TestKey:
    """When the API key is asked."""

    def test_a_key_is_asked_when_nothing_else_names_a_workspace(self) -> None:
        assert found(head("/api/v1/user", key=KEY)).key == KEY_HASH

    def test_a_key_is_known_by_its_hash_alone(self) -> None:
        assert KEY.decode() not in repr(found(head("/api/v1/user", key=KEY)))

    @pytest.mark.parametrize(
        ("target", "host"),
        [
            (f"/api/v1/workspaces/{ID}", "clockify.me"),
            ("/api/v1/workspaces/info", "clockify.me"),
            ("/api/v1/user", "acme.clockify.me"),
        ],
    )
    def test_a_key_never_speaks_beside_a_path_or_a_subdomain(self, target: str, host: str) -> None:
        assert found(head(target, host, key=KEY)).key is None

    @pytest.mark.parametrize(
        "target", ["/workspaces", "/workspaces/", "/v1/workspaces", "/v1/workspaces/", "/v1/workspaces?a=1"]
    )
    def test_the_list_of_all_workspaces_skips_the_key(self, target: str) -> None:
        assert found(head(f"/api{target}", key=KEY)).key is None

    @pytest.mark.parametrize("target", ["/v1/workspacesx", "/v1/workspace", "/v1/x/workspaces", "/v1/v1/workspaces"])
    def test_nothing_else_skips_the_key(self, target: str) -> None:
        assert found(head(f"/api{target}", key=KEY)).key == KEY_HASH

    @pytest.mark.parametrize("key", [None, b""])
    def test_without_a_key_nothing_is_looked_up(self, key: bytes | None) -> None:
        assert found(head("/api/v1/user", key=key)) == Target(API, b"/v1/user")

    def test_the_public_host_of_another_region_is_remembered(self) -> None:
        regions = [found(head("/api/v1/user", f"{label}.clockify.me")).host_region for label in ("euc1", "apse2")]
        assert regions == [EU, AU]

    def test_the_public_host_of_the_home_region_is_none_of_the_others(self) -> None:
        assert found(head("/api/v1/user", "clockify.me")).host_region is None

    def test_the_public_host_of_a_region_does_not_silence_the_key(self) -> None:
        # The key may name a workspace, and then that workspace's placement is what counts.
        assert found(head("/api/v1/user", "euc1.clockify.me", key=KEY)).key == KEY_HASH
