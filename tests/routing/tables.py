"""A routing table in the shape of the shipped one, built by hand, and heads to try it with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from router.model.region import Endpoint, Origin, PublicUrl, Region, RegionName, ServiceName
from router.routing.table import (
    DEFAULT_TEMPLATES,
    Action,
    Policy,
    Prefix,
    RoutingTable,
    Service,
    Unknown,
    compile_template,
)
from router.routing.values import RequestHead

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.routing.table import Route

GLOBAL: Final = RegionName("global")
EU: Final = RegionName("eu")
US: Final = RegionName("us")
UK: Final = RegionName("uk")
AU: Final = RegionName("au")

API: Final = Service(ServiceName("api"))
REPORTS: Final = Service(ServiceName("reports"))
TIME_OFF: Final = Service(ServiceName("time-off"))
AUDIT: Final = Service(ServiceName("audit"))
APP: Final = Service(ServiceName("app"), Action.REDIRECT)
SITE: Final = Service(ServiceName("site"), region=GLOBAL)

SUFFIX: Final = "clockify.me"
_MATCHES: Final[Mapping[str, tuple[Prefix, ...]]] = {
    "clockify.me": (Prefix(b"/api", API), Prefix(b"", SITE)),
    "api.clockify.me": (Prefix(b"/api", API),),
    "global.api.clockify.me": (Prefix(b"/api", API),),
    "reports.api.clockify.me": (Prefix(b"/v1", REPORTS),),
    "pto.api.clockify.me": (Prefix(b"/v1", TIME_OFF),),
    "auditlog-api.api.clockify.me": (Prefix(b"/v1", AUDIT),),
    "app.clockify.me": (Prefix(b"", APP),),
    "127.0.0.1": (Prefix(b"/report/v1", REPORTS), Prefix(b"/api", API)),
    "localhost": (Prefix(b"/report/v1", REPORTS), Prefix(b"/api", API)),
    "[::1]": (Prefix(b"/report/v1", REPORTS), Prefix(b"/api", API)),
}
_SUBDOMAINS: Final = (
    Prefix(b"/report/v1", REPORTS),
    Prefix(b"/pto/v1", TIME_OFF),
    Prefix(b"/api", API),
    Prefix(b"", APP),
)
_PATHS: Final = {
    API: b"/api",
    REPORTS: b"/report/v1",
    TIME_OFF: b"/pto/v1",
    AUDIT: b"/auditlog/v1",
    APP: b"",
    SITE: b"",
}
_AT_HOME: Final = {
    REPORTS: ("reports.api.clockify.me", b"/v1", 9111),
    TIME_OFF: ("pto.api.clockify.me", b"/v1", 9112),
    AUDIT: ("auditlog-api.api.clockify.me", b"/v1", 9113),
    APP: ("app.clockify.me", b"", 9101),
}
_HOSTS: Final = {EU: "euc1", US: "use2", UK: "euw2", AU: "apse2"}


def routing_table(
    *,
    routes: tuple[Route, ...] = (),
    unknown_workspace: Unknown = Unknown.HOME,
    subdomains: str | None = SUFFIX,
    any_host: tuple[Prefix, ...] = (),
    templates: tuple[str, ...] = DEFAULT_TEMPLATES,
    more_prefixes: Mapping[str, tuple[Prefix, ...]] | None = None,
) -> RoutingTable:
    """The shipped table, changed as the test says. `more_prefixes` adds exact hosts."""
    regions = {GLOBAL: _home()} | {name: _region(name, label) for name, label in _HOSTS.items()}
    exact = {**_MATCHES, **(more_prefixes or {})}
    public = {name: region.public_url.host for name, region in regions.items()}
    return RoutingTable(
        exact_hosts=exact,
        suffix_hosts={SUFFIX: _SUBDOMAINS},
        any_host=any_host,
        workspace_id=re.compile("[0-9a-f]{24}", re.ASCII | re.IGNORECASE),
        templates=tuple(map(compile_template, templates)),
        subdomain_suffix=subdomains,
        own_hosts=frozenset(exact) | frozenset(public.values()),
        region_hosts={host: name for name, host in public.items() if name != GLOBAL},
        api_key_header="x-api-key",
        regions=regions,
        policy=Policy(home=GLOBAL, unknown_workspace=unknown_workspace, routes=routes),
    )


def head(
    target: str | bytes,
    host: str = "clockify.me",
    *,
    method: str = "GET",
    key: bytes | None = None,
    authority: str | None = None,
) -> RequestHead:
    """An admitted head for `target` on `host`. `authority` is what the client wrote where it is not `host`."""
    raw = target if isinstance(target, bytes) else target.encode("latin-1")
    return RequestHead(method, raw, 1, host, (authority or host).encode("ascii"), key)


def _public(host: str) -> PublicUrl:
    return PublicUrl("https", host, host)


def _home() -> Region:
    endpoints = {
        service.name: Endpoint(Origin("http", "127.0.0.1", 9101), _public("clockify.me"), path)
        for service, path in _PATHS.items()
    }
    for service, (host, path, port) in _AT_HOME.items():
        endpoints[service.name] = Endpoint(Origin("http", "127.0.0.1", port), _public(host), path)
    return Region(GLOBAL, "Global", endpoints, _public("clockify.me"))


def _region(name: RegionName, label: str) -> Region:
    url = _public(f"{label}.clockify.me")
    origin = Origin("https", f"{label}.internal", 8443, url.host)
    endpoints = {service.name: Endpoint(origin, url, path) for service, path in _PATHS.items()}
    return Region(name, label, endpoints, url)
