"""The control plane's rows of transfers, their progress and the backups they leave, in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.directory.control_rows import BACKUP_FIELDS, BACKUPS, backup_of
from router.directory.rows import transfer_of
from router.directory.sqlite import losses, registrations, transfers
from router.directory.sqlite.feed import info_of
from router.model.journal import Progress
from router.model.tenant import Backup, BackupState
from router.model.transfer import TransferId, TransferState

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from router.directory.sqlite.feed import Feed
    from router.model.barrier import BarrierView
    from router.model.losses import Ending, Losses
    from router.model.placement import WorkspaceId
    from router.model.region import RegionName
    from router.model.transfer import Refusal, Transfer, TransferEvent


class SqliteTransferRows:
    """See `router.control.ports.TransferRows`. The feed is that of the one transaction this object lives in."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._connection = feed.connection

    def transfer(self, transfer: TransferId) -> Transfer | None:
        """See the protocol."""
        return transfers.get_transfer(self._connection, transfer)

    def transfers(
        self,
        *,
        workspace: WorkspaceId | None = None,
        states: Collection[TransferState] | None = None,
        before: int | None = None,
        limit: int,
    ) -> tuple[Transfer, ...]:
        """See the protocol."""
        marks = ", ".join("?" for _ in states or ())
        rows = self._connection.execute(
            f"{transfers.SELECT} WHERE (? IS NULL OR workspace = ?) AND (? IS NULL OR lock_seq < ?) "
            f"{'' if states is None else f'AND state IN ({marks}) '}ORDER BY lock_seq DESC LIMIT ?",
            (workspace, workspace, before, before, *(states or ()), limit),
        )
        return tuple(transfer_of(row) for row in rows)

    def overdue(self, now: float, *, limit: int) -> tuple[Transfer, ...]:
        """See the protocol."""
        rows = self._connection.execute(
            f"{transfers.SELECT} WHERE state IN ('locking', 'transferring') AND deadline <= ? "
            "ORDER BY deadline LIMIT ?",
            (now, limit),
        )
        return tuple(transfer_of(row) for row in rows)

    def start(self, transfer: Transfer, *, losses_since: float) -> Transfer:
        """See the protocol."""
        return transfers.start_transfer(self._feed, transfer, losses_since=losses_since)

    def advance(
        self, transfer: TransferId, event: TransferEvent, *, now: float, reason: str | None = None
    ) -> Transfer | Refusal | None:
        """See the protocol."""
        return transfers.advance_transfer(self._feed, transfer, event, now=now, reason=reason)

    def losses(self, transfer: TransferId) -> Losses:
        """See the protocol."""
        return losses.losses(self._connection, transfer)

    def progress(self, transfer: TransferId) -> Progress | None:
        """See the protocol."""
        row = self._connection.execute(
            "SELECT percent, note, reported_at FROM transfer_progress WHERE transfer = ?", (transfer,)
        ).fetchone()
        return None if row is None else Progress(*row)

    def put_progress(self, transfer: TransferId, progress: Progress) -> None:
        """See the protocol."""
        self._connection.execute(
            "INSERT INTO transfer_progress (transfer, percent, note, reported_at) "
            "VALUES (:transfer, :percent, :note, :at) "
            "ON CONFLICT (transfer) DO UPDATE SET percent = :percent, note = :note, reported_at = :at",
            {"transfer": transfer, "percent": progress.percent, "note": progress.note, "at": progress.reported_at},
        )

    def put_backup(self, backup: Backup) -> None:
        """See the protocol."""
        self._connection.execute(
            f"INSERT INTO backup ({BACKUP_FIELDS}) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608 - constants only
            (
                backup.transfer,
                backup.workspace,
                backup.region,
                backup.created_at,
                backup.locked_until,
                backup.expired_at,
            ),
        )

    def backups(
        self,
        *,
        workspace: WorkspaceId | None = None,
        region: RegionName | None = None,
        state: BackupState | None = None,
        after: TransferId | None = None,
        limit: int,
    ) -> tuple[Backup, ...]:
        """See the protocol."""
        rows = self._connection.execute(
            f"{BACKUPS} WHERE transfer > :after AND (:workspace IS NULL OR workspace = :workspace) "
            "AND (:region IS NULL OR region = :region) AND (:locked IS NULL OR (expired_at IS NULL) = :locked) "
            "ORDER BY transfer LIMIT :limit",
            {
                "after": after or "",
                "workspace": workspace,
                "region": region,
                "locked": None if state is None else state is BackupState.LOCKED,
                "limit": limit,
            },
        )
        return tuple(backup_of(row) for row in rows)

    def expire_backups(self, now: float, *, limit: int) -> tuple[Backup, ...]:
        """See the protocol."""
        rows = self._connection.execute(
            "UPDATE backup SET expired_at = :now WHERE transfer IN (SELECT transfer FROM backup "  # noqa: S608 - constants only
            "WHERE expired_at IS NULL AND locked_until <= :now ORDER BY locked_until LIMIT :limit) "
            f"RETURNING {BACKUP_FIELDS}",
            {"now": now, "limit": limit},
        ).fetchall()
        return tuple(sorted((backup_of(row) for row in rows), key=lambda backup: backup.locked_until))

    def next_hour(self) -> float | None:
        """See the protocol."""
        (deadline,) = self._connection.execute(
            "SELECT min(deadline) FROM transfer WHERE state IN ('locking', 'transferring')"
        ).fetchone()
        (locked_until,) = self._connection.execute(
            "SELECT min(locked_until) FROM backup WHERE expired_at IS NULL"
        ).fetchone()
        return min((hour for hour in (deadline, locked_until) if hour is not None), default=None)

    def barrier(self) -> BarrierView:
        """See the protocol."""
        return registrations.view(self._connection)

    def head(self) -> int:
        """See the protocol."""
        return info_of(self._connection).head

    def forget(self, incarnation: str, *, ending: Ending, now: float, renewals: int | None = None) -> bool:
        """See the protocol."""
        return losses.forget(self._connection, incarnation, ending=ending, renewals=renewals, now=now)

    def transfer_counts(self) -> Mapping[TransferState, int]:
        """See the protocol."""
        rows = self._connection.execute("SELECT state, count(*) FROM transfer GROUP BY state")
        return {TransferState(state): count for state, count in rows}

    def locking_since(self) -> float | None:
        """See the protocol."""
        (started_at,) = self._connection.execute(
            "SELECT min(started_at) FROM transfer WHERE state = 'locking'"
        ).fetchone()
        return None if started_at is None else float(started_at)
