"""Chaos: `make chaos`. One line at the end, and exit 1 if anything was violated, lost or executed twice.

`CHAOS_SECONDS` (75) bounds each run, `CHAOS_SEED` throws the same dice again, and `CHAOS_BREAK=no-drain` gives the
gateways a fault that has to be found.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final

import uvloop

from tests.chaos.chaos import Report, chaos
from tests.chaos.plan import Plan, PlanError, read_plan

MARGIN: Final = 45.0
"""Seconds that a run may take beyond its own, to begin and to end."""


async def run_all(plan: Plan) -> list[Report]:
    """Each run of `plan`, one after the other."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    reports = []
    for run in plan.runs:
        # Its files are read by nobody else, but the database's user must get to them.
        with tempfile.TemporaryDirectory(prefix="router-chaos-") as folder:
            async with asyncio.timeout(run.seconds + MARGIN):
                report = await chaos(plan, run, Path(folder))
        print(*report.findings, report.line(), sep="\n", flush=True)
        reports.append(report)
    return reports


def sum_up(reports: list[Report]) -> str:
    """All runs in one line."""
    verdicts = [report.verdict for report in reports]
    figures = {
        "transfers": sum(report.transfers for report in reports),
        "requests": sum(report.requests for report in reports),
        "kills": sum(report.done.kills for report in reports),
        "stops": sum(report.done.stops for report in reports),
        "fenced": sum(verdict.fenced for verdict in verdicts),
        "violations": sum(verdict.violations for verdict in verdicts),
        "lost": sum(verdict.lost for verdict in verdicts),
        "duplicated": sum(verdict.duplicated for verdict in verdicts),
    }
    return "chaos: " + " ".join(f"{name}={number}" for name, number in figures.items())


def main() -> int:
    """Run, report, and tell the exit code."""
    try:
        plan = read_plan(os.environ)
    except PlanError as error:
        print(error, file=sys.stderr)
        return 2
    # The job's own evaluator tells what the gateways' logs tell too.
    logging.getLogger("router").setLevel(logging.CRITICAL)
    print(f"seed {plan.seed}: CHAOS_SEED={plan.seed} make chaos throws the same dice", flush=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            reports = runner.run(run_all(plan))
        except TimeoutError:
            print(f"a run did not end within {MARGIN:g} s of its time: is this machine so busy?", file=sys.stderr)
            return 1
    print(sum_up(reports))
    return 1 if any(report.findings for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
