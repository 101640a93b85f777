"""What any store must do for transfers and their lock barrier."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from router.directory.store import Newcomer, Position, WriteRefusedError
from router.model.placement import Kind, Placement
from router.model.transfer import Refusal, RunningTransfer, Transfer, TransferEvent, TransferId, TransferState
from tests.directory.feeds import (
    EU,
    LEASE,
    UK,
    US,
    W1,
    W2,
    draft,
    fact_of,
    read_feed,
    register,
    renew,
    transfer_of,
    workspace,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from router.model.placement import WorkspaceId
    from tests.directory.sites import MaintainedStore, Site

NOW = 5000.0


async def started(store: MaintainedStore) -> Transfer:
    await store.put_workspaces([draft(1, EU)])
    return await store.start_transfer(transfer_of(W1, US))


async def state_after_evaluation(store: MaintainedStore, transfer: Transfer, now: float = NOW) -> TransferState:
    evaluated = await store.evaluate(transfer.id, now=now)
    assert evaluated is not None
    return evaluated[0].state


async def transferring(store: MaintainedStore) -> Transfer:
    transfer = await started(store)
    assert await state_after_evaluation(store, transfer) is TransferState.TRANSFERRING
    return replace(transfer, state=TransferState.TRANSFERRING)


async def placement(store: MaintainedStore) -> Placement:
    fact = await fact_of(store, Kind.WORKSPACE, W1)
    assert isinstance(fact, Placement)
    return fact


# Starting


async def test_a_start_fills_in_the_source_and_the_seq_of_the_lock(store: MaintainedStore) -> None:
    transfer = await started(store)
    assert transfer == replace(transfer_of(W1, US), source=EU, lock_seq=2)
    assert await store.get_transfer(transfer.id) == transfer
    assert (await read_feed(store, since=1))[0].seq == transfer.lock_seq


async def test_a_start_locks_the_workspace_where_it_is_one_epoch_further(store: MaintainedStore) -> None:
    transfer = await started(store)
    found = await placement(store)
    assert (found.region, found.epoch) == (EU, 2)
    assert found.transfer == RunningTransfer(transfer.id, EU, US, transfer.started_at, transfer.deadline)


@pytest.mark.parametrize(
    ("transfer", "problem"),
    [
        (transfer_of(W2, US, name="t2"), "is not in the directory"),
        (transfer_of(W1, UK, name="t2"), r"is in transfer \(t1\)"),
        (transfer_of(workspace(3), EU, name="t2"), "lives in 'eu' already"),
        (transfer_of(workspace(3), US, name="t1"), "which another transfer has"),
    ],
)
async def test_a_start_that_the_rules_forbid_is_refused_and_writes_nothing(
    store: MaintainedStore, transfer: Transfer, problem: str
) -> None:
    await started(store)
    await store.put_workspaces([draft(3, EU)])
    before = await store.info()
    with pytest.raises(WriteRefusedError, match=problem):
        await store.start_transfer(transfer)
    assert await store.info() == before
    assert [found.id for found in await store.list_transfers(workspace=None, running=False)] == ["t1"]


async def test_a_start_tells_all_its_problems_at_once(store: MaintainedStore) -> None:
    await started(store)
    with pytest.raises(WriteRefusedError) as refused:
        await store.start_transfer(transfer_of(W1, EU, name="t2"))
    assert len(refused.value.problems) == 2


async def test_a_deleted_workspace_cannot_be_moved(store: MaintainedStore) -> None:
    await store.put_workspaces([draft(1)])
    await store.delete_workspace(W1)
    with pytest.raises(WriteRefusedError, match="is not in the directory"):
        await store.start_transfer(transfer_of(W1))


async def test_of_two_starts_at_once_one_wins(site: Site) -> None:
    first, second = site.connect(), site.connect()
    await first.put_workspaces([draft(1)])
    results = await asyncio.gather(
        first.start_transfer(transfer_of(W1, US, name="a")),
        second.start_transfer(transfer_of(W1, UK, name="b")),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in results) == ["Transfer", "WriteRefusedError"]


# Its life


async def test_a_completed_transfer_moves_the_workspace_and_unlocks_it(store: MaintainedStore) -> None:
    transfer = await transferring(store)
    ended = await store.advance_transfer(transfer.id, TransferEvent.COMPLETE, now=NOW)
    assert ended == replace(transfer, state=TransferState.COMPLETED, ended_at=NOW)
    assert await store.get_transfer(transfer.id) == ended
    found = await placement(store)
    assert (found.region, found.transfer) == (US, None)


@pytest.mark.parametrize("begin", [started, transferring])
async def test_a_failed_transfer_leaves_the_workspace_where_it_was_and_unlocks_it(
    store: MaintainedStore, begin: Callable[[MaintainedStore], Awaitable[Transfer]]
) -> None:
    transfer = await begin(store)
    ended = await store.advance_transfer(transfer.id, TransferEvent.FAIL, now=NOW, reason="disk full")
    assert ended == replace(transfer, state=TransferState.FAILED, ended_at=NOW, reason="disk full")
    found = await placement(store)
    assert (found.region, found.transfer) == (EU, None)


async def test_an_aborted_transfer_is_a_failed_one_with_that_reason(store: MaintainedStore) -> None:
    transfer = await started(store)
    ended = await store.advance_transfer(transfer.id, TransferEvent.ABORT, now=NOW)
    assert ended == replace(transfer, state=TransferState.FAILED, ended_at=NOW, reason="aborted")


async def test_every_step_grows_the_epoch_and_is_fed(store: MaintainedStore) -> None:
    transfer = await transferring(store)
    await store.advance_transfer(transfer.id, TransferEvent.FAIL, now=NOW)
    changes = await read_feed(store)
    assert [change.fact.version.number for change in changes] == [1, 2, 3, 4]
    assert [isinstance(change.fact, Placement) and change.fact.transfer is not None for change in changes] == [
        False,
        True,
        True,
        False,
    ]


async def test_a_repeated_call_is_unchanged_and_writes_nothing(store: MaintainedStore) -> None:
    transfer = await transferring(store)
    await store.advance_transfer(transfer.id, TransferEvent.COMPLETE, now=NOW)
    before = await store.info()
    assert await store.advance_transfer(transfer.id, TransferEvent.COMPLETE, now=NOW + 9) is Refusal.UNCHANGED
    assert await store.info() == before
    found = await store.get_transfer(transfer.id)
    assert found is not None
    assert found.ended_at == NOW


async def test_a_step_that_the_table_refuses_writes_nothing(store: MaintainedStore) -> None:
    transfer = await started(store)
    before = await store.info()
    assert await store.advance_transfer(transfer.id, TransferEvent.COMPLETE, now=NOW) is Refusal.NOT_TRANSFERRING
    assert await store.info() == before


async def test_an_unknown_transfer_is_none(store: MaintainedStore) -> None:
    unknown = TransferId("nobody")
    assert await store.get_transfer(unknown) is None
    assert await store.advance_transfer(unknown, TransferEvent.FAIL, now=NOW) is None
    assert await store.evaluate(unknown, now=NOW) is None


async def test_nobody_may_say_that_the_barrier_holds(store: MaintainedStore) -> None:
    transfer = await started(store)
    with pytest.raises(ValueError, match="evaluate"):
        await store.advance_transfer(transfer.id, TransferEvent.BARRIER_HOLDS, now=NOW)


async def test_a_workspace_can_be_moved_again_after_a_transfer_ended(store: MaintainedStore) -> None:
    transfer = await transferring(store)
    await store.advance_transfer(transfer.id, TransferEvent.COMPLETE, now=NOW)
    again = await store.start_transfer(transfer_of(W1, UK, name="t2"))
    assert again.source == US


async def test_transfers_are_listed_newest_first_and_by_workspace_and_running(store: MaintainedStore) -> None:
    await store.put_workspaces([draft(1), draft(2)])
    # The clock of who asked decides nothing: the order is that of the commits.
    await store.start_transfer(transfer_of(W1, US, name="t1", started_at=3000.0))
    await store.start_transfer(transfer_of(W2, US, name="t2", started_at=2000.0))
    await store.advance_transfer(TransferId("t1"), TransferEvent.ABORT, now=NOW)
    await store.start_transfer(transfer_of(W1, US, name="t3", started_at=1000.0))

    async def listed(*, of: WorkspaceId | None, running: bool) -> list[str]:
        return [found.id for found in await store.list_transfers(workspace=of, running=running)]

    assert await listed(of=None, running=False) == ["t3", "t2", "t1"]
    assert await listed(of=W1, running=False) == ["t3", "t1"]
    assert await listed(of=None, running=True) == ["t3", "t2"]
    assert await listed(of=W1, running=True) == ["t3"]


# The barrier


async def test_the_barrier_holds_at_once_where_no_gateway_is_registered(store: MaintainedStore) -> None:
    transfer = await started(store)
    assert await state_after_evaluation(store, transfer) is TransferState.TRANSFERRING


async def test_the_barrier_holds_when_every_registration_has_applied_the_lock(store: MaintainedStore) -> None:
    first, second = await register(store), await register(store)
    transfer = await started(store)
    position = await store.position()
    await renew(store, first, position, applied=transfer.lock_seq)
    assert await state_after_evaluation(store, transfer) is TransferState.LOCKING
    await renew(store, second, position, applied=transfer.lock_seq - 1)
    assert await state_after_evaluation(store, transfer) is TransferState.LOCKING
    await renew(store, second, position, applied=transfer.lock_seq)
    assert await state_after_evaluation(store, transfer) is TransferState.TRANSFERRING


async def test_an_evaluation_shows_whom_it_saw(store: MaintainedStore) -> None:
    incarnation = await register(store)
    transfer = await started(store)
    evaluated = await store.evaluate(transfer.id, now=NOW)
    assert evaluated is not None
    assert evaluated[0] == transfer
    assert [(row.incarnation, row.applied) for row in evaluated[1].registrations] == [(incarnation, 0)]


async def test_a_gateway_that_registered_after_the_lock_does_not_hold_it_up(store: MaintainedStore) -> None:
    transfer = await started(store)
    await register(store)
    assert await state_after_evaluation(store, transfer) is TransferState.TRANSFERRING


async def test_a_gateway_that_holds_no_lock_holds_it_up_though_it_registered_later(store: MaintainedStore) -> None:
    transfer = await started(store)
    await store.register(Newcomer("onlooker", "gateway-1", "host-1", LEASE, applies=False))
    assert await state_after_evaluation(store, transfer) is TransferState.LOCKING


async def test_a_gateway_that_left_does_not_hold_it_up(store: MaintainedStore) -> None:
    incarnation = await register(store)
    transfer = await started(store)
    await store.unregister(incarnation)
    assert await state_after_evaluation(store, transfer) is TransferState.TRANSFERRING


async def test_an_acknowledgement_of_another_generation_does_not_count(store: MaintainedStore) -> None:
    incarnation = await register(store)
    transfer = await started(store)
    position = await store.position()
    await renew(store, incarnation, Position(position.generation - 1, position.seq), applied=transfer.lock_seq)
    assert await state_after_evaluation(store, transfer) is TransferState.LOCKING


async def test_an_acknowledgement_from_before_a_restore_does_not_count(store: MaintainedStore) -> None:
    incarnation = await register(store)
    transfer = await started(store)
    await renew(store, incarnation, await store.position(), applied=transfer.lock_seq)
    info = await store.open_directory(restored=True)
    after = info.quarantine_until + 1.0
    assert await state_after_evaluation(store, transfer, now=after) is TransferState.LOCKING
    await renew(store, incarnation, await store.position(), applied=transfer.lock_seq)
    assert await state_after_evaluation(store, transfer, now=after) is TransferState.TRANSFERRING


async def test_no_barrier_holds_before_the_quarantine_of_a_restore_is_over(store: MaintainedStore) -> None:
    info = await store.open_directory(restored=True)
    transfer = await started(store)
    assert await state_after_evaluation(store, transfer, now=info.quarantine_until - 1.0) is TransferState.LOCKING
    assert await state_after_evaluation(store, transfer, now=info.quarantine_until) is TransferState.TRANSFERRING


async def test_an_acknowledgement_ahead_of_the_feed_is_none_of_a_lock_to_come(store: MaintainedStore) -> None:
    incarnation = await register(store)
    position = await store.position()
    await renew(store, incarnation, Position(position.generation, 900), applied=900)
    transfer = await started(store)
    assert await state_after_evaluation(store, transfer) is TransferState.LOCKING


async def test_evaluating_what_is_no_longer_locking_changes_nothing(store: MaintainedStore) -> None:
    transfer = await transferring(store)
    before = await store.info()
    assert await state_after_evaluation(store, transfer) is TransferState.TRANSFERRING
    await store.advance_transfer(transfer.id, TransferEvent.COMPLETE, now=NOW)
    assert await state_after_evaluation(store, transfer) is TransferState.COMPLETED
    assert (await store.info()).head == before.head + 1
