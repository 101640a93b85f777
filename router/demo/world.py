"""What there is in the demo: its regions, its workspaces and their names, its configuration file."""

from __future__ import annotations

import logging
from hashlib import sha256
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Final

from router.directory.store import KeyDraft, StoreError, WorkspaceDraft
from router.model.placement import Alias, Entry, Kind, WorkspaceId
from router.model.region import RegionName
from router.settings.load import load

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from router.directory.store import LookupStore, Store, WorkspaceStore
    from router.settings.values import Settings

GLOBAL, EU, US, UK, AU = REGIONS = tuple(RegionName(name) for name in ("global", "eu", "us", "uk", "au"))
PLACED: Final = {region: WorkspaceId(f"64a687e29ae1f428e7ebe30{n}") for n, region in enumerate(REGIONS, start=1)}
"""One workspace at rest in each region."""
MOVING: Final = WorkspaceId("64a687e29ae1f428e7ebe3ff")
SOURCE: Final = EU
DESTINATION: Final = US
SUBDOMAIN: Final = "acme"
API_KEY: Final = "demo-key-eu"

OWNER: Final = "5f8d0c2e7a1b4c3d9e6f7a80"
"""Of every workspace: the user who may move it."""

_PLAN: Final = "PRO"
_LISTED: Final = 100

_log = logging.getLogger(__name__)


def configure(
    folder: Path, origins: Mapping[RegionName, str], *, port: int, ops_port: int, token: str
) -> tuple[Path, Settings]:
    """Write the configuration file into `folder` and load it. `origins` has the URL of each region, `token` is the
    control API's.

    The environment is left out: what is set there is meant for a real gateway, and may name its directory.
    Raises `ConfigError` for ports that can't be used, `OSError`.
    """
    template = Template(files("router.demo").joinpath("demo.toml").read_text("utf-8"))
    named_origins = {f"{region}_origin": origin for region, origin in origins.items()}
    path = folder / "router.toml"
    token_hash = sha256(token.encode()).hexdigest()
    path.write_text(template.substitute(named_origins, port=port, ops_port=ops_port, token_hash=token_hash), "utf-8")
    return path, load(path, {})


async def populate(store: Store) -> None:
    """Put the workspaces, the subdomain and the key into an empty directory. Raises `StoreError`."""
    at_rest = [
        WorkspaceDraft(workspace, region, SUBDOMAIN if region == EU else None, _PLAN, OWNER)
        for region, workspace in PLACED.items()
    ]
    await store.put_workspaces([*at_rest, WorkspaceDraft(MOVING, SOURCE, None, _PLAN, OWNER)])
    await store.put_keys([KeyDraft(sha256(API_KEY.encode()).hexdigest(), region=EU)])


class Tenancy:
    """What the global backend knows of its member, whose all workspaces of the demo are: where each of them lives."""

    def __init__(self, store: WorkspaceStore) -> None:
        self._store = store
        self._bases: Mapping[RegionName, str] = {}

    def learn(self, settings: Settings) -> None:
        """Under which URL each region serves the API."""
        self._bases = {
            name: f"{end.public_url}{end.path.decode('ascii')}/v1/workspaces"
            for name, region in settings.table.regions.items()
            for service, end in region.endpoints.items()
            if service == "api"
        }

    async def workspaces(self) -> list[dict[str, str]]:
        """Each with its region and its URL there. Raises `StoreError`."""
        found = await self._store.list_workspaces(region=None, after=None, limit=_LISTED)
        placements = [record.placement for record in found]
        return [
            {"id": one.workspace, "region": one.region, "url": f"{self._bases[one.region]}/{one.workspace}"}
            for one in placements
        ]


def superseded_keys(store: LookupStore) -> Callable[[str], Awaitable[bool]]:
    """Whether the directory knows that a transfer superseded a key, which is given by its SHA-256 in hex."""

    async def is_superseded(digest: str) -> bool:
        try:
            fact = (await store.lookup(Entry(Kind.KEY, digest), primary=True)).fact
        except StoreError as error:
            # A real region has a record of its own: the gateway's directory failing must not show in its answers.
            _log.warning("a demo region takes a key for good: %s", error)
            return False
        return isinstance(fact, Alias) and fact.superseded

    return is_superseded
