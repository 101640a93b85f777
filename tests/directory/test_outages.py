"""Outages of the directory as one gateway meets them: each has its answer, and a number that shows it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from router.directory.directory import DirectoryUnavailableError
from router.directory.evaluator import IDLE_INTERVAL, WATCH_INTERVAL, BarrierEvaluator
from router.directory.locate import Found, Missing, Unavailable
from router.directory.options import DirectoryOptions
from router.directory.store import Newcomer
from router.directory.watch import Watch
from router.model.transfer import Transfer, TransferId, TransferState
from router.routing.values import Source
from router.runtime.standing import directory_numbers
from tests.directory.manual_clock import settle
from tests.directory.memory_store import EU, US, W1, W2, MemoryStore
from tests.directory.rig import LEASE, Rig, target_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from router.model.placement import WorkspaceId
    from router.telemetry.directory_metrics import DirectoryNumbers

POLL = 0.25
EVERYTHING = ("lookup", "register", "position", "renew", "unregister", "list_transfers", "registrations", "evaluate")


@dataclass
class Site:
    """A gateway whose cache knows W1, and its evaluator."""

    rig: Rig = field(default_factory=Rig)

    def __post_init__(self) -> None:
        rig = self.rig
        self.evaluator = BarrierEvaluator(rig.store, rig.locks, rig.clock, Watch(rig.clock, rig.options))

    async def start(self) -> None:
        self.rig.store.place(W1, EU)
        self.rig.store.place(W2, EU)
        await self.rig.start()
        self.rig.spawner.spawn(self.evaluator.run(), "evaluator")
        await self.rig.clock.advance(POLL)

    @property
    def numbers(self) -> DirectoryNumbers:
        return directory_numbers(self.rig.directory, self.evaluator, self.rig.clock)

    async def fails(self, workspace: WorkspaceId = W2) -> None:
        """A request that has to be looked up, and can't be."""
        missing = self.rig.directory.locate(target_of(workspace))
        assert isinstance(missing, Missing)
        with pytest.raises(DirectoryUnavailableError):
            await self.rig.directory.fetch(missing)

    def unavailable(self) -> bool:
        return isinstance(self.rig.directory.locate(target_of(W1)), Unavailable)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    await site.start()
    await site.rig.found(target_of(W1))
    yield site
    await site.rig.spawner.close()


async def test_a_healthy_directory_has_nothing_to_show(site: Site) -> None:
    await site.rig.clock.advance(10 * POLL)
    numbers = site.numbers
    assert LEASE - POLL <= numbers.lease_left <= LEASE
    assert (numbers.renewal_failures, sum(numbers.lookup_failures.values()), numbers.generation) == (0, 0, 1)
    assert (sum(numbers.terms_ended.values()), numbers.gateways, numbers.quarantine) == (0, 1, 0.0)


async def test_gone_for_seconds_what_is_known_is_served_as_stale_and_the_rest_fails(site: Site) -> None:
    with site.rig.store.failing(*EVERYTHING):
        await site.rig.clock.advance(5.0)
        found = site.rig.directory.locate(target_of(W1))
        assert isinstance(found, Found)
        assert found.located.source is Source.STALE
        await site.fails()
        assert site.numbers.lookup_failures["error"] == 1
        assert site.numbers.renewal_failures > 0
        assert site.numbers.lease_left <= LEASE - 5.0
    await site.rig.clock.advance(site.rig.options.retry_max)
    assert isinstance(await site.rig.found(target_of(W2)), Found)
    assert site.numbers.lease_left > LEASE - 5.0


async def test_gone_for_minutes_it_is_ridden_out_to_the_end_of_the_lease_and_no_further(site: Site) -> None:
    with site.rig.store.failing(*EVERYTHING):
        await site.rig.clock.advance(LEASE - 1.0)
        assert isinstance(site.rig.directory.locate(target_of(W1)), Found)
        assert 0.0 < site.numbers.lease_left <= 1.0
        await site.rig.clock.advance(1.0)
        assert site.unavailable()
        assert (site.numbers.lease_left, site.numbers.terms_ended["lapsed"], site.numbers.generation) == (0.0, 1, 0)


async def test_back_after_the_lease_it_is_served_again_from_a_cold_cache(site: Site) -> None:
    with site.rig.store.failing(*EVERYTHING):
        await site.rig.clock.advance(LEASE + 1.0)
    await site.rig.clock.advance(site.rig.options.retry_max)
    assert isinstance(site.rig.directory.locate(target_of(W1)), Missing)
    assert isinstance(await site.rig.found(target_of(W1)), Found)
    assert site.numbers.lease_left > 0.0


async def test_slow_a_lookup_fails_in_its_time_and_the_cache_goes_on(site: Site) -> None:
    with site.rig.store.held("lookup"):
        waiting = site.rig.begin_fetch(target_of(W2))
        await site.rig.clock.advance(site.rig.options.lookup_timeout)
        with pytest.raises(DirectoryUnavailableError, match="did not answer within"):
            await waiting
        assert site.numbers.lookup_failures["timeout"] == 1
        assert isinstance(site.rig.directory.locate(target_of(W1)), Found)


async def test_slow_no_more_requests_wait_than_may() -> None:
    site = Site(Rig(DirectoryOptions(lease=LEASE, max_waiting=2)))
    await site.start()
    with site.rig.store.held("lookup"):
        waiting = [site.rig.begin_fetch(target_of(W1)) for _ in range(2)]
        await settle()
        await site.fails()
        assert site.numbers.lookup_failures["crowded"] == 1
    await asyncio.gather(*waiting)
    await site.rig.spawner.close()


async def test_slow_renewals_are_given_up_in_their_time_and_counted(site: Site) -> None:
    with site.rig.store.held("renew"):
        await site.rig.clock.advance(POLL + site.rig.options.renewal_timeout)
        assert site.numbers.renewal_failures == 1


async def test_a_restart_while_it_is_down_serves_nothing_until_it_is_back() -> None:
    site = Site()
    with site.rig.store.failing(*EVERYTHING):
        await site.start()
        await site.rig.clock.advance(60.0)
        assert site.unavailable()
        numbers = site.numbers
        assert (numbers.lease_left, numbers.generation, numbers.gateways) == (0.0, 0, 0)
        assert numbers.renewal_failures > 5
    await site.rig.clock.advance(site.rig.options.retry_max)
    assert isinstance(await site.rig.found(target_of(W1)), Found)
    await site.rig.spawner.close()


def restore(store: MemoryStore) -> None:
    store.generation += 1


def truncate(store: MemoryStore) -> None:
    store.place(W2, US)
    store.floor = store.head + 1


def lose_commits(store: MemoryStore) -> None:
    del store.history[-1]


def revoke(store: MemoryStore) -> None:
    store.rows.clear()


@pytest.mark.parametrize(
    ("breaks", "reason"), [(restore, "reset"), (truncate, "reset"), (lose_commits, "reset"), (revoke, "refused")]
)
async def test_what_is_not_the_directory_that_was_followed_is_followed_anew(
    site: Site, breaks: Callable[[MemoryStore], None], reason: str
) -> None:
    breaks(site.rig.store)
    await site.rig.clock.advance(POLL)
    assert site.numbers.terms_ended[reason] == 1
    assert site.numbers.generation == site.rig.store.generation
    assert isinstance(site.rig.directory.locate(target_of(W1)), Missing)


async def test_an_empty_directory_that_nobody_opened_serves_nothing() -> None:
    site = Site(Rig(store=MemoryStore(opened=False)))
    await site.rig.start()
    assert site.unavailable()
    assert not site.rig.directory.state.ready
    site.rig.store.opened = True
    await site.rig.clock.advance(POLL)
    assert site.rig.directory.state.ready
    await site.rig.spawner.close()


async def test_transfers_and_whom_they_wait_for_are_counted(site: Site) -> None:
    now = site.rig.clock.wall()
    silent = await _register(site.rig.store)
    await site.rig.store.start_transfer(
        Transfer(TransferId("t1"), W1, EU, US, TransferState.LOCKING, "owner", now, now + 3600, 0)
    )
    await site.rig.clock.advance(IDLE_INTERVAL + POLL)
    numbers = site.numbers
    assert (numbers.transfers, numbers.barrier_waiting, numbers.gateways) == ({"locking": 1, "transferring": 0}, 1, 2)
    await site.rig.store.unregister(silent)
    await site.rig.clock.advance(IDLE_INTERVAL + WATCH_INTERVAL)
    numbers = site.numbers
    assert (numbers.transfers, numbers.barrier_waiting, numbers.gateways) == ({"locking": 0, "transferring": 1}, 0, 1)


async def _register(store: MemoryStore) -> str:
    await store.register(Newcomer("silent", "gw-2", "host-2", LEASE))
    return "silent"
