"""The import of many workspaces over HTTP: all or none, and every bad row with its line."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.control.api_site import BACKEND, JOB
from tests.control.control_sites import OWNER, W1, W2

if TYPE_CHECKING:
    from tests.control.api_site import Client, Reply
    from tests.control.control_sites import Stage

CSV, NDJSON = "text/csv", "application/x-ndjson"
ROWS = 100_000


async def send(api: Client, text: str | bytes, content_type: str = CSV, **fields: str) -> Reply:
    data = text.encode() if isinstance(text, str) else text
    return await api.send("POST", "/imports", data=data, Content_Type=content_type, **fields)


async def workspaces(api: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.send("GET", "/workspaces")).json["items"]
    return found


@pytest.mark.parametrize(
    ("content_type", "text"),
    [
        (CSV, f"workspace,region,subdomain,plan,owner\n{W1},eu,acme,PRO,{OWNER}\n{W2},us,,,\n"),
        (
            NDJSON,
            "\n".join(
                json.dumps(row)
                for row in (
                    {"workspace": W1, "region": "eu", "subdomain": "acme", "plan": "PRO", "owner": OWNER},
                    {"workspace": W2, "region": "us"},
                )
            ),
        ),
    ],
)
async def test_rows_become_workspaces(api: Client, content_type: str, text: str) -> None:
    reply = await send(api, text, content_type)
    assert (reply.status, reply.json) == (200, {"rows": 2, "changed": 2})
    first, second = await workspaces(api)
    assert (first["region"], first["subdomain"], first["plan"], first["owner"]) == ("eu", "acme", "PRO", OWNER)
    assert (second["region"], second["subdomain"]) == ("us", None)


async def test_an_import_is_one_line_of_the_audit_log(api: Client) -> None:
    await send(api.with_token(BACKEND), f"workspace,region\n{W1},eu\n")
    (line,) = (await api.send("GET", "/audit")).json["items"]
    assert (line["who"], line["action"], line["after"]["rows"]) == ("backend", "workspace.import", 1)
    assert len(line["after"]["sha256"]) == 64


async def test_every_bad_row_is_told_and_nothing_is_kept(api: Client) -> None:
    reply = await send(api, f"workspace,region\n{W1},eu\nx,eu\n{W2},mars\n")
    assert (reply.status, reply.problem) == (422, "bad-rows")
    assert [error["place"] for error in reply.json["errors"]] == ["line 3, workspace", "line 4, region"]
    assert await workspaces(api) == []


@pytest.mark.timeout(40)
async def test_a_header_with_very_many_names_keeps_nobody_waiting(api: Client) -> None:
    reply = await send(api, ",".join(f"c{column}" for column in range(60_000)))
    assert (reply.status, reply.problem) == (422, "bad-rows")


async def test_what_the_directory_forbids_is_told_by_line(api: Client) -> None:
    await send(api, f"workspace,region\n{W1},eu\n")
    reply = await send(api, f"workspace,region\n{W2},us\n{W1},us\n")
    assert reply.problem == "bad-rows"
    (error,) = reply.json["errors"]
    assert error["place"] == "line 3"
    assert "only a transfer moves it" in error["detail"]
    assert [one["workspace"] for one in await workspaces(api)] == [W1]


async def test_a_sheet_of_another_kind_is_refused(api: Client) -> None:
    assert (await send(api, "{}", "application/json")).problem == "unsupported-media-type"
    assert (await send(api, "x", CSV, Content_Encoding="gzip")).problem == "unsupported-media-type"


async def test_an_import_needs_its_scope(api: Client) -> None:
    assert (await send(api.with_token(JOB), f"workspace,region\n{W1},eu\n")).problem == "no-scope"


async def test_an_import_is_done_once_for_its_key(api: Client) -> None:
    text = f"workspace,region\n{W1},eu\n"
    first, second = [await send(api, text, Idempotency_Key="k-1") for _ in range(2)]
    assert (first.json, second.json) == ({"rows": 1, "changed": 1}, {"rows": 1, "changed": 1})
    other = await send(api, f"workspace,region\n{W2},eu\n", Idempotency_Key="k-1")
    assert other.problem == "idempotency-key-reused"


@pytest.mark.timeout(120)
async def test_a_hundred_thousand_rows_take_less_than_thirty_seconds(api: Client) -> None:
    rows = "".join(f"{n:024x},{'eu' if n % 2 else 'us'},s{n}\n" for n in range(ROWS))
    begun = time.monotonic()
    reply = await send(api, "workspace,region,subdomain\n" + rows)
    assert reply.json == {"rows": ROWS, "changed": ROWS}
    # The machine may be busy with other tests: CPU time would not count the waiting for its disk.
    assert time.monotonic() - begun < 30


@pytest.mark.timeout(120)
async def test_a_bad_row_70_000_leaves_nothing_behind(api: Client, stage: Stage) -> None:
    await send(api, f"workspace,region\n{70_000:024x},eu\n")
    rows = "".join(f"{n:024x},us\n" for n in range(ROWS))
    reply = await send(api, "workspace,region\n" + rows)
    assert [error["place"] for error in reply.json["errors"]] == ["line 70002"]
    assert len(await stage.do(lambda tx: tx.workspaces(limit=10))) == 1
