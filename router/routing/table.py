"""The routing table: what the configuration says of hosts, services, workspaces and policy, as frozen values.

The law of the room: built once by `router.settings.build`, never changed; whatever a request could make us compare is
stored here as it is compared (hosts in lower case, prefixes and templates as raw bytes).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING, Final, NamedTuple

from router.routing.plain import compile_plain, share_a_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.model.region import Endpoint, Region, RegionName, ServiceName


class Action(StrEnum):
    """What is done with a request for a region that is not home."""

    PROXY = "proxy"
    REDIRECT = "redirect"


class Unknown(StrEnum):
    """What is done with a workspace that the directory authoritatively does not know."""

    HOME = "home"
    REFUSE = "refuse"


class Disclose(StrEnum):
    """When an answer names the region that a workspace lives in."""

    SUCCESS = "success"
    ALWAYS = "always"
    NEVER = "never"


class Mode(StrEnum):
    """Whether decisions are carried out."""

    ENFORCE = "enforce"
    OBSERVE = "observe"


@dataclass(frozen=True, slots=True)
class Service:
    """One service. `region` pins every request of it there: no workspace is looked for."""

    name: ServiceName
    action: Action = Action.PROXY
    region: RegionName | None = None


@dataclass(frozen=True, slots=True)
class Prefix:
    """One `match` behind its host. `path` has no trailing slash and is empty for the whole host."""

    path: bytes
    service: Service


@dataclass(frozen=True, slots=True)
class Template:
    """A path template, compiled: anchored behind at most one `v[0-9]+`, `{workspace}` and `*` one segment each.

    `pattern` matches raw bytes of the rest of a path; its only group, where there is one, is the id's segment.
    """

    text: str
    pattern: re.Pattern[bytes]


@dataclass(frozen=True, slots=True)
class Route:
    """One `[[policy.routes]]`: conditions that must all hold, and what then wins over the service's action."""

    service: ServiceName | None = None
    method: str | None = None
    path: Template | None = None
    action: Action | None = None
    region: RegionName | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """What is decided where the directory leaves a choice.

    - `stale_statuses`: with these a region says that a workspace is not its own.
    - `hide_regions`: a region's Location that names itself is told as the client would write it.
    - `mode`: whether decisions are carried out, or every request goes home and they are only counted.
    """

    home: RegionName
    unknown_workspace: Unknown = Unknown.HOME
    disclose_region: Disclose = Disclose.SUCCESS
    routes: tuple[Route, ...] = ()
    stale_statuses: frozenset[int] = frozenset({421})
    hide_regions: bool = False
    mode: Mode = Mode.ENFORCE


class HostView(NamedTuple):
    """What a host means here.

    - `prefixes`: of the most specific pattern that takes it, longest first; `None` if the host is not ours.
    - `subdomain`: its label, where that may name a workspace; `region`: the region whose public host it is.
    - `plain`: a pattern that reads most targets at once (`router.routing.plain`), where there can be one;
      `services`: its first group → the service.
    """

    prefixes: tuple[Prefix, ...] | None
    subdomain: str | None
    region: RegionName | None
    plain: re.Pattern[bytes] | None
    services: Mapping[bytes, Service]


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """All that `identify` and `decide` know.

    - `exact_hosts`, `suffix_hosts`, `any_host`: host → its prefixes, longest first. A suffix is stored without its
      `*.`; hosts have no port and no trailing dot, IPv6 is in brackets.
    - `subdomain_suffix`: the part behind `*.` of `identify.subdomains`, or `None`.
    - `own_hosts`: hosts that are never read as a workspace's subdomain: exact hosts of services and of public URLs.
    - `region_hosts`: public hosts of regions other than home → that region.
    - `templates`: the templates of `identify.paths`; each has the group of the id.
    - `api_key_header`: the field's name in lower case.
    - `host_views`: what hosts were found to mean, remembered: a function of the host and of what stands above.
    """

    exact_hosts: Mapping[str, tuple[Prefix, ...]]
    suffix_hosts: Mapping[str, tuple[Prefix, ...]]
    any_host: tuple[Prefix, ...]
    workspace_id: re.Pattern[str]
    templates: tuple[Template, ...]
    subdomain_suffix: str | None
    own_hosts: frozenset[str]
    region_hosts: Mapping[str, RegionName]
    api_key_header: str
    regions: Mapping[RegionName, Region]
    policy: Policy
    host_views: dict[str, HostView] = field(default_factory=dict, init=False, repr=False, compare=False)

    def view(self, host: str) -> HostView:
        """What `host` means here."""
        view = self.host_views.get(host)
        if view is None:
            view = self._view(host)
            if len(self.host_views) >= _REMEMBERED_HOSTS:
                self.host_views.clear()
            self.host_views[host] = view
        return view

    def _view(self, host: str) -> HostView:
        prefixes = self._prefixes_of(host)
        services = {prefix.path: prefix.service for prefix in prefixes or ()}
        plain = None
        # Only of the default pattern it is known what it is in bytes.
        if self.workspace_id.pattern == DEFAULT_WORKSPACE_ID:
            plain = compile_plain(services, (template.text for template in self.templates), b"[0-9A-Fa-f]{24}")
        return HostView(prefixes, self._subdomain_of(host), self.region_hosts.get(host), plain, services)

    def _prefixes_of(self, host: str) -> tuple[Prefix, ...] | None:
        """A host that only a region or the subdomain pattern knows is ours, without any prefix."""
        prefixes = self.exact_hosts.get(host)
        if prefixes is not None:
            return prefixes
        label, dot, suffix = host.partition(".")
        if dot and label:
            prefixes = self.suffix_hosts.get(suffix)
            if prefixes is not None:
                return prefixes
        if self.any_host:
            return self.any_host
        if host in self.own_hosts or (dot and label and suffix == self.subdomain_suffix):
            return ()
        return None

    def _subdomain_of(self, host: str) -> str | None:
        """The label that may name a workspace, unless `host` itself is a service's or a region's."""
        if self.subdomain_suffix is None or host in self.own_hosts:
            return None
        label, _, suffix = host.partition(".")
        return label if label and suffix == self.subdomain_suffix else None

    def endpoint(self, region: RegionName, service: ServiceName) -> Endpoint:
        """Where `service` is in `region`. Every pair exists: the configuration was checked."""
        return self.regions[region].endpoints[service]


_REMEMBERED_HOSTS: Final = 4096

DEFAULT_WORKSPACE_ID: Final = "[0-9a-f]{24}"
DEFAULT_TEMPLATES: Final = (
    "/workspaces/{workspace}",
    "/users/*/defaultWorkspace/{workspace}",
    "/invitations/workspaces/{workspace}",
)


def compile_template(text: str) -> Template:
    """Compile `/users/*/defaultWorkspace/{workspace}`.

    Raises `ValueError` with one line that says what is wrong with `text`.
    """
    if not text.startswith("/") or text.endswith("/"):
        raise ValueError("a template starts with / and does not end with one")
    parts = []
    for segment in text[1:].split("/"):
        if segment == "{workspace}":
            parts.append(rb"([^/?]*)")
        elif segment == "*":
            parts.append(rb"[^/?]*")
        elif re.fullmatch(r"[A-Za-z0-9._~!$&'()+,=:@-]+", segment):
            parts.append(re.escape(segment.encode("ascii")))
        else:
            raise ValueError(f"segment {segment!r} is neither plain text nor * nor {{workspace}}")
    if sum(part.startswith(b"(") for part in parts) > 1:
        raise ValueError("{workspace} may stand once")
    return Template(text, re.compile(rb"(?:/v[0-9]+)?/" + b"/".join(parts) + rb"(?=[/?]|\Z)"))


@lru_cache(maxsize=4)
def shared_depth(templates: tuple[Template, ...]) -> int:
    """How many segments, a version's included, the ids of one path may lie in; 0 if no two templates share a path.

    Where `/workspaces/{workspace}/copy/{workspace}` is told as two templates, a reader may find the second id in a form
    that the first one's end would leave uninspected.
    """
    segments = [template.text.split("/")[1:] for template in templates]
    shared = [max(len(one), len(other)) for one, other in combinations(segments, 2) if share_a_path(one, other)]
    return max(shared) + 1 if shared else 0
