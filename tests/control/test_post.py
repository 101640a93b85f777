"""Who is told as the configuration changes; what becomes of events for those who are named no more; and the numbers."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from router.control.delivery import GIVE_UP
from router.control.post import TAKEN_OUT, UNKNOWN, Post
from router.control.scheduler import LOOK, Scheduler
from router.control.secret_files import SecretFile
from router.control.webhooks import Destination, WebhookSender
from router.directory.ports import TaskSpawner
from router.model.journal import Delivery, DeliveryState
from router.model.transfer import TransferState
from tests.control.control_sites import OPTIONS, W1, W2, Stage
from tests.control.receiver import SECRET, Receiver, receiving
from tests.directory.manual_clock import settle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

MOST_TURNS = 20_000
"""Of the loop and the test's clock, until something has to have happened."""


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


@pytest.fixture
def to(receiver: Receiver, tmp_path: Path) -> Callable[[str], Destination]:
    """Makes a destination of that name."""
    (tmp_path / "secret").write_text(SECRET)
    return lambda name: Destination(name, receiver.url, SecretFile(tmp_path / "secret"))


@pytest.fixture
async def post(stage: Stage) -> AsyncIterator[Post]:
    spawner, sender = TaskSpawner(), WebhookSender()
    post = Post(stage.site.store, sender, clock=stage.site.clock, spawner=spawner, random=random.Random(1))
    yield post
    await post.close()
    await spawner.close()
    await sender.close()


async def until(stage: Stage, holds: Callable[[], bool]) -> None:
    """Let the dispatchers work."""
    for _ in range(MOST_TURNS):
        if holds():
            return
        await stage.site.clock.advance(0.1)
        await settle()
    pytest.fail("it did not happen")


async def deliveries(stage: Stage) -> list[Delivery]:
    events = await stage.do(lambda tx: tx.events(limit=1000))
    return list(await stage.do(lambda tx: tx.deliveries([event.number for event in events])))


async def states(stage: Stage) -> set[tuple[str, DeliveryState, str | None]]:
    return {(one.destination, one.state, one.trouble) for one in await deliveries(stage)}


async def test_a_destination_that_is_added_is_told_from_then_on(
    stage: Stage, post: Post, to: Callable[[str], Destination], receiver: Receiver
) -> None:
    post.adopt([])
    await stage.put()
    post.adopt([to("hook")])
    await stage.start()
    await until(stage, lambda: receiver.types == ["transfer.started"])
    await until(stage, lambda: list(post.attempts()) == [("hook", 1, 0)])


async def test_what_is_pending_for_one_that_is_taken_out_is_dead_with_the_reason(
    stage: Stage, post: Post, to: Callable[[str], Destination], receiver: Receiver
) -> None:
    receiver.statuses = [500] * 100
    post.adopt([to("hook")])
    await stage.put()
    await stage.start()
    await until(stage, lambda: bool(receiver.ids))
    post.adopt([])
    while await states(stage) != {("hook", DeliveryState.DEAD, TAKEN_OUT)}:
        await settle()
    assert list(post.attempts()) == []


async def test_one_that_stays_goes_on_as_before(
    stage: Stage, post: Post, to: Callable[[str], Destination], receiver: Receiver
) -> None:
    post.adopt([to("hook")])
    await stage.put()
    await stage.start()
    await until(stage, lambda: list(post.attempts()) == [("hook", 1, 0)])
    post.adopt([to("hook"), to("other")])
    assert list(post.attempts()) == [("hook", 1, 0), ("other", 0, 0)]


async def test_one_that_moved_is_told_where_it_is_now(
    stage: Stage, post: Post, to: Callable[[str], Destination], receiver: Receiver
) -> None:
    here = to("hook")
    post.adopt([Destination("hook", "http://127.0.0.1:1/", here.secret)])
    await stage.put()
    await stage.start()
    post.adopt([here])
    await until(stage, lambda: receiver.types == ["transfer.started"])


@pytest.mark.parametrize(("days", "state"), [(0.9, DeliveryState.PENDING), (1.1, DeliveryState.DEAD)])
async def test_what_nobody_has_attempted_for_a_day_is_dead_where_the_destination_is_not_known(
    stage: Stage, days: float, state: DeliveryState
) -> None:
    await stage.put()
    await stage.start()
    stage.site.clock.jump(days * GIVE_UP)
    await Scheduler(stage.site.store, stage.site.clock, replace(OPTIONS, destinations=())).keep_hours()
    found = {one.state for one in await deliveries(stage) if one.destination == "hook"}
    assert found == {state}
    assert (state is DeliveryState.PENDING) or ("hook", state, UNKNOWN) in await states(stage)


async def test_a_known_destination_is_never_given_up_by_that(stage: Stage) -> None:
    await stage.put()
    await stage.start()
    stage.site.clock.jump(2 * GIVE_UP)
    await Scheduler(stage.site.store, stage.site.clock, replace(OPTIONS, destinations=("hook",))).keep_hours()
    assert ("hook", DeliveryState.DEAD, UNKNOWN) not in await states(stage)


async def test_how_everything_stands_is_seen_now_and_then(stage: Stage) -> None:
    scheduler = Scheduler(stage.site.store, stage.site.clock, OPTIONS)
    await stage.put(W1)
    await stage.put(W2)
    await stage.completed(W1)
    begun = stage.now
    await stage.start(W2)
    await scheduler.keep_hours()
    seen = scheduler.standing
    assert seen is not None
    assert seen.transfers == {TransferState.COMPLETED: 1, TransferState.LOCKING: 1}
    assert seen.locking_since == pytest.approx(begun)
    assert seen.deliveries == {("hook", DeliveryState.PENDING): 3}
    await scheduler.keep_hours()
    assert scheduler.standing is seen
    stage.site.clock.jump(LOOK)
    await scheduler.keep_hours()
    assert scheduler.standing is not seen
