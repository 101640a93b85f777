"""The lock barrier's predicate: who is waited for, and when a lock may become a transfer."""

from __future__ import annotations

import pytest

from router.model.barrier import BarrierView, Registration, holds, waits_for
from router.model.placement import WorkspaceId
from router.model.region import RegionName
from router.model.transfer import Transfer, TransferId, TransferState

LOCK_SEQ = 41
TRANSFER = Transfer(
    id=TransferId("t-1"),
    workspace=WorkspaceId("64a687e29ae1f428e7ebe3ff"),
    source=RegionName("eu"),
    destination=RegionName("us"),
    state=TransferState.LOCKING,
    requested_by="owner",
    started_at=1000.0,
    deadline=44200.0,
    lock_seq=LOCK_SEQ,
)


def row(applied: int, *, generation: int = 1, name: str = "a", renewed_at: float = 999.0) -> Registration:
    return Registration(
        incarnation=name,
        gateway=name,
        host="h",
        lease=3600.0,
        generation=generation,
        applied=applied,
        renewed_at=renewed_at,
        renewals=3,
    )


def view(*rows: Registration, generation: int = 1, quarantine_until: float = 0.0) -> BarrierView:
    return BarrierView(generation, quarantine_until, rows)


def test_nobody_is_waited_for_where_no_gateway_is_registered() -> None:
    assert holds(TRANSFER, view(), now=1000.0)


@pytest.mark.parametrize(
    ("applied", "held"), [(LOCK_SEQ - 1, False), (LOCK_SEQ, True), (LOCK_SEQ + 1, True)], ids=["before", "at", "behind"]
)
def test_a_gateway_has_applied_the_lock_from_its_position_on(applied: int, held: bool) -> None:
    assert holds(TRANSFER, view(row(applied)), now=1000.0) is held


def test_one_gateway_that_has_not_applied_the_lock_holds_up_all() -> None:
    slow = row(LOCK_SEQ - 1, name="slow")
    seen = view(row(LOCK_SEQ, name="a"), slow, row(LOCK_SEQ + 9, name="b"))
    assert not holds(TRANSFER, seen, now=1000.0)


def test_those_waited_for_are_named() -> None:
    slow, lost = row(LOCK_SEQ - 1, name="slow"), row(LOCK_SEQ, generation=2, name="lost")
    assert waits_for(TRANSFER, view(row(LOCK_SEQ), slow, lost)) == (slow, lost)


@pytest.mark.parametrize("generation", [1, 3], ids=["an earlier one", "a later one"])
def test_an_acknowledgement_of_another_generation_does_not_count(generation: int) -> None:
    assert not holds(TRANSFER, view(row(LOCK_SEQ + 100, generation=generation), generation=2), now=1000.0)


def test_a_silent_gateway_is_waited_for_however_old_its_renewal_is() -> None:
    silent = row(LOCK_SEQ - 1, renewed_at=0.0)
    assert waits_for(TRANSFER, view(silent)) == (silent,)


@pytest.mark.parametrize(("now", "held"), [(1999.9, False), (2000.0, True)])
def test_after_a_restore_the_barrier_first_waits_out_the_quarantine(now: float, held: bool) -> None:
    assert holds(TRANSFER, view(row(LOCK_SEQ), quarantine_until=2000.0), now=now) is held


def test_the_end_of_a_quarantine_excuses_nobody() -> None:
    assert not holds(TRANSFER, view(row(LOCK_SEQ - 1), quarantine_until=2000.0), now=5000.0)
