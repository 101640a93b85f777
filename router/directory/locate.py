"""Locate: the facts that one target needs, read from the cache in one synchronous step.

The join, in the order of who names the workspace: the path; else the subdomain (an unknown one then names an unknown
workspace); else the API key, whose row names a workspace or a region. A subdomain is read whenever there is one,
because it must not contradict the path. Text in an id's place names an unknown workspace without asking. Every fact
read is *held*: the decision rests on it, a "not found" included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from router.model.placement import Alias, Entry, Kind, Placement
from router.routing.values import Located, Source

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.directory.ledger import Hold
    from router.model.placement import Fact, WorkspaceId
    from router.model.region import RegionName
    from router.routing.values import Target


class Found(NamedTuple):
    """All that the directory knows of a target, and what a decision on it rests on (to be entered in the ledger)."""

    located: Located
    holds: tuple[Hold, ...]


class Missing(NamedTuple):
    """These entries have to be fetched before anything can be said."""

    entries: tuple[Entry, ...]


class Unavailable(NamedTuple):
    """The directory can't be used now. `reason` is one line for the log, never for the client."""

    reason: str


Lookup: TypeAlias = Found | Missing | Unavailable

_WORKSPACE: Final = Kind.WORKSPACE
NOTHING: Final = Found(Located(), ())
"""What is found of a target that asks nothing of the directory: it belongs to no term."""


def asks(target: Target) -> bool:
    """Whether anything of `target` has to be looked up."""
    if target.workspace is not None:
        return True
    return not target.malformed and (target.subdomain is not None or target.key is not None)


def join(target: Target, read: Callable[[Entry], Fact | None], source: Source) -> Found | Missing:
    """Read what `target` needs. `source` is what to say of facts that are there; none there at all is `NEGATIVE`."""
    if target.subdomain is None and target.workspace is not None:
        return _join_workspace(target.workspace, read, source)
    reading = _Reading(read)
    workspace = target.workspace
    subdomain_workspace: WorkspaceId | None = None
    key_workspace: WorkspaceId | None = None
    key_region: RegionName | None = None
    if target.subdomain is not None:
        alias = reading.alias(Entry(Kind.SUBDOMAIN, target.subdomain))
        subdomain_workspace = alias.workspace if alias is not None else None
        workspace = workspace or subdomain_workspace
    elif target.key is not None:
        alias = reading.alias(Entry(Kind.KEY, target.key))
        if alias is not None:
            workspace, key_workspace, key_region = alias.workspace, alias.workspace, alias.region
    placement = reading.placement(workspace) if workspace is not None else None
    if reading.missing:
        return Missing(tuple(reading.missing))
    if placement is None and key_region is None:
        source = _of_nothing(source)
    return Found(Located(placement, subdomain_workspace, key_workspace, key_region, source), tuple(reading.holds))


def _join_workspace(workspace: WorkspaceId, read: Callable[[Entry], Fact | None], source: Source) -> Found | Missing:
    """The case of nearly every request, without what only the others need."""
    entry = tuple.__new__(Entry, (_WORKSPACE, workspace))
    fact = read(entry)
    if fact is None:
        return Missing((entry,))
    if isinstance(fact, Placement):
        located = tuple.__new__(Located, (fact, None, None, None, source))
        return tuple.__new__(Found, (located, ((entry, fact.version),)))
    return Found(Located(source=_of_nothing(source)), ((entry, fact.version),))


def _of_nothing(source: Source) -> Source:
    return Source.NEGATIVE if source is Source.HIT else source


class _Reading:
    """What was read for one target, and what was not there."""

    def __init__(self, read: Callable[[Entry], Fact | None]) -> None:
        self._read = read
        self.holds: list[Hold] = []
        self.missing: list[Entry] = []

    def alias(self, entry: Entry) -> Alias | None:
        fact = self._fact(entry)
        return fact if isinstance(fact, Alias) else None

    def placement(self, workspace: WorkspaceId) -> Placement | None:
        fact = self._fact(Entry(Kind.WORKSPACE, workspace))
        return fact if isinstance(fact, Placement) else None

    def _fact(self, entry: Entry) -> Fact | None:
        fact = self._read(entry)
        if fact is None:
            self.missing.append(entry)
        else:
            self.holds.append((entry, fact.version))
        return fact
