"""A short chaos: `make chaos` is the same for longer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.chaos.chaos import chaos
from tests.chaos.plan import NO_DRAIN, Plan, PlanError, Run, read_plan

if TYPE_CHECKING:
    from pathlib import Path

SECONDS: Final = 8.0

pytestmark = pytest.mark.timeout(240)


async def test_nothing_is_violated_or_lost_while_gateways_are_killed_and_stopped(tmp_path: Path) -> None:
    run = Run("A", SECONDS, stops=True, fences=True)
    report = await chaos(Plan((run,), seed=7), run, tmp_path)
    assert report.findings == []


async def test_a_gateway_that_does_not_drain_is_found_out_by_what_regions_execute(tmp_path: Path) -> None:
    run = Run("B", SECONDS, stops=False, fences=False)
    report = await chaos(Plan((run,), seed=7, broken=NO_DRAIN), run, tmp_path)
    assert report.verdict.violations > 0


def test_a_fault_that_there_is_not_is_refused() -> None:
    with pytest.raises(PlanError, match="CHAOS_BREAK is 'everything'"):
        read_plan({"CHAOS_BREAK": "everything"})
