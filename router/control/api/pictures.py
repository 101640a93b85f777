"""Values of the model → what the control API shows of them. Nothing here decides anything."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from router.control.api import shown
from router.model.tenant import BackupState
from router.model.timestamp import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from router.control.gateways import Forgotten, GatewayStatus
    from router.control.lifecycle import Preview, Report
    from router.control.ports import ControlTransaction
    from router.control.problems import Objection
    from router.directory.store import KeyDraft, WorkspaceRecord
    from router.model.journal import AuditEntry, Delivery, Event
    from router.model.placement import WorkspaceId
    from router.model.tenant import Backup

BACKUPS_SHOWN = 100
"""Locked copies of one workspace. It leaves one a transfer."""


def workspace_state(record: WorkspaceRecord) -> shown.WorkspaceState:
    """A workspace."""
    placement = record.placement
    return shown.WorkspaceState(
        workspace=placement.workspace,
        region=placement.region,
        epoch=placement.epoch,
        subdomain=record.subdomain,
        plan=record.plan,
        owner=record.owner,
        transfer=None if placement.transfer is None else placement.transfer.id,
    )


def key_state(key: KeyDraft) -> shown.KeyState:
    """An API key."""
    return shown.KeyState(
        digest=key.digest, workspace=key.workspace, region=key.region, superseded_by=key.superseded_by
    )


def move_preview(seen: Preview) -> shown.MovePreview:
    """What a start would be answered, and what it would do."""
    return shown.MovePreview(
        allowed=not seen.objections,
        refusals=refusals(seen.objections),
        effects=list(seen.effects),
        warnings=list(seen.warnings),
    )


def refusals(objections: Iterable[Objection]) -> list[shown.Refusal]:
    """Reasons why something is not done."""
    return [
        shown.Refusal(
            type=one.problem.type, title=one.problem.spec.title, detail=one.detail, code=one.problem.spec.code
        )
        for one in objections
    ]


def transfer_report(tx: ControlTransaction, report: Report) -> shown.TransferReport:
    """A transfer, and what it cannot know the end of."""
    transfer, progress = report.transfer, report.progress
    losses = tx.losses(transfer.id)
    return shown.TransferReport(
        id=transfer.id,
        workspace=transfer.workspace,
        source=transfer.source,
        destination=transfer.destination,
        state=transfer.state,
        requested_by=transfer.requested_by,
        started_at=rfc3339(transfer.started_at),
        deadline=rfc3339(transfer.deadline),
        ended_at=_time(transfer.ended_at),
        reason=transfer.reason,
        percent=0 if progress is None else progress.percent,
        note=None if progress is None else progress.note,
        waits_for=[
            shown.WaitingFor(incarnation=row.incarnation, gateway=row.gateway, host=row.host)
            for row in report.waits_for
        ],
        quarantine_until=rfc3339(report.quarantine_until) if report.quarantine_until else None,
        lost_gateways=[
            shown.LostGateway(
                incarnation=one.incarnation, gateway=one.gateway, host=one.host, ending=one.ending, at=rfc3339(one.at)
            )
            for one in losses.gateways
        ],
        unanswered_requests=[
            shown.UnansweredRequest(
                request_id=one.request_id,
                region=one.region,
                incarnation=one.incarnation,
                ended_at=rfc3339(one.ended_at),
                fault=one.fault,
            )
            for one in losses.requests
        ],
    )


def backup_data(backup: Backup) -> shown.BackupData:
    """A backup."""
    return shown.BackupData(
        transfer=backup.transfer,
        workspace=backup.workspace,
        region=backup.region,
        state=backup.state,
        created_at=rfc3339(backup.created_at),
        locked_until=rfc3339(backup.locked_until),
        expired_at=_time(backup.expired_at),
    )


def fenced_copies(tx: ControlTransaction, workspace: WorkspaceId | None) -> list[shown.BackupData]:
    """The locked copies of a workspace."""
    if workspace is None:
        return []
    found = tx.backups(workspace=workspace, state=BackupState.LOCKED, limit=BACKUPS_SHOWN)
    return [backup_data(backup) for backup in found]


def gateway_state(status: GatewayStatus) -> shown.GatewayState:
    """A registration."""
    row = status.row
    return shown.GatewayState(
        incarnation=row.incarnation,
        gateway=row.gateway,
        host=row.host,
        lease_seconds=row.lease,
        generation=row.generation,
        counts=status.counts,
        applied=row.applied,
        behind=max(0, status.head - row.applied),
        renewed_at=rfc3339(row.renewed_at),
        renewals=row.renewals,
        trusts_until=rfc3339(status.trusts_until),
    )


def forgotten_gateway(forgotten: Forgotten) -> shown.ForgottenGateway:
    """A registration that was taken away."""
    row = forgotten.row
    return shown.ForgottenGateway(
        incarnation=row.incarnation,
        gateway=row.gateway,
        host=row.host,
        ending=forgotten.ending,
        may_write_until=_time(forgotten.may_write_until),
    )


def event_data(event: Event, deliveries: Sequence[Delivery]) -> shown.EventData:
    """An event with its deliveries."""
    return shown.EventData(
        id=event.id,
        type=event.type,
        workspace=event.workspace,
        occurred_at=rfc3339(event.occurred_at),
        payload=json.loads(event.payload),
        deliveries=[
            shown.DeliveryStatus(
                destination=one.destination,
                state=one.state,
                attempts=one.attempts,
                next_attempt_at=rfc3339(one.due_at) if one.ended_at is None else None,
                ended_at=_time(one.ended_at),
                status=one.status,
                trouble=one.trouble,
            )
            for one in deliveries
        ],
    )


def audit_line(entry: AuditEntry) -> shown.AuditLine:
    """A line of the audit log."""
    return shown.AuditLine(
        number=entry.number,
        at=rfc3339(entry.at),
        who=entry.who,
        action=entry.action,
        subject=entry.subject,
        before=None if entry.before is None else json.loads(entry.before),
        after=None if entry.after is None else json.loads(entry.after),
    )


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)
