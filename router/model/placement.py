"""Placements, absences and aliases: the facts that a directory holds, each with its version.

The law of the room: facts are ordered by their version alone, a pair (generation, number). A lower version never
replaces a higher one, whoever brings it. For a workspace the number is its *epoch*, which grows with every change; for
an alias (a subdomain or an API key) it is the `seq` of its last change. What was never known has number 0; deleting
leaves a tombstone, so an id that is created again goes on counting.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, NewType, TypeAlias

if TYPE_CHECKING:
    from router.model.region import RegionName
    from router.model.transfer import RunningTransfer

WorkspaceId = NewType("WorkspaceId", str)


class Kind(StrEnum):
    """What a directory can be asked for."""

    WORKSPACE = "workspace"
    SUBDOMAIN = "subdomain"
    KEY = "key"


class Entry(NamedTuple):
    """The name of one fact: a workspace id, a subdomain's label in lower case, or the SHA-256 of an API key in hex."""

    kind: Kind
    name: str


class Version(NamedTuple):
    """The only order that is trusted: which history of the directory, then the number within it."""

    generation: int
    number: int


@dataclass(frozen=True, slots=True)
class Placement:
    """A workspace is known and lives in `region`; `transfer` is the running one, which locks it."""

    workspace: WorkspaceId
    region: RegionName
    version: Version
    transfer: RunningTransfer | None = None

    @property
    def entry(self) -> Entry:
        """The name of this fact."""
        return Entry(Kind.WORKSPACE, self.workspace)

    @property
    def epoch(self) -> int:
        """The number that grows with every change of this placement, a roll-back included."""
        return self.version.number


@dataclass(frozen=True, slots=True)
class Absence:
    """The directory knows authoritatively that there is no such thing (number 0: never was; else a tombstone)."""

    entry: Entry
    version: Version


@dataclass(frozen=True, slots=True)
class Alias:
    """A subdomain or an API key names a workspace or, a key only, a region. Never both: a region would go stale.

    `superseded` marks a key that a transfer replaced: still routed, and known to get the region's 401.
    """

    entry: Entry
    version: Version
    workspace: WorkspaceId | None = None
    region: RegionName | None = None
    superseded: bool = False


Fact: TypeAlias = Placement | Absence | Alias


class Change(NamedTuple):
    """One element of the change feed: `fact` as it was committed at `seq`."""

    seq: int
    fact: Fact
