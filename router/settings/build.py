"""From a checked document to frozen runtime values. Pure: nothing here fails once the checks have passed."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, TypeVar

from router.directory.hostlock import locks_of
from router.directory.options import DirectoryOptions
from router.directory.postgres.options import PostgresOptions
from router.gateway.cors import Cors
from router.gateway.options import GatewayOptions
from router.gateway.tls import ServerIdentity
from router.model.region import Endpoint, Origin, Region, RegionName, ServiceName, TlsFiles
from router.routing.table import Policy, Prefix, Route, RoutingTable, Service
from router.settings.control import build_control
from router.settings.directories import DEFAULT_LOCKS
from router.settings.grammar import SqliteUrl, strip_brackets
from router.settings.resolve import resolve
from router.settings.telemetry import build_telemetry
from router.settings.values import DirectorySettings, ServingSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from router.model.region import PublicUrl
    from router.settings.directories import PostgresUrl
    from router.settings.directory_table import DirectoryTable
    from router.settings.grammar import OriginUrl
    from router.settings.problems import ConfigProblem
    from router.settings.schema import CorsTable, Document, GatewayTable, PolicyTable, TlsTable

Value = TypeVar("Value")


def build(document: Document, folder: Path, warnings: tuple[ConfigProblem, ...]) -> Settings:
    """The settings of `document`, in which nothing is missing; relative files are in `folder`."""
    table = build_table(document, folder)
    return Settings(
        listen=document.gateway.listen,
        ops_listen=document.ops.listen,
        serving=build_serving(document, folder),
        files=_files(document, folder),
        gateway=replace(
            build_gateway(document.gateway),
            cors=build_cors(document.cors),
            log_sample=document.log.access_sample if document.log.access else None,
            trace_sample=None if document.tracing.endpoint is None else document.tracing.sample,
        ),
        directory=build_directory(document.directory, folder),
        control=build_control(document, folder, table),
        telemetry=build_telemetry(document),
        table=table,
        warnings=warnings,
    )


def build_serving(document: Document, folder: Path) -> ServingSettings:
    """What the process does besides what its gateway does."""
    gateway = document.gateway
    tls = gateway.tls
    identity = None
    if tls.cert is not None:
        identity = ServerIdentity(folder / tls.cert, None if tls.key is None else folder / tls.key)
    return ServingSettings(tls.listen, identity, gateway.proxy_protocol, gateway.drain_delay, document.reload.interval)


def build_gateway(table: GatewayTable) -> GatewayOptions:
    """Timeouts are `[gateway.timeouts]` with `_timeout` behind their names; the rest has the same names."""
    timeouts = {f"{name}_timeout": value for name, value in table.timeouts.model_dump().items()}
    return GatewayOptions(
        **timeouts,
        **table.limits.model_dump(),
        **table.upstream.model_dump(),
        trusted_proxies=table.trusted_proxies,
        forwarded=table.forwarded,
        underscore_fields=table.underscore_fields,
    )


def build_cors(table: CorsTable) -> Cors | None:
    """`None` where nobody's pages may read anything."""
    if not table.allow_origins:
        return None
    return Cors(
        origins=table.allow_origins,
        credentials=table.allow_credentials,
        methods=table.allow_methods,
        headers=table.allow_headers,
        exposed=table.expose_headers,
        max_age=table.max_age,
    )


def build_directory(table: DirectoryTable, folder: Path) -> DirectorySettings:
    """Options have the same names as the settings."""
    options = {field.name: getattr(table, field.name) for field in fields(DirectoryOptions)}
    if isinstance(table.url, SqliteUrl):
        file = folder / table.url.file
        return DirectorySettings(file, str(file), locks_of(file), table.id, DirectoryOptions(**options))
    return DirectorySettings(
        build_postgres(table, table.url),
        table.url.name,
        folder / (table.locks or DEFAULT_LOCKS),
        table.id,
        DirectoryOptions(**options),
    )


def build_postgres(table: DirectoryTable, url: PostgresUrl) -> PostgresOptions:
    """Options that are no URLs have the same names as the settings."""
    names = [field.name for field in fields(PostgresOptions) if not field.name.endswith("url")]
    return PostgresOptions(
        url=url.text,
        replica_url=None if table.replica_url is None else table.replica_url.text,
        listen_url=None if table.listen_url is None else table.listen_url.text,
        **{name: getattr(table, name) for name in names},
    )


def build_table(document: Document, folder: Path) -> RoutingTable:
    """All that identify and decide know."""
    regions = _regions(document, folder)
    hosts = _hosts(document)
    identify = document.identify
    home = RegionName(document.policy.home)
    return RoutingTable(
        exact_hosts={host: prefixes for host, prefixes in hosts.items() if not host.startswith("*")},
        suffix_hosts={host[2:]: prefixes for host, prefixes in hosts.items() if host.startswith("*.")},
        any_host=hosts.get("*", ()),
        workspace_id=identify.workspace_id,
        templates=identify.paths,
        subdomain_suffix=identify.subdomains[2:] if identify.subdomains else None,
        own_hosts=frozenset(host for host in hosts if not host.startswith("*")) | _public_hosts(regions.values()),
        region_hosts=_region_hosts(regions, home),
        api_key_header=identify.api_key_header,
        regions=regions,
        policy=_policy(document.policy),
    )


def _regions(document: Document, folder: Path) -> dict[RegionName, Region]:
    regions = {}
    for key, table in document.regions.items():
        name = RegionName(key)
        endpoints = {ServiceName(service): _endpoint(document, key, service, folder) for service in document.services}
        regions[name] = Region(name, table.label or key, endpoints, _present(table.public_url))
    return regions


def _endpoint(document: Document, region: str, service: str, folder: Path) -> Endpoint:
    pair = resolve(document, region, service)
    public_url = _present(pair.public_url)
    return Endpoint(
        origin=_origin(_present(pair.origin), public_url, pair.tls, folder),
        public_url=public_url,
        path=_present(pair.path),
    )


def _origin(url: OriginUrl, public_url: PublicUrl, tls: TlsTable | None, folder: Path) -> Origin:
    if url.scheme == "http":
        return Origin(url.scheme, url.host, url.port)
    server_name = strip_brackets(public_url.host)
    if tls is None:
        return Origin(url.scheme, url.host, url.port, server_name)
    ca, cert, key = (None if file is None else folder / file for file in (tls.ca, tls.cert, tls.key))
    files = TlsFiles(ca, cert, key, tls.server_name)
    return Origin(url.scheme, url.host, url.port, tls.server_name or server_name, files)


def _hosts(document: Document) -> dict[str, tuple[Prefix, ...]]:
    """Host pattern → its prefixes, longest first: the first that takes a path is the one."""
    hosts: dict[str, list[Prefix]] = {}
    for name, table in document.services.items():
        region = None if table.region is None else RegionName(table.region)
        service = Service(ServiceName(name), table.action, region)
        for match in table.match:
            hosts.setdefault(match.host, []).append(Prefix(match.prefix, service))
    return {
        host: tuple(sorted(prefixes, key=lambda prefix: len(prefix.path), reverse=True))
        for host, prefixes in hosts.items()
    }


def _public_hosts(regions: Iterable[Region]) -> frozenset[str]:
    return frozenset(
        url.host
        for region in regions
        for url in (region.public_url, *(end.public_url for end in region.endpoints.values()))
    )


def _region_hosts(regions: Mapping[RegionName, Region], home: RegionName) -> dict[str, RegionName]:
    """A public host that two regions share (behind different ports, say) names neither."""
    owners: dict[str, set[RegionName]] = {}
    for name, region in regions.items():
        for host in _public_hosts([region]):
            owners.setdefault(host, set()).add(name)
    return {host: next(iter(names)) for host, names in owners.items() if len(names) == 1 and home not in names}


def _policy(table: PolicyTable) -> Policy:
    routes = tuple(
        Route(
            service=None if route.service is None else ServiceName(route.service),
            method=route.method,
            path=route.path,
            action=route.action,
            region=None if route.region is None else RegionName(route.region),
        )
        for route in table.routes
    )
    return Policy(
        RegionName(table.home),
        table.unknown_workspace,
        table.disclose_region,
        routes,
        frozenset(table.stale_statuses),
        table.hide_regions,
        table.mode,
    )


def _files(document: Document, folder: Path) -> tuple[Path, ...]:
    """Every file that is named, the directory's own left out."""
    tables = [table.tls for table in document.regions.values()]
    tables += [override.tls for table in document.regions.values() for override in table.services.values()]
    named = [file for tls in tables if tls is not None for file in (tls.ca, tls.cert, tls.key)]
    named += [document.gateway.tls.cert, document.gateway.tls.key]
    named += [document.control.tls.cert, document.control.tls.key]
    return tuple(dict.fromkeys(folder / file for file in named if file is not None))


def _present(value: Value | None) -> Value:
    """What the checks have made sure of."""
    if value is None:
        raise LookupError("a document with problems cannot be built")
    return value
