"""Operations on transfers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.control.api import sent, shown
from router.control.api.operations import PREFIX, Answer, answer, tagged
from router.control.api.pages import cut, read_number
from router.control.api.pictures import move_preview, transfer_report, workspace_state
from router.control.audit import Act
from router.control.lifecycle import Lifecycle, Report, Wish, no_transfer
from router.control.problems import ControlProblem, Declined
from router.model.placement import WorkspaceId
from router.model.region import RegionName
from router.model.transfer import TransferId, TransferState

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.control.api.calls import Call
    from router.control.ports import ControlTransaction

RUNNING = tuple(state for state in TransferState if state.running)
ENDED = tuple(state for state in TransferState if not state.running)


async def start_transfer(call: Call) -> Answer | Declined:
    """Lock a workspace and begin to move it; or only say what that would do."""
    wanted = call.sent(sent.TransferStart)
    wish = Wish(call.workspace, RegionName(wanted.destination), wanted.requested_by)
    if call.asked(sent.StartQuery).preview == "true":
        act = Act(call.principal.name, call.site.clock.wall())
        return await call.read(lambda tx: _preview(Lifecycle(tx, act, call.site.options), wish))

    def work(tx: ControlTransaction, act: Act) -> Answer | Declined:
        found = tx.workspace(wish.workspace)
        unmet = call.unmet(None if found is None else tagged(workspace_state(found)))
        if unmet is not None:
            return unmet
        started = Lifecycle(tx, act, call.site.options).start(wish)
        if isinstance(started, Declined):
            return started
        return tagged(transfer_report(tx, started), 201, Location=f"{PREFIX}/transfers/{started.transfer.id}")

    return await call.change(work)


async def list_transfers(call: Call) -> Answer | Declined:
    """Transfers, the newest first."""
    query = call.asked(sent.TransferQuery)
    before = read_number(query.after)
    if isinstance(before, Declined):
        return before
    states = set(TransferState if query.state is None else (query.state,))
    if query.running is not None:
        states &= set(RUNNING if query.running == "true" else ENDED)
    act = Act(call.principal.name, call.site.clock.wall())

    def work(tx: ControlTransaction) -> Answer:
        lifecycle = Lifecycle(tx, act, call.site.options)
        found = tx.transfers(
            workspace=None if query.workspace is None else WorkspaceId(query.workspace.lower()),
            states=sorted(states),
            before=before,
            limit=query.limit + 1,
        )
        page, cursor = cut(found, query.limit, lambda one: str(one.lock_seq))
        items = [transfer_report(tx, lifecycle.report(one)) for one in page]
        return answer(shown.Transfers(items=items, next=cursor))

    return await call.read(work)


async def get_transfer(call: Call) -> Answer | Declined:
    """One transfer, and what it waits for."""
    act = Act(call.principal.name, call.site.clock.wall())
    return await call.read(lambda tx: _transfer(tx, call, act) or no_transfer(_id(call)))


async def report_progress(call: Call) -> Answer | Declined:
    """Say how far the job has come."""
    told = call.sent(sent.ProgressReport)
    return await _step(call, lambda lifecycle: lifecycle.progress(_id(call), told.percent, told.note))


async def complete_transfer(call: Call) -> Answer | Declined:
    """The data is at the destination: the workspace lives there from now on."""
    return await _step(call, lambda lifecycle: lifecycle.complete(_id(call)))


async def fail_transfer(call: Call) -> Answer | Declined:
    """The move did not succeed: the workspace stays where it was."""
    reason = call.sent(sent.Failure).reason
    return await _step(call, lambda lifecycle: lifecycle.fail(_id(call), reason))


async def abort_transfer(call: Call) -> Answer | Declined:
    """Call it off before anything can have been copied."""
    return await _step(call, lambda lifecycle: lifecycle.abort(_id(call)))


async def _step(call: Call, step: Callable[[Lifecycle], Report | Declined]) -> Answer | Declined:
    def work(tx: ControlTransaction, act: Act) -> Answer | Declined:
        unmet = call.unmet(_transfer(tx, call, act))
        if unmet is not None:
            return unmet
        done = step(Lifecycle(tx, act, call.site.options))
        return done if isinstance(done, Declined) else tagged(transfer_report(tx, done))

    return await call.change(work)


def _transfer(tx: ControlTransaction, call: Call, act: Act) -> Answer | None:
    found = tx.transfer(_id(call))
    if found is None:
        return None
    return tagged(transfer_report(tx, Lifecycle(tx, act, call.site.options).report(found)))


def _preview(lifecycle: Lifecycle, wish: Wish) -> Answer | Declined:
    seen = lifecycle.preview(wish)
    return seen if isinstance(seen, Declined) else answer(move_preview(seen))


def _id(call: Call) -> TransferId:
    return TransferId(call.path["transfer"])


STEP_PROBLEMS = (
    ControlProblem.NO_TRANSFER,
    ControlProblem.STILL_LOCKING,
    ControlProblem.ENDED,
    ControlProblem.TOO_LATE_TO_ABORT,
)
"""What the table of a transfer's states may decline with."""
