"""The verdict over a run finds what it is there to find, and nothing else."""

from __future__ import annotations

import pytest

from router.model.losses import NOTHING_LOST, Ending, Losses, LostGateway, UnansweredRequest
from router.model.placement import WorkspaceId
from router.model.region import RegionName
from tests.chaos.history import History, Stay, Verdict, judge
from tests.chaos.records import Books, Outcome, Recorded
from tests.chaos.writers import Process

W = WorkspaceId("64a687e29ae1f428e7eb0000")
EU, US = RegionName("eu"), RegionName("us")
NAME = "0-2-17"
PROCESSES = {"of the second": Process(0, 1), "of the third": Process(0, 2)}


def moved(losses: Losses = NOTHING_LOST) -> History:
    """From eu, which it left at 10, to us, where it lives from 20 on; copying began at 15."""
    return History([Stay(EU, until=10.0, copied=15.0, losses=losses), Stay(US, since=20.0)])


def executed(at: float, name: str = NAME) -> Recorded:
    return Recorded(Outcome.EXECUTED, name, W, f"request of {name}", at)


def found(
    eu: tuple[Recorded, ...] = (),
    us: tuple[Recorded, ...] = (),
    *,
    history: History | None = None,
    acknowledged: tuple[str, ...] = (),
    data: dict[RegionName, set[str]] | None = None,
) -> Verdict:
    held = {name: frozenset((data or {}).get(name, set())) for name in (EU, US)}
    books = {EU: Books(eu, {W: held[EU]}), US: Books(us, {W: held[US]})}
    return judge(books, {W: history or moved()}, dict.fromkeys(acknowledged, W), PROCESSES)


def lost_gateway(incarnation: str) -> Losses:
    return Losses(gateways=(LostGateway(incarnation, "gateway", "host", Ending.DEAD, 0.0),))


@pytest.mark.parametrize(("eu", "us"), [((executed(9.9),), ()), ((), (executed(20.1),))])
def test_what_is_executed_where_its_workspace_lives_is_right(
    eu: tuple[Recorded, ...], us: tuple[Recorded, ...]
) -> None:
    assert found(eu, us).clean


@pytest.mark.parametrize(("eu", "us"), [((), (executed(9.0),)), ((executed(21.0),), ())])
def test_what_is_executed_in_the_other_region_is_a_violation(
    eu: tuple[Recorded, ...], us: tuple[Recorded, ...]
) -> None:
    assert found(eu, us).violations == 1


@pytest.mark.parametrize("at", [10.1, 14.9, 15.1, 19.9])
def test_what_is_executed_in_transfer_is_a_violation_in_either_region(at: float) -> None:
    assert found((executed(at, "0-2-1"),), (executed(at, "0-2-2"),)).violations == 2


def test_what_the_transfer_lists_may_be_executed_until_copying_begins() -> None:
    request = UnansweredRequest(f"request of {NAME}", W, EU, "of the third", 9.0, "lock_cut")
    history = moved(Losses(requests=(request,)))
    assert found((executed(14.9),), history=history).clean
    assert found((executed(15.1),), history=history).violations == 1
    assert found((), (executed(14.9),), history=history).violations == 1
    assert found((executed(14.9, "0-2-18"),), history=history).violations == 1


def test_so_may_what_was_sent_through_a_gateway_that_it_lists() -> None:
    assert found((executed(14.9),), history=moved(lost_gateway("of the third"))).clean
    assert found((executed(14.9),), history=moved(lost_gateway("of the second"))).violations == 1
    assert found((executed(14.9),), history=moved(lost_gateway("of nobody here"))).violations == 1


def test_what_fails_stays_where_it_was_and_is_written_there_again() -> None:
    history = History([Stay(EU, until=10.0, copied=15.0), Stay(EU, since=20.0)])
    assert found((executed(9.0, "0-0-1"), executed(21.0, "0-0-2")), history=history).clean
    assert found((executed(17.0),), history=history).violations == 1


def test_what_was_acknowledged_is_where_its_workspace_lives_at_the_end() -> None:
    assert found((executed(9.0),), acknowledged=(NAME,), data={EU: {NAME}, US: {NAME}}).clean
    assert found((executed(9.0),), acknowledged=(NAME,), data={EU: {NAME}}).lost == 1


@pytest.mark.parametrize("us", [(), (executed(21.0),)])
def test_what_is_executed_again_is_executed_twice_wherever(us: tuple[Recorded, ...]) -> None:
    eu = (executed(9.0),) if us else (executed(8.0), executed(9.0))
    assert found(eu, us).duplicated == 1


def test_what_the_fence_refused_is_not_executed() -> None:
    refused = (executed(21.0)._replace(outcome=Outcome.CLOSED), executed(22.0)._replace(outcome=Outcome.STALE))
    verdict = found(refused)
    assert verdict.clean
    assert verdict.fenced == 2
