"""Who may not read a workspace learns neither where it lives nor whether there is one, by answers or by lookups."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.gateway.stage import AT_HOME, IN_EU, IN_US, UNKNOWN, path, request

if TYPE_CHECKING:
    from tests.gateway.conftest import Launch
    from tests.gateway.stage import Stage

ANYWHERE = [AT_HOME, IN_EU, IN_US, UNKNOWN]


async def looked_up(stage: Stage) -> dict[str, int]:
    """How many requests were located, by where their answer came from."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{stage.process.ops_listen[0]}/metrics") as answer,
    ):
        shown = await answer.text()
    return {
        source: int(float(number))
        for source, number in re.findall(r'^router_directory_lookups_total{source="(\w+)"} (\S+)$', shown, re.MULTILINE)
    }


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_region_s_refusal_looks_the_same_wherever_the_workspace_lives_and_whether_there_is_one(
    stage: Stage, status: int
) -> None:
    for origin in stage.origins.values():
        origin.default = b"HTTP/1.1 %d No\r\nContent-Length: 2\r\n\r\nno" % status
    answers = [await stage.ask(request("GET", path(workspace))) for workspace in ANYWHERE]
    shown = {re.sub(rb"\r\nX-Request-ID: [^\r]+", b"", answer.head) + answer.body for answer in answers}
    assert len(shown) == 1


async def test_where_unknown_workspaces_are_refused_text_in_an_id_s_place_looks_the_same(launch: Launch) -> None:
    stage = await launch(policy='unknown_workspace = "refuse"')
    answers = [await stage.ask(request("GET", path(workspace))) for workspace in (UNKNOWN, "not-an-id")]
    assert [answer.status for answer in answers] == [404, 404]
    assert len({re.sub(rb'"(request_id|instance)": "[^"]+"', b"", answer.body) for answer in answers}) == 1


async def test_an_id_that_is_not_there_costs_the_lookups_of_one_that_is(stage: Stage) -> None:
    for workspace in (IN_EU, IN_EU, UNKNOWN, UNKNOWN):
        await stage.ask(request("GET", path(workspace)))
    counted = await looked_up(stage)
    assert (counted["miss"], counted["hit"] + counted["negative"]) == (2, 2)
