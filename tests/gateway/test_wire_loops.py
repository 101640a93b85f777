"""The stories that a loop could spoil, once more on uvloop, which production runs on."""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from tests.gateway import test_caps as caps
from tests.gateway import test_gone as gone
from tests.gateway import test_wire_answers as answers
from tests.gateway import test_wire_backpressure as backpressure
from tests.gateway import test_wire_bodies as bodies
from tests.gateway import test_wire_deadlines as deadlines
from tests.gateway import test_wire_faults as faults
from tests.gateway import test_wire_locks as locks
from tests.gateway import test_wire_pipelining as pipelining
from tests.gateway import test_wire_pool as pool
from tests.gateway.stage import Stage, staged
from tests.gateway.test_tunnel import EVERY as TUNNELS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AsyncExitStack
    from pathlib import Path

ON_A_STAGE: tuple[Callable[[Stage], Awaitable[None]], ...] = (
    answers.test_an_answer_that_ends_with_its_connection_ends_the_client_s_too,
    backpressure.test_an_upload_waits_for_its_region_in_bounded_memory_and_arrives_whole,
    bodies.test_a_client_that_goes_on_sending_gets_an_early_answer_all_the_same,
    bodies.test_an_answer_that_lies_before_the_region_s_reset_is_passed_on,
    deadlines.test_a_client_that_reads_none_of_many_answers_is_not_read_from_either,
    deadlines.test_a_region_that_reads_again_in_time_gets_the_rest,
    faults.test_a_close_delimited_answer_that_was_reset_resets_the_client,
    faults.test_a_client_is_gone_too_whose_next_request_is_held,
    faults.test_a_client_that_closes_its_sending_half_is_taken_to_be_gone,
    gone.test_a_client_that_resets_an_upload_that_its_region_does_not_take_ends_it,
    gone.test_a_client_that_has_asked_all_and_finished_still_gets_its_answers,
    gone.test_an_answer_that_is_read_slowly_by_a_client_whose_next_request_waits_is_whole,
    locks.test_when_the_term_ends_an_upload_writes_nothing_more,
    pipelining.test_answers_come_in_the_order_of_their_requests_whoever_gives_them,
    pipelining.test_what_follows_a_last_request_is_not_answered_and_spoils_no_answer,
    pool.test_nothing_is_repeated_twice,
    *TUNNELS,
)
WITH_SETTINGS: tuple[Callable[[Any], Awaitable[None]], ...] = (
    caps.test_one_connection_more_than_a_client_may_have_is_reset_and_counted,
    caps.test_a_connection_that_is_turned_away_is_not_answered_though_its_request_is_here,
    deadlines.test_a_client_that_reads_none_of_many_answers_is_reset,
    deadlines.test_a_slow_but_moving_reader_is_not_cut,
    locks.test_an_upload_is_cut_at_the_end_of_the_drain_and_only_then_is_the_lock_applied,
    locks.test_a_download_is_cut_at_the_end_of_the_drain,
)


async def tell(story: Callable[[Any], Awaitable[None]], folder: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        if story in ON_A_STAGE:
            await story(await stack.enter_async_context(staged(folder)))
        else:
            await story(launcher(stack, folder))


def launcher(stack: AsyncExitStack, folder: Path) -> Callable[..., Awaitable[Stage]]:
    async def launch(**settings: Any) -> Stage:
        return await stack.enter_async_context(staged(folder, **settings))

    return launch


@pytest.mark.parametrize("story", ON_A_STAGE + WITH_SETTINGS, ids=lambda story: story.__name__.removeprefix("test_"))
def test_on_uvloop(story: Callable[[Any], Awaitable[None]], folder: Path) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(30):
            await tell(story, folder)

    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(in_time())

    # In a thread of its own: the loop of the other tests stays untouched.
    with ThreadPoolExecutor(1) as executor:
        executor.submit(run).result()
