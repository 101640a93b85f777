"""What a step of the control plane finds in the simulated directory: the rows of transfers; nobody has members."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from router.model.placement import Alias, Kind
from router.model.transfer import Transfer, TransferId
from tests.simulation import database

if TYPE_CHECKING:
    from collections.abc import Collection

    from router.directory.store import WorkspaceRecord
    from router.model.barrier import BarrierView
    from router.model.losses import Losses
    from router.model.placement import WorkspaceId
    from router.model.transfer import Refusal, TransferEvent, TransferState
    from tests.simulation.database import State


class ControlRows:
    """As much of `router.control.ports.ControlTransaction` as transfers use, in one transaction over `state`."""

    def __init__(self, state: State) -> None:
        self._state = state

    def workspace(self, workspace: WorkspaceId) -> WorkspaceRecord | None:
        """See `TenantRows`."""
        return database.get_workspace(self._state, workspace)

    def members(self, workspace: WorkspaceId) -> tuple[()]:
        """See `TenantRows`."""
        return ()

    def members_with_account(self, workspace: WorkspaceId, region: str, *, limit: int) -> tuple[()]:
        """See `TenantRows`."""
        return ()

    def move_accounts(self, workspace: WorkspaceId, source: str, destination: str) -> None:
        """See `TenantRows`."""

    def supersede_keys(self, workspace: WorkspaceId, by: TransferId) -> int:
        """See `TenantRows`. Each is a change of the feed."""
        keys = [fact for fact in self._state.facts.values() if isinstance(fact, Alias) and not fact.superseded]
        named = [fact for fact in keys if fact.workspace == workspace and fact.entry.kind is Kind.KEY]
        for fact in named:
            version = database.successor(self._state, fact.entry)
            database.commit(self._state, replace(fact, version=version, superseded=True))
        return len(named)

    def transfer(self, transfer: TransferId) -> Transfer | None:
        """See `TransferRows`."""
        return self._state.transfers.get(transfer)

    def transfers(
        self,
        *,
        workspace: WorkspaceId | None = None,
        states: Collection[TransferState] | None = None,
        before: int | None = None,
        limit: int,
    ) -> tuple[Transfer, ...]:
        """See `TransferRows`."""
        newest_first = sorted(self._state.transfers.values(), key=lambda one: -one.lock_seq)
        found = (
            one
            for one in newest_first
            if workspace in {None, one.workspace}
            and (states is None or one.state in states)
            and (before is None or one.lock_seq < before)
        )
        return tuple(found)[:limit]

    def start(self, transfer: Transfer, *, losses_since: float) -> Transfer:
        """See `TransferRows`. It gets another id than its random one, so that a schedule repeats itself."""
        self._state.started += 1
        named = replace(transfer, id=TransferId(f"t{self._state.started}"))
        return database.start_transfer(self._state, named, losses_since)

    def advance(
        self, transfer: TransferId, event: TransferEvent, *, now: float, reason: str | None = None
    ) -> Transfer | Refusal | None:
        """See `TransferRows`."""
        return database.advance_transfer(self._state, transfer, event, now, reason)

    def losses(self, transfer: TransferId) -> Losses:
        """See `TransferRows`."""
        return database.losses(self._state, transfer)

    def barrier(self) -> BarrierView:
        """See `TransferRows`."""
        return self._state.view()

    def progress(self, transfer: TransferId) -> None:
        """See `TransferRows`. Nobody reports any."""

    def put_progress(self, transfer: TransferId, progress: Any) -> None:
        """See `TransferRows`."""

    def put_backup(self, backup: Any) -> None:
        """See `TransferRows`."""

    def append_event(self, *args: Any, **kwargs: Any) -> None:
        """See `JournalRows`. Nobody is told."""

    def append_audit(self, **line: Any) -> None:
        """See `JournalRows`. Nobody reads it."""
