"""The control plane's rows of transfers, their progress and the backups they leave, in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.directory.control_rows import BACKUP_FIELDS, BACKUPS, backup_of
from router.directory.postgres import losses, registrations, transfers
from router.directory.postgres.feed import info_of
from router.directory.rows import transfer_of
from router.model.journal import Progress
from router.model.tenant import Backup, BackupState
from router.model.transfer import TransferId, TransferState

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from router.directory.postgres.control_bridge import Bridge
    from router.model.barrier import BarrierView
    from router.model.losses import Ending, Losses
    from router.model.placement import WorkspaceId
    from router.model.region import RegionName
    from router.model.transfer import Refusal, Transfer, TransferEvent


class PostgresTransferRows:
    """See `router.control.ports.TransferRows`. The bridge is that of the one transaction this object lives in."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def transfer(self, transfer: TransferId) -> Transfer | None:
        """See the protocol."""
        return self._bridge.wait(transfers.get_transfer(self._bridge.transaction, transfer))

    def transfers(
        self,
        *,
        workspace: WorkspaceId | None = None,
        states: Collection[TransferState] | None = None,
        before: int | None = None,
        limit: int,
    ) -> tuple[Transfer, ...]:
        """See the protocol."""
        rows = self._bridge.rows(
            f"{transfers.SELECT} WHERE (%(workspace)s::text IS NULL OR workspace = %(workspace)s) "
            "AND (%(before)s::bigint IS NULL OR lock_seq < %(before)s) "
            "AND (%(states)s::text[] IS NULL OR state = ANY(%(states)s::text[])) "
            "ORDER BY lock_seq DESC LIMIT %(limit)s",
            workspace=workspace,
            before=before,
            states=None if states is None else [state.value for state in states],
            limit=limit,
        )
        return tuple(transfer_of(row) for row in rows)

    def overdue(self, now: float, *, limit: int) -> tuple[Transfer, ...]:
        """See the protocol."""
        rows = self._bridge.rows(
            f"{transfers.SELECT} WHERE state IN ('locking', 'transferring') AND deadline <= %(now)s "
            "ORDER BY deadline LIMIT %(limit)s",
            now=now,
            limit=limit,
        )
        return tuple(transfer_of(row) for row in rows)

    def start(self, transfer: Transfer, *, losses_since: float) -> Transfer:
        """See the protocol."""
        return self._bridge.wait(transfers.start_transfer(self._bridge.feed, transfer, losses_since=losses_since))

    def advance(
        self, transfer: TransferId, event: TransferEvent, *, now: float, reason: str | None = None
    ) -> Transfer | Refusal | None:
        """See the protocol."""
        return self._bridge.wait(transfers.advance_transfer(self._bridge.feed, transfer, event, now=now, reason=reason))

    def losses(self, transfer: TransferId) -> Losses:
        """See the protocol."""
        return self._bridge.wait(losses.losses(self._bridge.transaction, transfer))

    def progress(self, transfer: TransferId) -> Progress | None:
        """See the protocol."""
        row = self._bridge.row(
            "SELECT percent, note, reported_at FROM transfer_progress WHERE transfer = %(transfer)s", transfer=transfer
        )
        return None if row is None else Progress(*row)

    def put_progress(self, transfer: TransferId, progress: Progress) -> None:
        """See the protocol."""
        self._bridge.run(
            "INSERT INTO transfer_progress (transfer, percent, note, reported_at) "
            "VALUES (%(transfer)s, %(percent)s, %(note)s, %(reported_at)s) ON CONFLICT (transfer) DO UPDATE "
            "SET percent = excluded.percent, note = excluded.note, reported_at = excluded.reported_at",
            transfer=transfer,
            percent=progress.percent,
            note=progress.note,
            reported_at=progress.reported_at,
        )

    def put_backup(self, backup: Backup) -> None:
        """See the protocol."""
        self._bridge.run(
            f"INSERT INTO backup ({BACKUP_FIELDS}) VALUES (%(transfer)s, %(workspace)s, %(region)s, "  # noqa: S608 - constants only
            "%(created_at)s, %(locked_until)s, %(expired_at)s)",
            transfer=backup.transfer,
            workspace=backup.workspace,
            region=backup.region,
            created_at=backup.created_at,
            locked_until=backup.locked_until,
            expired_at=backup.expired_at,
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
        rows = self._bridge.rows(
            f"{BACKUPS} WHERE transfer > %(after)s AND (%(workspace)s::text IS NULL OR workspace = %(workspace)s) "
            "AND (%(region)s::text IS NULL OR region = %(region)s) "
            "AND (%(locked)s::boolean IS NULL OR (expired_at IS NULL) = %(locked)s) "
            "ORDER BY transfer LIMIT %(limit)s",
            after=after or "",
            workspace=workspace,
            region=region,
            locked=None if state is None else state is BackupState.LOCKED,
            limit=limit,
        )
        return tuple(backup_of(row) for row in rows)

    def expire_backups(self, now: float, *, limit: int) -> tuple[Backup, ...]:
        """See the protocol."""
        rows = self._bridge.rows(
            "UPDATE backup SET expired_at = %(now)s WHERE transfer IN (SELECT transfer FROM backup "  # noqa: S608 - constants only
            "WHERE expired_at IS NULL AND locked_until <= %(now)s ORDER BY locked_until LIMIT %(limit)s) "
            f"RETURNING {BACKUP_FIELDS}",
            now=now,
            limit=limit,
        )
        return tuple(sorted((backup_of(row) for row in rows), key=lambda backup: backup.locked_until))

    def next_hour(self) -> float | None:
        """See the protocol."""
        row = self._bridge.row(
            "SELECT least((SELECT min(deadline) FROM transfer WHERE state IN ('locking', 'transferring')), "
            "(SELECT min(locked_until) FROM backup WHERE expired_at IS NULL))"
        )
        return None if row is None else row[0]

    def barrier(self) -> BarrierView:
        """See the protocol."""
        return self._bridge.wait(registrations.view(self._bridge.transaction))

    def head(self) -> int:
        """See the protocol."""
        return self._bridge.wait(info_of(self._bridge.transaction)).head

    def forget(self, incarnation: str, *, ending: Ending, now: float, renewals: int | None = None) -> bool:
        """See the protocol."""
        transaction = self._bridge.feed.transaction
        return self._bridge.wait(losses.forget(transaction, incarnation, ending=ending, renewals=renewals, now=now))

    def transfer_counts(self) -> Mapping[TransferState, int]:
        """See the protocol."""
        rows = self._bridge.rows("SELECT state, count(*) FROM transfer GROUP BY state")
        return {TransferState(state): count for state, count in rows}

    def locking_since(self) -> float | None:
        """See the protocol."""
        row = self._bridge.row("SELECT min(started_at) FROM transfer WHERE state = 'locking'")
        return None if row is None else row[0]
