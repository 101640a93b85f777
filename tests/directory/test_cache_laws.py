"""The laws of the placement cache, one claim each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from router.directory.cache import Admission, PinnedLRU, PlacementCache
from router.directory.options import DirectoryOptions
from router.directory.store import Answer, Position
from router.model.placement import Absence, Alias, Change, Entry, Kind, Placement, Version, WorkspaceId
from tests.directory.manual_clock import ManualClock
from tests.directory.memory_store import EU, US, W1, W2, workspace_entry

if TYPE_CHECKING:
    from router.model.placement import Fact

E1 = workspace_entry(W1)
E2 = workspace_entry(W2)
SUBDOMAIN = Entry(Kind.SUBDOMAIN, "acme")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> PlacementCache:
    return new_cache(clock)


def new_cache(clock: ManualClock, *, size: int = 100, seq: int = 10) -> PlacementCache:
    options = DirectoryOptions(cache_size=size, absent_size=size, alias_size=size, absent_ttl=5.0)
    cache = PlacementCache(options, clock)
    cache.begin_term(Position(1, seq))
    return cache


def placed(workspace: WorkspaceId, epoch: int, region: str = "eu", generation: int = 1) -> Placement:
    return Placement(workspace, US if region == "us" else EU, Version(generation, epoch))


def absent(entry: Entry, number: int = 0) -> Absence:
    return Absence(entry, Version(1, number))


def answer(fact: Fact, seq: int, *, generation: int = 1, opened: bool = True) -> Answer:
    return Answer(fact, generation, seq, opened)


def learn(cache: PlacementCache, fact: Fact, seq: int) -> Admission:
    """One whole lookup."""
    ticket = cache.begin_lookup(fact.entry)
    admission = cache.finish_lookup(ticket, answer(fact, seq))
    cache.end_lookup(ticket)
    return admission


# Law 1: versions


def test_a_lookup_never_replaces_a_higher_version(cache: PlacementCache) -> None:
    learn(cache, placed(W1, 7), 10)
    assert learn(cache, placed(W1, 6), 11) is Admission.ACCEPTED
    assert cache.get(E1) == placed(W1, 7)


def test_the_feed_never_replaces_a_higher_version(cache: PlacementCache) -> None:
    learn(cache, placed(W1, 7), 30)
    cache.apply(Change(11, placed(W1, 6)))
    assert cache.get(E1) == placed(W1, 7)


def test_a_late_not_found_never_replaces_a_placement(cache: PlacementCache) -> None:
    ticket = cache.begin_lookup(E1)
    cache.apply(Change(11, placed(W1, 1)))
    cache.finish_lookup(ticket, answer(absent(E1), 10))
    assert cache.get(E1) == placed(W1, 1)


def test_a_late_placement_never_replaces_the_tombstone_of_its_deletion(cache: PlacementCache) -> None:
    ticket = cache.begin_lookup(E1)
    cache.apply(Change(11, absent(E1, 8)))
    cache.finish_lookup(ticket, answer(placed(W1, 7), 10))
    assert cache.get(E1) == absent(E1, 8)


def test_a_later_generation_outranks_any_epoch(cache: PlacementCache) -> None:
    learn(cache, placed(W1, 9, generation=0), 10)
    cache.apply(Change(11, placed(W1, 2)))
    assert cache.get(E1) == placed(W1, 2)


def test_a_workspace_that_is_created_replaces_its_not_found(cache: PlacementCache) -> None:
    learn(cache, absent(E1), 10)
    cache.apply(Change(11, placed(W1, 1)))
    assert cache.get(E1) == placed(W1, 1)


def test_a_placement_that_is_evicted_does_not_uncover_the_not_found_it_replaced(clock: ManualClock) -> None:
    cache = new_cache(clock, size=1)
    learn(cache, absent(E1), 10)
    cache.apply(Change(11, placed(W1, 1)))
    learn(cache, placed(W2, 1), 11)
    assert cache.get(E1) is None


def test_a_workspace_that_is_deleted_is_not_found(cache: PlacementCache) -> None:
    learn(cache, placed(W1, 1), 10)
    cache.apply(Change(11, absent(E1, 2)))
    assert cache.get(E1) == absent(E1, 2)


# Law 2: snapshots


def test_an_answer_older_than_the_position_is_refused(cache: PlacementCache) -> None:
    assert learn(cache, placed(W1, 1), 9) is Admission.OLDER
    assert cache.get(E1) is None


def test_an_answer_older_than_any_accepted_one_is_refused(cache: PlacementCache) -> None:
    learn(cache, placed(W2, 1), 20)
    assert learn(cache, placed(W1, 1), 19) is Admission.OLDER


def test_the_floor_is_what_was_known_when_the_lookup_began(cache: PlacementCache) -> None:
    ticket = cache.begin_lookup(E1)
    cache.apply(Change(11, placed(W2, 1)))
    assert cache.finish_lookup(ticket, answer(placed(W1, 1), 10)) is Admission.ACCEPTED


def test_an_older_answer_may_be_followed_by_the_primary_s_under_one_ticket(cache: PlacementCache) -> None:
    ticket = cache.begin_lookup(E1)
    cache.finish_lookup(ticket, answer(placed(W1, 1), 9))
    assert cache.finish_lookup(ticket, answer(placed(W1, 2), 10)) is Admission.ACCEPTED


def test_a_change_during_a_lookup_survives_the_lookup_s_older_answer(cache: PlacementCache) -> None:
    ticket = cache.begin_lookup(E1)
    cache.apply(Change(11, placed(W1, 2, "us")))
    cache.finish_lookup(ticket, answer(placed(W1, 1, "eu"), 10))
    assert cache.get(E1) == placed(W1, 2, "us")


def test_a_change_during_a_lookup_survives_though_the_cache_is_full(clock: ManualClock) -> None:
    cache = new_cache(clock, size=1)
    ticket = cache.begin_lookup(E1)
    cache.apply(Change(11, placed(W1, 2, "us")))
    learn(cache, placed(W2, 1), 11)
    cache.finish_lookup(ticket, answer(placed(W1, 1, "eu"), 10))
    assert cache.get(E1) == placed(W1, 2, "us")


def test_a_change_of_what_nobody_asked_for_is_not_taken_in(cache: PlacementCache) -> None:
    cache.apply(Change(11, placed(W1, 1)))
    assert cache.get(E1) is None


def test_an_evicted_entry_does_not_come_back_older_than_it_was_known(clock: ManualClock) -> None:
    cache = new_cache(clock, size=1)
    learn(cache, placed(W1, 5), 20)
    learn(cache, placed(W2, 1), 20)
    assert cache.get(E1) is None
    assert learn(cache, placed(W1, 4), 15) is Admission.OLDER


def test_an_answer_of_a_directory_that_is_not_opened_is_refused(cache: PlacementCache) -> None:
    ticket = cache.begin_lookup(E1)
    assert cache.finish_lookup(ticket, answer(absent(E1), 10, opened=False)) is Admission.UNOPENED
    assert cache.get(E1) is None


# Law 3: who waits reads the cache


def test_what_a_waiter_s_pin_kept_can_be_read_after_the_pin_was_given_back(
    cache: PlacementCache, clock: ManualClock
) -> None:
    pin = cache.pin(E1)
    learn(cache, absent(E1), 10)
    clock.jump(60.0)
    cache.unpin(pin)
    assert cache.get(E1) == absent(E1)


# Law 4: aliases


def test_an_alias_follows_the_feed(cache: PlacementCache) -> None:
    learn(cache, Alias(SUBDOMAIN, Version(1, 4), workspace=W1), 10)
    cache.apply(Change(11, Alias(SUBDOMAIN, Version(1, 11), workspace=W2)))
    assert cache.get(SUBDOMAIN) == Alias(SUBDOMAIN, Version(1, 11), workspace=W2)


def test_an_alias_that_is_not_there_has_no_age(cache: PlacementCache, clock: ManualClock) -> None:
    learn(cache, absent(SUBDOMAIN), 10)
    clock.jump(3600.0)
    assert cache.get(SUBDOMAIN) == absent(SUBDOMAIN)


# Law 5: terms


def test_a_reset_forgets_everything(cache: PlacementCache) -> None:
    learn(cache, placed(W1, 1), 10)
    learn(cache, absent(E2), 10)
    learn(cache, absent(SUBDOMAIN), 10)
    cache.reset()
    assert (len(cache), cache.get(E1), cache.get(E2), cache.get(SUBDOMAIN)) == (0, None, None, None)


def test_a_lookup_of_an_ended_term_is_refused_in_the_next(cache: PlacementCache) -> None:
    ticket = cache.begin_lookup(E1)
    cache.begin_term(Position(1, 10))
    assert cache.finish_lookup(ticket, answer(placed(W1, 1), 10)) is Admission.TERM_ENDED
    assert cache.get(E1) is None


def test_a_pin_of_an_ended_term_leaves_the_next_term_s_pins_alone(cache: PlacementCache, clock: ManualClock) -> None:
    old = cache.pin(E1)
    cache.begin_term(Position(1, 10))
    cache.pin(E1)
    learn(cache, absent(E1), 10)
    cache.unpin(old)
    clock.jump(60.0)
    assert cache.get(E1) == absent(E1)


def test_an_answer_of_a_later_generation_is_refused_as_such(cache: PlacementCache) -> None:
    ticket = cache.begin_lookup(E1)
    later = answer(placed(W1, 1, generation=2), 99, generation=2)
    assert cache.finish_lookup(ticket, later) is Admission.OTHER_GENERATION


def test_an_answer_of_an_earlier_generation_is_a_lagging_replica_s(clock: ManualClock) -> None:
    cache = new_cache(clock)
    cache.begin_term(Position(2, 10))
    ticket = cache.begin_lookup(E1)
    assert cache.finish_lookup(ticket, answer(placed(W1, 1), 99)) is Admission.OLDER


def test_what_earlier_terms_accepted_does_not_bind_a_new_one(cache: PlacementCache) -> None:
    learn(cache, placed(W1, 1), 50)
    cache.begin_term(Position(2, 10))
    ticket = cache.begin_lookup(E1)
    accepted = cache.finish_lookup(ticket, answer(placed(W1, 1, generation=2), 10, generation=2))
    assert accepted is Admission.ACCEPTED


def test_there_is_no_position_between_terms(cache: PlacementCache) -> None:
    cache.reset()
    assert cache.position is None


# Law 6: the position


def test_the_position_follows_every_change_whether_cached_or_not(cache: PlacementCache) -> None:
    cache.apply(Change(11, placed(W1, 1)))
    assert cache.position == Position(1, 11)


# Law 7: pins, and what shares no room with what


def test_the_eviction_of_an_lru_passes_over_what_is_pinned() -> None:
    pinned = {E1}
    lru = PinnedLRU(2, pinned)
    lru.keep(E1, placed(W1, 1))
    for number in range(5):
        lru.keep(workspace_entry(WorkspaceId(f"{number:024x}")), placed(WorkspaceId(f"{number:024x}"), 1))
    assert set(lru) == {E1, workspace_entry(WorkspaceId(f"{4:024x}"))}


def test_a_pinned_placement_stays_where_it_was_while_others_come_and_go(clock: ManualClock) -> None:
    cache = new_cache(clock, size=2)
    learn(cache, placed(W1, 1), 10)
    pin = cache.pin(E1)
    for number in range(5):
        learn(cache, placed(WorkspaceId(f"{number:024x}"), 1), 10)
    cache.unpin(pin)
    assert cache.get(E1) == placed(W1, 1)


def test_the_oldest_unpinned_placement_is_evicted(clock: ManualClock) -> None:
    cache = new_cache(clock, size=2)
    learn(cache, placed(W1, 1), 10)
    learn(cache, placed(W2, 1), 10)
    cache.get(E1)
    learn(cache, placed(WorkspaceId("f" * 24), 1), 10)
    assert (cache.get(E1), cache.get(E2)) == (placed(W1, 1), None)


def test_a_cache_full_of_pins_stays_within_its_size_and_loses_none(clock: ManualClock) -> None:
    cache = new_cache(clock, size=1)
    pins = [cache.pin(E1), cache.pin(E2)]
    learn(cache, placed(W1, 1), 10)
    learn(cache, placed(W2, 1), 10)
    assert (len(cache), cache.get(E1), cache.get(E2)) == (1, placed(W1, 1), placed(W2, 1))
    for pin in pins:
        cache.unpin(pin)


def test_not_found_expires(cache: PlacementCache, clock: ManualClock) -> None:
    learn(cache, absent(E1), 10)
    clock.jump(5.1)
    assert cache.get(E1) is None


def test_a_pinned_not_found_does_not_expire(cache: PlacementCache, clock: ManualClock) -> None:
    learn(cache, absent(E1), 10)
    cache.pin(E1)
    clock.jump(60.0)
    assert cache.get(E1) == absent(E1)


def test_a_pin_given_back_twice_counts_once(cache: PlacementCache, clock: ManualClock) -> None:
    first, _second = cache.pin(E1), cache.pin(E1)
    learn(cache, absent(E1), 10)
    cache.unpin(first)
    cache.unpin(first)
    clock.jump(60.0)
    assert cache.get(E1) == absent(E1)


def test_a_placement_has_no_age(cache: PlacementCache, clock: ManualClock) -> None:
    learn(cache, placed(W1, 1), 10)
    clock.jump(1e6)
    assert cache.get(E1) == placed(W1, 1)


def test_random_ids_and_keys_evict_no_tenant(clock: ManualClock) -> None:
    cache = new_cache(clock, size=3)
    learn(cache, placed(W1, 1), 10)
    for number in range(50):
        learn(cache, absent(workspace_entry(WorkspaceId(f"{number:024x}"))), 10)
        learn(cache, absent(Entry(Kind.KEY, f"{number:064x}")), 10)
    assert cache.get(E1) == placed(W1, 1)


def test_each_shelf_is_bounded(clock: ManualClock) -> None:
    cache = new_cache(clock, size=3)
    for number in range(20):
        learn(cache, placed(WorkspaceId(f"{number:024x}"), 1), 10)
        learn(cache, absent(workspace_entry(WorkspaceId(f"{number + 100:024x}"))), 10)
        learn(cache, absent(Entry(Kind.KEY, f"{number:064x}")), 10)
    assert len(cache) == 9


def test_a_size_that_is_not_positive_is_refused() -> None:
    with pytest.raises(ValueError, match="cache_size must be positive"):
        DirectoryOptions(cache_size=0)
