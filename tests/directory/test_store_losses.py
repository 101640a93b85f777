"""What any store must do for the list of a transfer: what nobody can know the end of."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from router.directory.store import Renewal
from router.model.barrier import Silent
from router.model.losses import Ending, Losses, LostGateway, UnansweredRequest
from router.model.transfer import TransferEvent, TransferId, TransferState
from tests.directory.feeds import EU, UK, US, W1, W2, draft, register, rows_seen, transfer_of

if TYPE_CHECKING:
    from router.model.placement import WorkspaceId
    from router.model.transfer import Transfer
    from tests.directory.sites import MaintainedStore, Site

NOW = 1_700_000_000.0
"""When the clock of a site begins: seconds since 1970."""
DAY = 24 * 3600.0


def request(name: str, *, of: WorkspaceId = W1, ended_at: float = NOW) -> UnansweredRequest:
    return UnansweredRequest(name, of, "eu", "inc-1", ended_at, "lock_cut")


async def started(
    store: MaintainedStore, moved: WorkspaceId = W1, *, name: str = "t1", losses_since: float = math.inf
) -> Transfer:
    await store.put_workspaces([draft(number, EU) for number in (1, 2) if moved == (W1, W2)[number - 1]])
    return await store.start_transfer(transfer_of(moved, US, name=name), losses_since=losses_since)


async def report(store: MaintainedStore, incarnation: str, *requests: UnansweredRequest) -> None:
    position = await store.position()
    assert await store.renew(Renewal(incarnation, 0, position, unanswered=requests)) is not None


async def names(store: MaintainedStore, transfer: str = "t1") -> list[str]:
    return [found.request_id for found in (await store.losses(TransferId(transfer))).requests]


async def lost(store: MaintainedStore, transfer: str = "t1") -> list[tuple[str, Ending]]:
    return [(found.incarnation, found.ending) for found in (await store.losses(TransferId(transfer))).gateways]


# Gateways


async def test_nothing_is_lost_in_a_transfer_that_nothing_went_wrong_in(store: MaintainedStore) -> None:
    transfer = await started(store)
    assert await store.losses(transfer.id) == Losses()


async def test_nothing_is_lost_in_a_transfer_that_is_not_there(store: MaintainedStore) -> None:
    assert await store.losses(TransferId("nobody")) == Losses()


async def test_a_gateway_that_was_forgotten_is_on_the_list_whole(store: MaintainedStore, site: Site) -> None:
    await register(store, "dead")
    transfer = await started(store)
    assert await store.forget("dead", ending=Ending.DEAD)
    gateway = LostGateway("dead", "gateway-1", "host-1", Ending.DEAD, site.clock.wall())
    assert await store.losses(transfer.id) == Losses((gateway,))


async def test_it_is_on_the_list_of_every_transfer_that_runs_and_of_none_that_has_ended(store: MaintainedStore) -> None:
    await register(store, "dead")
    ended = await started(store, W2, name="t0")
    await store.advance_transfer(ended.id, TransferEvent.ABORT, now=NOW)
    await started(store, W1)
    await started(store, W2, name="t2")
    await store.forget("dead", ending=Ending.FORGOTTEN)
    assert [await lost(store, name) for name in ("t0", "t1", "t2")] == [
        [],
        [("dead", Ending.FORGOTTEN)],
        [("dead", Ending.FORGOTTEN)],
    ]


async def test_forgetting_what_is_not_there_says_so_and_lists_nothing(store: MaintainedStore) -> None:
    await started(store)
    assert not await store.forget("nobody", ending=Ending.FORGOTTEN)
    assert await lost(store) == []


async def test_a_gateway_that_renewed_meanwhile_is_not_forgotten(store: MaintainedStore) -> None:
    await register(store, "alive")
    await started(store)
    await report(store, "alive")
    assert not await store.forget("alive", ending=Ending.FORGOTTEN, renewals=0)
    assert await store.forget("alive", ending=Ending.FORGOTTEN, renewals=1)


async def test_a_gateway_that_left_by_itself_is_not_on_the_list(store: MaintainedStore) -> None:
    await register(store, "leaving")
    await started(store)
    await store.unregister("leaving")
    assert await lost(store) == []


async def test_a_gateway_lost_shortly_before_a_transfer_is_on_its_list_from_the_start(
    store: MaintainedStore, site: Site
) -> None:
    await register(store, "dead")
    await store.forget("dead", ending=Ending.DEAD)
    since = site.clock.wall()
    assert (await started(store, losses_since=since)).state is TransferState.LOCKING
    await started(store, W2, name="t2", losses_since=since + 1.0)
    assert [await lost(store, name) for name in ("t1", "t2")] == [[("dead", Ending.DEAD)], []]


async def test_a_gateway_lost_in_another_transfer_is_on_the_list_of_one_that_starts_then(
    store: MaintainedStore, site: Site
) -> None:
    await register(store, "dead")
    await started(store)
    await store.forget("dead", ending=Ending.DEAD)
    await started(store, W2, name="t2", losses_since=site.clock.wall())
    assert await lost(store, "t2") == [("dead", Ending.DEAD)]


# Silence


async def test_a_row_that_is_silent_is_revoked_listed_and_not_waited_for(store: MaintainedStore) -> None:
    await register(store, "silent")
    transfer = await started(store)
    evaluated = await store.evaluate(transfer.id, now=NOW, silent=[Silent("silent", 0)])
    assert evaluated is not None
    assert (evaluated[0].state, evaluated[1].registrations) == (TransferState.TRANSFERRING, ())
    assert await store.losses(transfer.id) == Losses(
        (LostGateway("silent", "gateway-1", "host-1", Ending.EXPIRED, NOW),)
    )


async def test_the_gateway_of_a_row_that_was_revoked_has_its_renewal_refused(store: MaintainedStore) -> None:
    await register(store, "silent")
    transfer = await started(store)
    await store.evaluate(transfer.id, now=NOW, silent=[Silent("silent", 0)])
    position = await store.position()
    assert await store.renew(Renewal("silent", position.seq, position, unanswered=(request("late"),))) is None
    assert await names(store) == []


async def test_a_row_that_renewed_meanwhile_is_not_silent(store: MaintainedStore) -> None:
    await register(store, "woken")
    transfer = await started(store)
    await report(store, "woken")
    evaluated = await store.evaluate(transfer.id, now=NOW, silent=[Silent("woken", 0)])
    assert evaluated is not None
    assert evaluated[0].state is TransferState.LOCKING
    assert [row.incarnation for row in evaluated[1].registrations] == ["woken"]
    assert await lost(store) == []


async def test_a_silent_row_is_revoked_though_another_still_holds_the_transfer_up(store: MaintainedStore) -> None:
    await register(store, "silent")
    await register(store, "slow")
    transfer = await started(store)
    evaluated = await store.evaluate(transfer.id, now=NOW, silent=[Silent("silent", 0)])
    assert evaluated is not None
    assert evaluated[0].state is TransferState.LOCKING
    assert [row.incarnation for row in await rows_seen(store)] == ["slow"]


async def test_no_row_is_revoked_for_a_transfer_that_is_not_locking(store: MaintainedStore) -> None:
    transfer = await started(store)
    await store.evaluate(transfer.id, now=NOW)
    await register(store, "silent")
    await store.evaluate(transfer.id, now=NOW, silent=[Silent("silent", 0)])
    assert [row.incarnation for row in await rows_seen(store)] == ["silent"]


# Requests


async def test_a_request_that_a_renewal_reports_is_on_the_list_of_its_workspaces_transfer_whole(
    store: MaintainedStore,
) -> None:
    await register(store, "inc-1")
    transfer = await started(store)
    await started(store, W2, name="t2")
    await report(store, "inc-1", request("r1"))
    assert await store.losses(transfer.id) == Losses((), (request("r1"),))
    assert await names(store, "t2") == []


async def test_requests_are_listed_in_the_order_they_ended(store: MaintainedStore) -> None:
    await register(store, "inc-1")
    await started(store)
    await report(store, "inc-1", request("r2", ended_at=2.0), request("r1", ended_at=1.0), request("r3", ended_at=3.0))
    assert await names(store) == ["r1", "r2", "r3"]


async def test_what_is_reported_again_is_listed_once(store: MaintainedStore) -> None:
    await register(store, "inc-1")
    await started(store)
    await report(store, "inc-1", request("r1"))
    await report(store, "inc-1", request("r1"), request("r2"))
    assert await names(store) == ["r1", "r2"]


async def test_two_requests_that_a_client_gave_the_same_id_are_both_listed(store: MaintainedStore) -> None:
    await register(store, "inc-1")
    await started(store)
    await report(store, "inc-1", request("same", ended_at=1.0), request("same", ended_at=2.0))
    assert await names(store) == ["same", "same"]


async def test_a_request_reported_while_no_transfer_runs_is_kept_for_one_that_starts_soon(
    store: MaintainedStore,
) -> None:
    await register(store, "inc-1")
    await report(store, "inc-1", request("old", ended_at=NOW - 1.0), request("recent"), request("other", of=W2))
    await started(store, losses_since=NOW)
    assert await names(store) == ["recent"]


async def test_a_gateway_that_leaves_names_its_requests_last(store: MaintainedStore) -> None:
    await register(store, "inc-1")
    await started(store)
    await store.unregister("inc-1", unanswered=[request("running"), request("to-come", of=W2)])
    await started(store, W2, name="t2", losses_since=NOW)
    assert (await names(store), await names(store, "t2")) == (["running"], ["to-come"])


async def test_a_gateway_whose_row_is_gone_already_can_still_name_its_requests(store: MaintainedStore) -> None:
    await started(store)
    await store.unregister("gone", unanswered=[request("r1")])
    assert await names(store) == ["r1"]


async def test_a_second_attempt_inherits_what_the_first_one_listed(store: MaintainedStore) -> None:
    await register(store, "inc-1")
    first = await started(store)
    await report(store, "inc-1", request("r1"))
    await store.advance_transfer(first.id, TransferEvent.ABORT, now=NOW)
    await store.start_transfer(transfer_of(W1, UK, name="t2"), losses_since=NOW)
    assert (await names(store), await names(store, "t2")) == (["r1"], ["r1"])


async def test_a_request_of_a_workspace_that_is_not_in_the_directory_is_no_reason_to_refuse(
    store: MaintainedStore,
) -> None:
    await register(store, "inc-1")
    await report(store, "inc-1", request("r1"))
    assert [row.renewals for row in await rows_seen(store)] == [1]


@pytest.mark.parametrize("later", [request("later", ended_at=NOW + 2 * DAY), request("other", of=W2)])
async def test_what_no_transfer_asked_for_in_a_day_is_not_kept(
    store: MaintainedStore, site: Site, later: UnansweredRequest
) -> None:
    await register(store, "inc-1")
    now = site.clock.wall()
    await report(store, "inc-1", request("r1", ended_at=now))
    site.clock.jump(DAY + 1.0)
    await report(store, "inc-1", replace(later, ended_at=site.clock.wall()))
    await started(store, losses_since=now)
    assert "r1" not in await names(store)


async def test_the_list_of_a_transfer_is_kept_as_long_as_the_transfer(store: MaintainedStore, site: Site) -> None:
    await register(store, "inc-1")
    await started(store)
    await report(store, "inc-1", request("r1", ended_at=site.clock.wall()))
    site.clock.jump(2 * DAY)
    await report(store, "inc-1", request("other", of=W2, ended_at=site.clock.wall()))
    assert await names(store) == ["r1"]


async def test_registrations_are_shown_without_any_transfer(store: MaintainedStore) -> None:
    incarnation = await register(store)
    view = await store.registrations()
    assert [(row.incarnation, row.gateway, row.renewals) for row in view.registrations] == [
        (incarnation, "gateway-1", 0)
    ]
