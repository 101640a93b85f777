"""What a request carries reaches its region and nothing else: no log, no file, no metric keeps a byte of it."""

from __future__ import annotations

import logging
from hashlib import sha256
from typing import TYPE_CHECKING

import aiohttp

from router.directory.store import KeyDraft
from router.model.region import RegionName
from tests.gateway.origin import ok
from tests.gateway.stage import IN_EU, path, request

if TYPE_CHECKING:
    import pytest

    from tests.gateway.stage import Stage

KEY = "key-0123456789-very-secret"
TOKEN = "token-0123456789-very-secret"
QUERY = "query-0123456789-very-secret"
BODY = b"body-0123456789-very-secret"
SECRETS = [KEY.encode(), TOKEN.encode(), QUERY.encode(), BODY]


def secret_requests() -> list[bytes]:
    """An ordinary one, one that only its key routes, one that fails at its region, and two that are refused."""
    fields = (f"X-Api-Key: {KEY}", f"X-Auth-Token: {TOKEN}", f"Cookie: session={TOKEN}")
    return [
        request("POST", f"{path()}?token={QUERY}", *fields, body=BODY),
        request("POST", f"/api/v1/user?token={QUERY}", *fields, body=BODY),
        request("POST", f"{path(rest='garbage')}?token={QUERY}", *fields, body=BODY),
        request("POST", f"{path(rest='../x')}?token={QUERY}", *fields, body=BODY),
        request("POST", f"{path()}?token={QUERY}", *fields, "Content-Length: +26", body=BODY),
    ]


async def ask_all(stage: Stage) -> list[int]:
    """The statuses of all of them. The region answers the third with what is no HTTP, and shows what it got in it."""
    stage.eu.answers.extend([ok(), b"garbage " + KEY.encode() + BODY + b"\r\n\r\n"])
    return [(await stage.ask(one)).status for one in secret_requests()]


async def test_no_log_line_shows_a_credential_a_query_or_a_body(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        statuses = await ask_all(stage)
    assert statuses == [200, 200, 502, 400, 400]
    told = "\n".join(f"{record.getMessage()} {record.exc_text}" for record in caplog.records).encode()
    assert told
    assert [secret for secret in SECRETS if secret in told] == []


async def test_no_file_of_the_directory_holds_a_credential_a_query_or_a_body(stage: Stage) -> None:
    digest = sha256(KEY.encode()).hexdigest()
    await stage.store.put_keys([KeyDraft(digest, region=RegionName("eu"))])
    await ask_all(stage)
    files = [file for file in stage.folder.rglob("*") if file.is_file()]
    written = b"".join(file.read_bytes() for file in files)
    assert digest.encode() in written, "this looks at the right files"
    assert IN_EU.encode() in written
    assert [secret for secret in SECRETS if secret in written] == []


async def test_no_metric_names_a_workspace_or_anything_of_a_request(stage: Stage) -> None:
    await ask_all(stage)
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{stage.process.ops_listen[0]}/metrics") as answer,
    ):
        shown = await answer.read()
    assert b'router_requests_total{code="400"' in shown
    assert [secret for secret in [*SECRETS, IN_EU.encode()] if secret in shown] == []
