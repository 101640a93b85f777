"""What the control plane knows of a workspace beside its placement: members, their regional accounts, backups.

The law of the room: ids and states only. Names, addresses and data of people stay with the backends.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NewType

if TYPE_CHECKING:
    from router.model.placement import WorkspaceId
    from router.model.region import RegionName
    from router.model.transfer import TransferId

MemberId = NewType("MemberId", str)


class MemberStatus(StrEnum):
    """Where a member stands in a workspace. Only active ones are told of a transfer."""

    ACTIVE = "active"
    PENDING = "pending"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True)
class Member:
    """A user of a workspace."""

    workspace: WorkspaceId
    member: MemberId
    status: MemberStatus


@dataclass(frozen=True, slots=True)
class Account:
    """A user has an account in a region. At home everybody has one, so home is never listed."""

    member: MemberId
    region: RegionName


class BackupState(StrEnum):
    """What may be done with a backup: nothing while it is locked, and then it is gone."""

    LOCKED = "locked"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Backup:
    """The copy that a completed transfer left at its source. Times are seconds since 1970.

    It is `locked` until it is marked as expired, which is what its deletion waits for: not until the hour has come.
    """

    transfer: TransferId
    workspace: WorkspaceId
    region: RegionName
    created_at: float
    locked_until: float
    expired_at: float | None = None

    @property
    def state(self) -> BackupState:
        """Locked, or expired."""
        return BackupState.LOCKED if self.expired_at is None else BackupState.EXPIRED
