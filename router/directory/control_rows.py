"""Rows of the control plane and the values they stand for: what the dialects of a SQL directory have in common.

The law of the room is that of `router.directory.rows`: columns in the order that is written down here, rows read here.
"""

from __future__ import annotations

from typing import Any, Final

from router.directory.store import KeyDraft
from router.model.journal import Event, EventType
from router.model.placement import WorkspaceId
from router.model.region import RegionName
from router.model.tenant import Backup
from router.model.transfer import TransferId

EVENT_FIELDS: Final = "number, id, type, workspace, occurred_at, payload"
EVENTS: Final = f"SELECT {EVENT_FIELDS} FROM event"  # noqa: S608 - constants only
EVENT_OF_DELIVERY: Final = "e.number, e.id, e.type, e.workspace, e.occurred_at, e.payload"
KEYS: Final = (
    "SELECT digest, workspace, region, superseded_by FROM api_key WHERE (workspace IS NOT NULL OR region IS NOT NULL)"
)
BACKUP_FIELDS: Final = "transfer, workspace, region, created_at, locked_until, expired_at"
BACKUPS: Final = f"SELECT {BACKUP_FIELDS} FROM backup"  # noqa: S608 - constants only


def event_of(row: tuple[Any, ...]) -> Event:
    """The event of `EVENT_FIELDS`."""
    number, id_, kind, workspace, occurred_at, payload = row
    return Event(number, id_, EventType(kind), WorkspaceId(workspace), occurred_at, payload)


def key_of(row: tuple[Any, ...]) -> KeyDraft:
    """The key of a row of `KEYS`."""
    digest, workspace, region, superseded_by = row
    return KeyDraft(
        digest,
        None if workspace is None else WorkspaceId(workspace),
        None if region is None else RegionName(region),
        superseded_by,
    )


def backup_of(row: tuple[Any, ...]) -> Backup:
    """The backup of `BACKUP_FIELDS`."""
    transfer, workspace, region, *times = row
    return Backup(TransferId(transfer), WorkspaceId(workspace), RegionName(region), *times)
