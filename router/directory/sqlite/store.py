"""`SqliteStore`: the whole `Store` protocol over one SQLite file.

Two lanes, one for readers and one for writers, each with its thread and connection: a writer may have to wait for
another process's lock, and a request's miss must not stand in that queue. The clock is read here, on the caller's side,
so that the rooms below are functions of what they are given.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final, TypeVar

from router.directory.rows import KEPT_CHANGES
from router.directory.sqlite import keys, lookups, losses, maintenance, registrations, transfers, workspaces
from router.directory.sqlite.feed import Feed, info_of
from router.directory.sqlite.file import DatabaseFile
from router.directory.sqlite.lane import READ, WRITE, Lane
from router.model.transfer import TransferEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from router.directory.ports import Clock
    from router.directory.store import (
        Answer,
        DirectoryInfo,
        KeyDraft,
        Newcomer,
        Position,
        Renewal,
        Renewed,
        WorkspaceDraft,
        WorkspaceRecord,
    )
    from router.model.barrier import BarrierView, Silent
    from router.model.losses import Ending, Losses, UnansweredRequest
    from router.model.placement import Entry, WorkspaceId
    from router.model.region import RegionName
    from router.model.transfer import Refusal, Transfer, TransferId

T = TypeVar("T")

DEFAULT_LEASE: Final = 3600.0
"""Seconds."""


class SqliteStore:
    """The directory in `path`. Making one touches no disk: the first call opens the file, and whichever finds another.

    - `keep_changes`: how many of the newest changes the feed keeps, at least 1.
    - `busy_timeout`: seconds a call waits for another process's lock before it fails.
    - `directory_id`: the only directory that may be used, if it matters; another one at the path is refused.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock,
        keep_changes: int = KEPT_CHANGES,
        busy_timeout: float = maintenance.BUSY_TIMEOUT,
        directory_id: str | None = None,
    ) -> None:
        if keep_changes < 1:
            raise ValueError(f"keep_changes must be at least 1, not {keep_changes}")
        self._clock = clock
        self._keep_changes = keep_changes
        self._file = DatabaseFile(path.absolute(), busy_timeout, directory_id)
        self._reader = Lane(self._file, READ)
        self._writer = Lane(self._file, WRITE)
        self._closing: asyncio.Future[tuple[None, None]] | None = None

    async def close(self) -> None:
        """See `Store`."""
        if self._closing is None:
            self._closing = asyncio.gather(self._reader.close(), self._writer.close())
            self._closing.add_done_callback(lambda _: self._file.close())
        # Cancelled or not: connections are closed by the threads that opened them, and by nobody later.
        await asyncio.shield(self._closing)

    async def info(self) -> DirectoryInfo:
        """What the directory says of itself. Raises `StoreError`."""
        return await self._reader.run(info_of)

    async def open_directory(self, *, restored: bool, lease: float = DEFAULT_LEASE) -> DirectoryInfo:
        """Open it for traffic; with `restored` in another generation, whose lock barriers first wait the longest lease
        that any gateway can have (`lease`, in seconds, where no row has a longer one). Raises `StoreError`.
        """
        now = self._clock.wall()
        return await self._writer.run(
            lambda connection: maintenance.open_directory(connection, restored=restored, lease=lease, now=now)
        )

    async def lookup(self, entry: Entry, *, primary: bool) -> Answer:
        """See `LookupStore`. There are no replicas: every answer is the primary's."""
        return await self._reader.run(lambda connection: lookups.answer(connection, entry))

    async def register(self, newcomer: Newcomer) -> None:
        """See `RegistrationStore`."""
        now = self._clock.wall()
        await self._writer.run(lambda connection: registrations.register(connection, newcomer, now=now))

    async def position(self) -> Position:
        """See `RegistrationStore`."""
        return await self._reader.run(registrations.position)

    async def renew(self, renewal: Renewal) -> Renewed | None:
        """See `RegistrationStore`."""
        now = self._clock.wall()
        return await self._writer.run(lambda connection: registrations.renew(connection, renewal, now=now))

    async def unregister(self, incarnation: str, *, unanswered: Iterable[UnansweredRequest] = ()) -> None:
        """See `RegistrationStore`."""
        now, ready = self._clock.wall(), tuple(unanswered)
        await self._writer.run(lambda connection: registrations.remove(connection, incarnation, ready, now=now))

    async def registrations(self) -> BarrierView:
        """See `RegistrationStore`."""
        return await self._reader.run(registrations.view)

    async def get_workspace(self, workspace: WorkspaceId) -> WorkspaceRecord | None:
        """See `WorkspaceStore`."""
        return await self._reader.run(lambda connection: workspaces.get_workspace(connection, workspace))

    async def list_workspaces(
        self, *, region: RegionName | None, after: WorkspaceId | None, limit: int
    ) -> tuple[WorkspaceRecord, ...]:
        """See `WorkspaceStore`."""
        return await self._reader.run(
            lambda connection: workspaces.list_workspaces(connection, region=region, after=after, limit=limit)
        )

    async def put_workspaces(
        self, drafts: Iterable[WorkspaceDraft], *, progress: Callable[[int], None] | None = None
    ) -> int:
        """See `WorkspaceStore`."""
        # Read to its end first: the write lock must not wait for whatever the drafts come from.
        ready = tuple(drafts)
        return await self._write(lambda feed: workspaces.put_workspaces(feed, ready, progress))

    async def delete_workspace(self, workspace: WorkspaceId) -> bool:
        """See `WorkspaceStore`."""
        return await self._write(lambda feed: workspaces.delete_workspace(feed, workspace))

    async def put_keys(self, drafts: Iterable[KeyDraft]) -> int:
        """See `WorkspaceStore`."""
        ready = tuple(drafts)
        return await self._write(lambda feed: keys.put_keys(feed, ready))

    async def start_transfer(self, transfer: Transfer, *, losses_since: float = math.inf) -> Transfer:
        """See `TransferStore`."""
        return await self._write(lambda feed: transfers.start_transfer(feed, transfer, losses_since=losses_since))

    async def advance_transfer(
        self, transfer: TransferId, event: TransferEvent, *, now: float, reason: str | None = None
    ) -> Transfer | Refusal | None:
        """See `TransferStore`. Raises `ValueError` for `BARRIER_HOLDS`."""
        if event is TransferEvent.BARRIER_HOLDS:
            raise ValueError("only evaluate may find that the barrier holds")
        return await self._write(lambda feed: transfers.advance_transfer(feed, transfer, event, now=now, reason=reason))

    async def evaluate(
        self, transfer: TransferId, *, now: float, silent: Iterable[Silent] = ()
    ) -> tuple[Transfer, BarrierView] | None:
        """See `TransferStore`."""
        ready = tuple(silent)
        return await self._write(lambda feed: transfers.evaluate(feed, transfer, now=now, silent=ready))

    async def forget(self, incarnation: str, *, ending: Ending, renewals: int | None = None) -> bool:
        """See `TransferStore`."""
        now = self._clock.wall()
        return await self._writer.run(
            lambda connection: losses.forget(connection, incarnation, ending=ending, renewals=renewals, now=now)
        )

    async def losses(self, transfer: TransferId) -> Losses:
        """See `TransferStore`."""
        return await self._reader.run(lambda connection: losses.losses(connection, transfer))

    async def get_transfer(self, transfer: TransferId) -> Transfer | None:
        """See `TransferStore`."""
        return await self._reader.run(lambda connection: transfers.get_transfer(connection, transfer))

    async def list_transfers(self, *, workspace: WorkspaceId | None, running: bool) -> tuple[Transfer, ...]:
        """See `TransferStore`."""
        return await self._reader.run(
            lambda connection: transfers.list_transfers(connection, workspace=workspace, running=running)
        )

    async def _write(self, work: Callable[[Feed], T]) -> T:
        return await self._writer.run(lambda connection: work(Feed(connection, self._keep_changes)))
