"""A transfer from its start to the expiry of the backup it leaves: each step one transaction.

Theory. Every method of `Lifecycle` is a whole step over a `ControlTransaction`: it reads, judges by the tables
(`rules`, `router.model.transfer.TRANSITIONS`), and writes all that follows, the event and the line of the audit log
included. So whoever is killed in the middle has done nothing, whoever is killed behind the commit has done all of it,
and whoever asks again is told what is: a repeated call changes nothing and is no error. A deadline is kept by whoever
comes first, the scheduler of any process or a call that comes too late.

The law of the room: an expected refusal is a `Declined`; it never comes with a change, but for the deadline's own.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from router.control.audit import record
from router.control.notices import announce_expiry, announce_transfer
from router.control.problems import ControlProblem, Declined, Objection, decline
from router.control.rules import ACCOUNTS_SHOWN, Move, effects, judge, warnings
from router.model.barrier import waits_for
from router.model.journal import EventType, Progress
from router.model.tenant import Backup, BackupState
from router.model.transfer import Refusal, Transfer, TransferEvent, TransferId, TransferState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.control.audit import Act
    from router.control.options import ControlOptions
    from router.control.ports import ControlTransaction
    from router.directory.store import WorkspaceRecord
    from router.model.barrier import Registration
    from router.model.placement import WorkspaceId
    from router.model.region import RegionName

DEADLINE: Final = "deadline"
"""The reason of a transfer that failed by itself."""

BATCH: Final = 100
"""Transfers or backups that one transaction ends at most: nobody waits long for the write lock."""

_REFUSALS: Final[Mapping[Refusal, ControlProblem]] = {
    Refusal.NOT_TRANSFERRING: ControlProblem.STILL_LOCKING,
    Refusal.TOO_LATE_TO_ABORT: ControlProblem.TOO_LATE_TO_ABORT,
    Refusal.ENDED: ControlProblem.ENDED,
}
_ENDINGS: Final[Mapping[TransferState, EventType]] = {
    TransferState.COMPLETED: EventType.TRANSFER_COMPLETED,
    TransferState.FAILED: EventType.TRANSFER_FAILED,
}


@dataclass(frozen=True, slots=True)
class Wish:
    """Who wants to move which workspace where. The token's holder vouches for `requested_by`."""

    workspace: WorkspaceId
    destination: RegionName
    requested_by: str | None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a start would be answered, and what it would do."""

    objections: tuple[Objection, ...]
    effects: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A transfer as it is now; while it is `locking`, `waits_for` are the gateways that have not applied its lock."""

    transfer: Transfer
    progress: Progress | None
    waits_for: tuple[Registration, ...] = ()
    quarantine_until: float = 0.0
    changed: bool = False


class Lifecycle:
    """What may be done with transfers in one transaction, by whoever acts."""

    def __init__(self, tx: ControlTransaction, act: Act, options: ControlOptions) -> None:
        self._tx = tx
        self._act = act
        self._options = options

    def preview(self, wish: Wish) -> Preview | Declined:
        """Judge a move and change nothing."""
        found = self._tx.workspace(wish.workspace)
        if found is None:
            return no_workspace(wish.workspace)
        move = self._move(found, wish)
        backups = self._tx.backups(workspace=wish.workspace, state=BackupState.LOCKED, limit=BATCH)
        return Preview(judge(move, self._options), effects(self._options), warnings(move, backups, self._options))

    def start(self, wish: Wish, *, duration: float | None = None) -> Report | Declined:
        """Lock the workspace and tell that its move begins. `duration` is in seconds; left out: as configured."""
        found = self._tx.workspace(wish.workspace)
        if found is None:
            return no_workspace(wish.workspace)
        objections = judge(self._move(found, wish), self._options)
        if objections:
            return Declined(objections)
        now = self._act.now
        wanted = Transfer(
            TransferId(secrets.token_hex(8)),
            wish.workspace,
            source=found.placement.region,
            destination=wish.destination,
            state=TransferState.LOCKING,
            requested_by=wish.requested_by or "",
            started_at=now,
            deadline=now + (self._options.transfer_duration if duration is None else duration),
            lock_seq=0,
        )
        started = self._tx.start(wanted, losses_since=now - self._options.losses_window)
        announce_transfer(self._tx, EventType.TRANSFER_STARTED, started, now=now, options=self._options)
        record(self._tx, self._act, "transfer.start", f"transfer:{started.id}", after=started)
        return self.report(started, changed=True)

    def complete(self, transfer: TransferId) -> Report | Declined:
        """The data is at the destination: the workspace lives there, and all that follows from it."""
        found = self._in_time(transfer)
        if isinstance(found, Declined):
            return found
        tx, now = self._tx, self._act.now
        # 1 the region, the epoch, the unlocking and their change of the feed
        advanced = tx.advance(transfer, TransferEvent.COMPLETE, now=now)
        if not isinstance(advanced, Transfer):
            return self._refused(found, advanced)
        # 2 keys from before are dead, and known to be
        tx.supersede_keys(advanced.workspace, advanced.id)
        # 3 who is a member has an account there now
        tx.move_accounts(advanced.workspace, advanced.source, advanced.destination)
        # 4 the locked copy
        locked_until = now + self._options.backup_lock
        tx.put_backup(Backup(advanced.id, advanced.workspace, advanced.source, now, locked_until))
        # 5 whoever looks at the progress sees its end
        last = tx.progress(transfer)
        tx.put_progress(transfer, Progress(100, None if last is None else last.note, now))
        # 6 the event, and 7 the audit log
        return self._ended("transfer.complete", found, advanced)

    def fail(self, transfer: TransferId, reason: str) -> Report | Declined:
        """The move did not succeed: the workspace stays where it was, and is unlocked."""
        return self._end(transfer, TransferEvent.FAIL, reason)

    def abort(self, transfer: TransferId) -> Report | Declined:
        """Call it off while it is `locking`: nothing can have been copied."""
        return self._end(transfer, TransferEvent.ABORT)

    def progress(self, transfer: TransferId, percent: int, note: str | None) -> Report | Declined:
        """Keep what the job says of itself. It may begin again, so percents may fall."""
        found = self._in_time(transfer)
        if isinstance(found, Declined):
            return found
        if found.state is not TransferState.TRANSFERRING:
            locking = found.state is TransferState.LOCKING
            return self._refused(found, Refusal.NOT_TRANSFERRING if locking else Refusal.ENDED)
        self._tx.put_progress(transfer, Progress(percent, note, self._act.now))
        return self.report(found, changed=True)

    def report(self, transfer: Transfer, *, changed: bool = False) -> Report:
        """What there is to say of a transfer."""
        progress = self._tx.progress(transfer.id)
        if transfer.state is not TransferState.LOCKING:
            return Report(transfer, progress, changed=changed)
        view = self._tx.barrier()
        return Report(transfer, progress, waits_for(transfer, view), view.quarantine_until, changed)

    def fail_overdue(self) -> tuple[Transfer, ...]:
        """Fail those whose deadline is over, `BATCH` at most, and return them."""
        return tuple(self._expire(transfer) for transfer in self._tx.overdue(self._act.now, limit=BATCH))

    def expire_backups(self) -> tuple[Backup, ...]:
        """End the lock of those whose hour has come, `BATCH` at most, tell of it, and return them."""
        expired = self._tx.expire_backups(self._act.now, limit=BATCH)
        for backup in expired:
            announce_expiry(self._tx, backup, now=self._act.now, options=self._options)
            record(self._tx, self._act, "backup.expire", f"backup:{backup.transfer}", after=backup)
        return expired

    def _move(self, found: WorkspaceRecord, wish: Wish) -> Move:
        running = found.placement.transfer
        return Move(
            destination=wish.destination,
            requested_by=wish.requested_by,
            owner=found.owner,
            plan=found.plan,
            lives_in=found.placement.region,
            running=None if running is None else running.id,
            in_the_way=self._tx.members_with_account(wish.workspace, wish.destination, limit=ACCOUNTS_SHOWN),
        )

    def _in_time(self, transfer: TransferId) -> Transfer | Declined:
        """The transfer, unless its deadline is over: then it fails here and now, as it would have by itself."""
        found = self._tx.transfer(transfer)
        if found is None:
            return no_transfer(transfer)
        if found.state.running and found.deadline <= self._act.now:
            return self._declined(self._expire(found), Refusal.ENDED)
        return found

    def _expire(self, found: Transfer) -> Transfer:
        failed = self._tx.advance(found.id, TransferEvent.FAIL, now=self._act.now, reason=DEADLINE)
        if not isinstance(failed, Transfer):
            raise TypeError(f"a running transfer could not be failed: {failed!r}")
        self._ended("transfer.expire", found, failed)
        return failed

    def _end(self, transfer: TransferId, event: TransferEvent, reason: str | None = None) -> Report | Declined:
        found = self._tx.transfer(transfer)
        if found is None:
            return no_transfer(transfer)
        advanced = self._tx.advance(transfer, event, now=self._act.now, reason=reason)
        if not isinstance(advanced, Transfer):
            return self._refused(found, advanced)
        return self._ended(f"transfer.{event}", found, advanced)

    def _ended(self, action: str, before: Transfer, after: Transfer) -> Report:
        announce_transfer(self._tx, _ENDINGS[after.state], after, now=self._act.now, options=self._options)
        record(self._tx, self._act, action, f"transfer:{after.id}", before=before, after=after)
        return self.report(after, changed=True)

    def _refused(self, found: Transfer, refusal: Refusal | None) -> Report | Declined:
        if refusal is Refusal.UNCHANGED:
            return self.report(found)
        # It was there a statement ago, in this very transaction.
        assert refusal is not None
        return self._declined(found, refusal)

    def _declined(self, found: Transfer, refusal: Refusal) -> Declined:
        members: dict[str, object] = {"state": found.state}
        if refusal is Refusal.NOT_TRANSFERRING:
            members["waits_for"] = [row.incarnation for row in waits_for(found, self._tx.barrier())]
        because = f" ({found.reason})" if found.reason else ""
        text = f"Transfer {found.id} is {found.state}{because}: {refusal.value}."
        return decline(_REFUSALS[refusal], text, **members)


def no_transfer(transfer: TransferId) -> Declined:
    """Nothing has that id."""
    return decline(ControlProblem.NO_TRANSFER, f"There is no transfer {transfer}.")


def no_workspace(workspace: WorkspaceId) -> Declined:
    """Nothing has that id."""
    return decline(ControlProblem.NO_WORKSPACE, f"Workspace {workspace} is not in the directory.")
