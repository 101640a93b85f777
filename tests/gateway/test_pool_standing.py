"""What a scrape is told of the connections to regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.gateway.pool import PoolStanding
from router.model.region import RegionName
from tests.gateway.stage import GET, IN_US, path, request

if TYPE_CHECKING:
    from tests.gateway.conftest import Launch
    from tests.gateway.origin import Turn
    from tests.gateway.stage import Stage

EU = RegionName("eu")
US = RegionName("us")


async def silent(turn: Turn) -> None:
    """An answer that never comes."""


async def test_there_is_nothing_before_the_first_request(stage: Stage) -> None:
    assert stage.gateway.pools_standing() == dict.fromkeys(stage.origins, PoolStanding(0, 0, 0, 0))


async def test_a_connection_is_idle_when_its_answer_is_whole(stage: Stage) -> None:
    await stage.ask(GET)
    assert stage.gateway.pools_standing()[EU] == PoolStanding(busy=0, idle=1, dialling=0, waiting=0)


async def test_a_connection_is_busy_while_its_region_thinks_and_no_other_region_s_is(stage: Stage) -> None:
    stage.eu.answers.append(silent)
    client = await stage.client()
    await client.send(GET)
    await stage.until(lambda: bool(stage.eu.requests))
    standing = stage.gateway.pools_standing()
    assert (standing[EU], standing[US]) == (PoolStanding(1, 0, 0, 0), PoolStanding(0, 0, 0, 0))


async def test_a_request_that_finds_all_of_them_busy_waits(launch: Launch) -> None:
    stage = await launch(limits={"pool_size": 1})
    stage.us.answers.append(silent)
    for _ in range(2):
        client = await stage.client()
        await client.send(request("GET", path(IN_US)))
    await stage.until(lambda: stage.gateway.pools_standing()[US] == PoolStanding(1, 0, 0, 1))
