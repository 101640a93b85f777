"""The transfer service: a transfer's steps with patience, for whoever asks on the directory itself.

Theory. `Lifecycle` is one step in one transaction; what a person or a script wants is more than that. They name a
transfer by its workspace, they want to know how a start turned out, and they must wait for nobody else's evaluator: so
each command evaluates the lock barrier itself, again and again for a moment, and a `start` in a directory without
gateways, or with dead ones, is `transferring` when it returns. The steps, their rules, events and lines of the audit
log are `Lifecycle`'s, as they are for the control API.

The law of the room: an expected outcome is a value, a status or a `Declined`; `StoreError` alone is raised. A transfer
is named by its own id, or by its workspace while it runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from router.control.audit import Act
from router.control.lifecycle import Lifecycle, Report, Wish
from router.control.problems import ControlProblem, Declined, Objection, decline
from router.directory.evaluator import INTERVAL, evaluate_all, evaluate_transfer
from router.directory.store import StoreError
from router.model.losses import NOTHING_LOST, Losses
from router.model.placement import WorkspaceId
from router.model.transfer import Transfer, TransferId, TransferState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from router.control.lifecycle import Preview
    from router.control.options import ControlOptions
    from router.control.ports import ControlStore, ControlTransaction
    from router.directory.evaluator import Evaluation
    from router.directory.hostlock import HostLocks
    from router.directory.ports import Clock
    from router.directory.store import TransferStore
    from router.directory.watch import Waiting, Watch
    from router.model.journal import Progress

PATIENCE: Final = 2.0
"""Seconds that a command waits for the barrier. Gateways that nothing holds up have applied a lock in less than one."""

_MAX_TEXT: Final = 200
_PAGE: Final = 500
_RUNNING: Final = tuple(state for state in TransferState if state.running)


@dataclass(frozen=True, slots=True)
class TransferStatus:
    """A transfer as it is now, and why it still is `locking` if it is.

    - `changed`: the call that returned this has changed it; a repeated call has not, and is no error.
    - `waits_for`: registrations that have not applied its lock; `quarantine_until` (seconds since 1970): before that
      no barrier of a restored directory holds.
    - `losses`: what nobody can know the end of, up to now.
    - `trouble`: one line, if the barrier could not be evaluated after the change was made.
    """

    transfer: Transfer
    changed: bool = False
    progress: Progress | None = None
    waits_for: tuple[Waiting, ...] = ()
    quarantine_until: float = 0.0
    losses: Losses = NOTHING_LOST
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
        for waiting in self.waits_for:
            yield waiting.line(now)


Outcome: TypeAlias = TransferStatus | Declined


class TransferService:
    """Transfers of the workspaces in one directory.

    - `control`, `barrier`: two sides of the same directory; steps are made over the one, the barrier evaluated over
      the other.
    - `watch`: of this process; what it has seen in silence for too long is not waited for.
    - `who`: the name of whoever acts, in the audit log.
    - `patience`: seconds that a command waits for the barrier at most.
    """

    def __init__(
        self,
        control: ControlStore,
        barrier: TransferStore,
        locks: HostLocks,
        clock: Clock,
        watch: Watch,
        *,
        options: ControlOptions,
        who: str,
        patience: float = PATIENCE,
    ) -> None:
        self._control = control
        self._barrier = barrier
        self._locks = locks
        self._clock = clock
        self._watch = watch
        self._options = options
        self._who = who
        self._patience = patience

    async def preview(self, wish: Wish) -> Preview | Declined:
        """Judge a move and change nothing. Raises `StoreError`."""
        act = self._act()
        return await self._control.read(lambda tx: self._lifecycle(tx, act).preview(wish))

    async def start(self, wish: Wish, *, duration: float | None = None) -> Outcome:
        """Lock the workspace and begin to move it; its deadline is `duration` seconds away, or as configured.

        Raises `StoreError`.
        """
        malformed = tuple(_malformed(wish, duration))
        if malformed:
            return Declined(malformed)
        started = await self._step(lambda lifecycle: lifecycle.start(wish, duration=duration))
        if isinstance(started, Declined):
            return started
        try:
            return await self._settle(started.transfer, changed=True)
        except StoreError as error:
            # The lock is committed: whoever is told of a failure only would start again, and be refused.
            return TransferStatus(started.transfer, changed=True, trouble=str(error))

    async def show(self, name: str) -> Outcome:
        """The transfer `name`, or the running one of the workspace `name`, else its last. Raises `StoreError`."""
        found = await self._control.read(lambda tx: _find(tx, name) or _last(tx, name))
        if found is None:
            return _names_nothing(name)
        seen = await self._evaluate(found) if found.state is TransferState.LOCKING else None
        status = self._status(seen, found, changed=False)
        # Behind the evaluation, which may itself have given somebody up.
        progress, losses = await self._control.read(lambda tx: (tx.progress(found.id), tx.losses(found.id)))
        return replace(status, progress=progress, losses=losses)

    async def list(self, *, workspace: WorkspaceId | None = None, running: bool = False) -> tuple[TransferStatus, ...]:
        """The newest first, of one workspace or of all, running ones only if asked. Losses are not read.

        Raises `StoreError`.
        """
        evaluated = await evaluate_all(self._barrier, self._locks, self._clock, self._watch)
        evaluations = {evaluation[0].id: evaluation for evaluation in evaluated}
        states = _RUNNING if running else None
        listed: list[TransferStatus] = []
        before: int | None = None
        while True:
            page = await self._control.read(partial(_page, workspace=workspace, states=states, before=before))
            listed += (
                replace(self._status(evaluations.get(transfer.id), transfer, changed=False), progress=progress)
                for transfer, progress in page
            )
            if len(page) < _PAGE:
                return tuple(listed)
            before = page[-1][0].lock_seq

    async def complete(self, name: str) -> Outcome:
        """The data is at the destination: the workspace lives there from now on. Raises `StoreError`."""
        found = await self._found(name)
        if isinstance(found, Declined):
            return found
        if found.state is TransferState.LOCKING:
            status = await self._settle(found, changed=False)
            if status.transfer.state is TransferState.LOCKING:
                obstacles = status.obstacles(self._clock.wall())
                return Declined(tuple(_still_locking(found, reason) for reason in obstacles or ("evaluate again",)))
        return await self._advance(found, lambda lifecycle: lifecycle.complete(found.id))

    async def fail(self, name: str, *, reason: str) -> Outcome:
        """The move did not succeed: the workspace stays where it was. Raises `StoreError`."""
        if not _is_line(reason):
            text = f"The reason is not one printable line of at most {_MAX_TEXT} characters."
            return decline(ControlProblem.INVALID_REQUEST, text)
        found = await self._found(name)
        if isinstance(found, Declined):
            return found
        return await self._advance(found, lambda lifecycle: lifecycle.fail(found.id, reason))

    async def abort(self, name: str) -> Outcome:
        """Call it off before anything can have been copied: only while it is `locking`. Raises `StoreError`."""
        found = await self._found(name)
        if isinstance(found, Declined):
            return found
        return await self._advance(found, lambda lifecycle: lifecycle.abort(found.id))

    async def _advance(self, found: Transfer, step: Callable[[Lifecycle], Report | Declined]) -> Outcome:
        done = await self._step(step)
        if isinstance(done, Declined):
            return done
        return TransferStatus(done.transfer, done.changed, done.progress)

    async def _step(self, step: Callable[[Lifecycle], Report | Declined]) -> Report | Declined:
        act = self._act()
        return await self._control.transact(lambda tx: step(self._lifecycle(tx, act)))

    def _act(self) -> Act:
        return Act(self._who, self._clock.wall())

    def _lifecycle(self, tx: ControlTransaction, act: Act) -> Lifecycle:
        return Lifecycle(tx, act, self._options)

    async def _found(self, name: str) -> Transfer | Declined:
        return await self._control.read(lambda tx: _find(tx, name)) or _names_nothing(name)

    async def _settle(self, transfer: Transfer, *, changed: bool) -> TransferStatus:
        """Evaluate until it is no longer `locking`, or patience ends."""
        give_up = self._clock.monotonic() + self._patience
        while True:
            status = self._status(await self._evaluate(transfer), transfer, changed=changed)
            if status.transfer.state is not TransferState.LOCKING or self._clock.monotonic() >= give_up:
                return status
            await self._clock.sleep(INTERVAL)

    async def _evaluate(self, transfer: Transfer) -> Evaluation | None:
        return await evaluate_transfer(self._barrier, self._locks, self._clock, self._watch, transfer.id)

    def _status(self, seen: Evaluation | None, known: Transfer, *, changed: bool) -> TransferStatus:
        """What an evaluation shows; `known` is the transfer as it was read where there was nothing to evaluate."""
        if seen is None or seen[0].state is not TransferState.LOCKING:
            return TransferStatus(known if seen is None else seen[0], changed)
        waits_for = self._watch.waiting(*seen)
        return TransferStatus(seen[0], changed, waits_for=waits_for, quarantine_until=seen[1].quarantine_until)


def _find(tx: ControlTransaction, name: str) -> Transfer | None:
    """The transfer of that id, or the running one of that workspace."""
    found = tx.transfer(TransferId(name))
    running = () if found is not None else tx.transfers(workspace=WorkspaceId(name), states=_RUNNING, limit=1)
    return found or next(iter(running), None)


def _last(tx: ControlTransaction, name: str) -> Transfer | None:
    return next(iter(tx.transfers(workspace=WorkspaceId(name), limit=1)), None)


def _page(
    tx: ControlTransaction,
    *,
    workspace: WorkspaceId | None,
    states: tuple[TransferState, ...] | None,
    before: int | None,
) -> list[tuple[Transfer, Progress | None]]:
    found = tx.transfers(workspace=workspace, states=states, before=before, limit=_PAGE)
    return [(transfer, tx.progress(transfer.id)) for transfer in found]


def _malformed(wish: Wish, duration: float | None) -> Iterator[Objection]:
    if wish.requested_by is not None and not _is_line(wish.requested_by):
        text = f"Who requests it is not one printable line of at most {_MAX_TEXT} characters."
        yield Objection(ControlProblem.INVALID_REQUEST, text)
    if duration is not None and not (math.isfinite(duration) and duration > 0):
        yield Objection(ControlProblem.INVALID_REQUEST, "The time until its deadline is not positive.")


def _names_nothing(name: str) -> Declined:
    return decline(ControlProblem.NO_TRANSFER, f"{name!r} names no transfer, and no workspace in transfer.")


def _still_locking(transfer: Transfer, reason: str) -> Objection:
    return Objection(ControlProblem.STILL_LOCKING, f"Transfer {transfer.id} is still locking: {reason}.")


def _is_line(text: str) -> bool:
    return bool(text.strip()) and len(text) <= _MAX_TEXT and text.isprintable()
