"""What happens by itself: deadlines, the end of backups, old answers; once, whoever looks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from router.control.lifecycle import BATCH
from router.control.scheduler import INTERVAL, KEPT_ANSWERS, Scheduler
from router.model.journal import StoredAnswer
from router.model.placement import WorkspaceId
from tests.control.control_sites import GLOBAL, OPTIONS, Stage

if TYPE_CHECKING:
    from router.control.ports import ControlStore


def scheduler(stage: Stage, store: ControlStore | None = None) -> Scheduler:
    return Scheduler(store or stage.site.store, stage.site.clock, OPTIONS)


async def keep_all(one: Scheduler) -> None:
    while await one.keep_hours():
        pass


async def test_a_deadline_is_kept_and_an_unlocked_workspace_stays_where_it_was(stage: Stage) -> None:
    await stage.put()
    await stage.transferring()
    stage.site.clock.jump(OPTIONS.transfer_duration)
    await keep_all(scheduler(stage))
    assert await stage.region_of() == (GLOBAL, 4, False)
    assert await stage.events() == ["transfer.started", "transfer.failed"]
    (line,) = [one for one in await stage.do(lambda tx: tx.audit(limit=10)) if one.who == "scheduler"]
    assert line.action == "transfer.expire"


async def test_nothing_ends_before_its_hour(stage: Stage) -> None:
    await stage.put()
    await stage.transferring()
    stage.site.clock.jump(OPTIONS.transfer_duration - 1)
    await keep_all(scheduler(stage))
    assert await stage.events() == ["transfer.started"]


async def test_any_number_of_schedulers_end_everything_once(stage: Stage) -> None:
    for n in range(5):
        await stage.put(WorkspaceId(f"{n:024x}"))
        await stage.completed(WorkspaceId(f"{n:024x}"))
    for n in range(5, 10):
        await stage.put(WorkspaceId(f"{n:024x}"))
        await stage.start(WorkspaceId(f"{n:024x}"))
    stage.site.clock.jump(OPTIONS.backup_lock)
    several = [scheduler(stage, stage.site.connect()) for _ in range(4)]
    await asyncio.gather(*map(keep_all, several))
    told = await stage.events()
    assert (told.count("backup.expired"), told.count("transfer.failed")) == (5, 5)


@pytest.mark.timeout(120)
async def test_more_than_a_batch_is_ended_in_several_transactions(stage: Stage) -> None:
    for n in range(BATCH + 1):
        await stage.put(WorkspaceId(f"{n:024x}"))
        await stage.start(WorkspaceId(f"{n:024x}"))
    stage.site.clock.jump(OPTIONS.transfer_duration)
    one = scheduler(stage)
    assert [await one.keep_hours(), await one.keep_hours()] == [True, False]
    assert (await stage.events()).count("transfer.failed") == BATCH + 1


async def test_an_answer_is_kept_for_a_day(stage: Stage) -> None:
    now = stage.now
    await stage.do(lambda tx: tx.store_answer("job", "k-1", StoredAnswer("f", 200, "{}", ""), now=now))
    stage.site.clock.jump(KEPT_ANSWERS)
    await keep_all(scheduler(stage))
    assert await stage.do(lambda tx: tx.stored_answer("job", "k-1")) is not None
    stage.site.clock.jump(601)
    await keep_all(scheduler(stage))
    assert await stage.do(lambda tx: tx.stored_answer("job", "k-1")) is None


async def test_the_loop_looks_again_and_again(stage: Stage) -> None:
    await stage.put()
    await stage.transferring()
    running = asyncio.create_task(scheduler(stage).run())
    try:
        stage.site.clock.jump(OPTIONS.transfer_duration)
        async with asyncio.timeout(20):
            while "transfer.failed" not in await stage.events():
                await stage.site.clock.advance(INTERVAL)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
