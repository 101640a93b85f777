"""The decision table: each row, each route, each condition of a redirect, and the Host that goes upstream."""

from __future__ import annotations

import pytest

from router.model.placement import Placement, Version, WorkspaceId
from router.model.problem import Problem
from router.model.region import RegionName, ServiceName
from router.model.transfer import RunningTransfer, TransferId
from router.routing.decide import decide
from router.routing.identify import identify
from router.routing.table import Action, Route, RoutingTable, Unknown, compile_template
from router.routing.values import Decision, Located, Locked, Proxy, Redirect, Refuse, RequestHead, Target
from tests.routing.tables import AU, EU, GLOBAL, UK, US, head, routing_table

ID = WorkspaceId("64a687e29ae1f428e7ebe302")
OTHER = WorkspaceId("64a687e29ae1f428e7ebe303")
TABLE = routing_table()
REFUSING = routing_table(unknown_workspace=Unknown.REFUSE)
KEY = b"a-key"
TRANSFER = RunningTransfer(TransferId("t-1"), EU, US, 1000.0, 44200.0)
UNKNOWN = Located()

WORKSPACE = f"/api/v1/workspaces/{ID}/projects"
NO_WORKSPACE = "/api/v1/user"
APP_WORKSPACE = head(f"/workspaces/{ID}/tracker?a=%2F", "app.clockify.me")


def lives(region: str, *, workspace: WorkspaceId = ID, transfer: RunningTransfer | None = None) -> Placement:
    return Placement(workspace, RegionName(region), Version(1, 5), transfer)


def by_subdomain(region: str, *, workspace: WorkspaceId = ID) -> Located:
    return Located(lives(region, workspace=workspace), subdomain_workspace=workspace)


def by_key(placement: Placement | None) -> Located:
    return Located(placement, key_workspace=ID)


def decided(request: RequestHead, located: Located, table: RoutingTable = TABLE) -> Decision:
    target = identify(request, table)
    assert isinstance(target, Target), target
    return decide(request, target, located, table)


def region_of(decision: Decision) -> RegionName:
    assert isinstance(decision, Proxy | Redirect | Locked), decision
    return decision.region


def proxied(request: RequestHead, located: Located, table: RoutingTable = TABLE) -> Proxy:
    decision = decided(request, located, table)
    assert isinstance(decision, Proxy), decision
    return decision


class TestRows:
    """One row of the table, one test."""

    def test_a_path_and_a_subdomain_that_name_two_workspaces_conflict(self) -> None:
        located = Located(lives("eu"), subdomain_workspace=OTHER)
        assert decided(head(WORKSPACE, "acme.clockify.me"), located) == Refuse(Problem.WORKSPACE_CONFLICT)

    def test_a_conflict_is_told_even_of_a_locked_workspace(self) -> None:
        located = Located(lives("eu", transfer=TRANSFER), subdomain_workspace=OTHER)
        assert decided(head(WORKSPACE, "acme.clockify.me"), located) == Refuse(Problem.WORKSPACE_CONFLICT)

    def test_a_path_and_a_subdomain_that_name_the_same_workspace_agree(self) -> None:
        assert proxied(head(WORKSPACE, "acme.clockify.me"), by_subdomain("eu")).region == EU

    def test_a_pinned_service_goes_to_its_region(self) -> None:
        assert proxied(head("/pricing"), UNKNOWN).region == GLOBAL

    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    @pytest.mark.parametrize(
        ("target", "host", "located"),
        [
            (WORKSPACE, "clockify.me", Located(lives("eu", transfer=TRANSFER))),
            (f"/workspaces/{ID}/tracker", "app.clockify.me", Located(lives("eu", transfer=TRANSFER))),
            (NO_WORKSPACE, "acme.clockify.me", Located(lives("eu", transfer=TRANSFER), subdomain_workspace=ID)),
            (NO_WORKSPACE, "clockify.me", by_key(lives("eu", transfer=TRANSFER))),
        ],
        ids=["by path", "by path, redirected else", "by subdomain", "by key"],
    )
    def test_a_workspace_in_transfer_is_locked(self, method: str, target: str, host: str, located: Located) -> None:
        assert decided(head(target, host, method=method, key=KEY), located) == Locked(EU, TRANSFER)

    def test_no_route_is_exempt_from_the_lock(self) -> None:
        routes = (Route(action=Action.REDIRECT), Route(region=UK))
        located = Located(lives("eu", transfer=TRANSFER))
        assert decided(head(WORKSPACE), located, routing_table(routes=routes)) == Locked(EU, TRANSFER)

    def test_a_lock_holds_even_where_the_region_is_not_configured(self) -> None:
        located = Located(lives("mars", transfer=TRANSFER))
        assert isinstance(decided(head(WORKSPACE), located), Locked)

    @pytest.mark.parametrize("region", [GLOBAL, EU, US, UK, AU])
    def test_a_known_workspace_goes_to_where_it_lives(self, region: RegionName) -> None:
        assert proxied(head(WORKSPACE), Located(lives(region))).region == region

    def test_a_workspace_that_the_subdomain_names_goes_to_where_it_lives(self) -> None:
        assert proxied(head(NO_WORKSPACE, "acme.clockify.me"), by_subdomain("us")).region == US

    def test_a_workspace_that_the_key_names_goes_to_where_it_lives(self) -> None:
        assert proxied(head(NO_WORKSPACE, key=KEY), by_key(lives("us"))).region == US

    def test_a_workspace_in_an_unconfigured_region_is_refused_and_never_sent_home(self) -> None:
        assert decided(head(WORKSPACE), Located(lives("mars"))) == Refuse(Problem.REGION_UNAVAILABLE)

    UNKNOWNS = pytest.mark.parametrize(
        ("request_head", "located"),
        [
            (head(WORKSPACE), UNKNOWN),
            (head("/api/v1/workspaces/info"), UNKNOWN),
            (head(NO_WORKSPACE, "acme.clockify.me"), UNKNOWN),
            (head(NO_WORKSPACE, "acme.clockify.me"), Located(subdomain_workspace=ID)),
            (head(NO_WORKSPACE, key=KEY), by_key(None)),
        ],
        ids=["an id", "text in an id's place", "a subdomain", "a subdomain of a deleted one", "a key of a deleted one"],
    )

    @UNKNOWNS
    def test_an_unknown_workspace_goes_home_where_policy_says_so(
        self, request_head: RequestHead, located: Located
    ) -> None:
        assert proxied(request_head, located).region == GLOBAL

    @UNKNOWNS
    def test_an_unknown_workspace_is_refused_where_policy_says_so(
        self, request_head: RequestHead, located: Located
    ) -> None:
        assert decided(request_head, located, REFUSING) == Refuse(Problem.WORKSPACE_UNKNOWN)

    def test_an_unknown_subdomain_is_nothing_beside_a_known_id(self) -> None:
        assert proxied(head(WORKSPACE, "acme.clockify.me"), Located(lives("eu")), REFUSING).region == EU

    def test_an_unknown_workspace_at_a_regions_host_goes_home(self) -> None:
        assert proxied(head(WORKSPACE, "euc1.clockify.me"), UNKNOWN).region == GLOBAL

    def test_without_a_workspace_the_region_whose_host_was_used_answers(self) -> None:
        located = Located(key_region=US)
        assert proxied(head(NO_WORKSPACE, "euc1.clockify.me", key=KEY), located).region == EU

    def test_a_workspace_goes_before_the_region_whose_host_was_used(self) -> None:
        assert proxied(head(WORKSPACE, "euc1.clockify.me"), Located(lives("us"))).region == US

    def test_without_a_workspace_the_region_of_the_key_answers(self) -> None:
        assert proxied(head(NO_WORKSPACE, key=KEY), Located(key_region=US)).region == US

    def test_a_key_of_an_unconfigured_region_is_refused(self) -> None:
        located = Located(key_region=RegionName("mars"))
        assert decided(head(NO_WORKSPACE, key=KEY), located) == Refuse(Problem.REGION_UNAVAILABLE)

    @pytest.mark.parametrize("table", [TABLE, REFUSING], ids=["home", "refuse"])
    def test_a_request_that_names_nothing_goes_home(self, table: RoutingTable) -> None:
        assert proxied(head(NO_WORKSPACE), UNKNOWN, table).region == GLOBAL

    def test_a_key_that_nobody_knows_goes_home_even_where_unknown_workspaces_are_refused(self) -> None:
        assert proxied(head(NO_WORKSPACE, key=KEY), UNKNOWN, REFUSING).region == GLOBAL


class TestWhatGoesOut:
    """The target, the epoch and the Host of a proxied request."""

    @pytest.mark.parametrize(
        ("request_head", "region", "outgoing"),
        [
            (head(WORKSPACE), "eu", WORKSPACE),
            (head(f"/v1/workspaces/{ID}/x?", "reports.api.clockify.me"), "eu", f"/report/v1/workspaces/{ID}/x?"),
            (head(f"/v1/workspaces/{ID}/x?", "reports.api.clockify.me"), "global", f"/v1/workspaces/{ID}/x?"),
            (head(f"/v1/workspaces/{ID}//a%2f", "auditlog-api.api.clockify.me"), "uk", None),
        ],
    )
    def test_the_prefix_is_exchanged_for_the_regions_path(
        self, request_head: RequestHead, region: str, outgoing: str | None
    ) -> None:
        expected = outgoing or f"/auditlog/v1/workspaces/{ID}//a%2f"
        assert proxied(request_head, Located(lives(region))).target == expected.encode()

    def test_a_service_may_have_an_origin_of_its_own_in_a_region(self) -> None:
        endpoint = proxied(head(f"/v1/workspaces/{ID}", "reports.api.clockify.me"), Located(lives("global"))).endpoint
        assert endpoint is TABLE.endpoint(GLOBAL, ServiceName("reports"))

    @pytest.mark.parametrize(
        ("request_head", "located", "epoch"),
        [
            (head(WORKSPACE), Located(lives("eu")), 5),
            (head(NO_WORKSPACE, "acme.clockify.me"), by_subdomain("eu"), 5),
            (head(NO_WORKSPACE, key=KEY), by_key(lives("eu")), 5),
            (head(WORKSPACE), UNKNOWN, 0),
            (head(NO_WORKSPACE, "acme.clockify.me"), UNKNOWN, 0),
            (head(NO_WORKSPACE, key=KEY), by_key(None), 0),
            (head(NO_WORKSPACE), UNKNOWN, None),
            (head(NO_WORKSPACE, key=KEY), Located(key_region=US), None),
        ],
    )
    def test_the_epoch_is_sent_along_where_a_workspace_is_named(
        self, request_head: RequestHead, located: Located, epoch: int | None
    ) -> None:
        assert proxied(request_head, located).epoch == epoch

    @pytest.mark.parametrize(
        ("request_head", "located", "host"),
        [
            (head(WORKSPACE), Located(lives("eu")), b"euc1.clockify.me"),
            (head(WORKSPACE), UNKNOWN, b"clockify.me"),
            (head(f"/v1/workspaces/{ID}", "reports.api.clockify.me"), UNKNOWN, b"reports.api.clockify.me"),
            (head(f"/v1/workspaces/{ID}", "reports.api.clockify.me"), Located(lives("us")), b"use2.clockify.me"),
            (head(WORKSPACE, "localhost", authority="localhost:8080"), Located(lives("eu")), b"euc1.clockify.me"),
            (head(NO_WORKSPACE, key=KEY), by_key(lives("us")), b"use2.clockify.me"),
            (head(NO_WORKSPACE, "acme.clockify.me"), UNKNOWN, b"clockify.me"),
            (head(WORKSPACE, "acme.clockify.me"), Located(lives("eu")), b"euc1.clockify.me"),
        ],
        ids=[
            "a region's",
            "home's",
            "a service's own at home",
            "a service's in a region",
            "whatever port was used",
            "by key",
            "an unknown subdomain",
            "an unknown subdomain beside an id",
        ],
    )
    def test_the_host_is_the_authority_of_the_public_url(
        self, request_head: RequestHead, located: Located, host: bytes
    ) -> None:
        assert proxied(request_head, located).host == host

    @pytest.mark.parametrize("authority", ["acme.clockify.me", "Acme.Clockify.me:8080"])
    def test_a_workspace_that_its_subdomain_names_keeps_the_clients_host(self, authority: str) -> None:
        request = head(NO_WORKSPACE, "acme.clockify.me", authority=authority)
        assert proxied(request, by_subdomain("eu")).host == authority.encode()


class TestRedirect:
    """When a redirect happens, and where it leads."""

    def test_a_service_that_redirects_leads_to_the_regions_public_url_with_the_raw_rest(self) -> None:
        location = f"https://euc1.clockify.me/workspaces/{ID}/tracker?a=%2F".encode()
        assert decided(APP_WORKSPACE, Located(lives("eu"))) == Redirect(EU, location)

    def test_the_location_has_the_regions_path(self) -> None:
        table = routing_table(routes=(Route(service=ServiceName("reports"), action=Action.REDIRECT),))
        request = head(f"/v1/workspaces/{ID}/x?", "reports.api.clockify.me")
        location = f"https://use2.clockify.me/report/v1/workspaces/{ID}/x?".encode()
        assert decided(request, Located(lives("us")), table) == Redirect(US, location)

    @pytest.mark.parametrize("host", ["app.clockify.me", "euc1.clockify.me"])
    def test_nobody_is_redirected_home(self, host: str) -> None:
        assert proxied(head(f"/workspaces/{ID}/tracker", host), Located(lives("global"))).region == GLOBAL

    def test_an_unknown_workspace_is_not_redirected(self) -> None:
        assert proxied(APP_WORKSPACE, UNKNOWN).region == GLOBAL

    def test_nobody_is_redirected_to_the_host_just_used(self) -> None:
        request = head(f"/workspaces/{ID}/tracker", "euc1.clockify.me")
        assert proxied(request, Located(lives("eu"))).region == EU

    def test_from_one_regions_host_to_another_is_a_redirect(self) -> None:
        request = head(f"/workspaces/{ID}/tracker", "euc1.clockify.me")
        assert isinstance(decided(request, Located(lives("us"))), Redirect)

    def test_a_workspace_that_only_its_subdomain_names_is_proxied(self) -> None:
        assert proxied(head("/tracker", "acme.clockify.me"), by_subdomain("eu")).region == EU

    def test_a_workspace_that_the_path_names_too_is_redirected(self) -> None:
        request = head(f"/workspaces/{ID}/tracker", "acme.clockify.me")
        assert isinstance(decided(request, by_subdomain("eu")), Redirect)

    def test_a_location_never_holds_the_clients_host(self) -> None:
        request = head(f"/workspaces/{ID}/x", "acme.clockify.me", authority="acme.clockify.me:666")
        decision = decided(request, Located(lives("eu")))
        assert isinstance(decision, Redirect)
        assert decision.location.startswith(b"https://euc1.clockify.me/")

    def test_a_service_that_proxies_never_redirects(self) -> None:
        assert isinstance(decided(head(WORKSPACE), Located(lives("eu"))), Proxy)


class TestRoutes:
    """`[[policy.routes]]`: conditions that must all hold, and the first that fits."""

    IN_EU = Located(lives("eu"))

    def test_a_route_wins_over_the_services_action(self) -> None:
        table = routing_table(routes=(Route(service=ServiceName("app"), action=Action.PROXY),))
        assert isinstance(decided(APP_WORKSPACE, self.IN_EU, table), Proxy)

    def test_the_first_route_that_fits_wins(self) -> None:
        routes = (Route(method="POST", action=Action.PROXY), Route(action=Action.REDIRECT), Route(action=Action.PROXY))
        assert isinstance(decided(head(WORKSPACE), self.IN_EU, routing_table(routes=routes)), Redirect)

    @pytest.mark.parametrize(
        "route",
        [
            Route(service=ServiceName("reports"), action=Action.REDIRECT),
            Route(method="POST", action=Action.REDIRECT),
            Route(path=compile_template("/workspaces/*/tags"), action=Action.REDIRECT),
            Route(
                service=ServiceName("api"),
                method="GET",
                path=compile_template("/workspaces/*/tags"),
                action=Action.REDIRECT,
            ),
        ],
        ids=["service", "method", "path", "one of three"],
    )
    def test_a_route_does_not_fit_if_one_condition_fails(self, route: Route) -> None:
        assert isinstance(decided(head(WORKSPACE), self.IN_EU, routing_table(routes=(route,))), Proxy)

    def test_a_route_fits_if_all_conditions_hold(self) -> None:
        route = Route(ServiceName("api"), "GET", compile_template("/workspaces/*/projects"), Action.REDIRECT)
        assert isinstance(decided(head(WORKSPACE), self.IN_EU, routing_table(routes=(route,))), Redirect)

    def test_anything_may_follow_a_routes_path(self) -> None:
        route = Route(path=compile_template("/workspaces/*"), action=Action.REDIRECT)
        assert isinstance(decided(head(WORKSPACE), self.IN_EU, routing_table(routes=(route,))), Redirect)

    def test_a_routes_region_takes_a_request_that_names_no_workspace(self) -> None:
        table = routing_table(routes=(Route(path=compile_template("/file"), region=UK),))
        assert proxied(head("/api/v1/file/image", key=KEY), Located(key_region=US), table).region == UK

    @pytest.mark.parametrize(
        ("request_head", "located"),
        [
            (head(WORKSPACE), Located(lives("eu"))),
            (head(NO_WORKSPACE, "acme.clockify.me"), by_subdomain("eu")),
            (head(NO_WORKSPACE, key=KEY), by_key(lives("eu"))),
        ],
        ids=["by path", "by subdomain", "by key"],
    )
    def test_a_routes_region_does_not_fit_a_request_that_names_a_workspace(
        self, request_head: RequestHead, located: Located
    ) -> None:
        table = routing_table(routes=(Route(region=UK),))
        assert region_of(decided(request_head, located, table)) == EU

    @pytest.mark.parametrize(
        "request_head",
        [head(WORKSPACE), head("/api/v1/workspaces/info"), head(NO_WORKSPACE, "acme.clockify.me")],
        ids=["an id", "text in an id's place", "a subdomain"],
    )
    def test_a_routes_region_does_not_fit_an_unknown_workspace_either(self, request_head: RequestHead) -> None:
        table = routing_table(routes=(Route(region=UK),))
        assert proxied(request_head, UNKNOWN, table).region == GLOBAL

    def test_a_route_with_a_region_that_does_not_fit_leaves_its_action_unsaid(self) -> None:
        table = routing_table(routes=(Route(region=UK, action=Action.REDIRECT),))
        assert isinstance(decided(head(WORKSPACE), self.IN_EU, table), Proxy)

    def test_a_routes_region_may_be_redirected_to(self) -> None:
        table = routing_table(routes=(Route(region=UK, action=Action.REDIRECT),))
        location = b"https://euw2.clockify.me/api/v1/user"
        assert decided(head(NO_WORKSPACE), UNKNOWN, table) == Redirect(UK, location)

    def test_a_route_without_an_action_leaves_the_services(self) -> None:
        table = routing_table(routes=(Route(region=UK),))
        assert isinstance(decided(head("/tracker", "app.clockify.me"), UNKNOWN, table), Redirect)
