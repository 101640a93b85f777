"""The transfer service on a real directory: its rules, and the barrier that each command evaluates itself."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from router.control.lifecycle import Wish
from router.control.options import ControlOptions, RegionOffer
from router.control.problems import Declined
from router.control.transfers import TransferService, TransferStatus
from router.directory.hostlock import FileHostLocks
from router.directory.options import DirectoryOptions
from router.directory.sqlite import SqliteStore, migrate
from router.directory.sqlite.control import SqliteControlStore
from router.directory.store import KeyDraft, Newcomer, Renewal, WorkspaceDraft
from router.directory.watch import Watch
from router.model.journal import Progress
from router.model.losses import Ending, UnansweredRequest
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
WISH = Wish(W1, US, "a person")
OPTIONS = ControlOptions(
    home=GLOBAL,
    regions={name: RegionOffer(name, name, f"https://{name}.example") for name in (GLOBAL, EU, US)},
    workspace_id=re.compile("[0-9a-f]{24}"),
    requires_tenant_data=False,
)
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
async def control(store: SqliteStore, tmp_path: Path) -> AsyncIterator[SqliteControlStore]:
    """The same directory, as the control plane has it."""
    control = SqliteControlStore(tmp_path / "directory.db")
    yield control
    await control.close()


@pytest.fixture
def service(
    control: SqliteControlStore, store: SqliteStore, locks: FileHostLocks, clock: SteppingClock
) -> TransferService:
    watch = Watch(clock, DirectoryOptions())
    return TransferService(control, store, locks, clock, watch, options=OPTIONS, who="cli:somebody")


def accepted(outcome: Outcome) -> TransferStatus:
    assert isinstance(outcome, TransferStatus), outcome
    return outcome


def refused(outcome: Outcome) -> tuple[str, ...]:
    """Why, each with the name of its problem."""
    assert isinstance(outcome, Declined), outcome
    return tuple(f"{one.problem.spec.slug}: {one.detail}" for one in outcome.objections)


async def started(service: TransferService, workspace: WorkspaceId = W1) -> TransferStatus:
    return accepted(await service.start(replace(WISH, workspace=workspace)))


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
    control: SqliteControlStore, store: SqliteStore, clock: SteppingClock, tmp_path: Path
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
    watch = Watch(clock, DirectoryOptions())
    service = TransferService(control, store, locks, clock, watch, options=OPTIONS, who="cli:somebody")
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
    transfer = accepted(await service.start(WISH, duration=60.0)).transfer
    assert transfer.deadline - transfer.started_at == 60


async def test_each_transfer_has_a_random_id(service: TransferService) -> None:
    ids = {(await started(service, workspace)).transfer.id for workspace in (W1, W2)}
    assert len(ids) == 2
    assert all(len(id_) == 16 for id_ in ids)


# --- what cannot be started


async def test_no_workspace_moves_back_to_the_home_region(service: TransferService) -> None:
    (problem,) = refused(await service.start(replace(WISH, destination=GLOBAL)))
    assert problem == "no-way-home: 'global' is the home region, and there is no way back to it."


async def test_no_workspace_moves_to_a_region_that_is_not_configured(service: TransferService) -> None:
    (problem,) = refused(await service.start(replace(WISH, destination=RegionName("mars"))))
    assert problem == "destination-unknown: There is no region 'mars'; there are eu, global, us."


async def test_no_workspace_moves_to_where_it_lives(service: TransferService) -> None:
    (problem,) = refused(await service.start(replace(WISH, destination=EU)))
    assert "lives in 'eu' already" in problem


async def test_a_workspace_moves_once_at_a_time(service: TransferService) -> None:
    running = (await started(service)).transfer.id
    (problem,) = refused(await service.start(WISH))
    assert problem == f"transfer-running: Transfer {running} of this workspace is running."


async def test_a_workspace_that_is_not_in_the_directory_does_not_move(service: TransferService) -> None:
    unknown = WorkspaceId("64a687e29ae1f428e7ebe3aa")
    (problem,) = refused(await service.start(replace(WISH, workspace=unknown)))
    assert "is not in the directory" in problem


async def test_all_broken_rules_are_told_at_once(service: TransferService, control: SqliteControlStore) -> None:
    await control.transact(lambda tx: tx.put_workspaces([WorkspaceDraft(W1, EU, plan="FREE", owner="the owner")]))
    problems = refused(await service.start(replace(WISH, destination=RegionName("mars"))))
    assert [problem.partition(":")[0] for problem in problems] == [
        "not-the-owner",
        "plan-without-regions",
        "destination-unknown",
    ]


async def test_what_could_be_no_name_and_no_time_is_told_at_once(service: TransferService) -> None:
    problems = refused(await service.start(replace(WISH, requested_by="\n"), duration=0.0))
    assert [problem.partition(":")[0] for problem in problems] == ["invalid-request"] * 2


async def test_a_preview_changes_nothing_and_says_what_a_start_would(
    service: TransferService, store: SqliteStore
) -> None:
    before = await store.position()
    seen = await service.preview(replace(WISH, destination=EU))
    assert not isinstance(seen, Declined)
    assert [one.problem.spec.slug for one in seen.objections] == ["already-there"]
    assert await store.position() == before


async def test_a_refused_start_changes_nothing(service: TransferService, store: SqliteStore) -> None:
    before = await store.position()
    await service.start(replace(WISH, destination=GLOBAL))
    await service.start(replace(WISH, destination=EU))
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
    assert problem == f"transfer-ended: Transfer {transfer} is failed (disk full): it has ended otherwise."


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
    assert problem.endswith("is transferring: copying may have begun: use fail.")


@pytest.mark.parametrize("name", ["", "nobody", "64a687e29ae1f428e7ebe3aa"])
async def test_what_names_nothing_is_refused(service: TransferService, name: str) -> None:
    outcomes = [await service.complete(name), await service.fail(name, reason="x"), await service.abort(name)]
    assert [len(refused(outcome)) for outcome in [*outcomes, await service.show(name)]] == [1, 1, 1, 1]


async def test_abort_succeeds_at_any_time_while_the_barrier_waits(
    service: TransferService, store: SqliteStore, clock: SteppingClock
) -> None:
    outcomes = []

    async def abort_once() -> None:
        clock.meanwhile = None
        outcomes.append(await service.abort(W1))

    await store.register(GATEWAY)
    clock.meanwhile = abort_once
    status = await started(service)
    assert accepted(outcomes[0]).transfer.reason == "aborted"
    assert (status.transfer.state, status.transfer.reason) == (TransferState.FAILED, "aborted")


async def test_a_gateway_that_applies_the_lock_after_an_abort_flips_nothing(
    service: TransferService, store: SqliteStore
) -> None:
    await store.register(GATEWAY)
    transfer = (await started(service)).transfer.id
    await service.abort(W1)
    await apply_lock(store)
    assert accepted(await service.show(transfer)).transfer.state is TransferState.FAILED


# --- show and list


async def test_a_silent_gateway_is_shown_with_when_it_is_given_up_at_the_latest(
    service: TransferService, store: SqliteStore, clock: SteppingClock
) -> None:
    registered_at = clock.wall()
    await store.register(GATEWAY)
    (waiting,) = (await started(service)).waits_for
    assert waiting.until == pytest.approx(registered_at + GATEWAY.lease * 1.01 + 30.0)
    assert "given up at 2023-11-14T23:14:26Z at the latest" in waiting.line(clock.wall())


async def test_where_nobody_has_watched_a_silent_gateway_it_is_waited_for_from_now_on(
    service: TransferService, store: SqliteStore, clock: SteppingClock
) -> None:
    await store.register(GATEWAY)
    clock.jump(10 * GATEWAY.lease)
    began = clock.wall()
    (waiting,) = (await started(service)).waits_for
    assert waiting.until == pytest.approx(began + GATEWAY.lease * 1.01 + 30.0)


async def test_a_service_that_has_watched_a_gateway_in_silence_for_its_lease_goes_on_without_it(
    service: TransferService, store: SqliteStore, clock: SteppingClock
) -> None:
    await store.register(GATEWAY)
    await started(service)
    clock.jump(GATEWAY.lease * 1.01 + 30.0)
    status = accepted(await service.show(W1))
    assert status.transfer.state is TransferState.TRANSFERRING
    assert [(lost.incarnation, lost.ending) for lost in status.losses.gateways] == [("inc-1", Ending.EXPIRED)]


async def test_show_lists_the_requests_without_a_whole_answer(
    service: TransferService, store: SqliteStore, clock: SteppingClock
) -> None:
    request = UnansweredRequest("r1", W1, "eu", "inc-1", clock.wall(), "client_gone")
    await store.unregister("inc-1", unanswered=[request])
    await started(service)
    assert accepted(await service.show(W1)).losses.requests == (request,)


async def test_what_was_lost_longer_ago_than_a_region_executes_is_not_listed(
    service: TransferService, store: SqliteStore, clock: SteppingClock
) -> None:
    request = UnansweredRequest("r1", W1, "eu", "inc-1", clock.wall(), "client_gone")
    await store.unregister("inc-1", unanswered=[request])
    clock.jump(901.0)
    await started(service)
    assert accepted(await service.show(W1)).losses.requests == ()


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


# --- what follows from it, as it does from the control API


async def test_a_completed_transfer_leaves_what_one_of_the_control_api_leaves(
    service: TransferService, control: SqliteControlStore
) -> None:
    key = "a1" * 32
    await control.transact(lambda tx: tx.put_key(KeyDraft(key, workspace=W1)))
    transfer = (await started(service)).transfer.id
    await service.complete(transfer)
    superseded, backups, events, audit = await control.read(
        lambda tx: (tx.key(key), tx.backups(limit=9), tx.events(limit=9), tx.audit(limit=9))
    )
    assert superseded is not None
    assert superseded.superseded_by == transfer
    assert [backup.region for backup in backups] == [EU]
    assert [event.type for event in events] == ["transfer.started", "transfer.completed"]
    assert [(line.action, line.who) for line in audit] == [
        ("transfer.complete", "cli:somebody"),
        ("transfer.start", "cli:somebody"),
    ]


async def test_a_transfer_whose_deadline_is_over_is_failed_by_who_comes_to_complete_it(
    service: TransferService, clock: SteppingClock
) -> None:
    transfer = (await started(service)).transfer.id
    clock.jump(12 * 3600.0)
    (problem,) = refused(await service.complete(transfer))
    assert problem == f"transfer-ended: Transfer {transfer} is failed (deadline): it has ended otherwise."


async def test_a_known_owner_alone_moves_the_workspace(service: TransferService, control: SqliteControlStore) -> None:
    await control.transact(lambda tx: tx.put_workspaces([WorkspaceDraft(W1, EU, owner="the owner")]))
    assert refused(await service.start(WISH))[0].startswith("not-the-owner: ")
    accepted(await service.start(replace(WISH, requested_by="the owner")))


async def test_where_tenant_data_is_required_an_unknown_owner_and_plan_are_refused(
    control: SqliteControlStore, store: SqliteStore, locks: FileHostLocks, clock: SteppingClock
) -> None:
    options = replace(OPTIONS, requires_tenant_data=True)
    watch = Watch(clock, DirectoryOptions())
    strict = TransferService(control, store, locks, clock, watch, options=options, who="cli:somebody")
    problems = refused(await strict.start(WISH))
    assert [problem.partition(":")[0] for problem in problems] == ["not-the-owner", "plan-without-regions"]


async def test_what_the_job_reports_is_shown(service: TransferService, control: SqliteControlStore) -> None:
    transfer = (await started(service)).transfer.id
    await control.transact(lambda tx: tx.put_progress(transfer, Progress(40, "time entries", 1.0)))
    progress = [accepted(await service.show(W1)).progress, (await service.list())[0].progress]
    assert progress == [Progress(40, "time entries", 1.0)] * 2
