"""What any store must do for lookups, workspaces, subdomains and keys."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from router.directory.store import KeyDraft, StoreError, WorkspaceDraft, WriteRefusedError
from router.model.placement import Absence, Alias, Entry, Kind, Placement, Version
from router.model.transfer import TransferEvent, TransferId
from tests.directory.feeds import (
    EU,
    UK,
    US,
    W1,
    W2,
    W3,
    draft,
    fact_of,
    generation_of,
    put_one_by_one,
    read_feed,
    transfer_of,
    workspace,
)

if TYPE_CHECKING:
    from tests.directory.sites import MaintainedStore, Site

KEY = "a1" * 32
OTHER_KEY = "b2" * 32


# Lookups


@pytest.mark.parametrize("entry", [Entry(Kind.WORKSPACE, W1), Entry(Kind.SUBDOMAIN, "acme"), Entry(Kind.KEY, KEY)])
async def test_what_was_never_known_is_an_absence_with_number_0(store: MaintainedStore, entry: Entry) -> None:
    answer = await store.lookup(entry, primary=False)
    assert answer.fact == Absence(entry, Version(answer.generation, 0))


async def test_a_workspace_that_was_put_is_a_placement_in_its_first_epoch(store: MaintainedStore) -> None:
    await store.put_workspaces([draft(1, EU)])
    assert await fact_of(store, Kind.WORKSPACE, W1) == Placement(W1, EU, Version(await generation_of(store), 1))


async def test_a_subdomain_is_an_alias_whose_number_is_the_seq_of_its_change(store: MaintainedStore) -> None:
    await store.put_workspaces([WorkspaceDraft(W1, EU, subdomain="acme")])
    change = (await read_feed(store))[-1]
    assert change.fact == Alias(Entry(Kind.SUBDOMAIN, "acme"), Version(await generation_of(store), change.seq), W1)
    assert await fact_of(store, Kind.SUBDOMAIN, "acme") == change.fact


async def test_a_key_is_an_alias_of_its_workspace_or_of_its_region(store: MaintainedStore) -> None:
    await store.put_workspaces([draft(1)])
    await store.put_keys([KeyDraft(KEY, workspace=W1), KeyDraft(OTHER_KEY, region=US, superseded_by="t1")])
    generation = await generation_of(store)
    assert await fact_of(store, Kind.KEY, KEY) == Alias(Entry(Kind.KEY, KEY), Version(generation, 2), workspace=W1)
    assert await fact_of(store, Kind.KEY, OTHER_KEY) == Alias(
        Entry(Kind.KEY, OTHER_KEY), Version(generation, 3), region=US, superseded=True
    )


async def test_an_answer_carries_the_seq_of_its_own_snapshot(site: Site) -> None:
    reader, writer = site.connect(), site.connect()
    writing = asyncio.create_task(put_one_by_one(writer, range(1, 60)))
    while True:
        done = writing.done()
        answer = await reader.lookup(Entry(Kind.WORKSPACE, workspace(30)), primary=False)
        assert isinstance(answer.fact, Placement) == (answer.seq >= 30)
        if done:
            break
    await writing


async def test_an_answer_says_whether_the_directory_is_opened(store: MaintainedStore) -> None:
    entry = Entry(Kind.WORKSPACE, W1)
    assert not (await store.lookup(entry, primary=False)).opened
    await store.open_directory(restored=False)
    assert (await store.lookup(entry, primary=False)).opened


# Workspaces


async def test_a_put_counts_only_what_changed(store: MaintainedStore) -> None:
    assert await store.put_workspaces([draft(1), draft(2)]) == 2
    assert await store.put_workspaces([draft(1), draft(2), draft(3)]) == 1


async def test_putting_the_same_again_writes_no_change(store: MaintainedStore) -> None:
    same = WorkspaceDraft(W1, EU, subdomain="acme", plan="PRO", owner="owner-1")
    await store.put_workspaces([same])
    before = await store.info()
    assert await store.put_workspaces([same]) == 0
    assert await store.info() == before


async def test_what_a_draft_leaves_out_stays(store: MaintainedStore) -> None:
    await store.put_workspaces([WorkspaceDraft(W1, EU, subdomain="acme", plan="PRO", owner="owner-1")])
    await store.put_workspaces([WorkspaceDraft(W1, EU, plan="FREE")])
    record = await store.get_workspace(W1)
    assert record is not None
    assert (record.subdomain, record.plan, record.owner) == ("acme", "FREE", "owner-1")


async def test_plan_and_owner_change_without_a_new_epoch_or_change(store: MaintainedStore) -> None:
    await store.put_workspaces([draft(1)])
    assert await store.put_workspaces([WorkspaceDraft(W1, EU, plan="PRO")]) == 1
    assert [change.fact.version.number for change in await read_feed(store)] == [1]


async def test_an_unknown_workspace_is_none(store: MaintainedStore) -> None:
    assert await store.get_workspace(W1) is None


async def test_workspaces_are_listed_in_the_order_of_their_ids_page_by_page(store: MaintainedStore) -> None:
    await store.put_workspaces([draft(number) for number in (5, 3, 1, 4, 2)])
    first = await store.list_workspaces(region=None, after=None, limit=3)
    rest = await store.list_workspaces(region=None, after=first[-1].placement.workspace, limit=3)
    assert [record.placement.workspace for record in first + rest] == [workspace(number) for number in range(1, 6)]


async def test_a_list_can_be_of_one_region(store: MaintainedStore) -> None:
    await store.put_workspaces([draft(1, EU), draft(2, US), draft(3, EU)])
    records = await store.list_workspaces(region=EU, after=None, limit=10)
    assert [record.placement.workspace for record in records] == [W1, W3]


async def test_a_move_of_an_existing_workspace_is_refused(store: MaintainedStore) -> None:
    await store.put_workspaces([draft(1, EU)])
    with pytest.raises(WriteRefusedError, match="only a transfer moves it"):
        await store.put_workspaces([draft(1, US)])


async def test_a_subdomain_of_another_workspace_is_refused(store: MaintainedStore) -> None:
    await store.put_workspaces([WorkspaceDraft(W1, EU, subdomain="acme")])
    with pytest.raises(WriteRefusedError, match=f"'acme' belongs to workspace '{W1}'"):
        await store.put_workspaces([WorkspaceDraft(W2, EU, subdomain="acme")])


async def test_two_drafts_of_one_import_cannot_have_the_same_subdomain(store: MaintainedStore) -> None:
    with pytest.raises(WriteRefusedError, match="draft 2"):
        await store.put_workspaces([WorkspaceDraft(W1, EU, subdomain="acme"), WorkspaceDraft(W2, EU, subdomain="acme")])


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (WorkspaceDraft(W1, EU, subdomain="Acme"), "one label in lower case"),
        (WorkspaceDraft(W1, EU, subdomain="a.b"), "one label in lower case"),
        (WorkspaceDraft(W1, EU, subdomain=""), "subdomain is empty"),
        (WorkspaceDraft(W1, EU, owner="a\udcffb"), "owner has unprintable characters"),
    ],
)
async def test_text_that_no_request_could_name_is_refused(
    store: MaintainedStore, bad: WorkspaceDraft, problem: str
) -> None:
    with pytest.raises(WriteRefusedError, match=problem):
        await store.put_workspaces([bad])


async def test_a_refused_import_names_every_bad_draft_and_leaves_nothing_behind(store: MaintainedStore) -> None:
    await store.put_workspaces([WorkspaceDraft(W1, EU, subdomain="acme")])
    before = await store.info()
    with pytest.raises(WriteRefusedError) as refused:
        await store.put_workspaces([draft(4), draft(1, US), draft(5), WorkspaceDraft(W2, EU, subdomain="acme")])
    assert [problem.split(":")[0] for problem in refused.value.problems] == [
        f"draft 2, workspace '{W1}'",
        f"draft 4, workspace '{W2}'",
    ]
    assert await store.info() == before
    assert [record.placement.workspace for record in await store.list_workspaces(region=None, after=None, limit=9)] == [
        W1
    ]


async def test_a_flood_of_problems_is_cut_to_a_hundred_and_a_count(store: MaintainedStore) -> None:
    await store.put_workspaces([draft(number, EU) for number in range(1, 131)])
    with pytest.raises(WriteRefusedError) as refused:
        await store.put_workspaces([draft(number, US) for number in range(1, 131)])
    assert len(refused.value.problems) == 101
    assert refused.value.problems[-1] == "and 30 more"


async def test_an_import_tells_how_far_it_is(store: MaintainedStore) -> None:
    told: list[int] = []
    await store.put_workspaces([draft(number) for number in range(1, 2502)], progress=told.append)
    assert told == [1000, 2000, 2501]


async def test_progress_that_fails_undoes_the_import(store: MaintainedStore) -> None:
    def fail(_: int) -> None:
        raise RuntimeError("the terminal is gone")

    with pytest.raises(RuntimeError, match="the terminal is gone"):
        await store.put_workspaces([draft(1)], progress=fail)
    assert await store.get_workspace(W1) is None


# Subdomains


async def test_another_subdomain_leaves_a_tombstone_under_the_old_label(store: MaintainedStore) -> None:
    await store.put_workspaces([WorkspaceDraft(W1, EU, subdomain="old")])
    await store.put_workspaces([WorkspaceDraft(W1, EU, subdomain="new")])
    generation = await generation_of(store)
    old, new = Entry(Kind.SUBDOMAIN, "old"), Entry(Kind.SUBDOMAIN, "new")
    assert await fact_of(store, *old) == Absence(old, Version(generation, 3))
    assert await fact_of(store, *new) == Alias(new, Version(generation, 4), W1)


async def test_another_subdomain_does_not_grow_the_epoch(store: MaintainedStore) -> None:
    await store.put_workspaces([WorkspaceDraft(W1, EU, subdomain="old")])
    await store.put_workspaces([WorkspaceDraft(W1, EU, subdomain="new")])
    assert (await fact_of(store, Kind.WORKSPACE, W1)).version.number == 1


async def test_a_label_that_was_given_up_can_be_taken_and_goes_on_counting(store: MaintainedStore) -> None:
    await store.put_workspaces([WorkspaceDraft(W1, EU, subdomain="acme")])
    await store.put_workspaces([WorkspaceDraft(W1, EU, subdomain="new")])
    tombstone = await fact_of(store, Kind.SUBDOMAIN, "acme")
    await store.put_workspaces([WorkspaceDraft(W2, EU, subdomain="acme")])
    taken = await fact_of(store, Kind.SUBDOMAIN, "acme")
    assert isinstance(taken, Alias)
    assert taken.workspace == W2
    assert taken.version > tombstone.version


# Deleting


async def test_deleting_leaves_a_tombstone_one_epoch_further(store: MaintainedStore) -> None:
    await store.put_workspaces([draft(1)])
    assert await store.delete_workspace(W1)
    entry = Entry(Kind.WORKSPACE, W1)
    assert await fact_of(store, *entry) == Absence(entry, Version(await generation_of(store), 2))
    assert await store.get_workspace(W1) is None
    assert await store.list_workspaces(region=None, after=None, limit=10) == ()


async def test_deleting_what_is_not_there_is_false_and_changes_nothing(store: MaintainedStore) -> None:
    await store.put_workspaces([draft(1)])
    await store.delete_workspace(W1)
    before = await store.info()
    assert not await store.delete_workspace(W1)
    assert not await store.delete_workspace(W2)
    assert await store.info() == before


async def test_a_workspace_created_again_goes_on_counting_and_has_nothing_of_the_old_one(
    store: MaintainedStore,
) -> None:
    await store.put_workspaces([WorkspaceDraft(W1, EU, subdomain="acme", plan="PRO", owner="owner-1")])
    await store.delete_workspace(W1)
    await store.put_workspaces([draft(1, US)])
    record = await store.get_workspace(W1)
    assert record is not None
    assert (record.placement.region, record.placement.epoch) == (US, 3)
    assert (record.subdomain, record.plan, record.owner) == (None, None, None)


async def test_what_names_a_deleted_workspace_is_deleted_with_it(store: MaintainedStore) -> None:
    await store.put_workspaces([WorkspaceDraft(W1, EU, subdomain="acme")])
    await store.put_keys([KeyDraft(KEY, workspace=W1)])
    await store.delete_workspace(W1)
    assert isinstance(await fact_of(store, Kind.SUBDOMAIN, "acme"), Absence)
    assert isinstance(await fact_of(store, Kind.KEY, KEY), Absence)
    assert [change.fact.entry.kind for change in await read_feed(store, since=3)] == [
        Kind.WORKSPACE,
        Kind.SUBDOMAIN,
        Kind.KEY,
    ]


# Keys


async def test_a_key_put_again_counts_only_if_it_changed(store: MaintainedStore) -> None:
    assert await store.put_keys([KeyDraft(KEY, region=EU)]) == 1
    assert await store.put_keys([KeyDraft(KEY, region=EU)]) == 0
    assert await store.put_keys([KeyDraft(KEY, region=EU, superseded_by="t1")]) == 1


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (KeyDraft(KEY), "a workspace or a region, and not both"),
        (KeyDraft(KEY, workspace=W1, region=EU), "a workspace or a region, and not both"),
        (KeyDraft(KEY, workspace=W3), f"workspace '{W3}' is not in the directory"),
        (KeyDraft(KEY.upper(), region=EU), "not a SHA-256"),
    ],
)
async def test_a_key_that_could_not_route_is_refused(store: MaintainedStore, bad: KeyDraft, problem: str) -> None:
    await store.put_workspaces([draft(1)])
    with pytest.raises(WriteRefusedError, match=problem):
        await store.put_keys([KeyDraft(OTHER_KEY, region=EU), bad])
    assert isinstance(await fact_of(store, Kind.KEY, OTHER_KEY), Absence)


async def test_a_key_given_in_place_of_its_hash_is_neither_stored_nor_repeated(store: MaintainedStore) -> None:
    with pytest.raises(WriteRefusedError) as refused:
        await store.put_keys([KeyDraft("the-secret-key", region=EU)])
    assert "the-secret-key" not in str(refused.value)


# Rule of transfers: no mapping to or from a workspace changes while it is in transfer


@pytest.mark.parametrize(
    "change",
    [
        WorkspaceDraft(W1, EU, subdomain="new"),
        WorkspaceDraft(W1, EU, plan="PRO"),
        WorkspaceDraft(W1, US),
        WorkspaceDraft(W1, UK),
    ],
)
async def test_a_workspace_in_transfer_is_not_put(store: MaintainedStore, change: WorkspaceDraft) -> None:
    await _lock_w1(store)
    before = await store.info()
    with pytest.raises(WriteRefusedError, match="is in transfer"):
        await store.put_workspaces([draft(7), change])
    assert await store.info() == before


async def test_a_draft_that_changes_nothing_is_not_refused_in_transfer(store: MaintainedStore) -> None:
    await _lock_w1(store)
    assert await store.put_workspaces([WorkspaceDraft(W1, EU, subdomain="acme"), draft(7)]) == 1


async def test_a_workspace_in_transfer_is_not_deleted(store: MaintainedStore) -> None:
    await _lock_w1(store)
    with pytest.raises(WriteRefusedError, match="is in transfer"):
        await store.delete_workspace(W1)


@pytest.mark.parametrize(
    "change",
    [
        KeyDraft(KEY, region=EU),
        KeyDraft(KEY, workspace=W2),
        KeyDraft(KEY, workspace=W1, superseded_by="t1"),
        KeyDraft(OTHER_KEY, workspace=W1),
    ],
)
async def test_no_key_comes_to_or_leaves_a_workspace_in_transfer(store: MaintainedStore, change: KeyDraft) -> None:
    await _lock_w1(store)
    with pytest.raises(WriteRefusedError, match="is in transfer"):
        await store.put_keys([change])


async def test_the_subdomain_of_a_workspace_in_transfer_is_not_given_away(store: MaintainedStore) -> None:
    await _lock_w1(store)
    with pytest.raises(WriteRefusedError, match="belongs to workspace"):
        await store.put_workspaces([WorkspaceDraft(W2, EU, subdomain="acme")])


async def test_a_workspace_can_be_put_again_once_its_transfer_has_ended(store: MaintainedStore) -> None:
    await _lock_w1(store)
    await store.advance_transfer(TransferId("t1"), TransferEvent.ABORT, now=2000.0)
    assert await store.put_workspaces([WorkspaceDraft(W1, EU, subdomain="new")]) == 1


async def test_a_closed_store_answers_nothing_any_more(site: Site) -> None:
    store = site.connect()
    await store.info()
    await store.close()
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.position()


async def _lock_w1(store: MaintainedStore) -> None:
    await store.put_workspaces([WorkspaceDraft(W1, EU, subdomain="acme"), draft(2)])
    await store.put_keys([KeyDraft(KEY, workspace=W1)])
    await store.start_transfer(transfer_of(W1, US))
