"""A region refuses an API key: where a transfer has superseded it the client is told so, beside the region's answer."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from router.directory.store import KeyDraft, WorkspaceDraft
from router.model.placement import WorkspaceId
from router.model.region import RegionName
from tests.gateway.origin import ok
from tests.gateway.stage import IN_EU, IN_US, path, request
from tests.gateway.test_reroute import directory_held

if TYPE_CHECKING:
    from tests.gateway.conftest import Launch
    from tests.gateway.origin import Turn
    from tests.gateway.stage import Stage

KEY = "before-the-move"
REFUSES = b'HTTP/1.1 401 Unauthorized\r\nContent-Length: 14\r\n\r\n{"code": 4003}'
HINT = b"X-Router-Hint"
BY_PATH = request("GET", path(), f"X-Api-Key: {KEY}")
BY_KEY = request("GET", "/api/v1/user", f"X-Api-Key: {KEY}")


async def put_key(stage: Stage, *, superseded: bool, key: str = KEY, workspace: str = IN_EU) -> None:
    draft = KeyDraft(
        sha256(key.encode()).hexdigest(),
        workspace=WorkspaceId(workspace),
        superseded_by="a-transfer" if superseded else None,
    )
    await stage.store.put_keys([draft])


@pytest.mark.parametrize("raw", [BY_PATH, BY_KEY], ids=["named by path", "named by key"])
async def test_a_key_that_a_transfer_superseded_is_hinted_at_the_first_refusal(stage: Stage, raw: bytes) -> None:
    await put_key(stage, superseded=True)
    stage.eu.answers.append(REFUSES)
    answer = await stage.ask(raw)
    assert (answer.status, answer.value(HINT), answer.body) == (401, b"key-reissued-by-transfer", b'{"code": 4003}')


@pytest.mark.parametrize("known", [True, False])
async def test_any_other_refused_key_is_not(stage: Stage, known: bool) -> None:
    if known:
        await put_key(stage, superseded=False)
    stage.eu.answers.append(REFUSES)
    answer = await stage.ask(BY_PATH)
    assert (answer.status, answer.values(HINT), answer.body) == (401, [], b'{"code": 4003}')


async def test_nor_is_a_request_without_a_key(stage: Stage) -> None:
    stage.eu.answers.append(REFUSES)
    answer = await stage.ask(request("GET", path()))
    assert (answer.status, answer.values(HINT)) == (401, [])


@pytest.mark.parametrize("answer", [ok(), b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"])
async def test_nor_is_an_answer_that_is_no_401(stage: Stage, answer: bytes) -> None:
    await put_key(stage, superseded=True)
    stage.eu.answers.append(answer)
    assert (await stage.ask(BY_PATH)).values(HINT) == []


async def test_what_a_region_says_under_that_name_is_not_passed_on(stage: Stage) -> None:
    stage.eu.answers.append(REFUSES.replace(b"\r\nContent", b"\r\nX-Router-Hint: mine\r\nContent", 1))
    assert (await stage.ask(BY_PATH)).values(HINT) == []


async def test_the_connection_goes_on_behind_an_answer_that_was_held_back(stage: Stage) -> None:
    await put_key(stage, superseded=True)
    stage.eu.answers.append(REFUSES)
    client = await stage.client()
    assert (await client.ask(BY_PATH)).status == 401
    assert (await client.ask(BY_PATH)).body == b"eu"


async def test_an_answer_whose_end_came_with_its_head_is_whole_behind_the_wait(stage: Stage) -> None:
    async def refuse(turn: Turn) -> None:
        turn.send(b"HTTP/1.1 401 Unauthorized\r\n\r\nno length")
        turn.connection.close()

    stage.eu.answers.append(refuse)
    assert (await stage.ask(BY_PATH)).body == b"no length"


async def test_a_refusal_while_the_body_still_comes_is_passed_on_at_once(stage: Stage) -> None:
    await put_key(stage, superseded=True)

    async def refuse(turn: Turn) -> None:
        turn.send(REFUSES)

    stage.eu.answers.append(refuse)
    client = await stage.client()
    raw = request("POST", path(), f"X-Api-Key: {KEY}", "Content-Length: 10") + b"half"
    await client.send(raw)
    assert (await client.answer()).status == 401


async def test_where_the_directory_cannot_say_the_answer_comes_without_a_hint(launch: Launch) -> None:
    stage = await launch(directory="lookup_timeout = 0.2")
    await put_key(stage, superseded=True)
    assert (await stage.ask(request("GET", path()))).body == b"eu"
    stage.eu.answers.append(REFUSES)
    async with directory_held(stage):
        answer = await stage.ask(BY_PATH)
    assert (answer.status, answer.values(HINT), answer.body) == (401, [], b'{"code": 4003}')


async def test_a_key_of_another_workspace_is_judged_by_itself(stage: Stage) -> None:
    await stage.store.put_workspaces([WorkspaceDraft(WorkspaceId(IN_US), RegionName("us"))])
    await put_key(stage, superseded=True, workspace=IN_US)
    stage.eu.answers.append(REFUSES)
    assert (await stage.ask(BY_PATH)).value(HINT) == b"key-reissued-by-transfer"


async def test_an_observing_gateway_hints_nothing(launch: Launch) -> None:
    stage = await launch(policy='mode = "observe"')
    await put_key(stage, superseded=True)
    stage.home.answers.append(REFUSES)
    answer = await stage.ask(BY_PATH)
    assert (answer.status, answer.values(HINT)) == (401, [])
