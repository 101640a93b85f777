"""What the control plane asks of a store: one transaction, and the rows that can be read and written in it.

Theory. A rule of the product reads several things and writes several others, and all of it must be true together. So
this room does not ask a store for one call per rule: it hands the store a function over a `ControlTransaction`, which
the store runs in one transaction, alone (`transact`) or on one snapshot (`read`). The rules are written once, in this
package, and a dialect is only the rows.

The law of the room: a function that is handed over is synchronous, runs in a thread of the store's, awaits nothing,
reads no clock, and touches nothing but the transaction; what it returns is kept, what it raises rolls all of it back.
Lists are in the order of their cursor, behind `after`, and at most `limit` long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from router.directory.store import KeyDraft, WorkspaceDraft, WorkspaceRecord
    from router.model.barrier import BarrierView
    from router.model.journal import (
        AuditEntry,
        Claim,
        Delivery,
        DeliveryState,
        Event,
        EventType,
        Progress,
        StoredAnswer,
    )
    from router.model.losses import Ending, Losses
    from router.model.placement import WorkspaceId
    from router.model.region import RegionName
    from router.model.tenant import Account, Backup, BackupState, Member, MemberId
    from router.model.transfer import Refusal, Transfer, TransferEvent, TransferId, TransferState

T = TypeVar("T")


class TenantRows(Protocol):
    """Workspaces, their members and keys, and who has an account where."""

    def workspace(self, workspace: WorkspaceId) -> WorkspaceRecord | None:
        """The workspace, or `None`."""

    def workspaces(
        self,
        *,
        region: RegionName | None = None,
        plan: str | None = None,
        owner: str | None = None,
        member: MemberId | None = None,
        locked: bool | None = None,
        after: WorkspaceId | None = None,
        limit: int,
    ) -> tuple[WorkspaceRecord, ...]:
        """Those that fit all that is given."""

    def put_workspaces(self, drafts: Sequence[WorkspaceDraft], *, progress: Callable[[int], None] | None = None) -> int:
        """See `router.directory.store.WorkspaceStore`. Raises `WriteRefusedError`."""

    def clear_workspace(self, workspace: WorkspaceId, *, subdomain: bool, plan: bool, owner: bool) -> None:
        """Take away what is named: a draft can only leave it as it is. The workspace is in no transfer."""

    def delete_workspace(self, workspace: WorkspaceId) -> bool:
        """See `router.directory.store.WorkspaceStore`; its members go with it. Raises `WriteRefusedError`."""

    def workspace_of_subdomain(self, label: str) -> WorkspaceId | None:
        """Which workspace has that subdomain now."""

    def member(self, workspace: WorkspaceId, member: MemberId) -> Member | None:
        """One member, or `None`."""

    def members(
        self, workspace: WorkspaceId, *, after: MemberId | None = None, limit: int | None = None
    ) -> tuple[Member, ...]:
        """Those of one workspace; all of them without a limit."""

    def put_member(self, member: Member) -> None:
        """Insert or replace."""

    def remove_member(self, workspace: WorkspaceId, member: MemberId) -> bool:
        """`False` if there was none."""

    def accounts(
        self,
        *,
        member: MemberId | None = None,
        region: RegionName | None = None,
        after: Account | None = None,
        limit: int,
    ) -> tuple[Account, ...]:
        """By member, then region."""

    def put_account(self, account: Account) -> bool:
        """`False` if it was there."""

    def remove_account(self, account: Account) -> bool:
        """`False` if there was none."""

    def members_with_account(self, workspace: WorkspaceId, region: RegionName, *, limit: int) -> tuple[MemberId, ...]:
        """The members of a workspace, whatever their status, who have an account in `region`."""

    def move_accounts(self, workspace: WorkspaceId, source: RegionName, destination: RegionName) -> None:
        """Give all members an account at `destination`; take that at `source` from those of them who have no other
        workspace there. Called when the workspace lives at `destination` already.
        """

    def key(self, digest: str) -> KeyDraft | None:
        """What the key names, or `None` if it names nothing."""

    def keys(
        self, *, workspace: WorkspaceId | None = None, after: str | None = None, limit: int
    ) -> tuple[KeyDraft, ...]:
        """By digest."""

    def put_key(self, draft: KeyDraft) -> bool:
        """`False` if that changes nothing. Raises `WriteRefusedError`."""

    def supersede_keys(self, workspace: WorkspaceId, by: TransferId) -> int:
        """Mark all keys of a workspace that nothing has superseded yet, and return how many."""


class TransferRows(Protocol):
    """Transfers, their progress, and the backups they leave."""

    def transfer(self, transfer: TransferId) -> Transfer | None:
        """The transfer, or `None`."""

    def transfers(
        self,
        *,
        workspace: WorkspaceId | None = None,
        states: Collection[TransferState] | None = None,
        before: int | None = None,
        limit: int,
    ) -> tuple[Transfer, ...]:
        """The newest first, with a `lock_seq` below `before`; `None`: in any state."""

    def overdue(self, now: float, *, limit: int) -> tuple[Transfer, ...]:
        """Those that run and whose deadline is over, the oldest deadline first."""

    def start(self, transfer: Transfer, *, losses_since: float) -> Transfer:
        """See `router.directory.store.TransferStore.start_transfer`. Raises `WriteRefusedError`."""

    def advance(
        self, transfer: TransferId, event: TransferEvent, *, now: float, reason: str | None = None
    ) -> Transfer | Refusal | None:
        """See `router.directory.store.TransferStore.advance_transfer`."""

    def losses(self, transfer: TransferId) -> Losses:
        """See `router.directory.store.TransferStore.losses`."""

    def progress(self, transfer: TransferId) -> Progress | None:
        """What was reported last, or `None`."""

    def put_progress(self, transfer: TransferId, progress: Progress) -> None:
        """Insert or replace."""

    def put_backup(self, backup: Backup) -> None:
        """Insert. A transfer leaves one at most."""

    def backups(
        self,
        *,
        workspace: WorkspaceId | None = None,
        region: RegionName | None = None,
        state: BackupState | None = None,
        after: TransferId | None = None,
        limit: int,
    ) -> tuple[Backup, ...]:
        """By the id of their transfer."""

    def expire_backups(self, now: float, *, limit: int) -> tuple[Backup, ...]:
        """Mark those whose hour has come as expired, and return them: each is returned once, ever."""

    def next_hour(self) -> float | None:
        """The earliest deadline of a running transfer or end of a backup's lock; `None` if there is neither."""

    def barrier(self) -> BarrierView:
        """The registered gateways."""

    def head(self) -> int:
        """The newest `seq` of the change feed."""

    def forget(self, incarnation: str, *, ending: Ending, now: float, renewals: int | None = None) -> bool:
        """See `router.directory.store.TransferStore.forget`."""

    def transfer_counts(self) -> Mapping[TransferState, int]:
        """How many transfers there are in each state that any is in."""

    def locking_since(self) -> float | None:
        """When the oldest transfer that is `locking` was started; `None` if none is."""


class JournalRows(Protocol):
    """Events and their deliveries, the audit log, and stored answers."""

    def append_event(
        self,
        event: str,
        kind: EventType,
        workspace: WorkspaceId,
        *,
        at: float,
        payload: str,
        destinations: Iterable[str],
    ) -> Event:
        """Write an event with the random id `event`, and one pending delivery for each destination."""

    def event(self, event: str) -> Event | None:
        """The event with that id, or `None`."""

    def events(
        self,
        *,
        workspace: WorkspaceId | None = None,
        kind: EventType | None = None,
        undelivered: bool = False,
        after: int = 0,
        limit: int,
    ) -> tuple[Event, ...]:
        """By number; those alone that some destination has not got, if asked."""

    def deliveries(self, events: Collection[int]) -> tuple[Delivery, ...]:
        """Of the events with those numbers, by event, then destination."""

    def is_due(self, destinations: Collection[str], *, now: float) -> bool:
        """Whether `claim` would take anything."""

    def claim(
        self, destinations: Collection[str], *, now: float, held_until: float, holder: str, limit: int
    ) -> tuple[Claim, ...]:
        """Take what is due for `destinations`: of each destination and workspace the oldest pending event only."""

    def settle(self, claim: Claim, delivery: Delivery) -> bool:
        """Write how an attempt ended; `False`, and nothing is written, if the claim is not held any more."""

    def revive(self, event: int, destination: str, *, now: float) -> bool:
        """Make a delivery that has ended pending again, with a whole day to be tried; make one if there was none.
        `False` if it is pending.
        """

    def strand(self, destinations: Collection[str], *, due_before: float, now: float, trouble: str) -> int:
        """Give up what is pending for `destinations` and was due before that hour, and return how many deliveries that
        were: they are dead, with that trouble.
        """

    def delivery_counts(self) -> Mapping[tuple[str, DeliveryState], int]:
        """How many deliveries are pending and how many are dead, by destination."""

    def append_audit(
        self, *, at: float, who: str, action: str, subject: str, before: str | None, after: str | None
    ) -> None:
        """Write one line of the audit log."""

    def audit(
        self, *, who: str | None = None, subject: str | None = None, before: int | None = None, limit: int
    ) -> tuple[AuditEntry, ...]:
        """The newest first, with a number below `before`."""

    def stored_answer(self, who: str, key: str) -> StoredAnswer | None:
        """What was answered to the request with that idempotency key."""

    def store_answer(self, who: str, key: str, answer: StoredAnswer, *, now: float) -> None:
        """Keep it."""

    def forget_answers(self, before: float) -> int:
        """Forget those stored before that hour, and return how many."""


class ControlTransaction(TenantRows, TransferRows, JournalRows, Protocol):
    """All rows, in one transaction."""


class ControlStore(Protocol):
    """Runs functions over a transaction. Raises `StoreError`, and whatever the function raises."""

    async def transact(self, work: Callable[[ControlTransaction], T]) -> T:
        """Alone: no other writer comes between what is read and what is written."""

    async def read(self, work: Callable[[ControlTransaction], T]) -> T:
        """On one snapshot, beside writers. It is not for functions that write."""
