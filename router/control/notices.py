"""What others are told: an event's payload, in the form of Standard Webhooks, appended with the change it tells of."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

from router.control.rules import effects
from router.model.journal import EventType
from router.model.tenant import MemberStatus
from router.model.timestamp import rfc3339

if TYPE_CHECKING:
    from router.control.options import ControlOptions
    from router.control.ports import ControlTransaction
    from router.model.placement import WorkspaceId
    from router.model.tenant import Backup
    from router.model.transfer import Transfer


def announce_transfer(
    tx: ControlTransaction, kind: EventType, transfer: Transfer, *, now: float, options: ControlOptions
) -> None:
    """Tell of a transfer that has started or ended: which members to write to, and what it does to them."""
    members = [one.member for one in tx.members(transfer.workspace) if one.status is MemberStatus.ACTIVE]
    data = {
        "workspace": transfer.workspace,
        "transfer": transfer.id,
        "source": transfer.source,
        "destination": transfer.destination,
        "state": transfer.state,
        "requested_by": transfer.requested_by,
        "started_at": rfc3339(transfer.started_at),
        "deadline": rfc3339(transfer.deadline),
        "ended_at": None if transfer.ended_at is None else rfc3339(transfer.ended_at),
        "reason": transfer.reason,
        "members": members,
        "effects": list(effects(options)) if kind is not EventType.TRANSFER_FAILED else [],
    }
    _append(tx, kind, transfer.workspace, data, now=now, options=options)


def announce_expiry(tx: ControlTransaction, backup: Backup, *, now: float, options: ControlOptions) -> None:
    """Tell that a backup may be deleted now."""
    data = {
        "workspace": backup.workspace,
        "transfer": backup.transfer,
        "region": backup.region,
        "created_at": rfc3339(backup.created_at),
        "locked_until": rfc3339(backup.locked_until),
    }
    _append(tx, EventType.BACKUP_EXPIRED, backup.workspace, data, now=now, options=options)


def _append(
    tx: ControlTransaction,
    kind: EventType,
    workspace: WorkspaceId,
    data: dict[str, Any],
    *,
    now: float,
    options: ControlOptions,
) -> None:
    payload = json.dumps({"type": kind, "timestamp": rfc3339(now), "data": data}, ensure_ascii=False)
    tx.append_event(
        f"evt_{secrets.token_hex(16)}", kind, workspace, at=now, payload=payload, destinations=options.destinations
    )
