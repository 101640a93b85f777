"""The shape of every answer of the control API, of its refusals, and of the document that describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from router.control.api.catalogue import OPERATIONS
from router.control.problems import ControlProblem
from tests.control.api_site import ADMIN, BACKEND, JOB, READER
from tests.control.control_sites import W1

if TYPE_CHECKING:
    from tests.control.api_site import Client
    from tests.control.control_sites import Stage

# Answers


async def test_an_answer_is_not_to_be_stored_and_has_the_request_s_id(api: Client) -> None:
    reply = await api.send("GET", "/me", X_Request_ID="my-id-1")
    assert (reply.headers["Cache-Control"], reply.headers["X-Request-ID"]) == ("no-store", "my-id-1")


async def test_an_insane_request_id_is_replaced(api: Client) -> None:
    assert len((await api.send("GET", "/me", X_Request_ID="a b")).headers["X-Request-ID"]) == 32


async def test_a_problem_has_the_gateway_s_members(api: Client) -> None:
    reply = await api.send("GET", f"/workspaces/{W1}", X_Request_ID="my-id-1")
    assert reply.problem == "no-such-workspace"
    assert reply.json["message"] == ControlProblem.NO_WORKSPACE.spec.message
    assert (reply.json["code"], reply.json["instance"]) == (9607, "urn:request:my-id-1")


async def test_of_an_unknown_member_no_more_than_a_short_name_is_told(api: Client) -> None:
    reply = await api.send("PUT", f"/workspaces/{W1}", {"region": "eu", "s" * 10_000: 1})
    assert (reply.status, reply.problem) == (422, "invalid-request")
    assert reply.json["errors"][0]["place"] == "body." + "s" * 60


async def test_a_path_that_leads_nowhere_is_404_in_the_same_shape(api: Client) -> None:
    assert (await api.send("GET", "/nothing")).problem == "no-such-resource"
    assert (await api.send("GET", "/control/elsewhere")).problem == "no-such-resource"


async def test_an_id_that_cannot_be_one_leads_nowhere(api: Client) -> None:
    assert (await api.send("GET", "/workspaces/not-an-id")).problem == "no-such-resource"


async def test_a_method_that_is_not_offered_is_405_and_names_those_that_are(api: Client) -> None:
    reply = await api.send("POST", "/regions")
    assert (reply.problem, reply.headers["Allow"]) == ("no-such-method", "GET, HEAD")


async def test_a_head_is_a_get_without_its_body(api: Client) -> None:
    reply = await api.send("HEAD", "/me")
    assert (reply.status, reply.text) == (200, "")


@pytest.mark.parametrize(
    ("data", "content_type", "problem"),
    [
        (b"{", "application/json", "malformed-request"),
        (b"", "application/json", "malformed-request"),
        (b"{}", "text/plain", "unsupported-media-type"),
        (b"[]", "application/json", "invalid-request"),
        (b'{"region": "eu", "colour": "red"}', "application/json", "invalid-request"),
        (b'{"region": "e u"}', "application/json", "invalid-request"),
        (b'{"region": "eu", "plan": "' + b"x" * (1 << 20) + b'"}', "application/json", "control-body-too-large"),
    ],
)
async def test_a_body_that_is_not_what_is_asked_for_is_refused(
    api: Client, data: bytes, content_type: str, problem: str
) -> None:
    assert (await api.send("PUT", f"/workspaces/{W1}", data=data, Content_Type=content_type)).problem == problem


async def test_every_problem_of_a_body_has_its_place_and_never_its_value(api: Client) -> None:
    reply = await api.send("PUT", f"/workspaces/{W1}", {"region": "SECRET-1", "plan": "SECRET\n2"})
    assert [error["place"] for error in reply.json["errors"]] == ["body.region", "body.plan"]
    assert "SECRET" not in reply.text


async def test_a_query_that_is_not_what_is_asked_for_is_refused(api: Client) -> None:
    for query in ("limit=0", "limit=501", "limit=1_0", "colour=red", "limit=1&limit=2", "after=x"):
        assert (await api.send("GET", f"/transfers?{query}")).problem == "invalid-request", query


async def test_a_directory_that_is_gone_is_503_to_come_back_to(api: Client, stage: Stage) -> None:
    await stage.site.close()
    reply = await api.send("GET", "/workspaces")
    assert (reply.problem, reply.headers["Retry-After"]) == ("control-directory-unavailable", "2")


# The document


async def test_the_document_describes_every_operation_and_nothing_else(api: Client) -> None:
    described = (await api.send("GET", "/control/openapi.json")).json
    assert described["openapi"] == "3.1.0"
    found = {
        (method.upper(), path, operation["operationId"])
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }
    assert found == {(one.method, f"/control/v1{one.path}", one.name) for one in OPERATIONS}


@pytest.mark.parametrize("token", [READER, BACKEND, JOB, ADMIN])
async def test_anybody_with_a_token_may_ask_who_they_are(api: Client, token: str) -> None:
    assert (await api.with_token(token).send("GET", "/me")).json["name"] == token.removesuffix("-token")
