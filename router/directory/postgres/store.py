"""`PostgresStore`: the whole `Store` protocol over one PostgreSQL database.

Three kinds of connections, each with a pool of its own, so that none waits for another: lookups at the primary, lookups
at the replica, and all the rest, a gateway's renewals among it. They are made when they are needed.

A lookup goes to the replica, if there is one; its answer says of which snapshot it is, and whoever finds it too old
asks the primary. A replica that fails is left alone for a while: it must not cost every lookup its time. The clock is
read here, on the caller's side, so that the rooms below are functions of what they are given.
"""

from __future__ import annotations

import asyncio
import math
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from router.directory.postgres import keys, lookups, losses, maintenance, registrations, transfers, workspaces
from router.directory.postgres.feed import Clockwork, Feed, MovedError, Sharing, enter, generation_of, info_of
from router.directory.postgres.listener import Listener
from router.directory.postgres.pool import Pool
from router.directory.postgres.session import Session, Terms
from router.directory.postgres.source import PREFER_STANDBY, READ_WRITE, read_source
from router.directory.rows import KEPT_CHANGES
from router.directory.store import StoreError
from router.model.barrier import holds
from router.model.transfer import TransferEvent, TransferState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from router.directory.ports import Clock
    from router.directory.postgres.options import PostgresOptions
    from router.directory.postgres.session import Transaction
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

REPLICA_TIMEOUT: Final = 0.5
"""Seconds that a lookup waits for the replica before it asks the primary."""
REPLICA_REST: Final = 5.0
"""Seconds that a replica is not asked after it failed."""


class PostgresStore:
    """The directory at `options.url`. Making one connects nothing: each call does, if it has to.

    - `keep_changes`: how many of the newest changes the feed keeps, at least 1.
    - `longest_lease`: seconds, of any gateway as far as is known here: how long barriers wait in a new generation.
    - `directory_id`: the only directory that may be used, if it matters; another one is refused.

    Raises `StoreUnreadableError` for a URL that cannot be read.
    """

    def __init__(
        self,
        options: PostgresOptions,
        *,
        clock: Clock,
        keep_changes: int = KEPT_CHANGES,
        longest_lease: float = DEFAULT_LEASE,
        directory_id: str | None = None,
    ) -> None:
        if keep_changes < 1:
            raise ValueError(f"keep_changes must be at least 1, not {keep_changes}")
        self._clock = clock
        self._options = options
        self._keep_changes = keep_changes
        self._longest_lease = longest_lease
        self._directory_id = directory_id
        self._primary = self._session(options.url, "directory.url", READ_WRITE)
        self._lookups = self._session(options.url, "directory.url", READ_WRITE)
        replica = options.replica_url
        self._replica = None if replica is None else self._session(replica, "directory.replica_url", PREFER_STANDBY)
        self._replica_rests_until = -math.inf
        self._sessions = tuple(
            session for session in (self._primary, self._lookups, self._replica) if session is not None
        )
        self._generation: int | None = None

    async def close(self) -> None:
        """See `Store`."""
        await asyncio.gather(*(session.close() for session in self._sessions))

    async def info(self) -> DirectoryInfo:
        """What the directory says of itself. Raises `StoreError`."""
        return await self._primary.read(info_of)

    async def open_directory(self, *, restored: bool, lease: float = DEFAULT_LEASE) -> DirectoryInfo:
        """Open it for traffic; with `restored` in another generation, whose lock barriers first wait the longest lease
        that any gateway can have (`lease`, in seconds, where no row has a longer one). Raises `StoreError`.
        """
        clockwork = Clockwork(self._clock.wall(), lease)
        return await self._write(partial(maintenance.open_directory, restored=restored, clockwork=clockwork))

    async def notify(self, channel: str) -> None:
        """Send a notification through the primary, as those of writers are. Raises `StoreError`."""

        async def tell(feed: Feed) -> None:
            await feed.transaction.rows("SELECT pg_notify(%(channel)s, '')", {"channel": channel})

        await self._write(tell, Sharing.FREE)

    def listener(self, wake: Callable[[], None]) -> Listener | None:
        """Whoever listens where `options.listen_url` says, if it does; to be run."""
        if self._options.listen_url is None:
            return None
        return Listener(
            read_source(self._options.listen_url, "directory.listen_url"),
            notify=self.notify,
            wake=wake,
            clock=self._clock,
            heartbeat=self._options.heartbeat,
        )

    async def lookup(self, entry: Entry, *, primary: bool) -> Answer:
        """See `LookupStore`."""
        if not primary and self._replica is not None and self._clock.monotonic() >= self._replica_rests_until:
            try:
                async with asyncio.timeout(REPLICA_TIMEOUT):
                    return await lookups.answer(self._replica, entry)
            except (StoreError, TimeoutError):
                self._replica_rests_until = self._clock.monotonic() + REPLICA_REST
        return await lookups.answer(self._lookups, entry)

    async def register(self, newcomer: Newcomer) -> None:
        """See `RegistrationStore`."""
        now = self._clock.wall()
        await self._write(lambda feed: registrations.register(feed.transaction, newcomer, now=now), Sharing.FREE)

    async def position(self) -> Position:
        """See `RegistrationStore`."""
        return await self._primary.read(registrations.position)

    async def renew(self, renewal: Renewal) -> Renewed | None:
        """See `RegistrationStore`."""
        now = self._clock.wall()
        sharing = Sharing.TOGETHER if renewal.unanswered else Sharing.FREE
        return await self._write(lambda feed: registrations.renew(feed.transaction, renewal, now=now), sharing)

    async def unregister(self, incarnation: str, *, unanswered: Iterable[UnansweredRequest] = ()) -> None:
        """See `RegistrationStore`."""
        now, ready = self._clock.wall(), tuple(unanswered)
        await self._write(
            lambda feed: registrations.remove(feed.transaction, incarnation, ready, now=now),
            Sharing.TOGETHER if ready else Sharing.FREE,
        )

    async def registrations(self) -> BarrierView:
        """See `RegistrationStore`."""
        return await self._primary.read(registrations.view)

    async def get_workspace(self, workspace: WorkspaceId) -> WorkspaceRecord | None:
        """See `WorkspaceStore`."""
        return await self._primary.read(partial(workspaces.get_workspace, workspace=workspace))

    async def list_workspaces(
        self, *, region: RegionName | None, after: WorkspaceId | None, limit: int
    ) -> tuple[WorkspaceRecord, ...]:
        """See `WorkspaceStore`."""
        return await self._primary.read(partial(workspaces.list_workspaces, region=region, after=after, limit=limit))

    async def put_workspaces(
        self, drafts: Iterable[WorkspaceDraft], *, progress: Callable[[int], None] | None = None
    ) -> int:
        """See `WorkspaceStore`."""
        # Read to its end first: the feed's lock must not wait for whatever the drafts come from.
        ready = tuple(drafts)
        return await self._write(lambda feed: workspaces.put_workspaces(feed, ready, progress))

    async def delete_workspace(self, workspace: WorkspaceId) -> bool:
        """See `WorkspaceStore`."""
        return await self._write(partial(workspaces.delete_workspace, workspace=workspace))

    async def put_keys(self, drafts: Iterable[KeyDraft]) -> int:
        """See `WorkspaceStore`."""
        return await self._write(partial(keys.put_keys, drafts=tuple(drafts)))

    async def start_transfer(self, transfer: Transfer, *, losses_since: float = math.inf) -> Transfer:
        """See `TransferStore`."""
        return await self._write(partial(transfers.start_transfer, transfer=transfer, losses_since=losses_since))

    async def advance_transfer(
        self, transfer: TransferId, event: TransferEvent, *, now: float, reason: str | None = None
    ) -> Transfer | Refusal | None:
        """See `TransferStore`. Raises `ValueError` for `BARRIER_HOLDS`."""
        if event is TransferEvent.BARRIER_HOLDS:
            raise ValueError("only evaluate may find that the barrier holds")
        return await self._write(
            partial(transfers.advance_transfer, transfer=transfer, event=event, now=now, reason=reason)
        )

    async def evaluate(
        self, transfer: TransferId, *, now: float, silent: Iterable[Silent] = ()
    ) -> tuple[Transfer, BarrierView] | None:
        """See `TransferStore`. Looks first: many evaluators ask often, and the feed's row is for those who write."""
        ready = tuple(silent)
        found, seen = await self._primary.read(partial(transfers.look, transfer=transfer))
        if not found.transfers:
            return None
        (looked_at,) = found.transfers
        locking = looked_at.state is TransferState.LOCKING
        if (locking and not ready and not holds(looked_at, seen, now=now)) or (not locking and found.certain):
            return looked_at, seen
        return await self._write(partial(transfers.evaluate, transfer=transfer, now=now, silent=ready))

    async def get_transfer(self, transfer: TransferId) -> Transfer | None:
        """See `TransferStore`."""
        found = await self._confirmed(partial(transfers.read_transfers, transfer=transfer))
        return found[0] if found else None

    async def list_transfers(self, *, workspace: WorkspaceId | None, running: bool) -> tuple[Transfer, ...]:
        """See `TransferStore`. A list of one workspace's is confirmed, like one transfer: a job may act upon it. That
        of all is asked for all the time, by evaluators who do not.
        """
        read = partial(transfers.read_transfers, workspace=workspace, running=running)
        if workspace is not None:
            return await self._confirmed(read)
        return (await self._primary.read(read)).transfers

    async def forget(self, incarnation: str, *, ending: Ending, renewals: int | None = None) -> bool:
        """See `TransferStore`."""
        now = self._clock.wall()
        return await self._write(
            lambda feed: losses.forget(feed.transaction, incarnation, ending=ending, renewals=renewals, now=now),
            Sharing.TOGETHER,
        )

    async def losses(self, transfer: TransferId) -> Losses:
        """See `TransferStore`."""
        return await self._primary.read(partial(losses.losses, transfer=transfer))

    async def _confirmed(self, read: Callable[[Transaction], Awaitable[transfers.Found]]) -> tuple[Transfer, ...]:
        found = await self._primary.read(read)
        if found.certain:
            return found.transfers

        async def read_and_confirm(feed: Feed) -> transfers.Found:
            again = await read(feed.transaction)
            await feed.transaction.confirm()
            return again

        return (await self._write(read_and_confirm, Sharing.FREE)).transfers

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """What `work` finds in one snapshot of the primary. Raises `StoreError`, and whatever `work` raises."""
        return await self._primary.read(work)

    async def write(self, work: Callable[[Feed], Awaitable[T]], sharing: Sharing = Sharing.ALONE) -> T:
        """What `work` has done, committed and confirmed. It may be begun twice: nothing of the first time is kept.

        Raises `StoreError`, and whatever `work` raises.
        """
        return await self._write(work, sharing)

    async def _write(self, work: Callable[[Feed], Awaitable[T]], sharing: Sharing = Sharing.ALONE) -> T:
        clockwork = Clockwork(self._clock.wall(), self._longest_lease)

        async def entered(transaction: Transaction) -> T:
            feed = await enter(transaction, sharing, clockwork, keep=self._keep_changes)
            self._note_generation(feed.generation)
            result = await work(feed)
            await feed.flush()
            return result

        try:
            return await self._primary.write(entered)
        except MovedError:
            await self._write(_nothing)
        try:
            return await self._primary.write(entered)
        except MovedError as error:
            raise StoreError(f"{self._primary.source.name}: is being failed over: try again") from error

    def _note_generation(self, generation: int) -> None:
        """In a later one than before the directory was failed over: what was connected until now may lead to a server
        that still answers and is the primary no more. Each of its answers would end somebody's term.
        """
        if self._generation is not None and generation > self._generation:
            for session in self._sessions:
                session.leave()
        self._generation = max(generation, self._generation or generation)

    def _session(self, url: str, setting: str, kind: str) -> Session:
        terms = Terms(self._options)
        pool = Pool(
            read_source(url, setting, session=kind),
            size=self._options.pool_size,
            wait=self._options.pool_wait,
            inspect=lambda link: maintenance.inspect(link, terms, self._directory_id, primary=kind == READ_WRITE),
        )
        return Session(pool, terms, generation_of)


async def _nothing(_: Feed) -> None:
    """Only entered for: whoever enters alone begins another generation where the history has moved."""
