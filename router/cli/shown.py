"""A transfer as commands show it: the same fields whether the directory was asked, or a control API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from router.model.timestamp import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.cli.desk import Fields
    from router.control.transfers import TransferStatus

PLAIN = (
    "id",
    "workspace",
    "source",
    "destination",
    "state",
    "requested_by",
    "started_at",
    "deadline",
    "ended_at",
    "reason",
    "percent",
    "note",
)
"""What is said of a transfer in one word each."""


def transfer_fields(status: TransferStatus, now: float) -> Fields:
    """What this process has found out, at `now` (seconds since 1970)."""
    transfer, progress = status.transfer, status.progress
    return {
        "id": transfer.id,
        "workspace": transfer.workspace,
        "source": transfer.source,
        "destination": transfer.destination,
        "state": transfer.state.value,
        "requested_by": transfer.requested_by,
        "started_at": rfc3339(transfer.started_at),
        "deadline": rfc3339(transfer.deadline),
        "ended_at": None if transfer.ended_at is None else rfc3339(transfer.ended_at),
        "reason": transfer.reason,
        "percent": 0 if progress is None else progress.percent,
        "note": None if progress is None else progress.note,
        "obstacles": list(status.obstacles(now)),
        "waits_for": [
            {
                "incarnation": waiting.row.incarnation,
                "gateway": waiting.row.gateway,
                "host": waiting.row.host,
                "renewed_at": rfc3339(waiting.row.renewed_at),
                "until": rfc3339(waiting.until),
            }
            for waiting in status.waits_for
        ],
        "lost_gateways": [
            _lost(
                gateway=one.gateway,
                host=one.host,
                incarnation=one.incarnation,
                ending=one.ending.value,
                at=rfc3339(one.at),
            )
            for one in status.losses.gateways
        ],
        "unanswered_requests": [
            _unanswered(
                request_id=one.request_id,
                region=one.region,
                incarnation=one.incarnation,
                fault=one.fault,
                ended_at=rfc3339(one.ended_at),
            )
            for one in status.losses.requests
        ],
        "changed": status.changed,
    }


def reported_fields(report: Mapping[str, Any], *, changed: bool) -> Fields:
    """What a control API has answered. It does not say since when it has not heard of those it waits for."""
    obstacles = [
        f"gateway {one['gateway']} on host {one['host']} has not applied the lock (incarnation {one['incarnation']})"
        for one in report["waits_for"]
    ]
    if report["state"] == "locking" and report["quarantine_until"] is not None:
        until = report["quarantine_until"]
        obstacles.insert(0, f"the restored directory may lack gateways: no barrier holds before {until}")
    return {
        **{name: report[name] for name in PLAIN},
        "obstacles": obstacles,
        "waits_for": [{**one, "renewed_at": None, "until": None} for one in report["waits_for"]],
        "lost_gateways": [_lost(**one) for one in report["lost_gateways"]],
        "unanswered_requests": [_unanswered(**one) for one in report["unanswered_requests"]],
        "changed": changed,
    }


def gateway_fields(state: Mapping[str, Any]) -> Fields:
    """A registration, of what the control plane shows of it."""
    return {
        "gateway": state["gateway"],
        "host": state["host"],
        "incarnation": state["incarnation"],
        "lease": state["lease_seconds"],
        "generation": state["generation"],
        "counts": state["counts"],
        "applied": state["applied"],
        "head": state["applied"] + state["behind"],
        "renewed_at": state["renewed_at"],
        "renewals": state["renewals"],
        "trusts_until": state["trusts_until"],
    }


def _lost(*, gateway: str, host: str, incarnation: str, ending: str, at: str) -> Fields:
    return {"lost_gateway": gateway, "host": host, "incarnation": incarnation, "ending": ending, "at": at}


def _unanswered(*, request_id: str, region: str, incarnation: str, fault: str, ended_at: str) -> Fields:
    """Without a name and a region: there were more than a gateway can remember."""
    return {
        "unanswered_request": request_id or None,
        "region": region or None,
        "incarnation": incarnation,
        "fault": fault,
        "ended_at": ended_at,
    }
