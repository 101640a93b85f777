"""Refreshing what is known: at the primary, once a second for an entry, and never back in time."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.directory.directory import REFRESH_SECONDS, DirectoryUnavailableError
from router.directory.throttle import Throttle
from router.model.placement import Placement, Version
from tests.directory.manual_clock import ManualClock, settle
from tests.directory.memory_store import EU, US, W1, W2, workspace_entry
from tests.directory.rig import LEASE, Rig, target_of

E1, E2 = workspace_entry(W1), workspace_entry(W2)
MOVED = Placement(W1, US, Version(1, 2))


async def placed(rig: Rig) -> None:
    """The rig knows that the workspace is in the EU; the directory knows better."""
    rig.store.place(W1, EU)
    await rig.found(target_of(W1))
    rig.store.place(W1, US)
    rig.store.asked.clear()


async def test_what_is_known_is_asked_for_again_at_the_primary_alone(rig: Rig) -> None:
    await placed(rig)
    await rig.directory.refresh(E1)
    assert rig.directory.known(E1) == MOVED
    assert rig.store.asked == [(E1, True)]


async def test_who_is_in_flight_on_the_older_version_is_told(rig: Rig) -> None:
    rig.store.place(W1, EU)
    _, exchange = await rig.enter(target_of(W1))
    rig.store.place(W1, US)
    await rig.directory.refresh(E1)
    assert exchange.told == ["superseded"]


async def test_the_same_entry_is_asked_for_once_a_second(rig: Rig) -> None:
    await placed(rig)
    await rig.directory.refresh(E1)
    await rig.clock.advance(REFRESH_SECONDS * 0.9)
    await rig.directory.refresh(E1)
    assert rig.store.asked == [(E1, True)]
    await rig.clock.advance(REFRESH_SECONDS * 0.2)
    await rig.directory.refresh(E1)
    assert rig.store.asked == [(E1, True)] * 2


async def test_another_entry_has_a_second_of_its_own(rig: Rig) -> None:
    await rig.directory.refresh(E1)
    await rig.directory.refresh(E2)
    assert rig.store.asked == [(E1, True), (E2, True)]


async def test_who_comes_while_it_is_asked_for_waits_for_the_same_answer(rig: Rig) -> None:
    await placed(rig)
    with rig.store.held("lookup"):
        tasks = [asyncio.get_running_loop().create_task(rig.directory.refresh(E1)) for _ in range(5)]
        await settle()
        assert not any(task.done() for task in tasks)
    await asyncio.gather(*tasks)
    assert rig.store.asked == [(E1, True)]
    assert rig.directory.known(E1) == MOVED


async def test_cancelling_one_who_waits_cancels_nothing_else(rig: Rig) -> None:
    await placed(rig)
    with rig.store.held("lookup"):
        first, second = (asyncio.get_running_loop().create_task(rig.directory.refresh(E1)) for _ in range(2))
        await settle()
        first.cancel()
        await settle()
    await second
    assert rig.directory.known(E1) == MOVED


async def test_an_answer_that_the_feed_has_overtaken_changes_nothing(rig: Rig) -> None:
    await placed(rig)
    with rig.store.held("lookup", answers=True):
        refresh = asyncio.get_running_loop().create_task(rig.directory.refresh(E1))
        await settle()
        rig.store.place(W1, EU)
        await rig.clock.advance(rig.options.poll_interval)
    await refresh
    assert rig.directory.known(E1) == Placement(W1, EU, Version(1, 3))


async def test_a_refresh_that_fails_says_so_and_leaves_what_is_known(rig: Rig) -> None:
    await placed(rig)
    with rig.store.failing("lookup"), pytest.raises(DirectoryUnavailableError):
        await rig.directory.refresh(E1)
    assert rig.directory.known(E1) == Placement(W1, EU, Version(1, 1))


async def test_without_a_lease_nothing_is_asked_and_nothing_is_known(rig: Rig) -> None:
    await placed(rig)
    rig.clock.jump(LEASE)
    with pytest.raises(DirectoryUnavailableError):
        await rig.directory.refresh(E1)
    assert rig.directory.known(E1) is None
    assert rig.store.asked == []


async def test_in_a_directory_that_is_closed_nothing_is_known(rig: Rig) -> None:
    await placed(rig)
    rig.store.opened = False
    await rig.clock.advance(rig.options.poll_interval)
    assert rig.directory.known(E1) is None


# Throttle


def test_beyond_its_size_a_throttle_admits_nobody_and_forgets_nobody() -> None:
    clock = ManualClock()
    throttle = Throttle(1.0, 2, clock)
    assert [throttle.admit(name) for name in "abcab"] == [True, True, False, False, False]
    clock.jump(1.1)
    assert throttle.admit("c")


@given(steps=st.lists(st.tuples(st.floats(0, 0.7), st.sampled_from("abc")), max_size=40))
def test_no_name_is_admitted_twice_within_its_time(steps: list[tuple[float, str]]) -> None:
    clock = ManualClock()
    throttle = Throttle(1.0, 2, clock)
    admitted: dict[str, float] = {}
    for seconds, name in steps:
        clock.jump(seconds)
        if throttle.admit(name):
            now = clock.monotonic()
            assert now - admitted.get(name, -1e9) >= 1.0
            admitted[name] = now
            assert sum(now - then < 1.0 for then in admitted.values()) <= 2
