"""The transfer service: what a person or a job may do with a workspace's move, and the rules that no store knows.

Theory. The store guards what is true in one transaction: one transfer of a workspace at a time, not to where it lives
already, every step by the table of transitions. This guards what the configuration and the product say (a destination
that is configured, and never back to the home region), and lets nobody wait for somebody else's evaluator: each command
evaluates the lock barrier itself, so that `start` in a directory without gateways, or with dead ones, is `transferring`
when it returns.

The law of the room: an expected outcome is a value, a status or the reasons of a refusal; `StoreError` alone is raised.
A transfer is named by its own id, or by its workspace while it runs.
"""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from router.directory.evaluator import INTERVAL, evaluate_all, evaluate_transfer
from router.directory.store import StoreError, TransferStore, WriteRefusedError
from router.model.barrier import waits_for
from router.model.placement import WorkspaceId
from router.model.transfer import DEFAULT_DURATION, Refusal, Transfer, TransferEvent, TransferId, TransferState

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from router.directory.evaluator import Evaluation
    from router.directory.hostlock import HostLocks
    from router.directory.ports import Clock
    from router.directory.store import WorkspaceRecord
    from router.model.barrier import Registration
    from router.model.region import RegionName

PATIENCE: Final = 2.0
"""Seconds that a command waits for the barrier. Gateways that nothing holds up have applied a lock in less than one."""

_MAX_TEXT: Final = 200


class TransferDirectory(TransferStore, Protocol):
    """What the service asks of a store."""

    async def get_workspace(self, workspace: WorkspaceId) -> WorkspaceRecord | None:
        """The workspace, or `None`. Raises `StoreError`."""


@dataclass(frozen=True, slots=True)
class TransferStatus:
    """A transfer as it is now, and why it still is `locking` if it is.

    - `changed`: the call that returned this has changed it; a repeated call has not, and is no error.
    - `waits_for`: registrations that have not applied its lock; `quarantine_until` (seconds since 1970): before that
      no barrier of a restored directory holds.
    - `trouble`: one line, if the barrier could not be evaluated after the change was made.
    """

    transfer: Transfer
    changed: bool = False
    waits_for: tuple[Registration, ...] = ()
    quarantine_until: float = 0.0
    trouble: str | None = None

    def obstacles(self, now: float) -> tuple[str, ...]:
        """Why it is not `transferring` at `now` (seconds since 1970), one phrase each; empty unless it is `locking`."""
        if self.transfer.state is not TransferState.LOCKING:
            return ()
        return tuple(self._obstacles(now))

    def _obstacles(self, now: float) -> Iterator[str]:
        if self.trouble is not None:
            yield f"the lock barrier could not be evaluated ({self.trouble})"
        if self.quarantine_until > now:
            yield f"the restored directory may lack gateways: no barrier holds for {self.quarantine_until - now:.0f} s"
        for row in self.waits_for:
            silent = max(0.0, now - row.renewed_at)
            yield (
                f"gateway {row.gateway} on host {row.host} has not applied the lock "
                f"(incarnation {row.incarnation}, heard of {silent:.1f} s ago)"
            )


@dataclass(frozen=True, slots=True)
class Refused:
    """The command did nothing. `problems` has one line each, with the mend."""

    problems: tuple[str, ...]


Outcome: TypeAlias = TransferStatus | Refused


class TransferService:
    """Transfers of the workspaces in one directory.

    - `home`, `regions`: the configuration's home region and all its regions, home included.
    - `patience`: seconds that a command waits for the barrier at most.
    - `new_id`: makes a random id that is never reused.
    """

    def __init__(
        self,
        store: TransferDirectory,
        locks: HostLocks,
        clock: Clock,
        *,
        home: RegionName,
        regions: Collection[RegionName],
        patience: float = PATIENCE,
        new_id: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._store = store
        self._locks = locks
        self._clock = clock
        self._home = home
        self._regions = regions
        self._patience = patience
        self._new_id = new_id

    async def start(
        self, workspace: WorkspaceId, destination: RegionName, *, requested_by: str, duration: float = DEFAULT_DURATION
    ) -> Outcome:
        """Lock `workspace` and begin to move it; its deadline is `duration` seconds away. Raises `StoreError`."""
        problems = list(self._forbidden(destination, requested_by, duration))
        if problems:
            if await self._store.get_workspace(workspace) is None:
                problems.append(f"workspace {workspace!r} is not in the directory: put it first")
            return Refused(tuple(problems))
        now = self._clock.wall()
        wanted = Transfer(
            TransferId(self._new_id()),
            workspace,
            source=destination,
            destination=destination,
            state=TransferState.LOCKING,
            requested_by=requested_by,
            started_at=now,
            deadline=now + duration,
            lock_seq=0,
        )
        try:
            started = await self._store.start_transfer(wanted)
        except WriteRefusedError as refused:
            return Refused(refused.problems)
        try:
            return await self._settle(started, changed=True)
        except StoreError as error:
            # The lock is committed: whoever is told of a failure only would start again, and be refused.
            return TransferStatus(started, changed=True, trouble=str(error))

    async def show(self, name: str) -> Outcome:
        """The transfer `name`, or the running one of the workspace `name`, else its last. Raises `StoreError`."""
        found = await self._find(name)
        if isinstance(found, Refused):
            last = await self._store.list_transfers(workspace=WorkspaceId(name), running=False)
            return TransferStatus(last[0]) if last else found
        if found.state is not TransferState.LOCKING:
            return TransferStatus(found)
        return _status(await evaluate_transfer(self._store, self._locks, self._clock, found.id), found, changed=False)

    async def list(self, *, workspace: WorkspaceId | None = None, running: bool = False) -> tuple[TransferStatus, ...]:
        """The newest first, of one workspace or of all, running ones only if asked. Raises `StoreError`."""
        evaluations = {
            evaluation[0].id: evaluation for evaluation in await evaluate_all(self._store, self._locks, self._clock)
        }
        transfers = await self._store.list_transfers(workspace=workspace, running=running)
        return tuple(
            _status(evaluations.get(transfer.id), transfer, changed=False)
            if transfer.state is TransferState.LOCKING
            else TransferStatus(transfer)
            for transfer in transfers
        )

    async def complete(self, name: str) -> Outcome:
        """The data is at the destination: the workspace lives there from now on. Raises `StoreError`."""
        found = await self._find(name)
        if isinstance(found, Refused):
            return found
        if found.state is TransferState.LOCKING:
            status = await self._settle(found, changed=False)
            if status.transfer.state is TransferState.LOCKING:
                why = status.obstacles(self._clock.wall()) or (Refusal.NOT_TRANSFERRING.value,)
                return Refused(tuple(f"transfer {found.id} is still locking: {reason}" for reason in why))
        return await self._advance(found, TransferEvent.COMPLETE)

    async def fail(self, name: str, *, reason: str) -> Outcome:
        """The move did not succeed: the workspace stays where it was. Raises `StoreError`."""
        if not _is_line(reason):
            return Refused((f"the reason is not one printable line of at most {_MAX_TEXT} characters: write one",))
        found = await self._find(name)
        return found if isinstance(found, Refused) else await self._advance(found, TransferEvent.FAIL, reason)

    async def abort(self, name: str) -> Outcome:
        """Call it off before anything can have been copied: only while it is `locking`. Raises `StoreError`."""
        found = await self._find(name)
        return found if isinstance(found, Refused) else await self._advance(found, TransferEvent.ABORT)

    def _forbidden(self, destination: RegionName, requested_by: str, duration: float) -> Iterator[str]:
        if destination == self._home:
            yield f"{destination!r} is the home region, and no workspace moves back there: name another one"
        elif destination not in self._regions:
            known = ", ".join(sorted(region for region in self._regions if region != self._home))
            yield f"region {destination!r} is not configured: name one of {known or 'the regions that you configure'}"
        if not _is_line(requested_by):
            yield f"who requests it is not one printable line of at most {_MAX_TEXT} characters: write a name"
        if not (math.isfinite(duration) and duration > 0):
            yield "the time until its deadline is not positive: leave it out for 12 hours"

    async def _find(self, name: str) -> Transfer | Refused:
        found = await self._store.get_transfer(TransferId(name))
        if found is not None:
            return found
        running = await self._store.list_transfers(workspace=WorkspaceId(name), running=True)
        if running:
            return running[0]
        return Refused(
            (f"{name!r} names no transfer, and no workspace in transfer: see `region-router transfer list`",)
        )

    async def _settle(self, transfer: Transfer, *, changed: bool) -> TransferStatus:
        """Evaluate until it is no longer `locking`, or patience ends."""
        give_up = self._clock.monotonic() + self._patience
        while True:
            seen = await evaluate_transfer(self._store, self._locks, self._clock, transfer.id)
            status = _status(seen, transfer, changed=changed)
            if status.transfer.state is not TransferState.LOCKING or self._clock.monotonic() >= give_up:
                return status
            await self._clock.sleep(INTERVAL)

    async def _advance(self, transfer: Transfer, event: TransferEvent, reason: str | None = None) -> Outcome:
        now = self._clock.wall()
        advanced = await self._store.advance_transfer(transfer.id, event, now=now, reason=reason)
        if isinstance(advanced, Transfer):
            return TransferStatus(advanced, changed=True)
        # Read again: between being found and this it may have moved on, and the text should say where to.
        current = await self._store.get_transfer(transfer.id)
        if advanced is None or current is None:
            return Refused((f"transfer {transfer.id} is no longer in the directory: it was replaced by another one",))
        if advanced is Refusal.UNCHANGED:
            return TransferStatus(current)
        return Refused((f"transfer {current.id} is {current.state}: {advanced.value}",))


def _status(seen: Evaluation | None, known: Transfer, *, changed: bool) -> TransferStatus:
    """What an evaluation shows; `known` is the transfer as it was read where there was nothing to evaluate."""
    if seen is None or seen[0].state is not TransferState.LOCKING:
        return TransferStatus(known if seen is None else seen[0], changed)
    return TransferStatus(seen[0], changed, waits_for(*seen), seen[1].quarantine_until)


def _is_line(text: str) -> bool:
    return bool(text.strip()) and len(text) <= _MAX_TEXT and text.isprintable()
