"""Transfers: a workspace's move to another region, as a table of states and events.

Theory. A transfer is born `locking`: from that commit on its workspace is locked, but a gateway that has not heard of
it may still be writing. It becomes `transferring` only when the lock barrier holds (`router.model.barrier`), and only
then may the job copy data. It ends `completed` (the workspace lives at the destination) or `failed` (it stays where it
was). Every step, a roll-back included, makes the workspace's epoch grow. Calls may be repeated: a job that crashed and
asks again for what already happened gets the same answer, `UNCHANGED`, instead of an error.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NewType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.model.placement import WorkspaceId
    from router.model.region import RegionName

TransferId = NewType("TransferId", str)

DEFAULT_DURATION: Final = 12 * 3600.0
"""Seconds until a transfer's deadline, unless the caller says otherwise."""


class TransferState(StrEnum):
    """Where a transfer stands."""

    LOCKING = "locking"
    TRANSFERRING = "transferring"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def running(self) -> bool:
        """Whether the workspace is locked by it."""
        return self in {TransferState.LOCKING, TransferState.TRANSFERRING}


class TransferEvent(StrEnum):
    """What can happen to a transfer."""

    BARRIER_HOLDS = "barrier_holds"
    COMPLETE = "complete"
    FAIL = "fail"
    ABORT = "abort"


class Refusal(StrEnum):
    """Why an event does nothing in a state. `UNCHANGED` is a repeated call and no error."""

    UNCHANGED = "it already is"
    NOT_TRANSFERRING = "the lock barrier does not hold yet: wait until it is transferring"
    TOO_LATE_TO_ABORT = "copying may have begun: use fail"
    ENDED = "it has ended otherwise"


TRANSITIONS: Final[Mapping[tuple[TransferState, TransferEvent], TransferState | Refusal]] = {
    (TransferState.LOCKING, TransferEvent.BARRIER_HOLDS): TransferState.TRANSFERRING,
    (TransferState.LOCKING, TransferEvent.COMPLETE): Refusal.NOT_TRANSFERRING,
    (TransferState.LOCKING, TransferEvent.FAIL): TransferState.FAILED,
    (TransferState.LOCKING, TransferEvent.ABORT): TransferState.FAILED,
    (TransferState.TRANSFERRING, TransferEvent.BARRIER_HOLDS): Refusal.UNCHANGED,
    (TransferState.TRANSFERRING, TransferEvent.COMPLETE): TransferState.COMPLETED,
    (TransferState.TRANSFERRING, TransferEvent.FAIL): TransferState.FAILED,
    (TransferState.TRANSFERRING, TransferEvent.ABORT): Refusal.TOO_LATE_TO_ABORT,
    (TransferState.COMPLETED, TransferEvent.BARRIER_HOLDS): Refusal.ENDED,
    (TransferState.COMPLETED, TransferEvent.COMPLETE): Refusal.UNCHANGED,
    (TransferState.COMPLETED, TransferEvent.FAIL): Refusal.ENDED,
    (TransferState.COMPLETED, TransferEvent.ABORT): Refusal.ENDED,
    (TransferState.FAILED, TransferEvent.BARRIER_HOLDS): Refusal.ENDED,
    (TransferState.FAILED, TransferEvent.COMPLETE): Refusal.ENDED,
    (TransferState.FAILED, TransferEvent.FAIL): Refusal.UNCHANGED,
    (TransferState.FAILED, TransferEvent.ABORT): Refusal.UNCHANGED,
}


@dataclass(frozen=True, slots=True)
class RunningTransfer:
    """What a gateway needs to know of the transfer that locks a workspace. Times are seconds since 1970."""

    id: TransferId
    source: RegionName
    destination: RegionName
    started_at: float
    deadline: float


@dataclass(frozen=True, slots=True)
class Transfer:
    """A move, from its start to its end. `lock_seq` is the feed position of the lock that gateways must apply."""

    id: TransferId
    workspace: WorkspaceId
    source: RegionName
    destination: RegionName
    state: TransferState
    requested_by: str
    started_at: float
    deadline: float
    lock_seq: int
    ended_at: float | None = None
    reason: str | None = None

    @property
    def home(self) -> RegionName:
        """Where the workspace lives in this state."""
        return self.destination if self.state is TransferState.COMPLETED else self.source

    @property
    def running(self) -> RunningTransfer | None:
        """The lock this transfer puts on its workspace, if it still does."""
        if not self.state.running:
            return None
        return RunningTransfer(self.id, self.source, self.destination, self.started_at, self.deadline)


def advance(transfer: Transfer, event: TransferEvent, *, now: float, reason: str | None = None) -> Transfer | Refusal:
    """What `event` makes of `transfer`, or why it does nothing. An abort is a failure with the reason `aborted`."""
    step = TRANSITIONS[transfer.state, event]
    if isinstance(step, Refusal):
        return step
    if step.running:
        return replace(transfer, state=step)
    if event is TransferEvent.ABORT:
        reason = "aborted"
    return replace(transfer, state=step, ended_at=now, reason=reason)
