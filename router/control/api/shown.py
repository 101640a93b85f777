"""What the control API answers, from which the document that describes it is made.

The law of the room: what is answered of one thing says nothing that changes by itself with time: its tag can be
compared.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from router.control.access import Scope
from router.control.api.sent import Model
from router.model.journal import DeliveryState, EventType
from router.model.losses import Ending
from router.model.tenant import BackupState, MemberStatus
from router.model.transfer import TransferState

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-01-31T12:00:00Z"])]


class Refusal(Model):
    """One reason why something is not done."""

    type: str
    title: str
    detail: str
    code: int


class RegionState(Model):
    """A region as people choose it. `allowed` is null where no workspace was named."""

    name: str
    label: str
    home: bool
    accepting: bool
    public_url: str
    allowed: bool | None
    refusals: list[Refusal]


class Regions(Model):
    """All regions."""

    items: list[RegionState]


class WorkspaceState(Model):
    """A workspace as it is. `transfer` is the running one, which locks it."""

    workspace: str
    region: str
    epoch: int
    subdomain: str | None
    plan: str | None
    owner: str | None
    transfer: str | None


class Workspaces(Model):
    """One page; `next` is null on the last."""

    items: list[WorkspaceState]
    next: str | None


class MemberState(Model):
    """A member of a workspace."""

    member: str
    status: MemberStatus


class Members(Model):
    """One page; `next` is null on the last."""

    items: list[MemberState]
    next: str | None


class AccountState(Model):
    """A user has an account in a region that is not home."""

    member: str
    region: str


class Accounts(Model):
    """One page; `next` is null on the last."""

    items: list[AccountState]
    next: str | None


class KeyState(Model):
    """What an API key names, and what superseded it if something did."""

    digest: str
    workspace: str | None
    region: str | None
    superseded_by: str | None


class Keys(Model):
    """One page; `next` is null on the last."""

    items: list[KeyState]
    next: str | None


class BackupData(Model):
    """The copy that a transfer left at its source: locked until its hour has come, then to be deleted."""

    transfer: str
    workspace: str
    region: str
    state: BackupState
    created_at: Time
    locked_until: Time
    expired_at: Time | None


class Backups(Model):
    """One page; `next` is null on the last."""

    items: list[BackupData]
    next: str | None


class Resolution(Model):
    """Where a workspace, a subdomain or an API key leads, and in which regions a locked copy of it is fenced."""

    workspace: str | None
    region: str
    public_url: str | None
    epoch: int | None
    transfer: str | None
    key_superseded: bool
    backups: list[BackupData]


class WaitingFor(Model):
    """A gateway that has not applied a lock."""

    incarnation: str
    gateway: str
    host: str


class LostGateway(Model):
    """A gateway that went without saying what it left unfinished: `expired`, `forgotten` or `dead`."""

    incarnation: str
    gateway: str
    host: str
    ending: str
    at: Time


class UnansweredRequest(Model):
    """A request of the workspace that ended without a whole answer: the region may still be executing it."""

    request_id: str
    region: str
    incarnation: str
    ended_at: Time
    fault: str


class TransferReport(Model):
    """A transfer as it is. While it is `locking`, it waits for these gateways, or until the quarantine is over."""

    id: str
    workspace: str
    source: str
    destination: str
    state: TransferState
    requested_by: str
    started_at: Time
    deadline: Time
    ended_at: Time | None
    reason: str | None
    percent: int
    note: str | None
    waits_for: list[WaitingFor]
    quarantine_until: Time | None
    lost_gateways: list[LostGateway]
    unanswered_requests: list[UnansweredRequest]


class Transfers(Model):
    """One page, the newest first; `next` is null on the last."""

    items: list[TransferReport]
    next: str | None


class MovePreview(Model):
    """What a start would be answered, and what it would do."""

    allowed: bool
    refusals: list[Refusal]
    effects: list[str]
    warnings: list[str]


class GatewayState(Model):
    """One registration of a gateway's worker: how far it has applied the change feed, and when it was last heard of.

    `counts`: what it has applied counts, as it does in the present generation alone; `trusts_until`: it writes no
    longer than that if it is never renewed again.
    """

    incarnation: str
    gateway: str
    host: str
    lease_seconds: float
    generation: int
    counts: bool
    applied: int
    behind: int
    renewed_at: Time
    renewals: int
    trusts_until: Time


class Gateways(Model):
    """All registrations, and the newest change of the feed."""

    items: list[GatewayState]
    head: int


class ForgottenGateway(Model):
    """A registration that is gone: `forgotten`, or `dead` if that was proved. Unless its process is dead its requests
    may write until then.
    """

    incarnation: str
    gateway: str
    host: str
    ending: Ending
    may_write_until: Time | None


class DeliveryStatus(Model):
    """How far an event got on its way to one destination."""

    destination: str
    state: DeliveryState
    attempts: int
    next_attempt_at: Time | None
    ended_at: Time | None
    status: int | None
    trouble: str | None


class EventData(Model):
    """An event, as it is sent, and its deliveries."""

    id: str
    type: EventType
    workspace: str
    occurred_at: Time
    payload: dict[str, Any]
    deliveries: list[DeliveryStatus]


class Events(Model):
    """One page, the oldest first; `next` is null on the last."""

    items: list[EventData]
    next: str | None


class AuditLine(Model):
    """One change. `before` and `after` are what it changed, as it was and as it is."""

    number: int
    at: Time
    who: str
    action: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AuditLog(Model):
    """One page, the newest first; `next` is null on the last."""

    items: list[AuditLine]
    next: str | None


class Imported(Model):
    """How many rows were taken, and how many of them changed something."""

    rows: int
    changed: int


class Me(Model):
    """Who the token says you are."""

    name: str
    scopes: list[Scope]


class ProblemDocument(BaseModel):
    """RFC 9457, with the members `message` and `code` that the gateway's problems have too; some have more."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    message: str
    code: int
