"""The registration: joining, renewing, trust, leaving."""

from __future__ import annotations

import pytest

from router.directory.locate import Found, Missing
from router.directory.options import DirectoryOptions
from router.directory.registration import random_incarnation
from router.directory.store import Position
from router.model.placement import Placement, Version
from tests.directory.manual_clock import settle
from tests.directory.memory_store import EU, US, W1, W2
from tests.directory.rig import LEASE, Rig, target_of

POLL = 0.25

# Joining


async def test_the_row_says_who_registered_and_for_how_long(rig: Rig) -> None:
    (row,) = rig.store.rows.values()
    assert (row.incarnation, row.gateway, row.host, row.lease) == ("i1", "gw", "host", LEASE)


def test_no_two_incarnations_are_alike() -> None:
    assert len({random_incarnation() for _ in range(1000)}) == 1000


async def test_the_host_s_lock_is_taken_before_the_row_is_inserted() -> None:
    rig = Rig()
    with rig.store.held("register"):
        await rig.start()
        assert (rig.locks.held, rig.store.rows) == ({"i1"}, {})
    await rig.spawner.close()


async def test_the_position_is_read_after_the_registration_s_commit() -> None:
    rig = Rig()
    with rig.store.held("register", answers=True) as register:
        await rig.start()
        rig.store.place(W1, EU)
        assert rig.store.calls["position"] == 0
        register.release()
        await settle()
    assert rig.directory.state.position == Position(1, 1)
    await rig.spawner.close()


async def test_there_is_no_trust_before_the_first_renewal_is_answered() -> None:
    rig = Rig()
    with rig.store.held("renew", answers=True):
        await rig.start()
        assert not rig.directory.trusted()
    await settle()
    assert rig.directory.trusted()
    await rig.spawner.close()


async def test_a_registration_that_fails_is_tried_again_under_another_name() -> None:
    rig = Rig()
    with rig.store.failing("position"):
        await rig.start()
        assert (rig.directory.state.last_error, rig.store.rows) == ("the directory is down (position)", {})
    await rig.clock.advance(1.0)
    assert list(rig.store.rows) == ["i2"]
    await rig.spawner.close()


async def test_attempts_do_not_pile_up_while_the_store_is_down() -> None:
    rig = Rig()
    with rig.store.failing("register", "unregister"):
        await rig.start()
        await rig.clock.advance(600.0)
        assert rig.locks.held == {"i1"}
    await rig.clock.advance(10.0)
    assert rig.locks.held == {"i2"}
    await rig.spawner.close()


async def test_a_registration_that_is_not_answered_is_taken_back() -> None:
    rig = Rig()
    with rig.store.held("register", answers=True):
        await rig.start()
        assert list(rig.store.rows) == ["i1"]
        await rig.clock.advance(rig.options.renewal_timeout)
        assert rig.store.rows == {}
    await rig.spawner.close()


async def test_without_the_host_s_lock_nothing_is_registered() -> None:
    rig = Rig()
    rig.locks.full = True
    await rig.start()
    assert (rig.store.calls["register"], rig.directory.state.last_error) == (0, "no space left on the host")
    rig.locks.full = False
    await rig.clock.advance(1.0)
    assert len(rig.store.rows) == 1
    await rig.spawner.close()


# Renewing


async def test_a_renewal_is_sent_every_poll_interval(rig: Rig) -> None:
    before = rig.store.calls["renew"]
    await rig.clock.advance(4 * POLL)
    assert rig.store.calls["renew"] == before + 4


async def test_a_renewal_is_sent_at_once_when_woken(rig: Rig) -> None:
    before = rig.store.calls["renew"]
    rig.directory.wake()
    await settle()
    assert rig.store.calls["renew"] == before + 1


async def test_what_was_applied_is_reported_at_once(rig: Rig) -> None:
    rig.store.place(W1, EU)
    await rig.clock.advance(POLL)
    assert rig.applied == 1


async def test_the_whole_feed_is_read_at_once_however_many_batches_it_has() -> None:
    rig = Rig(DirectoryOptions(lease=LEASE, feed_batch=2))
    await rig.start()
    for _ in range(7):
        rig.store.place(W1, EU)
    rig.directory.wake()
    await settle()
    assert rig.applied == 7
    await rig.spawner.close()


async def test_applied_is_held_back_while_a_stale_request_lives(rig: Rig) -> None:
    rig.store.place(W1, EU)
    await rig.enter(target_of(W1))
    rig.store.place(W1, US)
    rig.store.place(W2, US)
    await rig.clock.advance(10 * POLL)
    assert rig.applied == 1


async def test_applied_is_reported_at_once_when_the_last_stale_request_has_left(rig: Rig) -> None:
    rig.store.place(W1, EU)
    ticket, _ = await rig.enter(target_of(W1))
    rig.store.place(W1, US)
    await rig.clock.advance(POLL)
    rig.directory.ledger.leave(ticket)
    await settle()
    assert rig.applied == 2


async def test_a_request_is_told_of_its_successor_though_its_entry_is_not_cached_any_more() -> None:
    rig = Rig(DirectoryOptions(lease=LEASE, cache_size=1))
    await rig.start()
    rig.store.place(W1, EU)
    rig.store.place(W2, EU)
    _, exchange = await rig.enter(target_of(W1))
    await rig.found(target_of(W2))
    assert isinstance(rig.directory.locate(target_of(W1)), Missing)
    rig.store.place(W1, US)
    await rig.clock.advance(POLL)
    assert exchange.told == ["superseded"]
    await rig.spawner.close()


async def test_a_request_that_is_told_of_a_successor_finds_it_in_the_cache(rig: Rig) -> None:
    seen: list[object] = []

    class Deciding:
        def superseded(self) -> None:
            seen.append(rig.directory.locate(target_of(W1)))

        def term_ended(self) -> None:
            raise AssertionError

    rig.store.place(W1, EU)
    rig.directory.ledger.enter((await rig.found(target_of(W1))).holds, Deciding())
    rig.store.place(W1, US)
    await rig.clock.advance(POLL)
    (found,) = seen
    assert isinstance(found, Found)
    assert found.located.placement == Placement(W1, US, Version(1, 2))


# Trust


async def test_trust_counts_from_before_the_renewal_was_sent(rig: Rig) -> None:
    with rig.store.held("renew", answers=True) as renewals:
        await rig.clock.advance(POLL)
        sent = rig.clock.elapsed()
        await rig.clock.advance(4.0)
        renewals.release()
        await settle()
    with rig.store.failing("renew"):
        await rig.clock.advance(sent + LEASE - rig.clock.elapsed() - 0.01)
        trusted = rig.directory.trusted()
        await rig.clock.advance(0.02)
    assert (trusted, rig.directory.trusted()) == (True, False)


async def test_a_directory_that_fails_is_ridden_out_for_one_lease(rig: Rig) -> None:
    rig.store.place(W1, EU)
    _, exchange = await rig.enter(target_of(W1))
    with rig.store.failing("renew"):
        await rig.clock.advance(LEASE - 1)
        assert (rig.directory.trusted(), exchange.told) == (True, [])
        await rig.clock.advance(1.0)
        assert (rig.directory.trusted(), exchange.told) == (False, ["term ended"])


async def test_the_lapse_ends_the_term_though_a_renewal_is_still_unanswered() -> None:
    rig = Rig(DirectoryOptions(lease=2.0, renewal_timeout=30.0))
    await rig.start()
    _, exchange = await rig.enter(target_of(W1))
    with rig.store.held("renew"):
        await rig.clock.advance(2.0)
        assert exchange.told == ["term ended"]
    await rig.spawner.close()


async def test_an_answer_after_the_lapse_does_not_revive_the_term(rig: Rig) -> None:
    _, exchange = await rig.enter(target_of(W1))
    with rig.store.held("renew", answers=True) as renewals:
        await rig.clock.advance(POLL)
        rig.clock.jump(LEASE)
        renewals.release()
        await settle()
    assert exchange.told == ["term ended"]


async def test_a_lapse_that_a_write_notices_ends_the_term_at_once(rig: Rig) -> None:
    ticket, exchange = await rig.enter(target_of(W1))
    rig.clock.freeze(LEASE)
    assert not rig.directory.may_write(ticket)
    await settle()
    assert exchange.told == ["term ended"]


async def test_retries_become_rarer_but_not_rarer_than_allowed(rig: Rig) -> None:
    before = rig.store.calls["renew"]
    with rig.store.failing("renew"):
        await rig.clock.advance(50.0)
    assert 50 / rig.options.retry_max <= rig.store.calls["renew"] - before <= 30


async def test_a_failure_and_its_end_are_shown(rig: Rig) -> None:
    with rig.store.failing("renew"):
        await rig.clock.advance(POLL)
        assert (rig.directory.state.failing, rig.directory.state.last_error) == (True, "the directory is down (renew)")
    await rig.clock.advance(1.0)
    assert (rig.directory.state.failing, rig.directory.state.last_error) == (False, None)


# What is shown


async def test_ready_is_trusted_opened_and_caught_up(rig: Rig) -> None:
    assert rig.directory.state.ready
    rig.store.opened = False
    await rig.clock.advance(POLL)
    assert not rig.directory.state.ready


async def test_the_lag_counts_from_the_last_renewal_that_was_up_to_the_head(rig: Rig) -> None:
    assert rig.directory.state.lag == 0
    with rig.store.failing("renew"):
        await rig.clock.advance(30.0)
        assert rig.directory.state.lag == pytest.approx(30.0)


async def test_between_two_batches_the_feed_is_not_caught_up() -> None:
    rig = Rig(DirectoryOptions(lease=LEASE, feed_batch=2))
    await rig.start()
    for _ in range(5):
        rig.store.place(W1, EU)
    with rig.store.held("renew") as renewals:
        rig.directory.wake()
        await settle()
        renewals.release()
        await settle()
        state = rig.directory.state
    assert (state.caught_up, state.position, state.head) == (False, Position(1, 2), 5)
    await rig.spawner.close()


# Leaving


async def test_closing_takes_the_row_and_the_lock_away(rig: Rig) -> None:
    await rig.directory.close()
    assert (rig.store.rows, rig.locks.held) == ({}, set())


async def test_closing_tells_the_requests_in_flight(rig: Rig) -> None:
    ticket, exchange = await rig.enter(target_of(W1))
    closing = rig.spawner.spawn(rig.directory.close(), "close")
    await settle()
    assert (exchange.told, list(rig.store.rows)) == (["term ended"], ["i1"])
    rig.directory.ledger.leave(ticket)
    await closing
    assert rig.store.rows == {}


async def test_closing_leaves_the_row_of_a_request_that_does_not_let_go(rig: Rig) -> None:
    await rig.enter(target_of(W1))
    closing = rig.spawner.spawn(rig.directory.close(), "close")
    await rig.clock.advance(rig.options.renewal_timeout)
    await closing
    assert (list(rig.store.rows), rig.locks.held) == (["i1"], {"i1"})


async def test_closing_while_registering_takes_back_what_may_have_been_registered() -> None:
    rig = Rig()
    with rig.store.held("register", answers=True):
        await rig.start()
        await rig.directory.close()
        assert rig.store.rows == {}
    await rig.spawner.close()


async def test_closing_does_not_wait_for_a_store_that_is_down(rig: Rig) -> None:
    with rig.store.failing("unregister"):
        closing = rig.spawner.spawn(rig.directory.close(), "close")
        await rig.clock.advance(rig.options.renewal_timeout)
        await closing
    assert list(rig.store.rows) == ["i1"]
