"""Every event in every state of a transfer: the table is told twice, here by hand, so that a slip shows."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from router.model.placement import WorkspaceId
from router.model.region import RegionName
from router.model.transfer import (
    TRANSITIONS,
    Refusal,
    RunningTransfer,
    Transfer,
    TransferEvent,
    TransferId,
    TransferState,
    advance,
)

LOCKING, TRANSFERRING = TransferState.LOCKING, TransferState.TRANSFERRING
COMPLETED, FAILED = TransferState.COMPLETED, TransferState.FAILED

START = Transfer(
    id=TransferId("t-1"),
    workspace=WorkspaceId("64a687e29ae1f428e7ebe3ff"),
    source=RegionName("eu"),
    destination=RegionName("us"),
    state=LOCKING,
    requested_by="owner",
    started_at=1000.0,
    deadline=44200.0,
    lock_seq=7,
)

# state: what barrier_holds, complete, fail and abort make of it
EXPECTED: dict[TransferState, tuple[TransferState | Refusal, ...]] = {
    LOCKING: (TRANSFERRING, Refusal.NOT_TRANSFERRING, FAILED, FAILED),
    TRANSFERRING: (Refusal.UNCHANGED, COMPLETED, FAILED, Refusal.TOO_LATE_TO_ABORT),
    COMPLETED: (Refusal.ENDED, Refusal.UNCHANGED, Refusal.ENDED, Refusal.ENDED),
    FAILED: (Refusal.ENDED, Refusal.ENDED, Refusal.UNCHANGED, Refusal.UNCHANGED),
}
EVENTS = (TransferEvent.BARRIER_HOLDS, TransferEvent.COMPLETE, TransferEvent.FAIL, TransferEvent.ABORT)
CASES = [
    pytest.param(state, event, outcome, id=f"{event} when {state}")
    for state, row in EXPECTED.items()
    for event, outcome in zip(EVENTS, row, strict=True)
]


def test_the_table_has_a_row_for_every_event_in_every_state() -> None:
    assert set(TRANSITIONS) == set(itertools.product(TransferState, TransferEvent))


@pytest.mark.parametrize(("state", "event", "outcome"), CASES)
def test_an_event_in_a_state_has_just_this_outcome(
    state: TransferState, event: TransferEvent, outcome: TransferState | Refusal
) -> None:
    step = advance(replace(START, state=state), event, now=2000.0, reason="why")
    assert (step if isinstance(step, Refusal) else step.state) is outcome


def test_no_event_leads_back_to_locking() -> None:
    assert LOCKING not in TRANSITIONS.values()


def test_nothing_but_the_barrier_leads_to_transferring() -> None:
    ways = {event for (_, event), outcome in TRANSITIONS.items() if outcome is TRANSFERRING}
    assert ways == {TransferEvent.BARRIER_HOLDS}


def test_nothing_leads_out_of_an_ended_transfer() -> None:
    outcomes = [outcome for (state, _), outcome in TRANSITIONS.items() if not state.running]
    assert all(isinstance(outcome, Refusal) for outcome in outcomes)


def test_a_transfer_can_only_complete_once_it_is_transferring() -> None:
    ways = {state for (state, _), outcome in TRANSITIONS.items() if outcome is COMPLETED}
    assert ways == {TRANSFERRING}


def test_the_barrier_changes_nothing_but_the_state() -> None:
    assert advance(START, TransferEvent.BARRIER_HOLDS, now=2000.0) == replace(START, state=TRANSFERRING)


def test_an_ended_transfer_says_when_and_why() -> None:
    failed = advance(START, TransferEvent.FAIL, now=2000.0, reason="disk full at the destination")
    assert failed == replace(START, state=FAILED, ended_at=2000.0, reason="disk full at the destination")


def test_an_abort_is_a_failure_with_the_reason_aborted_whatever_the_caller_says() -> None:
    aborted = advance(START, TransferEvent.ABORT, now=2000.0, reason="changed my mind")
    assert aborted == replace(START, state=FAILED, ended_at=2000.0, reason="aborted")


@pytest.mark.parametrize("state", [LOCKING, TRANSFERRING])
def test_a_running_transfer_locks_its_workspace(state: TransferState) -> None:
    assert replace(START, state=state).running == RunningTransfer(
        START.id, START.source, START.destination, START.started_at, START.deadline
    )


@pytest.mark.parametrize("state", [COMPLETED, FAILED])
def test_an_ended_transfer_locks_nothing(state: TransferState) -> None:
    assert replace(START, state=state).running is None


@pytest.mark.parametrize(("state", "home"), [(LOCKING, "eu"), (TRANSFERRING, "eu"), (FAILED, "eu"), (COMPLETED, "us")])
def test_a_workspace_moves_only_by_a_completed_transfer(state: TransferState, home: str) -> None:
    assert replace(START, state=state).home == home
