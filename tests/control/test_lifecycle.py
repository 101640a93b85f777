"""A transfer's steps on a real directory: what each changes, what it declines, and that it may be repeated."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from functools import partial

import pytest

from router.control.audit import Act
from router.control.lifecycle import DEADLINE, Lifecycle, Preview, Wish
from router.control.tenants import Tenants
from router.directory.store import KeyDraft, Newcomer
from router.model.journal import Progress
from router.model.placement import WorkspaceId
from router.model.tenant import Account, BackupState
from router.model.transfer import TransferId, TransferState
from tests.control.control_sites import (
    ANN,
    AU,
    BOB,
    EU,
    GLOBAL,
    KEY,
    OPTIONS,
    OTHER_KEY,
    OWNER,
    US,
    W1,
    W2,
    ControlSite,
    Stage,
    accepted,
    slugs,
)

NOWHERE = WorkspaceId("f" * 24)
WISH = Wish(W1, EU, OWNER)


async def payload(stage: Stage, kind: str) -> dict[str, object]:
    """The data of the last event of that type."""
    events = await stage.do(lambda tx: tx.events(limit=1000))
    found: dict[str, object] = json.loads([event.payload for event in events if event.type == kind][-1])
    return found


# Start


async def test_a_start_locks_the_workspace_where_it_is(stage: Stage) -> None:
    await stage.put()
    transfer = await stage.start()
    assert await stage.region_of() == (GLOBAL, 2, True)
    found = await stage.do(lambda tx: tx.transfer(transfer))
    assert found is not None
    assert (found.state, found.source, found.destination) == (TransferState.LOCKING, GLOBAL, EU)
    assert found.deadline - found.started_at == 12 * 3600


async def test_a_start_tells_of_it_in_the_same_transaction(stage: Stage) -> None:
    await stage.put()
    transfer = await stage.start()
    assert await stage.events() == ["transfer.started"]
    told = await payload(stage, "transfer.started")
    assert told["type"] == "transfer.started"
    data = told["data"]
    assert isinstance(data, dict)
    assert (data["transfer"], data["workspace"], data["destination"]) == (transfer, W1, EU)


async def test_only_active_members_are_named_to_be_told(stage: Stage) -> None:
    await stage.put()
    for member, status in ((OWNER, "active"), (ANN, "pending"), (BOB, "inactive")):
        await stage.join(member, status=status)
    await stage.start()
    data = (await payload(stage, "transfer.started"))["data"]
    assert isinstance(data, dict)
    assert data["members"] == [OWNER]
    assert "Add-ons are uninstalled." in data["effects"]


async def test_what_is_refused_changes_nothing_and_tells_nobody(stage: Stage) -> None:
    await stage.put(plan="FREE")
    assert slugs(await stage.lifecycle(lambda all_: all_.start(WISH))) == ["plan-without-regions"]
    assert await stage.region_of() == (GLOBAL, 1, False)
    assert await stage.events() == []


async def test_all_rules_that_are_broken_are_told_at_once(stage: Stage) -> None:
    await stage.put(plan="FREE")
    await stage.join(ANN)
    await stage.tenants(lambda all_: all_.put_account(Account(ANN, EU)))
    refused = await stage.lifecycle(lambda all_: all_.start(Wish(W1, EU, "somebody")))
    assert slugs(refused) == ["not-the-owner", "plan-without-regions", "member-has-account"]


async def test_an_unknown_workspace_is_not_moved(stage: Stage) -> None:
    assert slugs(await stage.lifecycle(lambda all_: all_.start(Wish(NOWHERE, EU, OWNER)))) == ["no-such-workspace"]


async def test_two_starts_at_once_make_one_transfer(stage: Stage) -> None:
    await stage.put()
    act = Act("job", stage.now)
    other = stage.site.connect()
    outcomes = await asyncio.gather(
        *(store.transact(lambda tx: Lifecycle(tx, act, OPTIONS).start(WISH)) for store in (stage.site.store, other))
    )
    refused = [outcome for outcome in outcomes if not hasattr(outcome, "transfer")]
    assert [slugs(outcome) for outcome in refused] == [["transfer-running"]]
    assert await stage.events() == ["transfer.started"]


# Preview


async def test_a_preview_lists_what_a_start_would_refuse_and_changes_nothing(stage: Stage) -> None:
    await stage.put(plan="FREE")
    seen = await stage.lifecycle(lambda all_: all_.preview(Wish(W1, EU, "somebody")))
    assert isinstance(seen, Preview)
    assert [one.problem.spec.slug for one in seen.objections] == ["not-the-owner", "plan-without-regions"]
    assert await stage.region_of() == (GLOBAL, 1, False)


async def test_a_preview_warns_of_a_copy_that_is_still_locked_at_the_destination(stage: Stage) -> None:
    await stage.put(region=EU)
    await stage.completed(destination=AU)
    seen = await stage.lifecycle(lambda all_: all_.preview(Wish(W1, EU, OWNER)))
    assert isinstance(seen, Preview)
    assert seen.objections == ()
    assert len(seen.warnings) == 1
    assert "backup" in seen.warnings[0]


# The barrier


async def test_a_transfer_that_is_locking_says_whom_it_waits_for(stage: Stage) -> None:
    await stage.put()
    await stage.site.directory.register(Newcomer("inc-1", "gateway-a", "host-a", 3600.0))
    transfer = await stage.start()
    declined = await stage.lifecycle(lambda all_: all_.complete(transfer))
    assert slugs(declined) == ["transfer-still-locking"]
    assert not hasattr(declined, "transfer")
    found = await stage.do(lambda tx: tx.transfer(transfer))
    assert found is not None
    report = await stage.lifecycle(lambda all_: all_.report(found))
    assert [row.gateway for row in report.waits_for] == ["gateway-a"]


async def test_progress_is_kept_once_copying_may_have_begun(stage: Stage) -> None:
    await stage.put()
    transfer = await stage.start()
    assert slugs(await stage.lifecycle(lambda all_: all_.progress(transfer, 10, None))) == ["transfer-still-locking"]
    await stage.site.directory.evaluate(transfer, now=stage.now)
    report = accepted(await stage.lifecycle(lambda all_: all_.progress(transfer, 40, "time entries")))
    assert report.progress == Progress(40, "time entries", stage.now)


# Complete


async def test_a_completed_transfer_moves_the_workspace_and_unlocks_it(stage: Stage) -> None:
    await stage.put()
    await stage.completed()
    assert await stage.region_of() == (EU, 4, False)
    assert await stage.events() == ["transfer.started", "transfer.completed"]


async def test_a_completed_transfer_supersedes_the_keys_from_before(stage: Stage) -> None:
    await stage.put()
    await stage.tenants(lambda all_: all_.put_key(KeyDraft(KEY, workspace=W1)))
    transfer = await stage.completed()
    await stage.tenants(lambda all_: all_.put_key(KeyDraft(OTHER_KEY, workspace=W1)))
    keys = await stage.do(lambda tx: tx.keys(workspace=W1, limit=10))
    assert {key.digest: key.superseded_by for key in keys} == {KEY: transfer, OTHER_KEY: None}


async def test_a_completed_transfer_gives_its_members_accounts_at_the_destination(stage: Stage) -> None:
    await stage.put()
    await stage.join(ANN)
    await stage.join(BOB, status="inactive")
    await stage.completed()
    assert await stage.do(lambda tx: tx.accounts(limit=10)) == (Account(ANN, EU), Account(BOB, EU))


async def test_members_keep_an_account_at_the_source_for_another_workspace_there(stage: Stage) -> None:
    await stage.put(region=EU)
    await stage.put(W2, region=EU)
    for member, workspace in ((ANN, W1), (BOB, W1), (BOB, W2)):
        await stage.join(member, workspace)
    for account in (Account(ANN, EU), Account(BOB, EU)):
        await stage.tenants(partial(Tenants.put_account, account=account))
    await stage.completed(destination=AU)
    accounts = await stage.do(lambda tx: tx.accounts(limit=10))
    assert accounts == (Account(ANN, AU), Account(BOB, AU), Account(BOB, EU))


async def test_a_completed_transfer_leaves_a_locked_backup_for_seven_days(stage: Stage) -> None:
    await stage.put()
    transfer = await stage.completed()
    (backup,) = await stage.do(lambda tx: tx.backups(limit=10))
    assert (backup.transfer, backup.region, backup.state) == (transfer, GLOBAL, BackupState.LOCKED)
    assert backup.locked_until - backup.created_at == 7 * 86400


async def test_completing_again_changes_nothing(stage: Stage) -> None:
    await stage.put()
    transfer = await stage.completed()
    report = accepted(await stage.lifecycle(lambda all_: all_.complete(transfer)))
    assert not report.changed
    assert await stage.region_of() == (EU, 4, False)
    assert await stage.events() == ["transfer.started", "transfer.completed"]


async def test_a_workspace_moves_on_from_region_to_region_but_not_home(stage: Stage) -> None:
    await stage.put()
    await stage.completed(destination=EU)
    await stage.completed(destination=AU)
    assert (await stage.region_of())[0] == AU
    assert slugs(await stage.lifecycle(lambda all_: all_.start(Wish(W1, GLOBAL, OWNER)))) == ["no-way-home"]


# Fail, abort


async def test_a_failed_transfer_leaves_the_workspace_where_it_was_and_unlocks_it(stage: Stage) -> None:
    await stage.put()
    transfer = await stage.transferring()
    accepted(await stage.lifecycle(lambda all_: all_.fail(transfer, "disk full")))
    assert await stage.region_of() == (GLOBAL, 4, False)
    assert await stage.events() == ["transfer.started", "transfer.failed"]
    assert await stage.do(lambda tx: tx.backups(limit=10)) == ()


async def test_a_transfer_is_aborted_only_while_it_is_locking(stage: Stage) -> None:
    await stage.put()
    await stage.put(W2)
    locking, moving = await stage.start(), await stage.transferring(W2)
    accepted(await stage.lifecycle(lambda all_: all_.abort(locking)))
    assert slugs(await stage.lifecycle(lambda all_: all_.abort(moving))) == ["too-late-to-abort"]


@pytest.mark.parametrize("step", ["complete", "fail", "abort", "progress"])
async def test_no_step_is_made_with_a_transfer_that_is_not_there(stage: Stage, step: str) -> None:
    more: dict[str, tuple[object, ...]] = {"fail": ("why",), "progress": (1, None)}
    outcome = await stage.lifecycle(lambda all_: getattr(all_, step)(TransferId("t0"), *more.get(step, ())))
    assert slugs(outcome) == ["no-such-transfer"]


# The deadline


async def test_a_transfer_fails_by_itself_at_its_deadline(stage: Stage) -> None:
    await stage.put()
    transfer = await stage.transferring()
    stage.site.clock.jump(12 * 3600)
    (failed,) = await stage.lifecycle(Lifecycle.fail_overdue)
    assert (failed.id, failed.state, failed.reason) == (transfer, TransferState.FAILED, DEADLINE)
    assert await stage.region_of() == (GLOBAL, 4, False)
    assert await stage.lifecycle(Lifecycle.fail_overdue) == ()
    assert await stage.events() == ["transfer.started", "transfer.failed"]


async def test_a_complete_that_comes_too_late_fails_it_where_nobody_has_yet(stage: Stage) -> None:
    await stage.put()
    transfer = await stage.transferring()
    stage.site.clock.jump(12 * 3600)
    assert slugs(await stage.lifecycle(lambda all_: all_.complete(transfer))) == ["transfer-ended"]
    assert await stage.region_of() == (GLOBAL, 4, False)
    assert await stage.events() == ["transfer.started", "transfer.failed"]


async def test_the_time_a_transfer_may_take_is_a_setting(site: ControlSite) -> None:
    stage = Stage(site, replace(OPTIONS, transfer_duration=60.0))
    await stage.put()
    await stage.start()
    site.clock.jump(59)
    assert await stage.lifecycle(Lifecycle.fail_overdue) == ()
    site.clock.jump(1)
    assert len(await stage.lifecycle(Lifecycle.fail_overdue)) == 1


# Backups


async def test_a_backup_expires_once(stage: Stage) -> None:
    await stage.put()
    await stage.completed()
    stage.site.clock.jump(7 * 86400)
    assert len(await stage.lifecycle(Lifecycle.expire_backups)) == 1
    assert await stage.lifecycle(Lifecycle.expire_backups) == ()
    assert await stage.events() == ["transfer.started", "transfer.completed", "backup.expired"]
    (backup,) = await stage.do(lambda tx: tx.backups(limit=10))
    assert backup.state is BackupState.EXPIRED


async def test_a_backup_is_locked_until_its_hour(stage: Stage) -> None:
    await stage.put()
    await stage.completed()
    stage.site.clock.jump(7 * 86400 - 1)
    assert await stage.lifecycle(Lifecycle.expire_backups) == ()


# The audit log


async def test_every_step_is_in_the_audit_log(stage: Stage) -> None:
    await stage.put()
    transfer = await stage.completed(destination=US)
    lines = await stage.do(lambda tx: tx.audit(limit=10))
    assert [(line.who, line.action, line.subject) for line in lines] == [
        ("job", "transfer.complete", f"transfer:{transfer}"),
        ("job", "transfer.start", f"transfer:{transfer}"),
        ("backend", "workspace.put", f"workspace:{W1}"),
    ]
    before, after = (json.loads(text or "null") for text in (lines[0].before, lines[0].after))
    assert (before["state"], after["state"]) == ("transferring", "completed")
