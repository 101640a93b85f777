"""One workspace's whole way, with real processes: a gateway with its control plane, regions, a client, a receiver."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from aiohttp import ClientSession

from router.demo.region import FakeRegion
from router.demo.world import superseded_keys
from router.directory.ports import SystemClock
from router.directory.sqlite import SqliteStore, migrate
from router.model.region import RegionName
from tests.control.api_site import Client, Reply
from tests.control.receiver import SECRET, Receiver, receiving
from tests.directory.sites import PostgresSite
from tests.postgres_server import url_of

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Callable, Coroutine

    from tests.directory.sites import MaintainedStore

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-that-is-long-enough"
W1, W2 = "64a687e29ae1f428e7ebe301", "64a687e29ae1f428e7ebe302"
OWNER = "5f8d0c2e7a1b4c3d9e6f7a80"
API_KEY = "an-api-key"
DIGEST = hashlib.sha256(API_KEY.encode()).hexdigest()
REGIONS = ("global", "eu", "au")

CONFIGURATION = """
[gateway]
listen = ["127.0.0.1:0"]
drain_delay = 0.0
timeouts = {{ shutdown = 1.0 }}
[ops]
listen = ["127.0.0.1:0"]
[directory]
url = "{directory}"
[control]
backup_lock = 1.0
[[control.tokens]]
name = "backend"
file = "token"
scopes = ["workspaces", "transfers"]
[[control.webhooks]]
name = "backend"
url = "{hook}"
secret_file = "secret"
[services.api]
match = ["127.0.0.1/api"]
path = "/api"
"""


class World(NamedTuple):
    """Everything that takes part."""

    control: Client
    gateway: str
    receiver: Receiver

    async def ask(self, workspace: str) -> tuple[int, str | None, str | None]:
        """What a client with the old key is told: the status, the region that answered, the router's hint."""
        url = f"http://{self.gateway}/api/v1/workspaces/{workspace}/projects"
        async with self.control.session.get(url, headers={"X-Api-Key": API_KEY}) as answer:
            body = await answer.json()
            return answer.status, body.get("region"), answer.headers.get("X-Router-Region")

    async def hint(self) -> str | None:
        """What the router adds to the region's refusal of the old key."""
        url = f"http://{self.gateway}/api/v1/workspaces/{W1}/projects"
        async with self.control.session.get(url, headers={"X-Api-Key": API_KEY}) as answer:
            assert (answer.status, (await answer.json())["code"]) == (401, 4003)
            return answer.headers.get("X-Router-Hint")

    async def new_key_answers(self, region: str) -> bool:
        url = f"http://{self.gateway}/api/v1/workspaces/{W1}/projects"
        async with self.control.session.get(url, headers={"X-Api-Key": "a-new-key"}) as answer:
            return answer.status == 200 and (await answer.json())["region"] == region

    async def move(self, destination: str, *, preview: bool = False) -> Reply:
        path = f"/workspaces/{W1}/transfers{'?preview=true' if preview else ''}"
        return await self.control.send("POST", path, {"destination": destination, "requested_by": OWNER})

    async def finish(self, transfer: str) -> None:
        """The job: wait for the barrier, copy, say so."""
        await until(lambda: self.is_in(transfer, "transferring"))
        progress = await self.control.send("POST", f"/transfers/{transfer}/progress", {"percent": 50})
        assert progress.json["percent"] == 50
        completed = await self.control.send("POST", f"/transfers/{transfer}/complete")
        assert completed.json["state"] == "completed"

    async def is_in(self, transfer: str, state: str) -> bool:
        return bool((await self.control.send("GET", f"/transfers/{transfer}")).json["state"] == state)


async def until(holds: Callable[[], Coroutine[object, object, bool]]) -> None:
    """Ask again and again: other processes take their time."""
    async with asyncio.timeout(30):
        while not await holds():
            await SystemClock().sleep(0.02)


@contextlib.asynccontextmanager
async def serving(config: Path) -> AsyncIterator[tuple[str, str]]:
    """`serve` as a process; where its clients and its operators connect."""
    process: Process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "router", "serve", "--config", config, cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stderr is not None
        async for line in process.stderr:
            if found := re.search(rb"listening on (\S+), ops on (\S+)", line):
                yield found[1].decode(), found[2].decode()
                return
        pytest.fail("it did not listen")
    finally:
        process.kill()
        await process.communicate()


@pytest.fixture(params=["sqlite", "postgres"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    clock = SystemClock()
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "secret").write_text(SECRET)
    async with contextlib.AsyncExitStack() as stack:
        store: MaintainedStore
        if request.param == "sqlite":
            url = "sqlite:///directory.db"
            migrate(tmp_path / "directory.db", clock=clock)
            store = SqliteStore(tmp_path / "directory.db", clock=clock)
            stack.push_async_callback(store.close)
        else:
            site = await PostgresSite.make()
            stack.push_async_callback(site.close)
            url = url_of(site.database)
            store = site.connect()
        await store.open_directory(restored=False)
        receiver = await stack.enter_async_context(receiving())
        text = CONFIGURATION.format(hook=receiver.url, directory=url)
        for name in REGIONS:
            region = FakeRegion(RegionName(name), is_superseded=superseded_keys(store))
            origin = await stack.enter_async_context(region.listening())
            text += f'[regions.{name}]\norigin = "{origin}"\npublic_url = "https://{name}.example.com"\n'
        (tmp_path / "router.toml").write_text(text)
        gateway, ops = await stack.enter_async_context(serving(tmp_path / "router.toml"))
        session = await stack.enter_async_context(ClientSession())
        yield World(Client(session, f"http://{ops}", TOKEN), gateway, receiver)


@pytest.mark.timeout(120)
async def test_a_workspace_moves_from_global_to_eu_to_au(world: World) -> None:
    control, receiver = world.control, world.receiver

    async def is_ready() -> bool:
        async with control.session.get(f"{control.base}/readyz") as answer:
            return answer.status == 200

    await until(is_ready)

    # Created on global, with its key; another workspace of the same member beside it.
    for workspace, plan in ((W1, "FREE"), (W2, "PRO")):
        made = await control.send("PUT", f"/workspaces/{workspace}", {"region": "global", "plan": plan, "owner": OWNER})
        assert made.status == 201
        await control.send("PUT", f"/workspaces/{workspace}/members/{OWNER}", {"status": "active"})
    await control.send("PUT", f"/keys/{DIGEST}", {"workspace": W1})
    await until(lambda: answers(world, W1, "global"))

    # The preview refuses, for its plan and for an account; then it is mended.
    await control.send("PUT", f"/accounts/{OWNER}/eu")
    refused = (await world.move("eu", preview=True)).json
    assert [one["type"].rpartition("/")[2] for one in refused["refusals"]] == [
        "plan-without-regions",
        "member-has-account",
    ]
    await control.send("PATCH", f"/workspaces/{W1}", {"plan": "PRO"})
    await control.send("DELETE", f"/accounts/{OWNER}/eu")

    # It starts: the client is told of the lock, the member's other workspace goes on.
    transfer = (await world.move("eu")).json["id"]
    await until(lambda: is_locked(world))
    assert (await world.ask(W2))[:2] == (200, "global")
    await world.finish(transfer)

    # The same client is answered by the new region, which refuses its old key, and is told why.
    await until(lambda: answers(world, W1, None, status=401))
    assert await world.hint() == "key-reissued-by-transfer"
    assert await world.new_key_answers("eu")
    assert [one["region"] for one in (await control.send("GET", "/backups")).json["items"]] == ["global"]
    assert (await control.send("GET", f"/accounts?member={OWNER}")).json["items"][0]["region"] == "eu"

    # On to AU; never home.
    await world.finish((await world.move("au")).json["id"])
    assert (await world.move("global")).problem == "no-way-home"
    assert (await control.send("GET", f"/resolve?workspace={W1}")).json["region"] == "au"
    await until(lambda: world.new_key_answers("au"))
    assert await world.hint() == "key-reissued-by-transfer"

    # Everything was told, once each and in order, signed; the copies' time is over.
    async def all_told() -> bool:
        return receiver.types.count("backup.expired") == 2

    await until(all_told)
    transfers = [kind for kind in receiver.types if kind.startswith("transfer.")]
    assert transfers == ["transfer.started", "transfer.completed"] * 2
    assert len(receiver.ids) == len(set(receiver.ids)) == 6
    expired = (await control.send("GET", "/backups?state=expired")).json["items"]
    assert sorted(one["region"] for one in expired) == ["eu", "global"]

    # And whoever scrapes it sees it.
    async def is_counted() -> bool:
        async with control.session.get(f"{control.base}/metrics") as scraped:
            return 'delivery_attempts_total{destination="backend",outcome="delivered"} 6.0' in await scraped.text()

    await until(is_counted)


async def answers(world: World, workspace: str, region: str | None, *, status: int = 200) -> bool:
    return (await world.ask(workspace))[:2] == (status, region)


async def is_locked(world: World) -> bool:
    return (await world.ask(W1))[0] == 423
