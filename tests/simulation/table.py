"""What is simulated: three regions, two workspaces, a subdomain and keys that name them, and a routing table."""

from __future__ import annotations

import re
from typing import Final

from router.model.placement import Entry, Kind, WorkspaceId
from router.model.region import Endpoint, Origin, PublicUrl, Region, RegionName, ServiceName
from router.routing.table import Policy, RoutingTable, Service
from router.routing.values import Target

HOME: Final = RegionName("global")
EU: Final = RegionName("eu")
US: Final = RegionName("us")
REGIONS: Final = (HOME, EU, US)

W1: Final = WorkspaceId("64a687e29ae1f428e7ebe301")
W2: Final = WorkspaceId("64a687e29ae1f428e7ebe302")
WORKSPACES: Final = {"W1": W1, "W2": W2}

SUBDOMAIN: Final = Entry(Kind.SUBDOMAIN, "acme")
KEY: Final = Entry(Kind.KEY, "a" * 64)
REGION_KEY: Final = Entry(Kind.KEY, "b" * 64)
ALIASES: Final = {"subdomain": SUBDOMAIN, "key": KEY, "region key": REGION_KEY}

_API: Final = Service(ServiceName("api"))

TARGETS: Final = {
    "W1": Target(_API, b"/v1/x", W1),
    "W2": Target(_API, b"/v1/x", W2),
    "subdomain": Target(_API, b"/v1/x", subdomain=SUBDOMAIN.name),
    "key": Target(_API, b"/v1/x", key=KEY.name),
    "region key": Target(_API, b"/v1/x", key=REGION_KEY.name),
}
"""What requests may be for."""


def workspace_entry(workspace: WorkspaceId) -> Entry:
    """The name of its placement."""
    return Entry(Kind.WORKSPACE, workspace)


def short(workspace: str) -> str:
    """A workspace as stories call it."""
    return f"W{workspace[-1]}"


def _region(name: RegionName) -> Region:
    url = PublicUrl("https", f"{name}.example", f"{name}.example")
    endpoint = Endpoint(Origin("http", f"{name}.internal", 80), url, b"")
    return Region(name, name.upper(), {_API.name: endpoint}, url)


TABLE: Final = RoutingTable(
    exact_hosts={},
    suffix_hosts={},
    any_host=(),
    workspace_id=re.compile("[0-9a-f]{24}"),
    templates=(),
    subdomain_suffix="example",
    own_hosts=frozenset(),
    region_hosts={},
    api_key_header="x-api-key",
    regions={name: _region(name) for name in REGIONS},
    policy=Policy(HOME),
)
