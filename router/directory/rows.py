"""Rows of a SQL directory and the facts they stand for: what its dialects have in common.

The law of the room: a query names its columns in the order that is written down here, whatever the dialect, and its
rows are read here and nowhere else.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from router.directory.store import WorkspaceRecord
from router.model.placement import Absence, Alias, Entry, Fact, Kind, Placement, Version, WorkspaceId
from router.model.region import RegionName
from router.model.transfer import RunningTransfer, Transfer, TransferId, TransferState

TRANSFER_COLUMNS: Final = "t.id, t.source, t.destination, t.started_at, t.deadline"
"""What a fact needs of the transfer `t` that locks its workspace."""

CHANGE_COLUMNS: Final = "c.kind, c.name, c.number, c.region, c.workspace, c.superseded"
"""What `fact` reads of the change `c`, in front of `TRANSFER_COLUMNS`."""

TRANSFER_FIELDS: Final = (
    "id, workspace, source, destination, state, requested_by, started_at, deadline, lock_seq, ended_at, reason"
)
"""In the order of the fields of `Transfer`."""

RUNNING: Final = "state IN ('locking', 'transferring')"
"""Of a transfer: it locks its workspace."""

LOSSES_KEPT: Final = 24 * 3600.0
"""Seconds that a loss is kept for transfers to come. No region executes a request that long."""

KEPT_CHANGES: Final = 100_000
"""How many of the newest changes the feed keeps, unless its store is told otherwise."""


class Payload(NamedTuple):
    """A fact as it stands in a row of the feed: neither region nor workspace is an absence."""

    kind: Kind
    name: str
    region: RegionName | None = None
    workspace: WorkspaceId | None = None
    superseded: bool = False
    transfer: str | None = None


def fact(row: tuple[Any, ...], generation: int) -> Fact:
    """The fact of a row: kind, name, number, region, workspace, superseded, then `TRANSFER_COLUMNS`."""
    kind, name, number, region, workspace, superseded, *running = row
    entry, version = Entry(Kind(kind), name), Version(generation, number)
    if region is None and workspace is None:
        return Absence(entry, version)
    if entry.kind is Kind.WORKSPACE:
        transfer = None if running[0] is None else RunningTransfer(*running)
        return Placement(WorkspaceId(name), region, version, transfer)
    return Alias(entry, version, workspace, region, bool(superseded))


def record_of(row: tuple[Any, ...], generation: int) -> WorkspaceRecord:
    """The workspace of a row: what `fact` reads, then subdomain, plan and owner."""
    *columns, subdomain, plan, owner = row
    placement = fact(tuple(columns), generation)
    if not isinstance(placement, Placement):
        raise TypeError(f"a workspace's row gave {placement!r}")
    return WorkspaceRecord(placement, subdomain, plan, owner)


def transfer_of(row: tuple[Any, ...]) -> Transfer:
    """The transfer of a row of `TRANSFER_FIELDS`."""
    id_, workspace, source, destination, state, *rest = row
    return Transfer(
        TransferId(id_),
        WorkspaceId(workspace),
        RegionName(source),
        RegionName(destination),
        TransferState(state),
        *rest,
    )
