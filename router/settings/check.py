"""What the document says as a whole: names that must exist, things that must not meet, files that must be readable.

The law of the room: each check is on its own, reads a document that may lack anything, and reports at the place that
has to be mended. Nothing stops at the first problem.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from router.model.flaw import did_you_mean, quote
from router.routing.table import Action, Disclose, Mode
from router.settings.certificates import certificate_faults
from router.settings.control import check_control, check_control_files
from router.settings.directories import check_directory
from router.settings.grammar import SocketFile, is_loopback
from router.settings.listeners import (
    WILDCARDS,
    check_gateway_tls,
    check_listeners,
    check_proxy_protocol,
    listeners,
    overlap,
)
from router.settings.problems import show_place
from router.settings.resolve import resolve
from router.settings.telemetry import check_tracing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from router.settings.grammar import Address, Match, OriginUrl
    from router.settings.problems import Findings, Place
    from router.settings.schema import ControlTlsTable, Document, GatewayTlsTable, RouteTable, TlsTable

_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_CONDITIONS: Final = frozenset({"service", "method", "path"})
_OUTCOMES: Final = frozenset({"action", "region"})


def check(document: Document, folder: Path, findings: Findings) -> None:
    """Report every problem of `document`; relative files are looked for in `folder`."""
    for one in CHECKS:
        one(document, findings)
    check_files(document, folder, findings)


def check_names(document: Document, findings: Findings) -> None:
    """There are services and regions, and their names can stand in metrics and environment variables."""
    if not document.services:
        findings.problem(("services",), "there is no service", "declare one, as in [services.api]")
    if not document.regions:
        findings.problem(("regions",), "there is no region", "declare one, as in [regions.global]")
    for table, names in (("services", document.services), ("regions", document.regions)):
        for name in names:
            if not _NAME.fullmatch(name):
                mend = "use at most 63 lower-case letters, digits and single inner hyphens, as in time-off"
                findings.problem((table, name), "the name cannot be used", mend)


def check_services(document: Document, findings: Findings) -> None:
    """Each service has hosts and a path; its region exists."""
    for name, service in document.services.items():
        place: Place = ("services", name)
        if not service.match:
            mend = 'write match = ["clockify.me/api"] or the like'
            findings.problem((*place, "match"), "the service has no host", mend)
        if service.path is None:
            mend = 'write what regions serve it under, as in path = "/api"'
            findings.problem((*place, "path"), "the service has no path", mend)
        _check_region((*place, "region"), service.region, document, findings)
        if service.action is Action.REDIRECT:
            _warn_redirect((*place, "action"), findings)


def check_matches(document: Document, findings: Findings) -> None:
    """No two matches are equal; a match of any host is said aloud."""
    seen: dict[Match, Place] = {}
    for name, service in document.services.items():
        for index, match in enumerate(service.match):
            place: Place = ("services", name, "match", index)
            first = seen.setdefault(match, place)
            if first != place:
                text = f"the same host and prefix as {show_place(first)}"
                findings.problem(place, text, "keep one of the two, or give one a longer prefix")
            if match.host == "*":
                findings.warn(place, "takes every host that nothing else takes", "name the hosts that are served")


def check_policy(document: Document, findings: Findings) -> None:
    """Home is a region; each route has conditions, one outcome, and names what exists."""
    policy = document.policy
    _check_region(("policy", "home"), policy.home, document, findings)
    if policy.mode is Mode.OBSERVE:
        text = "every request goes home, and no lock is held"
        findings.warn(("policy", "mode"), text, 'read router_observed_total, and set it to "enforce" when it is right')
    for index, route in enumerate(policy.routes):
        place: Place = ("policy", "routes", index)
        _check_route(place, route, findings)
        _check_service((*place, "service"), route.service, document, findings)
        _check_region((*place, "region"), route.region, document, findings)
        if route.action is Action.REDIRECT:
            _warn_redirect((*place, "action"), findings)


def check_regions(document: Document, findings: Findings) -> None:
    """Each region can be reached and redirected to; its overrides are of services that exist."""
    for name, region in document.regions.items():
        place: Place = ("regions", name)
        if region.public_url is None:
            mend = 'write where clients find it, as in public_url = "https://euc1.clockify.me"'
            findings.problem((*place, "public_url"), "the region has no public URL", mend)
        if any(_lacks_origin(document, name, service, findings) for service in document.services):
            mend = 'write where the gateway connects, as in origin = "https://euc1.internal:8443"'
            findings.problem((*place, "origin"), "the region has no origin", mend)
        for service in region.services:
            _check_service((*place, "services", service), service, document, findings)


def check_origins(document: Document, findings: Findings) -> None:
    """No origin is the gateway itself; credentials do not travel in the clear unnoticed."""
    for place, origin in _origins(document):
        listener = next(
            (one for listen, one in listeners(document) if listen[0] == "gateway" and _reaches(origin, one)), None
        )
        if listener is not None:
            findings.problem(
                place, f"is this gateway's own listener {listener}", "name the region's backend: this is a loop"
            )
        if origin.scheme == "http" and not is_loopback(origin.host):
            findings.warn(place, "credentials and data travel to it unencrypted", "use https outside one machine")


def check_tls(document: Document, findings: Findings) -> None:
    """A `tls` table is used by an https origin, and a key has its certificate."""
    used = {
        pair.tls_place
        for region in document.regions
        for service in document.services
        if (pair := resolve(document, region, service)).origin is None or pair.origin.scheme == "https"
    }
    for place, tls in _tls_tables(document):
        if tls.key is not None and tls.cert is None:
            findings.problem((*place, "cert"), "there is a key without its certificate", "name the certificate's file")
        if place not in used:
            findings.problem(place, "no https origin uses it", "make the origin https, or remove the table")


def check_trust(document: Document, findings: Findings) -> None:
    """Credentials are for origins that have a name; what undoes a promise is said aloud."""
    cors = document.cors
    if cors.allow_credentials and "*" in cors.allow_origins:
        text = "browsers accept no credentials from an answer that is for everybody"
        findings.problem(("cors", "allow_origins"), text, "name the origins, or set allow_credentials = false")
    for index, network in enumerate(document.gateway.trusted_proxies):
        if network.prefixlen == 0:
            text = "anybody can say that a request comes from somebody else"
            findings.warn(("gateway", "trusted_proxies", index), text, "name the load balancers' own addresses")
    if document.policy.hide_regions and document.policy.disclose_region is not Disclose.NEVER:
        text = "regions are hidden in Location, and told in X-Router-Region"
        findings.warn(("policy", "disclose_region"), text, 'set it to "never"')


def check_numbers(document: Document, findings: Findings) -> None:
    """Numbers that only make sense together."""
    directory = document.directory
    if directory.lease <= directory.poll_interval + directory.renewal_timeout:
        text = "ends before it could be renewed once"
        findings.problem(("directory", "lease"), text, "make it longer than poll_interval and renewal_timeout together")
    limits = document.gateway.limits
    for name, size in (("max_request_line", limits.max_request_line), ("max_field", limits.max_field)):
        if size > limits.max_head:
            findings.problem(
                ("gateway", "limits", name), "is more than max_head", "make it smaller, or max_head larger"
            )


CHECKS: Final[tuple[Callable[[Document, Findings], None], ...]] = (
    check_names,
    check_services,
    check_matches,
    check_policy,
    check_regions,
    check_origins,
    check_tls,
    check_listeners,
    check_gateway_tls,
    check_proxy_protocol,
    check_trust,
    check_directory,
    check_numbers,
    check_control,
    check_tracing,
)


def check_files(document: Document, folder: Path, findings: Findings) -> None:
    """Every file that is named can be read and used. The directory's own file may not exist yet."""
    check_control_files(document, folder, findings)
    tables: list[tuple[Place, TlsTable | GatewayTlsTable | ControlTlsTable]] = [
        (("gateway", "tls"), document.gateway.tls),
        (("control", "tls"), document.control.tls),
    ]
    for place, tls in (*tables, *_tls_tables(document)):
        files = {name: folder / file for name in ("ca", "cert", "key") if (file := getattr(tls, name, None))}
        readable = {}
        for name, file in files.items():
            if reason := _unreadable(file):
                findings.problem((*place, name), f"the file cannot be read ({reason})", "name a readable PEM file")
            else:
                readable[name] = file
        if not {"cert", "key"} & files.keys() <= readable.keys():
            # Neither can be judged without the other.
            readable = {name: file for name, file in readable.items() if name == "ca"}
        for fault in certificate_faults(**readable):
            findings.problem((*place, fault.name), fault.text, fault.mend)


def _check_route(place: Place, route: RouteTable, findings: Findings) -> None:
    wrong = {name for name in _CONDITIONS | _OUTCOMES if findings.echoes((*place, name))}
    if route.service is None and route.method is None and route.path is None and not wrong & _CONDITIONS:
        findings.problem(place, "the route fits everything", "give it a service, a method or a path")
    if route.action is None and route.region is None and not wrong & _OUTCOMES:
        findings.problem(place, "the route changes nothing", "give it an action or a region")
    if route.action is not None and route.region is not None:
        findings.problem(place, "the route has an action and a region", "keep one of the two, or write two routes")


def _lacks_origin(document: Document, region: str, service: str, findings: Findings) -> bool:
    override: Place = ("regions", region, "services", service, "origin")
    return resolve(document, region, service).origin is None and not findings.echoes(override)


def _check_service(place: Place, name: str | None, document: Document, findings: Findings) -> None:
    _check_known(place, "service", name, document.services, findings)


def _check_region(place: Place, name: str | None, document: Document, findings: Findings) -> None:
    _check_known(place, "region", name, document.regions, findings)


def _check_known(place: Place, what: str, name: str | None, known: Iterable[str], findings: Findings) -> None:
    names = sorted(known)
    # Without any, that alone is the problem and has been reported.
    if name is not None and names and name not in names:
        mend = did_you_mean(get_close_matches(name, names, n=2), names)
        findings.problem(place, f"there is no {what} {quote(name)}", mend)


def _warn_redirect(place: Place, findings: Findings) -> None:
    text = "some clients fail on any redirect, others take credentials along, and a lock cannot hold who was sent away"
    findings.warn(place, text, "proxy, except for browsers")


def _origins(document: Document) -> Iterator[tuple[Place, OriginUrl]]:
    for name, region in document.regions.items():
        if region.origin is not None:
            yield ("regions", name, "origin"), region.origin
        for service, override in region.services.items():
            if override.origin is not None:
                yield ("regions", name, "services", service, "origin"), override.origin


def _tls_tables(document: Document) -> Iterator[tuple[Place, TlsTable]]:
    for name, region in document.regions.items():
        if region.tls is not None:
            yield ("regions", name, "tls"), region.tls
        for service, override in region.services.items():
            if override.tls is not None:
                yield ("regions", name, "services", service, "tls"), override.tls


def _reaches(origin: OriginUrl, listener: Address | SocketFile) -> bool:
    if isinstance(listener, SocketFile) or origin.port != listener.port:
        return False
    if origin.host == listener.host:
        return True
    if not is_loopback(origin.host):
        return False
    if listener.host in WILDCARDS:
        return origin.host == "localhost" or overlap(origin.host, listener.host)
    return "localhost" in {origin.host, listener.host} and is_loopback(listener.host)


def _unreadable(file: Path) -> str | None:
    try:
        if not file.is_file():
            return "not a file" if file.exists() else "no such file"
        with file.open("rb"):
            return None
    except OSError as error:
        return error.strerror or "unreadable"
