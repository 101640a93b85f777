"""What any store must do for the control plane: its rows, and its transactions."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

from router.control.tenants import Tenants
from router.directory.store import KeyDraft, WorkspaceDraft, WriteRefusedError
from router.model.journal import Delivery, DeliveryState, EventType, Progress, StoredAnswer
from router.model.placement import Entry, Kind
from router.model.tenant import Account, Backup, BackupState, Member, MemberStatus
from router.model.transfer import TransferId, TransferState
from tests.control.control_sites import ANN, BOB, EU, GLOBAL, KEY, OTHER_KEY, US, W1, W2, W3, Stage

if TYPE_CHECKING:
    from router.control.ports import ControlTransaction
    from router.model.journal import Claim, Event

HOOKS = ("hook", "other")


async def append(stage: Stage, name: str, *destinations: str, at: float = 0.0) -> Event:
    return await stage.do(
        lambda tx: tx.append_event(
            name, EventType.TRANSFER_STARTED, W1, at=at, payload="{}", destinations=destinations or ("hook",)
        )
    )


async def claim(stage: Stage, *, now: float = 0.0, holder: str = "p1", limit: int = 10) -> list[Claim]:
    return list(await stage.do(lambda tx: tx.claim(HOOKS, now=now, held_until=now + 60, holder=holder, limit=limit)))


async def settle(stage: Stage, one: Claim, state: DeliveryState, due_at: float = 0.0) -> bool:
    ended_at = None if state is DeliveryState.PENDING else 1.0
    delivery = Delivery(one.event.number, one.destination, state, one.attempts + 1, due_at, 0.0, ended_at)
    return await stage.do(lambda tx: tx.settle(one, delivery))


# Transactions


async def test_what_is_raised_rolls_all_of_it_back(stage: Stage) -> None:
    def work(tx: ControlTransaction) -> None:
        tx.put_workspaces([WorkspaceDraft(W1, EU)])
        tx.put_account(Account(ANN, EU))
        raise LookupError("in the middle")

    with pytest.raises(LookupError, match="in the middle"):
        await stage.do(work)
    assert await stage.do(lambda tx: (tx.workspace(W1), tx.accounts(limit=1))) == (None, ())


async def test_what_was_committed_is_seen_by_other_processes(stage: Stage) -> None:
    await stage.put()
    found = await stage.site.connect().read(lambda tx: tx.workspace(W1))
    assert found is not None


async def test_transactions_that_write_run_one_after_the_other(stage: Stage) -> None:
    counts = [stage.site.store, stage.site.connect(), stage.site.connect()]

    def increase(tx: ControlTransaction) -> None:
        found = tx.progress(transfer)
        tx.put_progress(transfer, Progress(0 if found is None else found.percent + 1, None, 0.0))

    await stage.put()
    transfer = await stage.start()
    await asyncio.gather(*(store.transact(increase) for store in counts for _ in range(10)))
    assert await stage.do(lambda tx: tx.progress(transfer)) == Progress(29, None, 0.0)


async def test_a_reader_sees_one_snapshot_and_waits_for_no_writer(stage: Stage) -> None:
    await stage.put()
    reading, written = threading.Event(), threading.Event()

    def read(tx: ControlTransaction) -> tuple[bool, bool]:
        before = tx.workspace(W2) is not None
        reading.set()
        assert written.wait(20)
        return before, tx.workspace(W2) is not None

    pending = asyncio.create_task(stage.site.store.read(read))
    await asyncio.to_thread(reading.wait, 20)
    await stage.put(W2)
    written.set()
    assert await pending == (False, False)


# Tenants


async def test_workspaces_are_found_by_all_that_is_asked(stage: Stage) -> None:
    await stage.put(W1)
    await stage.put(W2, region=EU, plan="FREE")
    await stage.put(W3, region=EU)
    await stage.join(ANN, W3)
    await stage.start(W3, US)

    async def ids(**asked: object) -> list[str]:
        found = await stage.do(lambda tx: tx.workspaces(limit=10, **asked))  # type: ignore[arg-type]  # by name
        return [record.placement.workspace for record in found]

    assert await ids() == [W1, W2, W3]
    assert await ids(region=EU) == [W2, W3]
    assert await ids(region=EU, plan="PRO") == [W3]
    assert await ids(member=ANN) == [W3]
    assert (await ids(locked=True), await ids(locked=False)) == ([W3], [W1, W2])
    assert await ids(after=W1, owner="owner-1") == [W2, W3]


async def test_clearing_a_workspace_takes_away_what_is_named_and_feeds_the_subdomain_s_end(stage: Stage) -> None:
    await stage.put(subdomain="acme")
    before = await stage.do(lambda tx: tx.head())
    await stage.do(lambda tx: tx.clear_workspace(W1, subdomain=True, plan=False, owner=True))
    found = await stage.do(lambda tx: tx.workspace(W1))
    assert found is not None
    assert (found.subdomain, found.plan, found.owner) == (None, "PRO", None)
    answer = await stage.site.directory.lookup(Entry(Kind.SUBDOMAIN, "acme"), primary=True)
    assert (answer.seq, answer.fact.version.number) == (before + 1, before + 1)


async def test_superseding_keys_feeds_each_of_them(stage: Stage) -> None:
    await stage.put()
    for draft in (KeyDraft(KEY, workspace=W1), KeyDraft(OTHER_KEY, workspace=W1)):
        await stage.tenants(partial(Tenants.put_key, wanted=draft))
    before = await stage.do(lambda tx: tx.head())
    assert await stage.do(lambda tx: tx.supersede_keys(W1, TransferId("t1"))) == 2
    assert await stage.do(lambda tx: tx.supersede_keys(W1, TransferId("t2"))) == 0
    assert await stage.do(lambda tx: tx.head()) == before + 2
    fact = (await stage.site.directory.lookup(Entry(Kind.KEY, KEY), primary=True)).fact
    assert getattr(fact, "superseded", False)


async def test_a_key_that_names_nothing_any_more_is_not_there(stage: Stage) -> None:
    await stage.put()
    await stage.tenants(lambda all_: all_.put_key(KeyDraft(KEY, workspace=W1)))
    await stage.do(lambda tx: tx.delete_workspace(W1))
    assert await stage.do(lambda tx: (tx.key(KEY), tx.keys(limit=10))) == (None, ())


async def test_members_with_an_account_are_found_whatever_their_status(stage: Stage) -> None:
    await stage.put()
    await stage.join(ANN, status="inactive")
    await stage.join(BOB)
    await stage.do(lambda tx: tx.put_account(Account(ANN, EU)))
    await stage.do(lambda tx: tx.put_account(Account(BOB, US)))
    assert await stage.do(lambda tx: tx.members_with_account(W1, EU, limit=10)) == (ANN,)


async def test_a_directory_rule_that_is_broken_is_a_refusal(stage: Stage) -> None:
    await stage.put()
    with pytest.raises(WriteRefusedError):
        await stage.do(lambda tx: tx.put_workspaces([WorkspaceDraft(W1, EU)]))


async def test_putting_the_same_again_is_no_change(stage: Stage) -> None:
    await stage.put()
    await stage.do(lambda tx: tx.put_member(Member(W1, ANN, MemberStatus.ACTIVE)))
    assert [await stage.do(lambda tx: tx.put_account(Account(ANN, EU))) for _ in range(2)] == [True, False]
    assert [await stage.do(lambda tx: tx.put_key(KeyDraft(KEY, region=EU))) for _ in range(2)] == [True, False]
    assert [await stage.do(lambda tx: tx.remove_member(W1, ANN)) for _ in range(2)] == [True, False]


# Transfers


async def test_transfers_are_found_by_workspace_and_state(stage: Stage) -> None:
    await stage.put(W1)
    await stage.put(W2)
    first, second = await stage.completed(W1), await stage.start(W2)

    async def ids(**asked: object) -> list[str]:
        found = await stage.do(lambda tx: tx.transfers(limit=10, **asked))  # type: ignore[arg-type]  # by name
        return [transfer.id for transfer in found]

    assert await ids() == [second, first]
    assert await ids(workspace=W1) == [first]
    assert await ids(states=[TransferState.LOCKING]) == [second]
    assert await ids(states=[]) == []
    newest = await stage.do(lambda tx: tx.transfer(second))
    assert newest is not None
    assert await ids(before=newest.lock_seq) == [first]


async def test_the_next_hour_is_the_earliest_that_anything_waits_for(stage: Stage) -> None:
    assert await stage.do(lambda tx: tx.next_hour()) is None
    await stage.put(W1)
    await stage.put(W2)
    await stage.completed(W1)
    assert await stage.do(lambda tx: tx.next_hour()) == stage.now + 7 * 86400
    await stage.start(W2)
    assert await stage.do(lambda tx: tx.next_hour()) == stage.now + 12 * 3600


async def test_backups_are_found_by_where_and_how_they_are(stage: Stage) -> None:
    await stage.put()
    transfer = await stage.completed()
    before = await stage.do(lambda tx: tx.backups(workspace=W1, region=GLOBAL, state=BackupState.LOCKED, limit=10))
    assert [one.transfer for one in before] == [transfer]
    assert await stage.do(lambda tx: tx.backups(region=EU, limit=10)) == ()
    expired = await stage.do(lambda tx: tx.expire_backups(before[0].locked_until, limit=10))
    assert isinstance(expired[0], Backup)
    assert await stage.do(lambda tx: tx.backups(state=BackupState.EXPIRED, limit=10)) == expired
    assert await stage.do(lambda tx: tx.backups(state=BackupState.LOCKED, limit=10)) == ()


# Events


async def test_events_are_numbered_in_the_order_of_their_commits(stage: Stage) -> None:
    first, second = await append(stage, "e1"), await append(stage, "e2")
    assert first.number < second.number
    assert [one.id for one in await stage.do(lambda tx: tx.events(limit=10))] == ["e1", "e2"]
    assert await stage.do(lambda tx: tx.events(after=first.number, limit=10)) == (second,)


async def test_an_event_has_a_delivery_for_each_destination(stage: Stage) -> None:
    event = await append(stage, "e1", *HOOKS)
    deliveries = await stage.do(lambda tx: tx.deliveries([event.number]))
    assert [(one.destination, one.state) for one in deliveries] == [(name, DeliveryState.PENDING) for name in HOOKS]


async def test_of_a_workspace_only_the_oldest_pending_event_is_claimed(stage: Stage) -> None:
    await append(stage, "e1")
    await append(stage, "e2")
    (first,) = await claim(stage)
    assert first.event.id == "e1"
    assert await claim(stage, holder="p2") == []
    assert await settle(stage, first, DeliveryState.DELIVERED)
    assert [one.event.id for one in await claim(stage, holder="p2")] == ["e2"]


async def test_destinations_do_not_wait_for_each_other(stage: Stage) -> None:
    await append(stage, "e1", *HOOKS)
    await append(stage, "e2", *HOOKS)
    hook, _ = await claim(stage)
    await settle(stage, hook, DeliveryState.DELIVERED)
    assert [(one.event.id, one.destination) for one in await claim(stage)] == [("e2", "hook")]


async def test_nothing_is_claimed_for_a_destination_that_is_not_named(stage: Stage) -> None:
    await append(stage, "e1", "third")
    assert await claim(stage) == []


async def test_a_claim_ends_and_is_then_nobody_s_to_settle_but_the_next_one_s(stage: Stage) -> None:
    await append(stage, "e1")
    (first,) = await claim(stage, now=0.0)
    (second,) = await claim(stage, now=60.0, holder="p2")
    assert not await settle(stage, first, DeliveryState.DELIVERED)
    assert await settle(stage, second, DeliveryState.DELIVERED)


async def test_what_failed_is_due_again_when_its_hour_has_come(stage: Stage) -> None:
    await append(stage, "e1")
    (first,) = await claim(stage)
    await settle(stage, first, DeliveryState.PENDING, due_at=5.0)
    assert (await claim(stage, now=4.0), await stage.do(lambda tx: tx.is_due(HOOKS, now=4.0))) == ([], False)
    assert await stage.do(lambda tx: tx.is_due(HOOKS, now=5.0))
    (again,) = await claim(stage, now=5.0)
    assert (again.attempts, again.first_attempt_at) == (1, 0.0)


async def test_what_is_dead_lets_those_behind_it_pass_and_can_be_revived(stage: Stage) -> None:
    event = await append(stage, "e1")
    await append(stage, "e2")
    (first,) = await claim(stage)
    assert not await stage.do(lambda tx: tx.revive(event.number, "hook", now=0.0))
    await settle(stage, first, DeliveryState.DEAD)
    (second,) = await claim(stage)
    assert second.event.id == "e2"
    await settle(stage, second, DeliveryState.DELIVERED)
    assert await stage.do(lambda tx: tx.revive(event.number, "hook", now=0.0))
    (revived,) = await claim(stage)
    assert (revived.event.id, revived.attempts, revived.first_attempt_at) == ("e1", 0, None)


async def test_undelivered_events_are_those_some_destination_has_not_got(stage: Stage) -> None:
    await append(stage, "e1")
    await append(stage, "e2")
    (first,) = await claim(stage)
    await settle(stage, first, DeliveryState.DELIVERED)
    assert [one.id for one in await stage.do(lambda tx: tx.events(undelivered=True, limit=10))] == ["e2"]


# The audit log, answers


@pytest.mark.parametrize("statement", ["UPDATE audit SET who = 'nobody'", "DELETE FROM audit"])
async def test_the_audit_log_cannot_be_changed_even_past_this_program(stage: Stage, statement: str) -> None:
    await stage.put()
    with pytest.raises(Exception, match="append-only"):
        await stage.site.execute(statement)
    (line,) = await stage.do(lambda tx: tx.audit(limit=10))
    assert line.who == "backend"


async def test_the_audit_log_is_read_from_its_end(stage: Stage) -> None:
    for workspace in (W1, W2):
        await stage.put(workspace)
    newest, oldest = await stage.do(lambda tx: tx.audit(limit=10))
    assert await stage.do(lambda tx: tx.audit(before=newest.number, limit=10)) == (oldest,)
    assert await stage.do(lambda tx: tx.audit(subject=f"workspace:{W2}", limit=10)) == (newest,)
    assert await stage.do(lambda tx: tx.audit(who="nobody", limit=10)) == ()


async def test_answers_are_stored_by_whose_key_it_is_and_forgotten_by_age(stage: Stage) -> None:
    answer = StoredAnswer("f", 201, '{"ETag": "x"}', "{}")
    await stage.do(lambda tx: tx.store_answer("job", "k", answer, now=10.0))
    assert await stage.do(lambda tx: (tx.stored_answer("job", "k"), tx.stored_answer("ann", "k"))) == (answer, None)
    assert await stage.do(lambda tx: tx.forget_answers(10.0)) == 0
    assert await stage.do(lambda tx: tx.forget_answers(10.1)) == 1
