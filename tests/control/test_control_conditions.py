"""Preconditions and idempotency keys: what was read may be changed, and what was asked twice is done once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.control.api_site import ADMIN, BACKEND, JOB, serving
from tests.control.control_sites import OWNER, W1, W2

if TYPE_CHECKING:
    from tests.control.api_site import Client, Reply
    from tests.control.control_sites import ControlSite, Stage

PRO = {"region": "global", "plan": "PRO", "owner": OWNER}
TO_EU = {"destination": "eu", "requested_by": OWNER}


async def put(api: Client, workspace: str = W1) -> Reply:
    return await api.send("PUT", f"/workspaces/{workspace}", PRO)


# Preconditions


async def test_an_etag_stays_while_nothing_changes(api: Client) -> None:
    made = await put(api)
    assert (await api.send("GET", f"/workspaces/{W1}")).headers["ETag"] == made.headers["ETag"]
    changed = await api.send("PATCH", f"/workspaces/{W1}", {"plan": "FREE"})
    assert changed.headers["ETag"] != made.headers["ETag"]


@pytest.mark.parametrize(
    ("method", "body"), [("PUT", PRO), ("PATCH", {"plan": "FREE"}), ("DELETE", None)], ids=["put", "patch", "delete"]
)
async def test_a_stale_if_match_is_412_and_changes_nothing(api: Client, method: str, body: object) -> None:
    stale = (await put(api)).headers["ETag"]
    before = await api.send("PATCH", f"/workspaces/{W1}", {"plan": "ENTERPRISE"})
    assert (await api.send(method, f"/workspaces/{W1}", body, If_Match=stale)).problem == "precondition-failed"
    assert (await api.send("GET", f"/workspaces/{W1}")).json == before.json


async def test_a_present_if_match_lets_the_change_through(api: Client) -> None:
    tag = (await put(api)).headers["ETag"]
    for condition in (f'"other", {tag}', "*"):
        reply = await api.send("PATCH", f"/workspaces/{W1}", {"plan": "PRO"}, If_Match=condition)
        assert reply.status == 200, condition


async def test_a_weak_tag_matches_nothing(api: Client) -> None:
    tag = (await put(api)).headers["ETag"]
    reply = await api.send("PATCH", f"/workspaces/{W1}", {"plan": "FREE"}, If_Match=f"W/{tag}")
    assert reply.problem == "precondition-failed"


async def test_nothing_matches_what_is_not_there(api: Client) -> None:
    assert (await api.send("PUT", f"/workspaces/{W1}", PRO, If_Match="*")).problem == "precondition-failed"


async def test_if_none_match_makes_it_once(api: Client) -> None:
    first, second = [await api.send("PUT", f"/workspaces/{W1}", PRO, If_None_Match="*") for _ in range(2)]
    assert (first.status, second.status) == (201, 412)


async def test_of_two_changes_to_the_same_state_one_is_made(api: Client) -> None:
    tag = (await put(api)).headers["ETag"]
    replies = await asyncio.gather(
        *(api.send("PATCH", f"/workspaces/{W1}", {"plan": plan}, If_Match=tag) for plan in ("A", "B", "C", "D"))
    )
    assert sorted(reply.status for reply in replies) == [200, 412, 412, 412]


async def test_a_transfer_starts_only_of_the_workspace_that_was_read(api: Client) -> None:
    stale = (await put(api)).headers["ETag"]
    await api.send("PATCH", f"/workspaces/{W1}", {"plan": "ENTERPRISE"})
    reply = await api.send("POST", f"/workspaces/{W1}/transfers", TO_EU, If_Match=stale)
    assert reply.problem == "precondition-failed"


async def test_a_step_of_a_transfer_is_made_only_of_the_state_that_was_read(api: Client, stage: Stage) -> None:
    await put(api)
    read = await api.send("POST", f"/workspaces/{W1}/transfers", TO_EU)
    transfer = read.json["id"]
    await stage.site.directory.evaluate(transfer, now=stage.now)
    reply = await api.send("POST", f"/transfers/{transfer}/complete", If_Match=read.headers["ETag"])
    assert reply.problem == "precondition-failed"


# Idempotency keys


async def test_a_repeated_request_gets_the_stored_answer(api: Client) -> None:
    await put(api)
    path = f"/workspaces/{W1}/transfers"
    first, second = [await api.send("POST", path, TO_EU, Idempotency_Key="k-1") for _ in range(2)]
    assert (second.status, second.json) == (201, first.json)
    assert (second.headers["Location"], second.headers["ETag"]) == (first.headers["Location"], first.headers["ETag"])
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert len((await api.send("GET", "/transfers")).json["items"]) == 1


async def test_requests_with_one_key_at_once_are_one(api: Client) -> None:
    await put(api)
    replies = await asyncio.gather(
        *(api.send("POST", f"/workspaces/{W1}/transfers", TO_EU, Idempotency_Key="k-1") for _ in range(4))
    )
    assert len({reply.text for reply in replies}) == 1
    assert {reply.status for reply in replies} == {201}


async def test_another_request_with_the_same_key_is_refused(api: Client) -> None:
    for workspace in (W1, W2):
        await put(api, workspace)
    await api.send("POST", f"/workspaces/{W1}/transfers", TO_EU, Idempotency_Key="k-1")
    for path, body in (
        (f"/workspaces/{W1}/transfers", {**TO_EU, "destination": "us"}),
        (f"/workspaces/{W2}/transfers", TO_EU),
    ):
        reply = await api.send("POST", path, body, Idempotency_Key="k-1")
        assert (reply.status, reply.problem) == (422, "idempotency-key-reused"), path


async def test_a_refusal_is_judged_anew(api: Client) -> None:
    await put(api)
    body = {"destination": "uk", "requested_by": OWNER}
    path = f"/workspaces/{W1}/transfers"
    assert (await api.send("POST", path, body, Idempotency_Key="k-1")).status == 409
    assert (await api.send("POST", path, TO_EU, Idempotency_Key="k-1")).status == 201


async def test_keys_of_different_tokens_are_different(api: Client) -> None:
    await put(api)
    await api.with_token(JOB).send("POST", f"/workspaces/{W1}/transfers", TO_EU, Idempotency_Key="k-1")
    reply = await api.with_token(ADMIN).send("POST", f"/workspaces/{W1}/transfers", TO_EU, Idempotency_Key="k-1")
    assert reply.problem == "transfer-running"


async def test_a_key_must_be_visible_text(api: Client) -> None:
    await put(api)
    for key in ("", "a b", "x" * 201):
        reply = await api.send("POST", f"/workspaces/{W1}/transfers", TO_EU, Idempotency_Key=key)
        assert reply.problem == "invalid-request", key


async def test_a_stored_answer_outlives_the_process(site: ControlSite) -> None:
    replies = []
    for _ in range(2):
        async with serving(site) as api:
            await put(api.with_token(BACKEND))
            replies.append(await api.send("POST", f"/workspaces/{W1}/transfers", TO_EU, Idempotency_Key="k-1"))
    assert replies[0].text == replies[1].text
