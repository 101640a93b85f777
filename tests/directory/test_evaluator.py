"""The evaluator: flips what may be flipped, clears the dead out of the way, and outlives its store."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from router.directory.evaluator import (
    IDLE_INTERVAL,
    INTERVAL,
    TELL_AFTER,
    TELL_EVERY,
    WATCH_INTERVAL,
    BarrierEvaluator,
    evaluate_all,
    evaluate_transfer,
)
from router.directory.options import DirectoryOptions
from router.directory.ports import TaskSpawner
from router.directory.store import Newcomer, Position, Renewal, StoreError
from router.directory.watch import Watch
from router.model.losses import Ending
from router.model.transfer import Transfer, TransferEvent, TransferId, TransferState
from tests.directory.manual_clock import ManualClock, settle
from tests.directory.memory_store import EU, US, W1, W2, MemoryStore
from tests.directory.rig import MemoryLocks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from router.model.placement import WorkspaceId

OPTIONS = DirectoryOptions(clock_drift=0.1, lease_margin=4.0)
LEASE = 60.0
PATIENCE = LEASE * 1.1 + 4.0
"""How long a silent gateway of this site is waited for."""

T1, T2 = TransferId("t1"), TransferId("t2")


class Site:
    """A directory with transfers and gateways, and an evaluator."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.clock = ManualClock()
        self.store = store or MemoryStore()
        self.locks = MemoryLocks()
        self.watch = Watch(self.clock, OPTIONS)
        self.spawner = TaskSpawner()

    async def register(self, incarnation: str) -> None:
        await self.store.register(Newcomer(incarnation, "gw", "host", LEASE))

    async def acknowledge(self, incarnation: str) -> None:
        """The gateway has applied everything."""
        position = Position(self.store.generation, self.store.head)
        await self.store.renew(Renewal(incarnation, position.seq, position))

    async def lock(self, transfer: TransferId, workspace: WorkspaceId) -> None:
        self.store.place(workspace, EU)
        now = self.clock.wall()
        await self.store.start_transfer(
            Transfer(transfer, workspace, EU, US, TransferState.LOCKING, "owner", now, now + 3600, 0)
        )

    def state(self, transfer: TransferId) -> TransferState:
        return self.store.transfers[transfer].state

    async def evaluate(self) -> None:
        await evaluate_all(self.store, self.locks, self.clock, self.watch)

    async def run(self) -> None:
        self.spawner.spawn(BarrierEvaluator(self.store, self.locks, self.clock, self.watch).run(), "evaluator")
        await settle()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    yield site
    await site.spawner.close()


async def test_a_transfer_waits_for_a_gateway_that_has_not_applied_its_lock(site: Site) -> None:
    await site.register("a")
    await site.lock(T1, W1)
    await site.evaluate()
    assert site.state(T1) is TransferState.LOCKING


async def test_a_transfer_whose_lock_everybody_has_applied_is_transferring(site: Site) -> None:
    await site.register("a")
    await site.lock(T1, W1)
    await site.acknowledge("a")
    await site.evaluate()
    assert site.state(T1) is TransferState.TRANSFERRING


async def test_all_that_are_locking_are_evaluated(site: Site) -> None:
    await site.lock(T1, W1)
    await site.lock(T2, W2)
    await site.evaluate()
    assert (site.state(T1), site.state(T2)) == (TransferState.TRANSFERRING, TransferState.TRANSFERRING)


async def test_what_is_transferring_or_ended_is_not_evaluated(site: Site) -> None:
    await site.lock(T1, W1)
    await site.evaluate()
    await site.lock(T2, W2)
    await site.store.advance_transfer(T2, TransferEvent.ABORT, now=site.clock.wall())
    assert await evaluate_all(site.store, site.locks, site.clock, site.watch) == ()


async def test_a_process_that_is_proved_dead_is_forgotten_and_not_waited_for(site: Site) -> None:
    await site.register("dead")
    await site.lock(T1, W1)
    site.locks.dead.add("dead")
    await site.evaluate()
    assert (site.state(T1), site.store.rows, site.locks.discarded) == (TransferState.TRANSFERRING, {}, ["dead"])


async def test_a_process_that_is_not_proved_dead_is_waited_for_though_another_is(site: Site) -> None:
    await site.register("dead")
    await site.register("paused")
    await site.lock(T1, W1)
    site.locks.dead.add("dead")
    await site.evaluate()
    assert (site.state(T1), list(site.store.rows)) == (TransferState.LOCKING, ["paused"])


async def test_the_proof_is_kept_until_the_store_has_forgotten(site: Site) -> None:
    await site.register("dead")
    await site.lock(T1, W1)
    site.locks.dead.add("dead")
    with site.store.failing("forget"), pytest.raises(StoreError):
        await site.evaluate()
    assert site.locks.discarded == []


async def test_evaluating_one_says_what_it_is_now_and_whom_it_waits_for(site: Site) -> None:
    await site.register("a")
    await site.lock(T1, W1)
    evaluation = await evaluate_transfer(site.store, site.locks, site.clock, site.watch, T1)
    assert evaluation is not None
    transfer, view = evaluation
    assert (transfer.state, [row.incarnation for row in view.registrations]) == (TransferState.LOCKING, ["a"])


async def test_there_is_nothing_to_say_of_a_transfer_that_is_not_there(site: Site) -> None:
    assert await evaluate_transfer(site.store, site.locks, site.clock, site.watch, T1) is None


async def test_while_something_is_locking_it_is_evaluated_often(site: Site) -> None:
    await site.register("a")
    await site.lock(T1, W1)
    await site.run()
    await site.acknowledge("a")
    await site.clock.advance(INTERVAL)
    assert site.state(T1) is TransferState.TRANSFERRING


async def test_while_nothing_is_locking_the_store_is_left_in_peace(site: Site) -> None:
    await site.run()
    await site.clock.advance(10 * IDLE_INTERVAL)
    assert site.store.calls["list_transfers"] == 11


async def test_a_bug_does_not_end_the_evaluator(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(MemoryStore):
        async def list_transfers(self, *, workspace: WorkspaceId | None, running: bool) -> tuple[Transfer, ...]:
            await super().list_transfers(workspace=workspace, running=running)
            raise ZeroDivisionError("a bug")

    site = Site(Broken())
    await site.run()
    await site.clock.advance(3 * IDLE_INTERVAL)
    assert site.store.calls["list_transfers"] == 4
    assert "ZeroDivisionError" in caplog.text
    await site.spawner.close()


async def test_a_store_that_fails_is_said_once_and_outlived(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    await site.run()
    with site.store.failing("list_transfers"):
        await site.clock.advance(10 * IDLE_INTERVAL)
    await site.lock(T1, W1)
    await site.clock.advance(IDLE_INTERVAL)
    assert site.state(T1) is TransferState.TRANSFERRING
    assert caplog.text.count("transfers cannot be evaluated") == 1


# Silence


async def test_a_gateway_watched_in_silence_for_its_lease_drift_and_margin_is_waited_for_no_longer(site: Site) -> None:
    await site.register("paused")
    await site.lock(T1, W1)
    await site.evaluate()
    site.clock.jump(PATIENCE)
    await site.evaluate()
    assert (site.state(T1), site.store.rows) == (TransferState.TRANSFERRING, {})


async def test_a_gateway_is_waited_for_as_long_as_it_may_trust_its_cache_by_another_clock(site: Site) -> None:
    await site.register("paused")
    await site.lock(T1, W1)
    await site.evaluate()
    site.clock.jump(PATIENCE - 0.01)
    await site.evaluate()
    assert (site.state(T1), list(site.store.rows)) == (TransferState.LOCKING, ["paused"])


async def test_a_gateway_that_was_given_up_is_listed_in_the_transfer(site: Site) -> None:
    await site.register("paused")
    await site.lock(T1, W1)
    await site.evaluate()
    site.clock.jump(PATIENCE)
    await site.evaluate()
    (lost,) = (await site.store.losses(T1)).gateways
    assert (lost.incarnation, lost.ending) == ("paused", Ending.EXPIRED)


async def test_every_renewal_begins_the_wait_anew(site: Site) -> None:
    await site.register("a")
    position = Position(site.store.generation, site.store.head)
    await site.lock(T1, W1)
    for _ in range(3):
        await site.evaluate()
        site.clock.jump(PATIENCE - 0.01)
        await site.store.renew(Renewal("a", position.seq, position))
    await site.evaluate()
    assert list(site.store.rows) == ["a"]


async def test_a_gateway_that_falls_silent_after_a_renewal_is_given_up_too(site: Site) -> None:
    await site.register("a")
    position = Position(site.store.generation, site.store.head)
    await site.lock(T1, W1)
    await site.evaluate()
    await site.store.renew(Renewal("a", position.seq, position))
    await site.evaluate()
    site.clock.jump(PATIENCE)
    await site.evaluate()
    assert (site.state(T1), site.store.rows) == (TransferState.TRANSFERRING, {})


async def test_a_gateway_that_renews_while_the_flip_is_under_way_is_not_given_up(site: Site) -> None:
    await site.register("woken")
    position = Position(site.store.generation, site.store.head)
    await site.lock(T1, W1)
    await site.evaluate()
    site.clock.jump(PATIENCE)
    with site.store.held("evaluate"):
        evaluating = asyncio.get_running_loop().create_task(site.evaluate())
        await settle()
        await site.store.renew(Renewal("woken", position.seq, position))
    await evaluating
    assert (site.state(T1), list(site.store.rows)) == (TransferState.LOCKING, ["woken"])


async def test_an_evaluator_that_starts_anew_watches_anew(site: Site) -> None:
    await site.register("paused")
    await site.lock(T1, W1)
    await site.evaluate()
    site.clock.jump(PATIENCE)
    site.watch = Watch(site.clock, OPTIONS)
    await site.evaluate()
    assert list(site.store.rows) == ["paused"]


async def test_silence_counts_from_when_the_row_was_seen_not_from_when_it_was_asked_for(site: Site) -> None:
    await site.register("a")
    await site.lock(T1, W1)
    with site.store.held("evaluate", answers=True):
        evaluating = asyncio.get_running_loop().create_task(site.evaluate())
        await settle()
        site.clock.jump(30.0)
    await evaluating
    site.clock.jump(PATIENCE - 1.0)
    await site.evaluate()
    assert list(site.store.rows) == ["a"]


async def test_time_in_which_the_evaluator_itself_was_suspended_does_not_count(site: Site) -> None:
    await site.register("a")
    await site.lock(T1, W1)
    await site.evaluate()
    site.clock.suspend(10 * PATIENCE)
    await site.evaluate()
    assert list(site.store.rows) == ["a"]


async def test_of_several_evaluators_the_one_that_watched_longest_decides(site: Site) -> None:
    await site.register("paused")
    await site.lock(T1, W1)
    await site.evaluate()
    site.clock.jump(PATIENCE)
    late = Watch(site.clock, OPTIONS)
    await evaluate_all(site.store, site.locks, site.clock, late)
    assert site.state(T1) is TransferState.LOCKING
    await site.evaluate()
    await evaluate_all(site.store, site.locks, site.clock, late)
    assert site.state(T1) is TransferState.TRANSFERRING


async def test_a_gateway_that_fell_silent_before_the_transfer_began_has_been_watched_since(site: Site) -> None:
    await site.register("paused")
    await site.run()
    await site.clock.advance(PATIENCE + WATCH_INTERVAL)
    await site.lock(T1, W1)
    await site.clock.advance(IDLE_INTERVAL)
    assert site.state(T1) is TransferState.TRANSFERRING


async def test_the_registrations_are_watched_at_a_slower_pace_than_the_transfers(site: Site) -> None:
    await site.run()
    await site.clock.advance(10 * WATCH_INTERVAL)
    assert site.store.calls["registrations"] == 11


async def test_the_log_says_for_whom_a_transfer_waits_and_until_when_at_most(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    await site.register("paused")
    await site.lock(T1, W1)
    await site.run()
    await site.clock.advance(TELL_AFTER + TELL_EVERY + 1.0)
    lines = [record.getMessage() for record in caplog.records if "is still locking" in record.getMessage()]
    assert len(lines) == 2
    assert "gateway gw on host host has not applied the lock (incarnation paused, renewed" in lines[0]
    assert "given up at 20" in lines[0]


async def test_a_transfer_that_waits_only_a_moment_is_not_worth_a_line(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    await site.register("a")
    await site.lock(T1, W1)
    await site.run()
    await site.clock.advance(TELL_AFTER / 2)
    await site.acknowledge("a")
    await site.clock.advance(TELL_AFTER)
    assert "is still locking" not in caplog.text
