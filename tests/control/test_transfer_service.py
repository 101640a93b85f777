"""The transfer service on a real directory: its rules, and the barrier that each command evaluates itself."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from router.control.transfers import Refused, TransferService, TransferStatus
from router.directory.hostlock import FileHostLocks
from router.directory.sqlite import SqliteStore, migrate
from router.directory.store import Newcomer, Renewal, WorkspaceDraft
from router.model.placement import WorkspaceId
from router.model.region import RegionName
from router.model.transfer import TransferState
from tests.directory.manual_clock import ManualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from router.control.transfers import Outcome
    from router.directory.hostlock import HostLock

W1 = WorkspaceId("64a687e29ae1f428e7ebe301")
W2 = WorkspaceId("64a687e29ae1f428e7ebe302")
GLOBAL, EU, US = (RegionName(name) for name in ("global", "eu", "us"))
GATEWAY = Newcomer("inc-1", "gateway-a", "host-a", 3600.0)


class SteppingClock(ManualClock):
    """Whoever sleeps is awake again at once, that much later, after what a test lets happen meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    async def sleep(self, seconds: float) -> None:
        self.jump(seconds)
        if self.meanwhile is not None:
            await self.meanwhile()


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def locks(tmp_path: Path) -> FileHostLocks:
    return FileHostLocks(tmp_path / "gateways")


@pytest.fixture
async def store(tmp_path: Path, clock: SteppingClock) -> AsyncIterator[SqliteStore]:
    """W1 and W2 in the EU."""
    migrate(tmp_path / "directory.db", clock=clock)
    store = SqliteStore(tmp_path / "directory.db", clock=clock, busy_timeout=0.05)
    await store.put_workspaces([WorkspaceDraft(workspace, EU) for workspace in (W1, W2)])
    yield store
    await store.close()


@pytest.fixture
def service(store: SqliteStore, locks: FileHostLocks, clock: SteppingClock) -> TransferService:
    return TransferService(store, locks, clock, home=GLOBAL, regions=(GLOBAL, EU, US))


def accepted(outcome: Outcome) -> TransferStatus:
    assert isinstance(outcome, TransferStatus), outcome
    return outcome


def refused(outcome: Outcome) -> tuple[str, ...]:
    assert isinstance(outcome, Refused), outcome
    return outcome.problems


async def started(service: TransferService, workspace: WorkspaceId = W1) -> TransferStatus:
    return accepted(await service.start(workspace, US, requested_by="a person"))


async def apply_lock(store: SqliteStore) -> None:
    """The registered gateway reports that it has applied everything."""
    position = await store.position()
    assert await store.renew(Renewal(GATEWAY.incarnation, position.seq, position)) is not None


async def home_of(store: SqliteStore, workspace: WorkspaceId = W1) -> tuple[RegionName, int]:
    record = await store.get_workspace(workspace)
    assert record is not None
    return record.placement.region, record.placement.epoch


# --- start, and the barrier


async def test_start_is_transferring_at_once_where_no_gateway_is_registered(service: TransferService) -> None:
    status = await started(service)
    assert (status.transfer.state, status.transfer.source) == (TransferState.TRANSFERRING, EU)


async def test_start_is_transferring_at_once_where_the_only_gateway_is_dead(
    service: TransferService, store: SqliteStore, tmp_path: Path
) -> None:
    await store.register(GATEWAY)
    (tmp_path / "gateways").mkdir()
    (tmp_path / "gateways" / f"{GATEWAY.incarnation}.lock").touch()  # its process is gone: nobody locks its file
    assert (await started(service)).transfer.state is TransferState.TRANSFERRING


async def test_start_stays_locking_while_a_gateway_that_lives_has_not_applied_the_lock(
    service: TransferService, store: SqliteStore, locks: FileHostLocks
) -> None:
    held = locks.hold(GATEWAY.incarnation)
    await store.register(GATEWAY)
    status = await started(service)
    held.release()
    assert status.transfer.state is TransferState.LOCKING


async def test_a_transfer_that_is_locking_says_which_gateway_it_waits_for(
    service: TransferService, store: SqliteStore, clock: SteppingClock
) -> None:
    await store.register(GATEWAY)
    (obstacle,) = (await started(service)).obstacles(clock.wall())
    assert "gateway-a on host host-a" in obstacle
    assert GATEWAY.incarnation in obstacle


async def test_start_waits_for_a_gateway_that_applies_the_lock_soon(
    service: TransferService, store: SqliteStore, clock: SteppingClock
) -> None:
    await store.register(GATEWAY)
    clock.meanwhile = lambda: apply_lock(store)
    assert (await started(service)).transfer.state is TransferState.TRANSFERRING


async def test_start_waits_no_longer_than_its_patience(
    service: TransferService, store: SqliteStore, clock: SteppingClock
) -> None:
    await store.register(GATEWAY)
    before = clock.monotonic()
    await started(service)
    assert clock.monotonic() - before == pytest.approx(2.0, abs=0.11)


async def test_no_barrier_of_a_restored_directory_holds_before_its_longest_lease_is_over(
    service: TransferService, store: SqliteStore, clock: SteppingClock
) -> None:
    await store.open_directory(restored=True, lease=60.0)
    status = await started(service)
    assert status.transfer.state is TransferState.LOCKING
    assert "the restored directory" in status.obstacles(clock.wall())[0]


async def test_a_start_whose_barrier_cannot_be_evaluated_is_still_told_as_started(
    store: SqliteStore, clock: SteppingClock, tmp_path: Path
) -> None:
    class LocksThatLockTheDatabase:
        """Proves the gateway dead, and makes sure that nobody can write that down."""

        def __init__(self) -> None:
            self.connection = sqlite3.connect(tmp_path / "directory.db", isolation_level=None)

        def prove_dead(self, incarnation: str) -> bool:
            self.connection.execute("BEGIN IMMEDIATE")
            return True

        def hold(self, incarnation: str) -> HostLock:
            raise AssertionError("no command registers")

        def discard(self, incarnation: str) -> None:
            raise AssertionError("its row is still there")

    locks = LocksThatLockTheDatabase()
    await store.register(GATEWAY)
    service = TransferService(store, locks, clock, home=GLOBAL, regions=(GLOBAL, EU, US))
    status = await started(service)
    locks.connection.close()
    assert status.changed
    assert "locked by another process" in status.obstacles(clock.wall())[0]


async def test_a_transfer_is_due_in_twelve_hours_unless_told_otherwise(
    service: TransferService, clock: SteppingClock
) -> None:
    transfer = (await started(service)).transfer
    assert transfer.deadline - transfer.started_at == 12 * 3600


async def test_a_transfer_is_due_when_it_is_told(service: TransferService) -> None:
    transfer = accepted(await service.start(W1, US, requested_by="a person", duration=60.0)).transfer
    assert transfer.deadline - transfer.started_at == 60


async def test_each_transfer_has_a_random_id(service: TransferService) -> None:
    ids = {(await started(service, workspace)).transfer.id for workspace in (W1, W2)}
    assert len(ids) == 2
    assert all(len(id_) == 16 for id_ in ids)


# --- what cannot be started


async def test_no_workspace_moves_back_to_the_home_region(service: TransferService) -> None:
    (problem,) = refused(await service.start(W1, GLOBAL, requested_by="a person"))
    assert "no workspace moves back" in problem


async def test_no_workspace_moves_to_a_region_that_is_not_configured(service: TransferService) -> None:
    (problem,) = refused(await service.start(W1, RegionName("mars"), requested_by="a person"))
    assert problem == "region 'mars' is not configured: name one of eu, us"


async def test_no_workspace_moves_to_where_it_lives(service: TransferService) -> None:
    (problem,) = refused(await service.start(W1, EU, requested_by="a person"))
    assert "lives in 'eu' already" in problem


async def test_a_workspace_moves_once_at_a_time(service: TransferService) -> None:
    running = (await started(service)).transfer.id
    (problem,) = refused(await service.start(W1, US, requested_by="a person"))
    assert f"is in transfer ({running})" in problem


async def test_a_workspace_that_is_not_in_the_directory_does_not_move(service: TransferService) -> None:
    unknown = WorkspaceId("64a687e29ae1f428e7ebe3aa")
    (problem,) = refused(await service.start(unknown, US, requested_by="a person"))
    assert "is not in the directory" in problem


async def test_all_broken_rules_are_told_at_once(service: TransferService) -> None:
    unknown = WorkspaceId("64a687e29ae1f428e7ebe3aa")
    problems = refused(await service.start(unknown, RegionName("mars"), requested_by="\n", duration=0.0))
    assert [next(word for word in ("mars", "who", "deadline", "directory") if word in text) for text in problems] == [
        "mars",
        "who",
        "deadline",
        "directory",
    ]


async def test_a_refused_start_changes_nothing(service: TransferService, store: SqliteStore) -> None:
    before = await store.position()
    await service.start(W1, GLOBAL, requested_by="a person")
    await service.start(W1, EU, requested_by="a person")
    assert await store.position() == before


# --- complete


async def test_complete_moves_the_workspace_and_its_epoch_grows(service: TransferService, store: SqliteStore) -> None:
    transfer = (await started(service)).transfer.id
    _, before = await home_of(store)
    status = accepted(await service.complete(transfer))
    region, epoch = await home_of(store)
    assert (status.transfer.state, status.changed, region) == (TransferState.COMPLETED, True, US)
    assert epoch > before


async def test_a_running_transfer_is_named_by_its_workspace_too(service: TransferService) -> None:
    transfer = (await started(service)).transfer.id
    assert accepted(await service.complete(W1)).transfer.id == transfer


async def test_complete_is_refused_while_locking_and_says_for_whom_it_waits(
    service: TransferService, store: SqliteStore
) -> None:
    await store.register(GATEWAY)
    await started(service)
    (problem,) = refused(await service.complete(W1))
    assert "is still locking: gateway gateway-a on host host-a has not applied the lock" in problem


async def test_complete_evaluates_the_barrier_before_it_refuses(service: TransferService, store: SqliteStore) -> None:
    await store.register(GATEWAY)
    await started(service)
    await apply_lock(store)
    assert accepted(await service.complete(W1)).transfer.state is TransferState.COMPLETED


async def test_a_repeated_complete_is_no_error_and_changes_nothing(
    service: TransferService, store: SqliteStore
) -> None:
    transfer = (await started(service)).transfer.id
    await service.complete(transfer)
    before = await store.position()
    status = accepted(await service.complete(transfer))
    assert (status.transfer.state, status.changed) == (TransferState.COMPLETED, False)
    assert await store.position() == before


async def test_complete_by_its_workspace_never_means_a_transfer_that_has_ended(service: TransferService) -> None:
    await started(service)
    await service.complete(W1)
    (problem,) = refused(await service.complete(W1))
    assert "names no transfer, and no workspace in transfer" in problem


async def test_what_has_failed_cannot_be_completed(service: TransferService) -> None:
    transfer = (await started(service)).transfer.id
    await service.fail(transfer, reason="disk full")
    (problem,) = refused(await service.complete(transfer))
    assert problem == f"transfer {transfer} is failed: it has ended otherwise"


# --- fail and abort


async def test_fail_leaves_the_workspace_where_it_was_and_keeps_the_reason(
    service: TransferService, store: SqliteStore
) -> None:
    await started(service)
    status = accepted(await service.fail(W1, reason="disk full"))
    region, _ = await home_of(store)
    assert (status.transfer.state, status.transfer.reason, region) == (TransferState.FAILED, "disk full", EU)


async def test_a_transfer_that_is_still_locking_can_fail(service: TransferService, store: SqliteStore) -> None:
    await store.register(GATEWAY)
    await started(service)
    assert accepted(await service.fail(W1, reason="changed our mind")).transfer.state is TransferState.FAILED


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "x" * 201])
async def test_a_reason_is_one_short_printable_line(service: TransferService, reason: str) -> None:
    await started(service)
    (problem,) = refused(await service.fail(W1, reason=reason))
    assert "not one printable line" in problem


async def test_abort_ends_a_transfer_that_is_locking(service: TransferService, store: SqliteStore) -> None:
    await store.register(GATEWAY)
    await started(service)
    transfer = accepted(await service.abort(W1)).transfer
    assert (transfer.state, transfer.reason) == (TransferState.FAILED, "aborted")


async def test_abort_is_too_late_once_copying_may_have_begun(service: TransferService) -> None:
    await started(service)
    (problem,) = refused(await service.abort(W1))
    assert problem.endswith("is transferring: copying may have begun: use fail")


@pytest.mark.parametrize("name", ["", "nobody", "64a687e29ae1f428e7ebe3aa"])
async def test_what_names_nothing_is_refused(service: TransferService, name: str) -> None:
    outcomes = [await service.complete(name), await service.fail(name, reason="x"), await service.abort(name)]
    assert [len(refused(outcome)) for outcome in [*outcomes, await service.show(name)]] == [1, 1, 1, 1]


# --- show and list


async def test_show_evaluates_the_barrier(service: TransferService, store: SqliteStore) -> None:
    await store.register(GATEWAY)
    transfer = (await started(service)).transfer.id
    await apply_lock(store)
    assert accepted(await service.show(transfer)).transfer.state is TransferState.TRANSFERRING


async def test_show_of_a_workspace_that_is_at_rest_is_its_last_transfer(
    service: TransferService, clock: SteppingClock
) -> None:
    await started(service)
    await service.fail(W1, reason="first")
    await started(service)
    await service.fail(W1, reason="second")
    assert accepted(await service.show(W1)).transfer.reason == "second"


async def test_list_is_the_newest_first_and_evaluates_the_barrier(service: TransferService, store: SqliteStore) -> None:
    await store.register(GATEWAY)
    await started(service, W1)
    await started(service, W2)
    await apply_lock(store)
    states = [(status.transfer.workspace, status.transfer.state) for status in await service.list()]
    assert states == [(W2, TransferState.TRANSFERRING), (W1, TransferState.TRANSFERRING)]


async def test_list_of_running_ones_leaves_out_what_has_ended(service: TransferService) -> None:
    await started(service, W1)
    await started(service, W2)
    await service.complete(W1)
    assert [status.transfer.workspace for status in await service.list(running=True)] == [W2]


async def test_list_of_one_workspace_leaves_out_the_others(service: TransferService) -> None:
    await started(service, W1)
    await started(service, W2)
    assert [status.transfer.workspace for status in await service.list(workspace=W1)] == [W1]
