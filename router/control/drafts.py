"""The rules of what a person says of a workspace: ids, regions, subdomains, texts. Each text → its value, or a flaw.

The law of the room: what is compared in one form is stored in that form. Ids and subdomains are looked up in lower
case, so they are put in lower case. What could never be looked up is refused: an id that the configured pattern does
not take, a subdomain that is a host of our own.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from router.directory.store import WorkspaceDraft
from router.model.flaw import Flaw, did_you_mean, quote
from router.model.placement import WorkspaceId
from router.model.region import RegionName

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


T = TypeVar("T")

REQUIRED: Final = ("workspace", "region")
OPTIONAL: Final = ("subdomain", "plan", "owner")
COLUMNS: Final = REQUIRED + OPTIONAL

_LONGEST: Final = 200
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")


class Names(Protocol):
    """What a configuration says of names."""

    @property
    def workspace_id(self) -> re.Pattern[str]:
        """What an id looks like, in lower case."""

    @property
    def regions(self) -> Collection[RegionName]:
        """All regions."""

    @property
    def subdomain_suffix(self) -> str | None:
        """Behind which label, if any, a workspace's subdomain stands."""

    @property
    def own_hosts(self) -> Collection[str]:
        """Hosts of services and regions."""


def read_draft(texts: Mapping[str, str | None], names: Names) -> WorkspaceDraft | tuple[Flaw, ...]:
    """A draft from the texts of its columns, or all that is wrong with them. What is empty is left as it is."""
    flaws: list[Flaw] = []

    def keep(value: T | Flaw) -> T | None:
        if isinstance(value, Flaw):
            flaws.append(value)
            return None
        return value

    subdomain, plan, owner = (texts.get(name) for name in OPTIONAL)
    workspace = keep(read_workspace(texts.get("workspace") or "", names))
    region = keep(read_region(texts.get("region") or "", names))
    label = keep(read_subdomain(subdomain, names)) if subdomain else None
    plan = keep(_read_text("plan", plan)) if plan else None
    owner = keep(_read_text("owner", owner)) if owner else None
    if workspace is None or region is None or flaws:
        return tuple(flaws)
    return WorkspaceDraft(workspace, region, label, plan, owner)


def read_workspace(text: str, names: Names) -> WorkspaceId | Flaw:
    """A workspace's id, in lower case."""
    workspace = text.strip().lower()
    if not names.workspace_id.fullmatch(workspace):
        what = f"{quote(text)} is not a workspace id" if workspace else "is missing"
        return Flaw("workspace", what, f"write one that matches {names.workspace_id.pattern}")
    return WorkspaceId(workspace)


def read_region(text: str, names: Names) -> RegionName | Flaw:
    """The name of a configured region."""
    region = RegionName(text.strip())
    if region not in names.regions:
        known = sorted(names.regions)
        what = f"{quote(text)} is not configured" if region else "is missing"
        return Flaw("region", what, did_you_mean(get_close_matches(region, known), known))
    return region


def read_subdomain(text: str, names: Names) -> str | Flaw:
    """The label in front of the configured subdomains, in lower case."""
    label = text.strip().lower()
    if not _LABEL.fullmatch(label):
        return Flaw("subdomain", f"{quote(text)} is not one label of a host", "write only what stands before the dot")
    if names.subdomain_suffix is not None and f"{label}.{names.subdomain_suffix}" in names.own_hosts:
        return Flaw("subdomain", f"{quote(text)} is a host of a service or a region", "choose another label")
    return label


def _read_text(column: str, text: str) -> str | Flaw:
    if not text.strip() or len(text) > _LONGEST or not text.isprintable():
        what = f"the text is empty, longer than {_LONGEST} characters or not printable"
        return Flaw(column, what, "write one short line")
    return text
