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

    from router.directory.store import LookupStore, Store
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

_log = logging.getLogger(__name__)


def configure(folder: Path, origins: Mapping[RegionName, str], *, port: int, ops_port: int) -> tuple[Path, Settings]:
    """Write the configuration file into `folder` and load it. `origins` has the URL of each region.

    The environment is left out: what is set there is meant for a real gateway, and may name its directory.
    Raises `ConfigError` for ports that can't be used, `OSError`.
    """
    template = Template(files("router.demo").joinpath("demo.toml").read_text("utf-8"))
    named_origins = {f"{region}_origin": origin for region, origin in origins.items()}
    path = folder / "router.toml"
    path.write_text(template.substitute(named_origins, port=port, ops_port=ops_port), "utf-8")
    return path, load(path, {})


async def populate(store: Store) -> None:
    """Put the workspaces, the subdomain and the key into an empty directory. Raises `StoreError`."""
    at_rest = [
        WorkspaceDraft(workspace, region, SUBDOMAIN if region == EU else None, _PLAN, OWNER)
        for region, workspace in PLACED.items()
    ]
    await store.put_workspaces([*at_rest, WorkspaceDraft(MOVING, SOURCE, None, _PLAN, OWNER)])
    await store.put_keys([KeyDraft(sha256(API_KEY.encode()).hexdigest(), region=EU)])


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
