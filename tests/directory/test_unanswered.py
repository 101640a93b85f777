"""Requests without a whole answer: what is remembered, when it is named, and that nothing is lost in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from router.directory.options import DirectoryOptions
from router.directory.unanswered import BATCH, Unanswered
from router.model.fault import Fault
from router.model.losses import FORGOTTEN_REQUESTS
from router.model.placement import Change, Entry, Kind, Placement, Version, WorkspaceId
from router.model.transfer import RunningTransfer, Transfer, TransferEvent, TransferId, TransferState
from tests.directory.manual_clock import ManualClock, settle
from tests.directory.memory_store import EU, US, W1, W2, workspace_entry
from tests.directory.rig import LEASE, Rig, target_of

if TYPE_CHECKING:
    from router.directory.ledger import Hold

POLL = 0.25
WINDOW = 900.0
T1, T2 = TransferId("t1"), TransferId("t2")


def holds(workspace: WorkspaceId) -> tuple[Hold, ...]:
    return ((workspace_entry(workspace), Version(1, 1)),)


def note(rig: Rig, name: str, workspace: WorkspaceId = W1, fault: Fault = Fault.CLIENT_GONE) -> None:
    rig.directory.unanswered.note(holds(workspace), name.encode(), "eu", fault)


async def lock(rig: Rig, workspace: WorkspaceId = W1, transfer: TransferId = T1) -> int:
    now = rig.clock.wall()
    started = await rig.store.start_transfer(
        Transfer(transfer, workspace, EU, US, TransferState.LOCKING, "owner", now, now + 3600, 0),
        losses_since=now - WINDOW,
    )
    return started.lock_seq


async def named(rig: Rig, transfer: TransferId = T1) -> list[str]:
    return [found.request_id for found in (await rig.store.losses(transfer)).requests]


@pytest.fixture
async def placed(rig: Rig) -> Rig:
    """Both workspaces in the EU, and followed."""
    rig.store.place(W1, EU)
    rig.store.place(W2, EU)
    await rig.clock.advance(POLL)
    return rig


# When it is named


async def test_nothing_is_named_while_nothing_is_locked(placed: Rig) -> None:
    note(placed, "r1")
    await placed.clock.advance(10 * POLL)
    assert not any(renewal.unanswered for renewal in placed.store.renewals)


async def test_what_is_remembered_of_a_workspace_is_named_when_it_is_locked(placed: Rig) -> None:
    note(placed, "r1")
    note(placed, "other", W2)
    note(placed, "r2", fault=Fault.ANSWER_TIMEOUT)
    await lock(placed)
    await placed.clock.advance(POLL)
    requests = (await placed.store.losses(T1)).requests
    assert [(one.request_id, one.region, one.incarnation, one.fault) for one in requests] == [
        ("r1", "eu", "i1", "client_gone"),
        ("r2", "eu", "i1", "answer_timeout"),
    ]


async def test_the_lock_is_not_acknowledged_before_they_are_named(placed: Rig) -> None:
    note(placed, "r1")
    seq = await lock(placed)
    await placed.clock.advance(POLL)
    first = next(renewal for renewal in placed.store.renewals if renewal.applied >= seq)
    assert [one.request_id for one in first.unanswered] == ["r1"]


async def test_more_than_one_renewal_can_carry_hold_the_acknowledgement_back(placed: Rig) -> None:
    for number in range(2 * BATCH + 1):
        note(placed, f"r{number}")
    seq = await lock(placed)
    await placed.clock.advance(POLL)
    applied = [(renewal.applied >= seq, len(renewal.unanswered)) for renewal in placed.store.renewals]
    assert applied[-4:] == [(False, 0), (False, BATCH), (False, BATCH), (True, 1)]


async def test_a_request_that_ends_badly_while_the_lock_waits_for_it_is_named_with_the_acknowledgement(
    placed: Rig,
) -> None:
    ticket, _ = await placed.enter(target_of(W1))
    seq = await lock(placed)
    await placed.clock.advance(POLL)
    assert placed.applied < seq
    placed.directory.unanswered.note(ticket.holds, b"cut", "eu", Fault.LOCK_CUT)
    placed.directory.ledger.leave(ticket)
    await settle()
    last = placed.store.renewals[-1]
    assert (last.applied, [one.request_id for one in last.unanswered]) == (seq, ["cut"])


async def test_what_was_not_acknowledged_is_named_again_and_listed_once(placed: Rig) -> None:
    note(placed, "r1")
    await lock(placed)
    with placed.store.held("renew", answers=True) as gate:
        await placed.clock.advance(POLL)
        gate.release()
        await placed.clock.advance(2 * placed.options.renewal_timeout)
    await placed.clock.advance(placed.options.retry_max)
    assert sum(bool(renewal.unanswered) for renewal in placed.store.renewals) > 1
    assert await named(placed) == ["r1"]


async def test_a_second_transfer_of_the_workspace_is_told_as_well(placed: Rig) -> None:
    note(placed, "r1")
    await lock(placed)
    await placed.clock.advance(POLL)
    await placed.store.advance_transfer(T1, TransferEvent.ABORT, now=placed.clock.wall())
    await placed.clock.advance(POLL)
    await lock(placed, transfer=T2)
    await placed.clock.advance(POLL)
    assert await named(placed, T2) == ["r1"]


async def test_the_flip_of_a_transfer_is_no_second_lock(placed: Rig) -> None:
    note(placed, "r1")
    await lock(placed)
    await placed.clock.advance(POLL)
    before = len(placed.store.renewals)
    await placed.store.evaluate(T1, now=placed.clock.wall())
    await placed.clock.advance(2 * POLL)
    assert not any(renewal.unanswered for renewal in placed.store.renewals[before:])


async def test_a_request_that_rests_on_no_workspace_concerns_no_lock(placed: Rig) -> None:
    key = (Entry(Kind.KEY, "00" * 32), Version(1, 1))
    placed.directory.unanswered.note((key,), b"r1", "eu", Fault.CLIENT_GONE)
    assert len(placed.directory.unanswered) == 0


async def test_an_id_that_a_client_chose_cannot_hurt(placed: Rig) -> None:
    placed.directory.unanswered.note(holds(W1), b"\xff\x01", "eu", Fault.CLIENT_GONE)
    await lock(placed)
    await placed.clock.advance(POLL)
    assert await named(placed) == ["\\xff\x01"]


# When the gateway goes


async def test_a_term_that_ends_names_all_it_remembers_when_it_takes_its_row_away(placed: Rig) -> None:
    note(placed, "r1")
    note(placed, "r2", W2)
    placed.directory.wake()
    placed.store.rows.clear()
    await placed.clock.advance(POLL)
    await lock(placed)
    await lock(placed, W2, T2)
    assert (await named(placed), await named(placed, T2)) == (["r1"], ["r2"])


async def test_what_a_term_s_last_request_left_behind_is_named_too(placed: Rig) -> None:
    ticket, _ = await placed.enter(target_of(W1))
    await placed.clock.advance(0.0)
    with placed.store.failing("renew", "register"):
        await placed.clock.advance(LEASE + 1.0)
    await lock(placed)
    assert "i1" in placed.store.rows
    placed.directory.unanswered.note(ticket.holds, b"late", "eu", Fault.TRUNCATED)
    placed.directory.ledger.leave(ticket)
    await settle()
    assert ("i1" in placed.store.rows, await named(placed)) == (False, ["late"])


async def test_a_gateway_that_stops_leaves_what_it_remembers(placed: Rig) -> None:
    note(placed, "r1", fault=Fault.SHUTDOWN)
    await placed.directory.close()
    await lock(placed)
    assert await named(placed) == ["r1"]


# How much, and how long


def small(size: int) -> tuple[Unanswered, ManualClock]:
    clock = ManualClock()
    return Unanswered(DirectoryOptions(unanswered_size=size, unanswered_window=WINDOW), clock), clock


def numbered(number: int) -> WorkspaceId:
    return WorkspaceId(f"{number:024x}")


def locked(workspace: WorkspaceId) -> Change:
    running = RunningTransfer(T1, EU, US, 0.0, 3600.0)
    return Change(9, Placement(workspace, EU, Version(1, 2), running))


def last_word(unanswered: Unanswered) -> list[tuple[str, str]]:
    return [(one.request_id or one.fault, one.workspace) for one in unanswered.last_word()]


def test_what_no_region_can_still_be_executing_is_forgotten() -> None:
    unanswered, clock = small(10)
    unanswered.note(holds(W1), b"old", "eu", Fault.CLIENT_GONE)
    clock.jump(WINDOW)
    unanswered.note(holds(W1), b"new", "eu", Fault.CLIENT_GONE)
    clock.jump(1.0)
    assert last_word(unanswered) == [("new", W1)]


def test_time_in_which_this_machine_was_suspended_counts_for_the_regions() -> None:
    unanswered, clock = small(10)
    unanswered.note(holds(W1), b"old", "eu", Fault.CLIENT_GONE)
    clock.suspend(WINDOW + 1.0)
    assert last_word(unanswered) == []


def test_beyond_its_size_the_workspace_is_remembered_and_said_to_lack_requests() -> None:
    unanswered, _ = small(2)
    for name, workspace in ((b"r1", W1), (b"r2", W1), (b"r3", W2), (b"r4", W2)):
        unanswered.note(holds(workspace), name, "eu", Fault.CLIENT_GONE)
    assert last_word(unanswered) == [("r3", W2), ("r4", W2), (FORGOTTEN_REQUESTS, W1)]


def test_beyond_that_every_workspace_is_said_to_lack_requests_and_they_are_counted() -> None:
    unanswered, clock = small(1)
    for number in (1, 2, 3, 1):
        unanswered.note(holds(numbered(number)), b"r", "eu", Fault.CLIENT_GONE)
    unanswered.follow(locked(numbered(7)))
    assert unanswered.forgotten == 2
    assert [one.fault for one in unanswered.batch()] == [FORGOTTEN_REQUESTS]
    clock.jump(WINDOW + 1.0)
    unanswered.follow(locked(numbered(8)))
    assert len(unanswered.batch()) == 1


def test_what_gave_way_is_forgotten_in_its_time_too() -> None:
    unanswered, clock = small(1)
    for _ in range(3):
        unanswered.note(holds(W1), b"r", "eu", Fault.CLIENT_GONE)
    clock.jump(WINDOW + 1.0)
    assert last_word(unanswered) == []
