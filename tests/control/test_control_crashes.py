"""A control process that is killed at any step leaves one of the two legal states, and every event still arrives."""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
import time
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from router.control.delivery import CLAIM, Dispatcher
from router.control.secret_files import SecretFile
from router.control.webhooks import Destination, WebhookSender
from router.directory.store import KeyDraft
from router.model.placement import WorkspaceId
from router.model.tenant import Account
from tests.control.control_sites import (
    ANN,
    EU,
    GLOBAL,
    KEY,
    W1,
    ControlSite,
    PostgresControlSite,
    SqliteControlSite,
    Stage,
)
from tests.control.receiver import SECRET, receiving
from tests.directory.manual_clock import ManualClock
from tests.directory.sites import PostgresSite
from tests.postgres_server import url_of

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

    from router.model.transfer import TransferId

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def crashing() -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.control.crashing",
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    yield process
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()


async def run(process: Process, *words: object) -> bool:
    """Let it do something; whether it was killed."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(" ".join(map(str, words)).encode() + b"\n")
    said = (await process.stdout.readline()).decode().strip()
    assert said in {"killed", "done"}, said
    return said == "killed"


async def everything(stage: Stage) -> tuple[object, ...]:
    """What a completed transfer changes."""
    key, accounts, backups = await stage.do(
        lambda tx: (tx.key(KEY), tx.accounts(limit=9), [one.region for one in tx.backups(limit=9)])
    )
    assert key is not None
    audit = [line.action for line in await stage.do(lambda tx: tx.audit(limit=1))]
    return await stage.region_of(), key.superseded_by, accounts, backups, await stage.events(), audit


@pytest.fixture
async def database() -> AsyncIterator[tuple[PostgresControlSite, str]]:
    """A directory in PostgreSQL, and its URL."""
    site = await PostgresSite.make()
    control = PostgresControlSite(site)
    yield control, url_of(site.database)
    await control.close()


async def prepare(site: ControlSite) -> tuple[Stage, TransferId]:
    """A workspace that is transferring, with all that a transfer changes."""
    stage = Stage(site)
    await stage.put()
    await stage.join(ANN)
    await stage.tenants(lambda all_: all_.put_key(KeyDraft(KEY, workspace=W1)))
    return stage, await stage.transferring()


def all_of_it(transfer: TransferId) -> tuple[object, ...]:
    """What is there behind a complete."""
    done = ((EU, 4, False), transfer, (Account(ANN, EU),), [GLOBAL])
    return (*done, ["transfer.started", "transfer.completed"], ["transfer.complete"])


@pytest.mark.timeout(180)
async def test_a_kill_at_any_statement_of_complete_leaves_all_of_it_or_nothing(tmp_path: Path) -> None:
    original = tmp_path / "original.db"
    site = SqliteControlSite(original)
    stage, transfer = await prepare(site)
    nothing = await everything(stage)
    await site.close()
    assert nothing[0] == (GLOBAL, 3, True)

    seen = []
    async with crashing() as process:
        for n in count(1):
            copy = tmp_path / f"copy-{n}.db"
            shutil.copy(original, copy)
            killed = await run(process, "complete", copy, n, transfer)
            after = SqliteControlSite(copy)
            seen.append(await everything(Stage(after)))
            await after.close()
            if not killed:
                break
    assert seen[-1] == all_of_it(transfer)
    assert len(seen) > 20, "it was not killed at each of its statements"
    assert [state for state in seen if state not in (nothing, all_of_it(transfer))] == []


@pytest.mark.timeout(180)
async def test_so_it_does_on_postgresql_where_a_commit_may_have_gone_unheard(
    database: tuple[PostgresControlSite, str],
) -> None:
    site, url = database
    stage, transfer = await prepare(site)
    nothing = await everything(stage)
    seen = []
    killed = True
    async with crashing() as process:
        # What a killed process has not committed is gone, so the next one finds what the first one found.
        for n in count(1):
            killed = await run(process, "complete", url, n, transfer)
            seen.append(await everything(stage))
            if seen[-1] != nothing or not killed:
                break
        assert len(seen) > 40, "it was not killed at each of its statements"
        assert killed, "it was not killed behind its commit"
        assert await run(process, "complete", url, 10_000, transfer) is False
    assert seen[:-1] == [nothing] * (len(seen) - 1)
    assert seen[-1] == await everything(stage) == all_of_it(transfer)


@pytest.mark.timeout(180)
async def test_a_kill_at_any_statement_of_a_delivery_loses_no_event_and_turns_none_around(tmp_path: Path) -> None:
    original, secret = tmp_path / "original.db", tmp_path / "secret"
    secret.write_text(SECRET)
    site = SqliteControlSite(original)
    stage = Stage(site)
    await stage.put()
    await stage.completed()
    await site.close()

    sender = WebhookSender()
    kills = 0
    async with crashing() as process, receiving() as receiver:
        hook = Destination("hook", receiver.url, SecretFile(secret))
        for n in count(1):
            copy = tmp_path / f"copy-{n}.db"
            shutil.copy(original, copy)
            receiver.got.clear()
            killed = await run(process, "deliver", copy, n, receiver.url, secret)
            after = SqliteControlSite(copy)
            after.clock.jump(CLAIM + 1)
            dispatcher = Dispatcher(after.store, sender, hook, after.clock, random.Random(1))
            while await dispatcher.deliver():
                pass
            await after.close()
            assert list(dict.fromkeys(receiver.types)) == ["transfer.started", "transfer.completed"], n
            assert receiver.types.index("transfer.completed") == len(receiver.types) - 1, n
            kills += killed
            if not killed:
                break
    await sender.close()
    assert kills > 8, "it was not killed at each of its statements"


@pytest.mark.timeout(240)
async def test_so_it_does_of_a_delivery_on_postgresql(
    database: tuple[PostgresControlSite, str], tmp_path: Path
) -> None:
    site, url = database
    stage, secret = Stage(site), tmp_path / "secret"
    secret.write_text(SECRET)
    sender, later = WebhookSender(), ManualClock()
    later.suspend(time.time() + 300 + CLAIM - later.wall())
    kills = 0
    async with crashing() as process, receiving() as receiver:
        hook = Destination("hook", receiver.url, SecretFile(secret))
        for n in count(1):
            await stage.put(workspace := WorkspaceId(f"{n:024x}"))
            await stage.completed(workspace)
            receiver.got.clear()
            killed = await run(process, "deliver", url, n, receiver.url, secret)
            dispatcher = Dispatcher(site.store, sender, hook, later, random.Random(1))
            while await dispatcher.deliver():
                pass
            assert list(dict.fromkeys(receiver.types)) == ["transfer.started", "transfer.completed"], n
            assert receiver.types.index("transfer.completed") == len(receiver.types) - 1, n
            assert {one["data"]["workspace"] for one in receiver.got} == {workspace}
            kills += killed
            if not killed:
                break
    await sender.close()
    assert kills > 30, "it was not killed at each of its statements"
