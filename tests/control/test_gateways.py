"""The registered gateways on a real directory: what is shown of them, and who may be forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from router.control.audit import Act
from router.control.gateways import Forgotten, Sighting, forget_gateway, list_gateways, watch_gateway
from router.control.problems import Declined
from router.directory.hostlock import FileHostLocks
from router.directory.options import DirectoryOptions
from router.directory.sqlite import SqliteStore, migrate
from router.directory.sqlite.control import SqliteControlStore
from router.directory.store import Newcomer, Renewal, WorkspaceDraft
from router.model.losses import Ending
from router.model.placement import WorkspaceId
from router.model.region import RegionName
from router.model.transfer import Transfer, TransferId, TransferState
from tests.control.control_sites import slugs
from tests.control.test_transfer_service import SteppingClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

W1 = WorkspaceId("64a687e29ae1f428e7ebe301")
OPTIONS = DirectoryOptions(clock_drift=0.1, lease_margin=4.0)
LEASE = 60.0
ALLOWANCE = LEASE * 1.1 + 4.0
EU, US = RegionName("eu"), RegionName("us")


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def locks(tmp_path: Path) -> FileHostLocks:
    return FileHostLocks(tmp_path / "gateways")


@pytest.fixture
async def store(tmp_path: Path, clock: SteppingClock) -> AsyncIterator[SqliteStore]:
    """W1 in the EU, and a gateway."""
    migrate(tmp_path / "directory.db", clock=clock)
    store = SqliteStore(tmp_path / "directory.db", clock=clock)
    await store.put_workspaces([WorkspaceDraft(W1, EU)])
    await store.register(Newcomer("inc-1", "gateway-a", "host-a", LEASE))
    yield store
    await store.close()


@pytest.fixture
async def control(store: SqliteStore, tmp_path: Path) -> AsyncIterator[SqliteControlStore]:
    """The same directory, as the control plane has it."""
    control = SqliteControlStore(tmp_path / "directory.db")
    yield control
    await control.close()


async def forget(
    control: SqliteControlStore, locks: FileHostLocks, clock: SteppingClock, incarnation: str = "inc-1"
) -> Forgotten | Declined:
    """Watch it, and take it away."""
    watched = await watch_gateway(control, locks, clock, OPTIONS, incarnation)
    if isinstance(watched, Declined):
        return watched
    act = Act("somebody", clock.wall())
    return await control.transact(lambda tx: forget_gateway(tx, act, OPTIONS, watched))


async def renew(store: SqliteStore) -> None:
    position = await store.position()
    assert await store.renew(Renewal("inc-1", position.seq, position)) is not None


async def start_transfer(store: SqliteStore) -> Transfer:
    return await store.start_transfer(
        Transfer(TransferId("t1"), W1, EU, US, TransferState.LOCKING, "owner", 0.0, 3600.0, 0)
    )


# --- list


async def test_a_gateway_is_shown_with_how_far_it_is_and_until_when_it_may_trust_its_cache(
    control: SqliteControlStore, store: SqliteStore, clock: SteppingClock
) -> None:
    await renew(store)
    renewed_at = clock.wall()
    await start_transfer(store)
    (status,) = await control.read(lambda tx: list_gateways(tx, OPTIONS))
    assert (status.row.applied, status.head, status.counts) == (1, 2, True)
    assert status.trusts_until == pytest.approx(renewed_at + ALLOWANCE)


async def test_what_a_gateway_applied_before_a_restore_does_not_count(
    control: SqliteControlStore, store: SqliteStore
) -> None:
    await store.open_directory(restored=True)
    (status,) = await control.read(lambda tx: list_gateways(tx, OPTIONS))
    assert not status.counts


async def test_gateways_are_listed_by_their_names(control: SqliteControlStore, store: SqliteStore) -> None:
    await store.register(Newcomer("inc-0", "gateway-b", "host-a", LEASE))
    listed = await control.read(lambda tx: list_gateways(tx, OPTIONS))
    assert [status.row.gateway for status in listed] == ["gateway-a", "gateway-b"]


# --- forget


async def test_a_gateway_that_is_silent_is_forgotten_and_may_write_until_its_lease_is_over(
    control: SqliteControlStore, store: SqliteStore, locks: FileHostLocks, clock: SteppingClock
) -> None:
    transfer = await start_transfer(store)
    registered_at = clock.wall()
    forgotten = await forget(control, locks, clock)
    assert isinstance(forgotten, Forgotten)
    assert forgotten.may_write_until == pytest.approx(registered_at + ALLOWANCE)
    assert (await store.registrations()).registrations == ()
    assert [lost.ending for lost in (await store.losses(transfer.id)).gateways] == [Ending.FORGOTTEN]


async def test_it_is_watched_for_longer_than_a_renewal_may_take(
    control: SqliteControlStore, store: SqliteStore, locks: FileHostLocks, clock: SteppingClock
) -> None:
    before = clock.monotonic()
    await forget(control, locks, clock)
    assert clock.monotonic() - before > OPTIONS.renewal_timeout + OPTIONS.poll_interval


async def test_a_gateway_that_renews_is_not_forgotten(
    control: SqliteControlStore, store: SqliteStore, locks: FileHostLocks, clock: SteppingClock
) -> None:
    clock.meanwhile = lambda: renew(store)
    refused = await forget(control, locks, clock)
    assert slugs(refused) == ["gateway-still-renews"]
    assert len((await store.registrations()).registrations) == 1


async def test_that_it_renews_is_said_as_soon_as_it_is_seen(
    control: SqliteControlStore, store: SqliteStore, locks: FileHostLocks, clock: SteppingClock
) -> None:
    before = clock.monotonic()
    clock.meanwhile = lambda: renew(store)
    await forget(control, locks, clock)
    assert clock.monotonic() - before == OPTIONS.poll_interval


async def test_a_gateway_that_renews_between_the_last_look_and_the_deletion_is_not_forgotten(
    control: SqliteControlStore, store: SqliteStore, locks: FileHostLocks, clock: SteppingClock
) -> None:
    watched = await watch_gateway(control, locks, clock, OPTIONS, "inc-1")
    assert isinstance(watched, Sighting)
    await renew(store)
    act = Act("somebody", clock.wall())
    refused = await control.transact(lambda tx: forget_gateway(tx, act, OPTIONS, watched))
    assert slugs(refused) == ["gateway-still-renews"]
    assert len((await store.registrations()).registrations) == 1


async def test_that_one_was_forgotten_is_in_the_audit_log(
    control: SqliteControlStore, locks: FileHostLocks, clock: SteppingClock
) -> None:
    await forget(control, locks, clock)
    (line,) = await control.read(lambda tx: tx.audit(limit=9))
    assert (line.who, line.action, line.subject) == ("somebody", "gateway.forget", "gateway:inc-1")


async def test_a_process_that_is_proved_dead_needs_no_watching_and_writes_nothing(
    control: SqliteControlStore, locks: FileHostLocks, clock: SteppingClock, tmp_path: Path
) -> None:
    (tmp_path / "gateways").mkdir()
    (tmp_path / "gateways" / "inc-1.lock").touch()  # its process is gone: nobody locks its file
    before = clock.monotonic()
    forgotten = await forget(control, locks, clock)
    assert isinstance(forgotten, Forgotten)
    assert (forgotten.ending, forgotten.may_write_until, clock.monotonic()) == (Ending.DEAD, None, before)


async def test_a_gateway_that_leaves_while_it_is_watched_was_not_forgotten(
    control: SqliteControlStore, store: SqliteStore, locks: FileHostLocks, clock: SteppingClock
) -> None:
    clock.meanwhile = lambda: store.unregister("inc-1")
    refused = await forget(control, locks, clock)
    assert slugs(refused) == ["no-such-gateway"]


async def test_a_name_of_nothing_is_refused(
    control: SqliteControlStore, locks: FileHostLocks, clock: SteppingClock
) -> None:
    assert slugs(await forget(control, locks, clock, "inc-2")) == ["no-such-gateway"]
