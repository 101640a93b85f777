"""The cached directory: one lookup at a time, nothing older, nothing decided on what was awaited, all of it bounded."""

from __future__ import annotations

import asyncio

import pytest

from router.directory.directory import DirectoryUnavailableError
from router.directory.locate import NOTHING, Found, Missing, Unavailable
from router.directory.options import DirectoryOptions
from router.model.placement import Entry, Kind, Placement, Version, WorkspaceId
from router.routing.values import Source
from tests.directory.manual_clock import settle
from tests.directory.memory_store import EU, US, W1, W2, workspace_entry
from tests.directory.rig import LEASE, Rig, target_of

E1, E2 = workspace_entry(W1), workspace_entry(W2)
ACME = Entry(Kind.SUBDOMAIN, "acme")
IN_EU = Placement(W1, EU, Version(1, 1))
NEVER = 1e9


async def failure_of(fetch: asyncio.Task[None]) -> str:
    with pytest.raises(DirectoryUnavailableError) as raised:
        await fetch
    return str(raised.value)


# Locate


async def test_a_miss_is_fetched_and_then_a_hit(rig: Rig) -> None:
    rig.store.place(W1, EU)
    first = await rig.found(target_of(W1))
    second = await rig.found(target_of(W1))
    assert (first.located.placement, first.located.source) == (IN_EU, Source.MISS)
    assert (second.located.placement, second.located.source) == (IN_EU, Source.HIT)
    assert rig.store.calls["lookup"] == 1


async def test_not_found_is_known_too(rig: Rig) -> None:
    await rig.found(target_of(W1))
    assert (await rig.found(target_of(W1))).located.source is Source.NEGATIVE


async def test_names_are_followed_until_nothing_is_missing(rig: Rig) -> None:
    rig.store.place(W1, EU)
    rig.store.alias(ACME, workspace=W1)
    found = await rig.found(target_of(subdomain="acme"))
    assert found.located.placement == IN_EU
    assert [entry for entry, _ in found.holds] == [ACME, E1]


async def test_before_the_first_registration_the_directory_is_unavailable() -> None:
    rig = Rig()
    assert isinstance(rig.directory.locate(target_of(W1)), Unavailable)


async def test_when_the_lease_has_lapsed_the_directory_is_unavailable(rig: Rig) -> None:
    await rig.found(target_of(W1))
    rig.clock.jump(LEASE)
    assert isinstance(rig.directory.locate(target_of(W1)), Unavailable)


async def test_a_directory_that_is_not_opened_is_unavailable(rig: Rig) -> None:
    await rig.found(target_of(W1))
    rig.store.opened = False
    await rig.clock.advance(rig.options.poll_interval)
    assert rig.directory.locate(target_of(W1)) == Unavailable("the directory is not opened")


async def test_a_target_that_names_nothing_is_found_without_any_lease() -> None:
    rig = Rig()
    assert rig.directory.locate(target_of()) is NOTHING
    assert rig.directory.locate(target_of(malformed=True)) is NOTHING


async def test_while_renewals_fail_a_hit_is_stale(rig: Rig) -> None:
    rig.store.place(W1, EU)
    await rig.found(target_of(W1))
    with rig.store.failing("renew"):
        await rig.clock.advance(rig.options.poll_interval)
        found = await rig.found(target_of(W1))
    assert (found.located.placement, found.located.source) == (IN_EU, Source.STALE)


async def test_a_change_of_the_feed_is_what_is_found_next(rig: Rig) -> None:
    rig.store.place(W1, EU)
    await rig.found(target_of(W1))
    rig.store.place(W1, US)
    await rig.clock.advance(rig.options.poll_interval)
    assert (await rig.found(target_of(W1))).located.placement == Placement(W1, US, Version(1, 2))


# Single flight


async def test_many_who_miss_one_entry_make_one_lookup(rig: Rig) -> None:
    with rig.store.held("lookup"):
        fetches = [rig.begin_fetch(target_of(W1)) for _ in range(5)]
        await settle()
        assert rig.store.calls["lookup"] == 1
    await asyncio.gather(*fetches)


async def test_cancelling_one_who_waits_cancels_nothing_else(rig: Rig) -> None:
    rig.store.place(W1, EU)
    with rig.store.held("lookup"):
        first, second = rig.begin_fetch(target_of(W1)), rig.begin_fetch(target_of(W1))
        await settle()
        first.cancel()
        await settle()
    await second
    assert isinstance(rig.directory.locate(target_of(W1)), Found)


async def test_a_lookup_that_nobody_waits_for_any_more_is_cached_all_the_same(rig: Rig) -> None:
    with rig.store.held("lookup"):
        fetch = rig.begin_fetch(target_of(W1))
        await settle()
        fetch.cancel()
        await settle()
    await settle()
    assert isinstance(rig.directory.locate(target_of(W1)), Found)


async def test_an_error_is_an_error_and_is_not_cached(rig: Rig) -> None:
    with rig.store.failing("lookup"):
        assert await failure_of(rig.begin_fetch(target_of(W1))) == "the directory is down (lookup)"
    assert isinstance(await rig.find(target_of(W1)), Found)


async def test_every_one_who_waits_hears_of_the_error(rig: Rig) -> None:
    with rig.store.failing("lookup"):
        fetches = [rig.begin_fetch(target_of(W1)) for _ in range(3)]
        assert len({await failure_of(fetch) for fetch in fetches}) == 1


async def test_the_next_term_does_not_wait_for_a_lookup_of_the_one_before(rig: Rig) -> None:
    with rig.store.held("lookup"):
        old = rig.begin_fetch(target_of(W1))
        await settle()
        rig.store.rows.clear()
        await rig.clock.advance(rig.options.poll_interval)
        new = rig.begin_fetch(target_of(W1))
        await settle()
        assert rig.store.calls["lookup"] == 2
    assert "term" in await failure_of(old)
    await new


async def test_a_lookup_that_still_waits_for_its_turn_when_its_term_ends_is_not_sent() -> None:
    rig = Rig(DirectoryOptions(lease=LEASE, max_lookups=1))
    await rig.start()
    with rig.store.failing("register"), rig.store.held("lookup") as lookups:
        fetches = [rig.begin_fetch(target_of(workspace)) for workspace in (W1, W2)]
        await settle()
        rig.store.rows.clear()
        await rig.clock.advance(rig.options.poll_interval)
        lookups.release()
        assert ["term" in await failure_of(fetch) for fetch in fetches] == [True, True]
    assert rig.store.calls["lookup"] == 1
    await rig.spawner.close()


# What an await returned is not decided upon


async def test_between_an_answer_and_its_waiter_the_feed_may_come_and_is_what_is_read(rig: Rig) -> None:
    rig.store.place(W1, EU)
    with rig.store.held("lookup", answers=True) as lookup, rig.store.held("renew", answers=True) as renewal:
        fetch = rig.begin_fetch(target_of(W1))
        await settle()
        rig.store.place(W1, US)
        await rig.clock.advance(rig.options.poll_interval)
        lookup.release()
        renewal.release()
        await fetch
        lookup_now = rig.directory.locate(target_of(W1))
    assert isinstance(lookup_now, Found)
    assert lookup_now.located.placement == Placement(W1, US, Version(1, 2))


async def test_what_was_fetched_can_be_read_by_all_who_waited_though_the_cache_is_tiny() -> None:
    rig = Rig(DirectoryOptions(lease=LEASE, cache_size=1, absent_size=1, alias_size=1))
    await rig.start()
    workspaces = [WorkspaceId(f"{number:024x}") for number in range(6)]
    for workspace in workspaces:
        rig.store.place(workspace, EU)

    async def reads_at_once(workspace: WorkspaceId) -> bool:
        lookup = rig.directory.locate(target_of(workspace))
        assert isinstance(lookup, Missing)
        await rig.directory.fetch(lookup)
        return isinstance(rig.directory.locate(target_of(workspace)), Found)

    with rig.store.held("lookup", answers=True):
        waiters = [asyncio.ensure_future(reads_at_once(workspace)) for workspace in workspaces]
        await settle()
    assert await asyncio.gather(*waiters) == [True] * 6
    await rig.spawner.close()


async def test_not_found_does_not_expire_before_its_waiter_has_read_it(rig: Rig) -> None:
    async def reads_late() -> bool:
        await rig.directory.fetch(Missing((E1,)))
        return isinstance(rig.directory.locate(target_of(W1)), Found)

    with rig.store.held("lookup", answers=True) as lookup:
        waiter = asyncio.ensure_future(reads_late())
        await settle()
        lookup.release()
        while not rig.directory.cached:  # noqa: ASYNC110 (the moment between two steps of the loop has no event)
            await asyncio.sleep(0)
        rig.clock.jump(rig.options.absent_ttl + 1)
        assert await waiter


async def test_a_successor_that_a_lookup_brings_makes_requests_in_flight_stale_at_once(rig: Rig) -> None:
    rig.store.place(W1, EU)
    ticket, exchange = await rig.enter(target_of(W1))
    rig.store.place(W1, US)
    await rig.directory.fetch(Missing((E1,)))
    assert (ticket.stale, exchange.told) == (True, ["superseded"])


# Replicas, generations


async def test_after_one_answer_that_is_too_old_the_primary_is_asked(rig: Rig) -> None:
    rig.store.place(W1, EU)
    rig.store.place(W1, US)
    await rig.clock.advance(rig.options.poll_interval)
    rig.store.replica_seq = 1
    found = await rig.found(target_of(W1))
    assert rig.store.asked == [(E1, False), (E1, True)]
    assert found.located.placement == Placement(W1, US, Version(1, 2))


async def test_a_replica_that_is_not_behind_spares_the_primary(rig: Rig) -> None:
    rig.store.replica_seq = 0
    await rig.found(target_of(W1))
    assert rig.store.asked == [(E1, False)]


async def test_an_answer_of_a_later_generation_ends_the_term(rig: Rig) -> None:
    _, exchange = await rig.enter(target_of(W2))
    rig.store.generation = 2
    fetch = rig.begin_fetch(target_of(W1))
    assert "generation" in await failure_of(fetch)
    assert exchange.told == ["term ended"]


async def test_a_primary_behind_what_was_applied_ends_the_term(rig: Rig) -> None:
    rig.store.place(W1, EU)
    rig.store.place(W2, EU)
    await rig.clock.advance(rig.options.poll_interval)
    del rig.store.history[1:]
    await failure_of(rig.begin_fetch(target_of(W1)))
    assert isinstance(rig.directory.locate(target_of(W1)), Unavailable)


async def test_an_answer_of_a_directory_that_is_not_opened_is_a_failure(rig: Rig) -> None:
    rig.store.opened = False
    assert "not opened" in await failure_of(rig.begin_fetch(target_of(W1)))


# Bounds


async def test_a_lookup_that_is_not_answered_in_time_fails(rig: Rig) -> None:
    with rig.store.held("lookup"):
        fetch = rig.begin_fetch(target_of(W1))
        await rig.clock.advance(rig.options.lookup_timeout)
        assert await failure_of(fetch) == "the directory did not answer within 2 s"


async def test_no_more_lookups_than_allowed_are_under_way() -> None:
    rig = Rig(DirectoryOptions(lease=LEASE, max_lookups=2))
    await rig.start()
    with rig.store.held("lookup") as lookups:
        fetches = [rig.begin_fetch(target_of(WorkspaceId(f"{number:024x}"))) for number in range(5)]
        await settle()
        assert len(lookups.waiting) == 2
        lookups.release()
        await settle()
        assert len(lookups.waiting) == 2
    await asyncio.gather(*fetches)
    await rig.spawner.close()


async def test_whoever_waits_for_a_turn_waits_no_longer_than_a_lookup_may_take() -> None:
    rig = Rig(DirectoryOptions(lease=LEASE, max_lookups=1))
    await rig.start()
    with rig.store.held("lookup"):
        first = rig.begin_fetch(target_of(W1))
        second = rig.begin_fetch(target_of(W2))
        await rig.clock.advance(rig.options.lookup_timeout)
        assert first.done()
        assert second.done()
        await failure_of(first)
        await failure_of(second)
    await rig.spawner.close()


async def test_too_many_waiters_are_refused_at_once() -> None:
    rig = Rig(DirectoryOptions(lease=LEASE, max_waiting=3))
    await rig.start()
    with rig.store.held("lookup"):
        fetches = [rig.begin_fetch(target_of(W1)) for _ in range(3)]
        await settle()
        assert "3 requests wait" in await failure_of(rig.begin_fetch(target_of(W1)))
    await asyncio.gather(*fetches)
    await rig.spawner.close()


async def test_lookups_that_everybody_has_given_up_count_as_well() -> None:
    rig = Rig(DirectoryOptions(lease=LEASE, max_waiting=3, max_lookups=1))
    await rig.start()
    with rig.store.held("lookup"):
        for number in range(3):
            fetch = rig.begin_fetch(target_of(WorkspaceId(f"{number:024x}")))
            await settle()
            fetch.cancel()
            await settle()
        assert "wait for lookups" in await failure_of(rig.begin_fetch(target_of(W1)))
    await rig.spawner.close()


async def test_without_a_lease_nothing_is_looked_up(rig: Rig) -> None:
    rig.clock.jump(LEASE)
    with pytest.raises(DirectoryUnavailableError, match="lease"):
        await rig.directory.fetch(Missing((E1,)))
    assert rig.store.calls["lookup"] == 0


async def test_a_lookup_renews_no_trust(rig: Rig) -> None:
    with rig.store.failing("renew"):
        await rig.clock.advance(LEASE - 0.5)
        await rig.directory.fetch(Missing((E1,)))
        await rig.clock.advance(0.5)
    assert not rig.directory.trusted()


# Writes


async def test_a_request_may_write_while_its_term_is_trusted(rig: Rig) -> None:
    ticket, _ = await rig.enter(target_of(W1))
    assert rig.directory.may_write(ticket)


async def test_a_request_may_not_write_once_the_lease_has_lapsed(rig: Rig) -> None:
    ticket, _ = await rig.enter(target_of(W1))
    rig.clock.jump(LEASE)
    assert not rig.directory.may_write(ticket)


async def test_a_request_of_an_ended_term_may_not_write_though_the_next_is_trusted(rig: Rig) -> None:
    ticket, _ = await rig.enter(target_of(W1))
    rig.store.rows.clear()
    await rig.clock.advance(rig.options.poll_interval)
    assert rig.directory.trusted()
    assert not rig.directory.may_write(ticket)


async def test_a_request_without_the_directory_may_write_without_a_lease(rig: Rig) -> None:
    ticket, _ = await rig.enter(target_of())
    rig.clock.jump(NEVER)
    assert rig.directory.may_write(ticket)
