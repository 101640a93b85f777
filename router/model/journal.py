"""What is written down beside a change, in its own transaction: progress, events, deliveries, the audit log, answers.

Theory. An event is true from the commit of the change that it tells of, and only then, so it is written with it and
delivered afterwards, from the table, as often as it takes. `number` is the order of the commits. All times are seconds
since 1970.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from router.model.placement import WorkspaceId


class EventType(StrEnum):
    """What others are told of."""

    TRANSFER_STARTED = "transfer.started"
    TRANSFER_COMPLETED = "transfer.completed"
    TRANSFER_FAILED = "transfer.failed"
    BACKUP_EXPIRED = "backup.expired"


class DeliveryState(StrEnum):
    """How far an event got on its way to one destination. A dead one was tried for a day, and is kept to be resent."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Event:
    """`id` is random and the same for every attempt; `payload` is the JSON text that is signed and sent."""

    number: int
    id: str
    type: EventType
    workspace: WorkspaceId
    occurred_at: float
    payload: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to the destination of that name."""

    event: int
    destination: str
    state: DeliveryState
    attempts: int
    due_at: float
    first_attempt_at: float | None = None
    ended_at: float | None = None
    status: int | None = None
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that one process alone attempts until its lease is over, and what it needs for that."""

    event: Event
    destination: str
    attempts: int
    first_attempt_at: float | None
    holder: str


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change: who made it, what it was, and its subject before and after, as JSON texts."""

    number: int
    at: float
    who: str
    action: str
    subject: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the job says it has come: 0 … 100, and a note for people."""

    percent: int
    note: str | None
    reported_at: float


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What was answered to a request with an idempotency key. `fingerprint` is the hash of the request."""

    fingerprint: str
    status: int
    fields: str
    body: str
