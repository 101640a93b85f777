"""What any store must do for the feed, for registrations and for its opening."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from router.directory.store import Position, Renewal, StoreError
from router.model.losses import Ending
from router.model.placement import Absence, Change, Entry, Kind, Placement, Version
from router.model.transfer import TransferEvent
from tests.directory.feeds import (
    EU,
    LEASE,
    US,
    W1,
    draft,
    fact_of,
    generation_of,
    put_one_by_one,
    read_feed,
    register,
    renew,
    rows_seen,
    transfer_of,
)

if TYPE_CHECKING:
    from tests.directory.sites import MaintainedStore, Site


# The feed


async def test_the_feed_brings_each_fact_as_it_was_committed(store: MaintainedStore) -> None:
    await store.put_workspaces([draft(1)])
    started = await store.start_transfer(transfer_of(W1, US))
    await store.advance_transfer(started.id, TransferEvent.ABORT, now=2000.0)
    await store.delete_workspace(W1)
    generation = await generation_of(store)
    assert await read_feed(store) == (
        Change(1, Placement(W1, EU, Version(generation, 1))),
        Change(2, Placement(W1, EU, Version(generation, 2), started.running)),
        Change(3, Placement(W1, EU, Version(generation, 3))),
        Change(4, Absence(Entry(Kind.WORKSPACE, W1), Version(generation, 4))),
    )


async def test_a_follower_of_concurrent_writers_never_sees_a_gap(site: Site) -> None:
    writers = [site.connect(), site.connect(), site.connect()]
    writing = asyncio.gather(
        *(put_one_by_one(writer, range(100 * lane, 100 * lane + 40)) for lane, writer in enumerate(writers, start=1))
    )
    follower = site.connect()
    incarnation = await register(follower)
    seen: list[int] = []
    while True:
        done = writing.done()
        position = await follower.position()
        renewed = await renew(follower, incarnation, Position(position.generation, len(seen)))
        seen += [change.seq for change in renewed.changes]
        assert renewed.head == len(seen)
        if done:
            break
    await writing
    assert seen == list(range(1, 121))


async def test_a_renewal_brings_at_most_its_limit(store: MaintainedStore) -> None:
    await store.put_workspaces([draft(number) for number in range(1, 8)])
    generation = await generation_of(store)
    incarnation = await register(store)
    renewed = await renew(store, incarnation, Position(generation, 2), limit=3)
    assert [change.seq for change in renewed.changes] == [3, 4, 5]
    assert renewed.head == 7


async def test_a_position_of_another_generation_is_brought_nothing(store: MaintainedStore) -> None:
    await store.put_workspaces([draft(1)])
    generation = await generation_of(store)
    incarnation = await register(store)
    renewed = await renew(store, incarnation, Position(generation - 1, 0))
    assert renewed.changes == ()
    assert renewed.generation == generation


async def test_the_feed_keeps_the_newest_changes_and_says_from_where(site: Site) -> None:
    store = site.connect(keep_changes=10)
    await put_one_by_one(store, range(1, 41))
    generation = await generation_of(store)
    incarnation = await register(store)
    renewed = await renew(store, incarnation, Position(generation, 30))
    assert (renewed.floor, renewed.head) == (31, 40)
    assert [change.seq for change in renewed.changes] == list(range(31, 41))


async def test_a_position_behind_the_floor_is_brought_nothing(site: Site) -> None:
    store = site.connect(keep_changes=10)
    await put_one_by_one(store, range(1, 41))
    generation = await generation_of(store)
    renewed = await renew(store, await register(store), Position(generation, 29))
    assert renewed.changes == ()
    assert renewed.floor == 31


async def test_a_feed_that_is_too_long_shrinks_with_every_change(site: Site) -> None:
    await put_one_by_one(site.connect(), range(1, 41))
    store = site.connect(keep_changes=10)
    await put_one_by_one(store, range(41, 81))
    info = await store.info()
    assert (info.floor, info.head) == (71, 80)


# Registrations


async def test_a_registration_starts_applied_at_the_head(store: MaintainedStore) -> None:
    await store.put_workspaces([draft(1), draft(2)])
    incarnation = await register(store)
    (row,) = await rows_seen(store)
    assert (row.incarnation, row.gateway, row.host, row.lease) == (incarnation, "gateway-1", "host-1", LEASE)
    assert (row.generation, row.applied, row.renewals) == (await generation_of(store), 2, 0)


async def test_the_position_is_the_head(store: MaintainedStore) -> None:
    await store.put_workspaces([draft(1), draft(2)])
    assert await store.position() == Position(await generation_of(store), 2)


async def test_a_renewal_reports_what_was_applied_and_when(site: Site, store: MaintainedStore) -> None:
    await store.put_workspaces([draft(1), draft(2), draft(3)])
    incarnation = await register(store)
    site.clock.jump(5.0)
    generation = await generation_of(store)
    await renew(store, incarnation, Position(generation, 3), applied=2)
    (row,) = await rows_seen(store)
    assert (row.generation, row.applied, row.renewals, row.renewed_at) == (generation, 2, 1, site.clock.wall())


async def test_what_is_applied_beyond_the_head_counts_up_to_the_head(store: MaintainedStore) -> None:
    await store.put_workspaces([draft(1)])
    incarnation = await register(store)
    await renew(store, incarnation, Position(await generation_of(store), 500), applied=500)
    (row,) = await rows_seen(store)
    assert row.applied == 1


async def test_a_renewal_never_inserts(store: MaintainedStore) -> None:
    renewal = Renewal("nobody", 0, await store.position())
    assert await store.renew(renewal) is None
    assert await rows_seen(store) == ()


async def test_an_incarnation_cannot_be_registered_twice(store: MaintainedStore) -> None:
    await register(store, "once")
    with pytest.raises(StoreError):
        await register(store, "once")


async def test_unregistering_deletes_the_row_and_may_be_repeated(store: MaintainedStore) -> None:
    await register(store, "leaving")
    staying = await register(store)
    await store.unregister("leaving")
    await store.unregister("leaving")
    assert [row.incarnation for row in await rows_seen(store)] == [staying]


async def test_a_dead_process_is_forgotten(store: MaintainedStore) -> None:
    await register(store, "dead")
    await store.forget("dead", ending=Ending.DEAD)
    await store.forget("dead", ending=Ending.DEAD)
    assert await rows_seen(store) == ()


# Opening


async def test_a_new_directory_is_not_open(store: MaintainedStore) -> None:
    info = await store.info()
    assert (info.opened, info.quarantine_until, info.head, info.floor) == (False, 0.0, 0, 1)


async def test_opening_keeps_the_generation_and_may_be_repeated(store: MaintainedStore) -> None:
    before = await store.info()
    first = await store.open_directory(restored=False)
    assert await store.open_directory(restored=False) == first == await store.info()
    assert first.opened
    assert first.generation == before.generation


async def test_a_restored_directory_starts_a_later_generation_of_the_same_directory(
    site: Site, store: MaintainedStore
) -> None:
    before = await store.open_directory(restored=False)
    first = await store.open_directory(restored=True)
    site.clock.set_wall_back(86_400.0)
    second = await store.open_directory(restored=True)
    assert before.generation < first.generation < second.generation
    assert before.directory_id == first.directory_id == second.directory_id


async def test_facts_and_positions_are_of_the_generation_that_is_now(store: MaintainedStore) -> None:
    await store.put_workspaces([draft(1)])
    generation = (await store.open_directory(restored=True)).generation
    assert (await fact_of(store, Kind.WORKSPACE, W1)).version == Version(generation, 1)
    assert await store.position() == Position(generation, 1)
    assert (await read_feed(store))[0].fact.version == Version(generation, 1)


@pytest.mark.parametrize(("lease", "waits"), [(60.0, 3600.0), (7200.0, 7200.0)])
async def test_the_quarantine_after_a_restore_lasts_the_longest_lease(
    site: Site, store: MaintainedStore, lease: float, waits: float
) -> None:
    await register(store, lease=lease)
    info = await store.open_directory(restored=True)
    assert info.quarantine_until == site.clock.wall() + waits
