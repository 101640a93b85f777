"""The shipped configuration builds the published table, row by row, and small ones build what they say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from router.model.region import Origin, RegionName, ServiceName, TlsFiles
from router.routing.table import Action, Disclose, Prefix, Route, RoutingTable, Service, Unknown, compile_template
from router.settings.load import load, load_text
from tests.certificates import write_authority, write_identity

if TYPE_CHECKING:
    from router.settings.values import Settings

SHIPPED = Path(__file__).parents[2] / "deploy" / "clockify.toml"
PUBLIC = {"eu": "euc1", "us": "use2", "uk": "euw2", "au": "apse2"}
LABELS = {"global": "Global", "eu": "EU (Germany)", "us": "USA", "uk": "UK", "au": "AU"}

# Service, what matches it, its path at a region; its public URL and path at global, and whether it has its own origin.
ROWS = [
    (
        "api",
        ["clockify.me/api", "api.clockify.me/api", "global.api.clockify.me/api", "*.clockify.me/api"],
        b"/api",
        "https://clockify.me",
        b"/api",
        False,
    ),
    (
        "reports",
        ["reports.api.clockify.me/v1", "*.clockify.me/report/v1"],
        b"/report/v1",
        "https://reports.api.clockify.me",
        b"/v1",
        True,
    ),
    (
        "time-off",
        ["pto.api.clockify.me/v1", "*.clockify.me/pto/v1"],
        b"/pto/v1",
        "https://pto.api.clockify.me",
        b"/v1",
        True,
    ),
    (
        "audit",
        ["auditlog-api.api.clockify.me/v1"],
        b"/auditlog/v1",
        "https://auditlog-api.api.clockify.me",
        b"/v1",
        True,
    ),
    ("app", ["app.clockify.me", "*.clockify.me"], b"", "https://app.clockify.me", b"", False),
    ("site", ["clockify.me"], b"", "https://clockify.me", b"", False),
]


@pytest.fixture(scope="module")
def shipped() -> Settings:
    return load(SHIPPED, {})


def matches(table: RoutingTable, service: str) -> set[str]:
    hosts = {**table.exact_hosts, **{f"*.{suffix}": prefixes for suffix, prefixes in table.suffix_hosts.items()}}
    return {
        host + prefix.path.decode()
        for host, prefixes in hosts.items()
        for prefix in prefixes
        if prefix.service.name == service
    }


@pytest.mark.parametrize(("service", "hosts"), [(row[0], row[1]) for row in ROWS])
def test_each_service_is_matched_as_published(service: str, hosts: list[str], shipped: Settings) -> None:
    assert matches(shipped.table, service) == set(hosts)


@pytest.mark.parametrize("region", PUBLIC)
@pytest.mark.parametrize(("service", "path"), [(row[0], row[2]) for row in ROWS])
def test_each_region_serves_each_service_under_its_own_host(
    region: str, service: str, path: bytes, shipped: Settings
) -> None:
    endpoint = shipped.table.endpoint(RegionName(region), ServiceName(service))
    host = f"{PUBLIC[region]}.clockify.me"
    assert (str(endpoint.public_url), endpoint.path) == (f"https://{host}", path)
    assert endpoint.origin == Origin("https", f"{PUBLIC[region]}.internal", 8443, host)


@pytest.mark.parametrize(("service", "url", "path", "own"), [(row[0], *row[3:]) for row in ROWS])
def test_global_serves_each_service_as_published(
    service: str, url: str, path: bytes, own: bool, shipped: Settings
) -> None:
    home = RegionName("global")
    endpoint = shipped.table.endpoint(home, ServiceName(service))
    assert (str(endpoint.public_url), endpoint.path) == (url, path)
    assert (endpoint.origin.host != shipped.table.endpoint(home, ServiceName("api")).origin.host) is own
    assert endpoint.origin.server_name == endpoint.public_url.host


def test_only_the_app_redirects_and_only_the_site_is_pinned(shipped: Settings) -> None:
    services = {prefix.service for prefixes in shipped.table.exact_hosts.values() for prefix in prefixes}
    assert {service.name for service in services if service.action is Action.REDIRECT} == {"app"}
    assert {(service.name, service.region) for service in services if service.region} == {("site", "global")}


def test_the_regions_are_the_published_ones(shipped: Settings) -> None:
    assert {name: region.label for name, region in shipped.table.regions.items()} == LABELS
    assert shipped.table.region_hosts == {f"{host}.clockify.me": region for region, host in PUBLIC.items()}


def test_no_published_host_is_read_as_a_workspace(shipped: Settings) -> None:
    published = {f"{host}.clockify.me" for host in PUBLIC.values()} | set(shipped.table.exact_hosts)
    assert shipped.table.own_hosts == published
    assert shipped.table.subdomain_suffix == "clockify.me"


def test_longer_prefixes_come_first(shipped: Settings) -> None:
    for prefixes in (*shipped.table.exact_hosts.values(), *shipped.table.suffix_hosts.values()):
        assert [len(prefix.path) for prefix in prefixes] == sorted((len(one.path) for one in prefixes), reverse=True)


def test_the_only_warning_is_of_the_redirect(shipped: Settings) -> None:
    assert [warning.path for warning in shipped.warnings] == ["services.app.action"]


def test_defaults_are_those_of_the_rooms(base: str, tmp_path: Path) -> None:
    loaded = load_text(base, {}, folder=tmp_path)
    assert loaded.gateway == type(loaded.gateway)()
    assert loaded.directory.options == type(loaded.directory.options)()
    assert loaded.directory.place == tmp_path / "directory.db"
    assert loaded.table.policy.disclose_region is Disclose.SUCCESS
    assert loaded.table.policy.unknown_workspace is Unknown.HOME
    assert loaded.table.api_key_header == "x-api-key"


def test_each_number_reaches_its_option(base: str, tmp_path: Path) -> None:
    text = base.replace("[ops]", "timeouts.head = 1\nlimits.max_fields = 7\n[ops]").replace(
        "[identify]", 'cache_size = 9\nid = "d-1"\n[identify]'
    )
    loaded = load_text(text, {}, folder=tmp_path)
    assert (loaded.gateway.head_timeout, loaded.gateway.max_fields) == (1.0, 7)
    assert (loaded.directory.options.cache_size, loaded.directory.id) == (9, "d-1")


def test_an_override_wins_part_by_part(base: str, tmp_path: Path) -> None:
    write_authority(tmp_path / "eu-ca.pem")
    write_identity(tmp_path / "gw.pem", tmp_path / "gw.key")
    text = base + (
        'tls = { ca = "eu-ca.pem", cert = "gw.pem", key = "gw.key" }\n'
        'services.api = { origin = "https://[::1]:8444", path = "/" }\n'
        'services.time-off = { public_url = "https://pto.eu.test:8443", tls = { server_name = "pto.internal" } }\n'
    )
    regions = load_text(text, {}, folder=tmp_path).table.regions
    api = regions[RegionName("eu")].endpoints[ServiceName("api")]
    time_off = regions[RegionName("eu")].endpoints[ServiceName("time-off")]
    files = TlsFiles(tmp_path / "eu-ca.pem", tmp_path / "gw.pem", tmp_path / "gw.key")
    assert api.origin == Origin("https", "::1", 8444, "euc1.clockify.me", files)
    assert (str(api.public_url), api.path) == ("https://euc1.clockify.me", b"")
    assert time_off.origin == Origin(
        "https", "euc1.internal", 8443, "pto.internal", TlsFiles(server_name="pto.internal")
    )
    assert (str(time_off.public_url), time_off.path) == ("https://pto.eu.test:8443", b"/pto/v1")


def test_an_http_origin_has_no_tls(base: str, tmp_path: Path) -> None:
    origin = load_text(base, {}, folder=tmp_path).table.endpoint(RegionName("global"), ServiceName("api")).origin
    assert origin == Origin("http", "127.0.0.1", 9101)


def test_a_public_host_that_two_regions_share_names_neither(base: str, tmp_path: Path) -> None:
    text = base + '[regions.us]\norigin = "https://use2.internal"\npublic_url = "https://euc1.clockify.me:8443"\n'
    table = load_text(text, {}, folder=tmp_path).table
    assert table.region_hosts == {}
    assert "euc1.clockify.me" in table.own_hosts


def test_any_host_has_its_own_prefixes(base: str, tmp_path: Path) -> None:
    text = base.replace('"pto.api.clockify.me/v1"', '"*/v1", "*"')
    table = load_text(text, {}, folder=tmp_path).table
    service = Service(ServiceName("time-off"))
    assert table.any_host == (Prefix(b"/v1", service), Prefix(b"", service))


def test_routes_keep_their_order(base: str, tmp_path: Path) -> None:
    text = base.replace(
        "[services.api]",
        '[[policy.routes]]\nservice = "api"\npath = "/shared-reports/*"\nregion = "eu"\n'
        '[[policy.routes]]\nmethod = "GET"\naction = "redirect"\n[services.api]',
    )
    assert load_text(text, {}, folder=tmp_path).table.policy.routes == (
        Route(service=ServiceName("api"), path=compile_template("/shared-reports/*"), region=RegionName("eu")),
        Route(method="GET", action=Action.REDIRECT),
    )


def test_an_empty_control_table_is_accepted(base: str, tmp_path: Path) -> None:
    assert load_text(base + "[control]\n", {}, folder=tmp_path).warnings == ()


def test_a_relative_configuration_has_absolute_files(
    tmp_path: Path, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gateway.toml").write_text(base)
    monkeypatch.chdir(tmp_path)
    assert load(Path("gateway.toml"), {}).directory.place == tmp_path / "directory.db"
