"""Terms: what ends one, in which order, and what becomes of its row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from router.directory.directory import DirectoryUnavailableError
from router.directory.locate import Missing, Unavailable
from tests.directory.manual_clock import settle
from tests.directory.memory_store import EU, US, W1, W2, MemoryStore
from tests.directory.rig import Rig, target_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.directory.store import Position

POLL = 0.25


def lose_the_row(store: MemoryStore) -> None:
    store.rows.clear()


def prune_the_feed(store: MemoryStore) -> None:
    store.place(W2, US)
    store.floor = store.head + 1


def lose_a_commit(store: MemoryStore) -> None:
    del store.history[-1]


def begin_another_generation(store: MemoryStore) -> None:
    store.generation += 1


BREAKS = (lose_the_row, prune_the_feed, lose_a_commit, begin_another_generation)


@pytest.mark.parametrize("breaks", BREAKS)
async def test_a_term_that_is_broken_tells_its_requests_forgets_its_cache_and_is_followed_by_another(
    rig: Rig, breaks: Callable[[MemoryStore], None]
) -> None:
    rig.store.place(W1, EU)
    await rig.clock.advance(POLL)
    ticket, exchange = await rig.enter(target_of(W1))
    breaks(rig.store)
    await rig.clock.advance(POLL)
    assert (exchange.told, ticket.ended) == (["term ended"], True)
    assert isinstance(rig.directory.locate(target_of(W1)), Missing)
    assert rig.directory.state.incarnation == "i2"


async def test_between_two_terms_the_directory_is_unavailable_and_nothing_is_trusted(rig: Rig) -> None:
    with rig.store.failing("register"):
        lose_the_row(rig.store)
        await rig.clock.advance(POLL)
        assert isinstance(rig.directory.locate(target_of(W1)), Unavailable)
        assert not rig.directory.trusted()


async def test_why_a_term_ended_is_shown(rig: Rig) -> None:
    with rig.store.held("register"):
        lose_the_row(rig.store)
        await rig.clock.advance(POLL)
        assert rig.directory.state.last_error == "the directory refused the renewal: the row is gone"


async def test_between_two_terms_nothing_is_cached_and_no_lookup_of_the_old_one_is_taken_in(rig: Rig) -> None:
    await rig.found(target_of(W2))
    with rig.store.failing("register"), rig.store.held("lookup") as lookups:
        fetch = rig.begin_fetch(target_of(W1))
        await settle()
        lose_the_row(rig.store)
        await rig.clock.advance(POLL)
        lookups.release()
        with pytest.raises(DirectoryUnavailableError):
            await fetch
        assert rig.directory.cached == 0


async def test_a_request_that_is_told_finds_the_directory_unavailable(rig: Rig) -> None:
    seen: list[object] = []

    class Deciding:
        def superseded(self) -> None:
            raise AssertionError

        def term_ended(self) -> None:
            seen.append(rig.directory.locate(target_of(W1)))

    found = await rig.found(target_of(W1))
    rig.directory.ledger.enter(found.holds, Deciding())
    lose_the_row(rig.store)
    await rig.clock.advance(POLL)
    assert isinstance(seen[0], Unavailable)


async def test_the_old_row_stays_until_the_last_request_of_its_term_has_ended(rig: Rig) -> None:
    ticket, _ = await rig.enter(target_of(W1))
    prune_the_feed(rig.store)
    await rig.clock.advance(20.0)
    assert (set(rig.store.rows), rig.locks.held) == ({"i1", "i2"}, {"i1", "i2"})
    rig.directory.ledger.leave(ticket)
    await settle()
    assert (set(rig.store.rows), rig.locks.held) == ({"i2"}, {"i2"})


async def test_the_old_row_does_not_renew_any_more(rig: Rig) -> None:
    await rig.enter(target_of(W1))
    prune_the_feed(rig.store)
    await rig.clock.advance(POLL)
    renewals = rig.store.rows["i1"].renewals
    await rig.clock.advance(20.0)
    assert rig.store.rows["i1"].renewals == renewals


async def test_the_lock_is_held_until_the_row_is_gone(rig: Rig) -> None:
    with rig.store.failing("unregister"):
        prune_the_feed(rig.store)
        await rig.clock.advance(20.0)
        assert rig.locks.held == {"i1", "i2"}
    await rig.clock.advance(rig.options.retry_max)
    assert rig.locks.held == {"i2"}


async def test_terms_that_end_before_their_first_renewal_do_not_follow_at_full_speed() -> None:
    class Forgetful(MemoryStore):
        async def position(self) -> Position:
            self.rows.clear()
            return await super().position()

    rig = Rig(store=Forgetful())
    await rig.start()
    await rig.clock.advance(60.0)
    assert rig.store.calls["register"] < 40
    await rig.spawner.close()


async def test_a_bug_while_the_feed_is_taken_in_ends_the_term_and_not_the_loop(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.store.place(W1, EU)
    rig.store.history[0] = rig.store.history[0]._replace(fact=None)  # type: ignore[arg-type]  # what no store returns
    await rig.clock.advance(POLL)
    rig.store.history.clear()
    await rig.clock.advance(60.0)
    assert "the registration failed" in caplog.text
    assert rig.directory.trusted()
