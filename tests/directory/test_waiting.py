"""Work that races against the clock, and pauses that can be cut short."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from router.directory.ports import TaskSpawner
from router.directory.waiting import Alarm, within
from tests.directory.manual_clock import ManualClock, settle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Work:
    """Work that ends when the test says so, and notes whether it was cancelled."""

    def __init__(self) -> None:
        self.result: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.cancelled = False

    async def run(self) -> str:
        try:
            return await self.result
        except asyncio.CancelledError:
            self.cancelled = True
            raise


class Race:
    """One race of at most 5 s."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.spawner = TaskSpawner()

    def start(self, work: Callable[[], Awaitable[str]]) -> asyncio.Task[str]:
        race = within(5.0, work, clock=self.clock, spawner=self.spawner, name="race")
        return asyncio.get_running_loop().create_task(race)


async def test_work_that_ends_in_time_gives_its_result() -> None:
    race, work = Race(), Work()
    task = race.start(work.run)
    await race.clock.advance(4.9)
    work.result.set_result("done")
    assert await task == "done"


async def test_work_that_fails_fails() -> None:
    race, work = Race(), Work()
    task = race.start(work.run)
    work.result.set_exception(KeyError("no"))
    with pytest.raises(KeyError):
        await task


async def test_work_that_takes_too_long_is_cancelled() -> None:
    race, work = Race(), Work()
    task = race.start(work.run)
    await race.clock.advance(5.0)
    with pytest.raises(TimeoutError):
        await task
    assert work.cancelled


async def test_work_that_does_not_let_go_holds_nobody() -> None:
    race, work = Race(), Work()
    let_go = asyncio.Event()

    async def stubborn() -> str:
        try:
            return await work.run()
        finally:
            await let_go.wait()

    task = race.start(stubborn)
    await race.clock.advance(5.0)
    with pytest.raises(TimeoutError):
        await task
    let_go.set()


async def test_cancelling_the_caller_cancels_the_work() -> None:
    race, work = Race(), Work()
    task = race.start(work.run)
    await settle()
    task.cancel()
    await settle()
    assert work.cancelled


async def test_a_race_leaves_nobody_asleep() -> None:
    race, work = Race(), Work()
    task = race.start(work.run)
    await settle()
    work.result.set_result("done")
    await task
    await settle()
    assert race.clock.next_wake is None


async def test_a_pause_ends_by_itself() -> None:
    clock = ManualClock()
    pause = asyncio.ensure_future(Alarm(clock, TaskSpawner()).wait(2.0))
    await clock.advance(1.9)
    assert not pause.done()
    await clock.advance(0.1)
    await pause


async def test_a_pause_ends_when_rung() -> None:
    alarm = Alarm(ManualClock(), TaskSpawner())
    pause = asyncio.ensure_future(alarm.wait(2.0))
    await settle()
    alarm.ring()
    await pause


async def test_a_ring_while_nobody_waits_ends_the_next_pause_and_only_that() -> None:
    clock = ManualClock()
    alarm = Alarm(clock, TaskSpawner())
    alarm.ring()
    await alarm.wait(2.0)
    pause = asyncio.ensure_future(alarm.wait(2.0))
    await settle()
    assert not pause.done()
    await clock.advance(2.0)
    await pause
