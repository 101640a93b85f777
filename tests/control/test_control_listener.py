"""Where the control API is served: at listeners of its own, by TLS, or with the metrics; without a token nowhere."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession, web

from router.control.audit import Act
from router.control.lifecycle import Lifecycle, Wish
from router.directory.ports import SystemClock, TaskSpawner
from router.directory.sqlite import SqliteStore, migrate
from router.directory.sqlite.control import SqliteControlStore
from router.directory.store import WorkspaceDraft
from router.gateway.tls import client_context
from router.model.placement import WorkspaceId
from router.model.region import RegionName, TlsFiles
from router.runtime.control import control_plane
from router.runtime.fixed import refusals
from router.settings.load import load_text
from router.telemetry.ops import ops_runner
from tests.certificates import write_authority, write_identity
from tests.control.receiver import SECRET, receiving
from tests.directory.manual_clock import settle

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator
    from pathlib import Path

TOKEN = "a-token-that-is-long-enough"
BASE = """
[directory]
url = "sqlite:///directory.db"
[services.api]
match = ["127.0.0.1/api"]
path = "/api"
[regions.global]
origin = "http://127.0.0.1:9"
public_url = "https://global.example.com"
"""
REGIONS = '[regions.eu]\norigin = "http://127.0.0.1:9"\npublic_url = "https://eu.example.com"\n'
WITH_TOKEN = '[[control.tokens]]\nname = "backend"\nfile = "token"\nscopes = ["read"]\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    migrate(tmp_path / "directory.db", clock=SystemClock())
    (tmp_path / "token").write_text(TOKEN)
    write_authority(tmp_path / "ca.pem")
    write_identity(tmp_path / "cert.pem", tmp_path / "key.pem", "localhost")
    return tmp_path


@contextlib.asynccontextmanager
async def running(folder: Path, control: str) -> AsyncIterator[tuple[str, tuple[str, ...]]]:
    """A control plane beside an ops listener: where that is, and where its own are."""
    settings = load_text(BASE + control, {}, folder=folder)
    spawner, ops = TaskSpawner(), web.Application()
    async with control_plane(settings, ops, SystemClock(), spawner) as plane:
        runner = ops_runner(ops)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}", plane.listen
        await runner.cleanup()
    await spawner.close()


async def status(url: str, token: str = TOKEN, context: ssl.SSLContext | None = None) -> int:
    async with ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        tls: ssl.SSLContext | bool = True if context is None else context
        async with session.get(f"{url}/control/v1/me", ssl=tls) as answer:
            return answer.status


async def test_it_is_served_with_the_metrics_by_default(folder: Path) -> None:
    async with running(folder, WITH_TOKEN) as (ops, own):
        assert (await status(ops), await status(ops, "another-token"), own) == (200, 401, ())


async def test_without_a_token_there_is_no_control_api(folder: Path) -> None:
    async with running(folder, "") as (ops, own):
        assert (await status(ops), own) == (404, ())


async def test_listeners_of_its_own_leave_the_metrics_alone(folder: Path) -> None:
    async with running(folder, WITH_TOKEN + '[control]\nlisten = ["127.0.0.1:0"]\n') as (ops, (own,)):
        assert (await status(f"http://{own}"), await status(ops)) == (200, 404)


async def test_its_own_listeners_speak_tls(folder: Path) -> None:
    tls = '[control]\nlisten = ["127.0.0.1:0"]\n[control.tls]\ncert = "cert.pem"\nkey = "key.pem"\n'
    async with running(folder, WITH_TOKEN + tls) as (_, (own,)):
        url = f"https://localhost:{own.rpartition(':')[2]}"
        assert await status(url, context=client_context(TlsFiles(ca=folder / "ca.pem"))) == 200


async def test_a_token_that_was_replaced_counts_at_once(folder: Path) -> None:
    async with running(folder, WITH_TOKEN) as (ops, _):
        (folder / "new").write_text("another-token-that-is-long-enough")
        (folder / "new").replace(folder / "token")
        assert (await status(ops), await status(ops, "another-token-that-is-long-enough")) == (401, 200)


async def test_a_webhook_that_a_reload_adds_is_told_of_what_happens_from_then_on(folder: Path) -> None:
    (folder / "secret").write_text(SECRET)
    store = SqliteStore(folder / "directory.db", clock=SystemClock())
    control = SqliteControlStore(folder / "directory.db")
    spawner, ops = TaskSpawner(), web.Application()
    before = load_text(BASE + REGIONS + WITH_TOKEN, {}, folder=folder)
    async with receiving() as receiver, control_plane(before, ops, SystemClock(), spawner) as plane:
        hook = f'[[control.webhooks]]\nname = "hook"\nurl = "{receiver.url}"\nsecret_file = "secret"\n'
        after = load_text(BASE + REGIONS + WITH_TOKEN + hook, {}, folder=folder)
        assert refusals(before, after) == ()
        plane.prepare(after)()
        await store.put_workspaces([WorkspaceDraft(WorkspaceId("f" * 24), RegionName("global"), None, "PRO", "owner")])
        wish, act = Wish(WorkspaceId("f" * 24), RegionName("eu"), "owner"), Act("job", time.time())
        await control.transact(lambda tx: Lifecycle(tx, act, after.control.options).start(wish))
        async with asyncio.timeout(20):
            while receiver.types != ["transfer.started"]:
                await settle()
    await spawner.close()
    await control.close()
    await store.close()
