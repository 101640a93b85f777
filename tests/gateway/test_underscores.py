"""Fields with `_` in their names: strangers here, and `-` to a backend that speaks CGI."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.gateway.stage import path, request

if TYPE_CHECKING:
    from tests.gateway.conftest import Launch
    from tests.gateway.stage import Stage

SHADOWS = (
    "Content_Length: 5",
    "content_length: 5",
    "Transfer_Encoding: chunked",
    "X_Api_Key: other",
    "X-Api_Key: other",
    "X_ADDON_TOKEN: other",
    "X_Auth_Token: other",
    "X_Workspace_Epoch: 999",
    "X_Request_Id: other",
    "X_Forwarded_For: 6.6.6.6",
    "X_Forwarded_Port: 1",
    "X-Forwarded_Prefix: /x",
    "Keep_Alive: x",
    "Content_Type: text/html",
)
STRANGERS = ("X_Custom: 1", "my_field: a_b", "X-A: a_b", "_: 1", "Cookie: a_b=c_d", "Host_Name: x")


@pytest.mark.parametrize("field", SHADOWS)
async def test_a_field_that_shadows_one_that_counts_is_refused(stage: Stage, field: str) -> None:
    answer = await stage.ask(request("GET", path(), field))
    assert (answer.status, json.loads(answer.body)["code"]) == (400, 9400)
    assert not stage.eu.requests


@pytest.mark.parametrize("field", STRANGERS)
async def test_any_other_passes_as_it_came(stage: Stage, field: str) -> None:
    assert (await stage.ask(request("GET", path(rest="a_b?c_d=e_f"), field))).status == 200
    assert f"\r\n{field}\r\n".encode() in (await stage.eu.request()).head


@pytest.mark.parametrize("field", ["X_Api_Key: other", "X_Forwarded_For: 6.6.6.6", "Content_Length: 5"])
async def test_it_is_dropped_where_policy_says_so(launch: Launch, field: str) -> None:
    stage = await launch(gateway='underscore_fields = "drop"')
    assert (await stage.ask(request("GET", path(), "X_One: 1", field, "X_Two: 2"))).status == 200
    head = (await stage.eu.request()).head
    assert b"\r\nX_One: 1\r\nX_Two: 2\r\n" in head
    assert field.encode() not in head


async def test_it_is_refused_each_time_it_comes(stage: Stage) -> None:
    raw = request("GET", path(), "X_Api_Key: other")
    assert [(await stage.ask(raw)).status for _ in range(3)] == [400, 400, 400]


async def test_the_key_s_own_field_may_have_such_a_name(launch: Launch) -> None:
    stage = await launch(identify='api_key_header = "X_Api_Key"')
    assert (await stage.ask(request("GET", path(), "X_Api_Key: mine"))).status == 200


async def test_the_configured_key_s_field_is_shadowed_too(launch: Launch) -> None:
    stage = await launch(identify='api_key_header = "My-Key"')
    assert (await stage.ask(request("GET", path(), "My_Key: other"))).status == 400
