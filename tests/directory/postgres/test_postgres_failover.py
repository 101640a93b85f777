"""PostgreSQL with standbys: what is confirmed, what a promotion does, what a lagging replica may answer."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from router.directory.postgres.feed import SKEW
from router.directory.postgres.options import PostgresOptions
from router.directory.postgres.store import DEFAULT_LEASE, PostgresStore
from router.directory.store import StoreError
from router.model.placement import Entry, Kind, Placement
from router.model.transfer import Refusal, TransferEvent, TransferState
from tests.directory.feeds import LEASE, US, W1, draft, register, renew, transfer_of
from tests.directory.postgres.gates import raw

if TYPE_CHECKING:
    import psycopg

    from router.model.transfer import Transfer
    from tests.directory.postgres.pair import Pair

LOOKUP = Entry(Kind.WORKSPACE, W1)


class Committing(NamedTuple):
    """A session that waits for the standbys in the transaction that began then."""

    connection: psycopg.AsyncConnection[Any]
    pid: int
    began: str

    async def cancel(self) -> None:
        """Cancel its wait, as an administrator can."""
        await self.connection.execute(f"SELECT pg_cancel_backend({self.pid})")

    async def until_committing_again(self) -> None:
        """Return when it waits in its next transaction."""
        await _until(
            self.connection, 1, f"pid = {self.pid} AND wait_event = 'SyncRep' AND xact_start <> '{self.began}'"
        )


async def state_of(store: PostgresStore, transfer: Transfer, now: float) -> TransferState:
    evaluated = await store.evaluate(transfer.id, now=now)
    assert evaluated is not None
    return evaluated[0].state


# Promotion


async def test_a_promotion_without_loss_begins_another_generation_and_its_quarantine(pair: Pair) -> None:
    store = pair.store()
    incarnation = await register(store)
    before = await store.info()
    transfer = await store.start_transfer(transfer_of(W1, US))
    await renew(store, incarnation, await store.position(), applied=transfer.lock_seq)
    await pair.until_followed()
    await pair.lose_primary()

    store = pair.store_on_standby()
    # Applied under the old generation, which proves nothing any more; and the quarantine has only begun.
    assert await state_of(store, transfer, pair.clock.wall()) is TransferState.LOCKING
    after = await store.info()
    assert after.generation > before.generation
    assert after.directory_id == before.directory_id
    assert after.quarantine_until == pair.clock.wall() + SKEW + max(DEFAULT_LEASE, LEASE)
    assert await state_of(store, transfer, after.quarantine_until) is TransferState.LOCKING
    await renew(store, incarnation, await store.position(), applied=transfer.lock_seq)
    assert await state_of(store, transfer, after.quarantine_until - 1.0) is TransferState.LOCKING
    assert await state_of(store, transfer, after.quarantine_until) is TransferState.TRANSFERRING


async def test_a_promotion_with_loss_is_found_by_the_next_renewal(pair: Pair) -> None:
    store = pair.store()
    incarnation = await register(store)
    await pair.until_followed()
    await asyncio.to_thread(pair.standby.stop)
    transfer = await store.start_transfer(transfer_of(W1, US))
    position = await store.position()
    assert position.seq == transfer.lock_seq
    await asyncio.to_thread(pair.primary.stop, signal.SIGQUIT)
    await asyncio.to_thread(pair.standby.start)
    await asyncio.to_thread(pair.standby.promote)

    store = pair.store_on_standby()
    renewed = await renew(store, incarnation, position, applied=position.seq)
    assert renewed.generation > position.generation
    assert renewed.changes == ()
    assert await store.get_transfer(transfer.id) is None
    # As if the lock had never been: but what was applied of a lost history counts for no lock to come.
    again = await store.start_transfer(transfer_of(W1, US))
    assert await state_of(store, again, pair.clock.wall() + 10 * DEFAULT_LEASE) is TransferState.LOCKING


async def test_one_promotion_begins_one_generation(pair: Pair) -> None:
    await pair.lose_primary()
    stores = [pair.store_on_standby() for _ in range(3)]
    await asyncio.gather(*(register(store) for store in stores))
    generations = {(await store.info()).generation for store in stores}
    await stores[0].put_workspaces([draft(2)])
    assert generations == {(await stores[0].info()).generation}


async def test_a_restart_begins_no_other_generation(pair: Pair) -> None:
    store = pair.store()
    before = await store.info()
    await asyncio.to_thread(pair.primary.stop)
    await asyncio.to_thread(pair.primary.start)
    await register(store)
    assert await store.info() == before


async def test_a_directory_copied_to_another_cluster_begins_another_generation(pair: Pair) -> None:
    store = pair.store()
    before = await store.info()
    async with raw(pair.primary.url("postgres")) as connection:
        await connection.execute("UPDATE region_router.feed SET system = '1234'")
    await register(store)
    assert (await store.info()).generation > before.generation


async def test_where_the_history_may_not_be_asked_nothing_rotates(pair: Pair) -> None:
    store = pair.store()
    before = await store.info()
    async with raw(pair.primary.url("postgres")) as connection:
        await connection.execute("REVOKE EXECUTE ON FUNCTION pg_control_system FROM public")
        await connection.execute("CREATE ROLE plain LOGIN")
        await connection.execute("GRANT ALL ON SCHEMA region_router TO plain")
        await connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA region_router TO plain")
        await connection.execute("UPDATE region_router.feed SET system = '1234'")
    url = pair.primary.url("postgres").replace("postgres@", "plain@")
    plain = PostgresStore(PostgresOptions(url), clock=pair.clock)
    await register(plain)
    await plain.put_workspaces([draft(2)])
    assert (await plain.info()).generation == before.generation
    await plain.close()


# Confirmation


async def test_a_commit_waits_for_the_standby_and_is_visible_to_nobody_before(pair: Pair) -> None:
    writer, reader = pair.store(), pair.store()
    await asyncio.to_thread(pair.standby.stop)
    await pair.wait_for_standbys("*")
    starting = asyncio.create_task(writer.start_transfer(transfer_of(W1, US)))
    async with raw(pair.primary.url("postgres")) as connection:
        await _until_syncing(connection, 1)
    assert await reader.list_transfers(workspace=None, running=True) == ()
    assert not starting.done()
    await asyncio.to_thread(pair.standby.start)
    transfer = await starting
    assert await reader.list_transfers(workspace=None, running=True) == (transfer,)


async def test_a_commit_whose_wait_was_cancelled_is_confirmed_by_a_second_one(pair: Pair) -> None:
    store = pair.store()
    await asyncio.to_thread(pair.standby.stop)
    await pair.wait_for_standbys("*")
    starting = asyncio.create_task(store.start_transfer(transfer_of(W1, US)))
    async with raw(pair.primary.url("postgres")) as connection:
        first = await _until_committing(connection)
        await first.cancel()
        # It is not told yet: the second commit waits in its turn.
        await first.until_committing_again()
    assert not starting.done()
    await asyncio.to_thread(pair.standby.start)
    assert (await starting).state is TransferState.LOCKING


async def test_a_commit_that_nobody_confirms_is_a_failure(pair: Pair) -> None:
    store = pair.store()
    await asyncio.to_thread(pair.standby.stop)
    await pair.wait_for_standbys("*")
    starting = asyncio.create_task(store.start_transfer(transfer_of(W1, US)))
    async with raw(pair.primary.url("postgres")) as connection:
        first = await _until_committing(connection)
        await first.cancel()
        await first.until_committing_again()
        await first.cancel()
        with pytest.raises(StoreError, match="is not confirmed by a standby, and may be lost"):
            await starting
    await pair.wait_for_standbys("")


async def test_a_state_that_was_never_confirmed_is_not_told_to_a_job_before_it_is(pair: Pair) -> None:
    store = pair.store()
    transfer = await store.start_transfer(transfer_of(W1, US))
    await pair.until_followed()
    await asyncio.to_thread(pair.standby.stop)
    await pair.wait_for_standbys("*")
    flipping = asyncio.create_task(store.evaluate(transfer.id, now=0.0))
    async with raw(pair.primary.url("postgres")) as connection:
        (first,) = await _until_syncing(connection, 1)
        await connection.execute(f"SELECT pg_terminate_backend({first})")
        with pytest.raises(StoreError):
            await flipping
        # The flip is visible, and would be lost with this machine.
        cursor = await connection.execute("SELECT state FROM region_router.transfer")
        assert await cursor.fetchone() == ("transferring",)
        asking = [
            asyncio.create_task(store.get_transfer(transfer.id)),
            asyncio.create_task(store.list_transfers(workspace=W1, running=True)),
            asyncio.create_task(store.evaluate(transfer.id, now=0.0)),
            asyncio.create_task(store.advance_transfer(transfer.id, TransferEvent.ABORT, now=0.0)),
        ]
        # Of those who only read, and of those who hold the feed, one each; the others wait for these two.
        await _until_syncing(connection, 2)
    assert not any(task.done() for task in asking)
    await asyncio.to_thread(pair.standby.start)
    found, listed, evaluated, refused = await asyncio.gather(*asking)
    assert isinstance(evaluated, tuple)
    assert found is not None
    assert (found, (found,), found) == (evaluated[0], listed, evaluated[0])
    assert refused is Refusal.TOO_LATE_TO_ABORT


async def test_a_call_given_up_while_it_waits_for_the_standby_does_not_make_its_commit_visible(pair: Pair) -> None:
    writer, reader = pair.store(), pair.store()
    await asyncio.to_thread(pair.standby.stop)
    await pair.wait_for_standbys("*")
    starting = asyncio.create_task(writer.start_transfer(transfer_of(W1, US)))
    async with raw(pair.primary.url("postgres")) as connection:
        await _until_syncing(connection, 1)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert await reader.list_transfers(workspace=None, running=True) == ()
        assert len(await _until_syncing(connection, 1)) == 1
    await asyncio.to_thread(pair.standby.start)
    # It had been sent, so it happens when it can: as after any answer that was lost.
    await reader.put_workspaces([draft(2)])
    assert len(await reader.list_transfers(workspace=None, running=True)) == 1


async def test_a_row_that_is_taken_away_while_it_is_still_being_made_does_not_come_back(pair: Pair) -> None:
    gateway, other = pair.store(), pair.store()
    await asyncio.to_thread(pair.standby.stop)
    await pair.wait_for_standbys("*")
    registering = asyncio.create_task(register(gateway, "late"))
    async with raw(pair.primary.url("postgres")) as connection:
        await _until_syncing(connection, 1)
        registering.cancel()
        await asyncio.gather(registering, return_exceptions=True)
        leaving = asyncio.create_task(other.unregister("late"))
        await _until_locked(connection)
    await asyncio.to_thread(pair.standby.start)
    await leaving
    assert (await other.registrations()).registrations == ()


async def test_who_accepts_loss_waits_for_no_standby(pair: Pair) -> None:
    store = pair.store(accept_loss=True)
    await asyncio.to_thread(pair.standby.stop)
    await pair.wait_for_standbys("*")
    transfer = await store.start_transfer(transfer_of(W1, US))
    assert await state_of(store, transfer, 0.0) is TransferState.TRANSFERRING
    await pair.wait_for_standbys("")


# Replicas


async def test_a_replica_answers_as_of_its_own_snapshot_and_the_primary_as_of_now(pair: Pair) -> None:
    store = pair.store(replica_url=pair.standby.url("postgres"))
    async with raw(pair.standby.url("postgres")) as connection:
        await connection.execute("SELECT pg_wal_replay_pause()")
        await store.delete_workspace(W1)
        stale = await store.lookup(LOOKUP, primary=False)
        assert isinstance(stale.fact, Placement)
        assert stale.seq == 1
        assert (await store.lookup(LOOKUP, primary=True)).seq == 2
        await connection.execute("SELECT pg_wal_replay_resume()")
    await pair.until_followed()
    assert (await store.lookup(LOOKUP, primary=False)).seq == 2


async def test_a_replica_that_fails_is_left_alone_for_a_while(pair: Pair) -> None:
    store = pair.store(replica_url=pair.standby.url("postgres"))
    assert (await store.lookup(LOOKUP, primary=False)).seq == 1
    await asyncio.to_thread(pair.standby.stop)
    await store.put_workspaces([draft(2)])
    assert (await store.lookup(LOOKUP, primary=False)).seq == 2
    await asyncio.to_thread(pair.standby.start)
    await pair.until_followed()
    async with raw(pair.standby.url("postgres")) as connection:
        await connection.execute("SELECT pg_wal_replay_pause()")
        await store.put_workspaces([draft(3)])
        assert (await store.lookup(LOOKUP, primary=False)).seq == 3
        pair.clock.jump(60.0)
        assert (await store.lookup(LOOKUP, primary=False)).seq == 2


async def _until_syncing(connection: psycopg.AsyncConnection[Any], count: int) -> list[int]:
    """Return when so many sessions wait for the standbys: their process ids."""
    return await _until(connection, count, "wait_event = 'SyncRep'")


async def _until_locked(connection: psycopg.AsyncConnection[Any]) -> None:
    await _until(connection, 1, "wait_event_type = 'Lock'")


async def _until_committing(connection: psycopg.AsyncConnection[Any]) -> Committing:
    """Return when a session waits for the standbys."""
    (pid,) = await _until_syncing(connection, 1)
    cursor = await connection.execute(f"SELECT xact_start::text FROM pg_stat_activity WHERE pid = {pid}")
    (began,) = await cursor.fetchone() or ("",)
    return Committing(connection, pid, began)


async def _until(connection: psycopg.AsyncConnection[Any], count: int, condition: str) -> list[int]:
    while True:
        cursor = await connection.execute(f"SELECT pid FROM pg_stat_activity WHERE {condition}")
        found = [pid for (pid,) in await cursor.fetchall()]
        if len(found) >= count:
            return found
