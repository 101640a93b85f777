"""The real gateway between recording origins: its settings from a text, its directory in a real SQLite file."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from router.directory.ports import SystemClock
from router.directory.sqlite.maintenance import migrate
from router.directory.sqlite.store import SqliteStore
from router.directory.store import WorkspaceDraft
from router.model.placement import WorkspaceId
from router.model.region import RegionName
from router.model.transfer import Transfer, TransferId, TransferState
from router.runtime.process import running
from router.settings.load import load_text
from tests.gateway.origin import Origin
from tests.gateway.wire import Client

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from router.runtime.process import Running
    from tests.gateway.wire import Answer

AT_HOME = "64a687e29ae1f428e7ebe301"
IN_EU = "64a687e29ae1f428e7ebe302"
IN_US = "64a687e29ae1f428e7ebe303"
MOVING = "64a687e29ae1f428e7ebe3ff"
UNKNOWN = "64a687e29ae1f428e7ebe000"
HOUR = 3600.0

CONFIGURATION = """
[gateway]
listen = {listen}
{gateway}
[ops]
listen = ["127.0.0.1:0"]
[directory]
url = "sqlite:///directory.db"
poll_interval = {poll_interval}
{directory}
[identify]
subdomains = "*.clockify.me"
{identify}
[policy]
home = "global"
{policy}
{tables}
[services.api]
match = ["clockify.me/api", "*.clockify.me/api"]
path = "/api"
[services.app]
match = ["app.clockify.me"]
path = "/"
action = "redirect"
[regions.global]
origin = "http://127.0.0.1:{ports[global]}"
public_url = "https://clockify.me"
services.app = {{ public_url = "https://app.clockify.me" }}
[regions.eu]
origin = "{scheme}://127.0.0.1:{ports[eu]}"
public_url = "https://euc1.clockify.me"
{tls}
[regions.us]
origin = "http://127.0.0.1:{ports[us]}"
public_url = "https://use2.clockify.me"
"""
PATIENCE = 15.0
"""Seconds after which what should have happened at once is taken to have failed."""


def path(workspace: str = IN_EU, rest: str = "projects") -> str:
    return f"/api/v1/workspaces/{workspace}/{rest}"


def request(method: str = "GET", target: str = path(), *fields: str, version: str = "1.1", body: bytes = b"") -> bytes:
    """A request's bytes. A body gets its length, if no field frames it."""
    lines = [f"{method} {target} HTTP/{version}", "Host: clockify.me", *fields]
    if body and not any(field.lower().startswith(("content-length", "transfer-encoding")) for field in fields):
        lines.append(f"Content-Length: {len(body)}")
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n" + body


GET = request()


class Stage:
    """What a test has in hand."""

    def __init__(self, process: Running, origins: Mapping[str, Origin], folder: Path) -> None:
        self.process = process
        self.gateway = process.gateway
        self.directory = process.directory
        assert isinstance(process.store, SqliteStore)
        self.store = process.store
        self.folder = folder
        self.origins = origins
        self.eu = origins["eu"]
        self.us = origins["us"]
        self.home = origins["global"]
        self.clients: list[Client] = []
        host, _, port = process.listen[0].rpartition(":")
        self.address = (host, int(port) if port.isdigit() else 0)

    async def client(
        self, *, receive_buffer: int | None = None, source: str | None = None, segment: int | None = None
    ) -> Client:
        client = await Client.connect(self.address, receive_buffer=receive_buffer, source=source, segment=segment)
        self.clients.append(client)
        return client

    async def ask(self, request: bytes, *, bodyless: bool = False) -> Answer:
        """The answer to one request on a connection of its own."""
        return await (await self.client()).ask(request, bodyless=bodyless)

    async def start_transfer(self, workspace: str = IN_EU, *, duration: float = HOUR, to: str = "us") -> Transfer:
        """Lock a workspace."""
        now = SystemClock().wall()
        return await self.store.start_transfer(
            Transfer(
                TransferId(f"move-{workspace}"),
                WorkspaceId(workspace),
                RegionName("eu"),
                RegionName(to),
                TransferState.LOCKING,
                "a test",
                now,
                now + duration,
                0,
            )
        )

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until `holds` says so of the gateway's inside, which rings no bell."""
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self.directory.wake()
                await asyncio.sleep(0)

    async def ready(self) -> None:
        """Wait until the directory can be used."""
        await self.until(lambda: self.directory.state.ready)

    async def left(self) -> None:
        """Wait until the gateway has let go of every client: a connection must not outlive its client."""
        await self.until(lambda: not self.gateway.connections)

    async def in_flight(self, number: int) -> None:
        """Wait until so many requests are in the ledger."""
        await self.until(lambda: self.directory.ledger.in_flight == number)

    async def end_term(self) -> None:
        """End the present term, by the refusal of its next renewal; another begins."""
        ended = self.directory.state.incarnation
        assert ended is not None
        await self.store.unregister(ended)
        await self.until(lambda: self.directory.state.incarnation != ended)

    async def answered(self, wanted: int, request: bytes = GET) -> Answer:
        """Ask again and again until the status is `wanted`: for what takes a poll of the feed to be known."""
        while (answer := await self.ask(request)).status != wanted:
            pass
        return answer


async def furnish(folder: Path, *, opened: bool = True) -> None:
    """A directory with the workspaces that the tests name."""
    clock = SystemClock()
    file = folder / "directory.db"
    migrate(file, clock=clock)
    store = SqliteStore(file, clock=clock)
    if opened:
        await store.open_directory(restored=False)
    homes = {AT_HOME: "global", IN_EU: "eu", IN_US: "us", MOVING: "eu"}
    await store.put_workspaces(
        WorkspaceDraft(WorkspaceId(workspace), RegionName(region), subdomain="acme" if workspace == IN_EU else None)
        for workspace, region in homes.items()
    )
    await store.close()


def configure(
    ports: Mapping[str, int],
    *,
    listen: str = '["127.0.0.1:0"]',
    timeouts: Mapping[str, float] | None = None,
    limits: Mapping[str, int] | None = None,
    upstream: Mapping[str, float] | None = None,
    tls: str | None = None,
    gateway: str = "",
    identify: str = "",
    policy: str = "",
    poll_interval: float = 0.02,
    directory: str = "",
    tables: str = "",
) -> str:
    """The configuration's text. `gateway` is for its own table, `tables` are more of them; `tls` is that of region
    `eu`, which is https then.
    """
    inner = [gateway, "[gateway.timeouts]"]
    inner += [f"{name} = {value}" for name, value in (timeouts or {}).items()]
    inner += ["[gateway.limits]"]
    inner += [f"{name} = {value}" for name, value in (limits or {}).items()]
    inner += ["[gateway.upstream]"]
    inner += [f"{name} = {value}" for name, value in (upstream or {}).items()]
    return CONFIGURATION.format(
        listen=listen,
        gateway="\n".join(inner),
        ports=ports,
        scheme="http" if tls is None else "https",
        tls="" if tls is None else f"tls = {tls}",
        identify=identify,
        policy=policy,
        poll_interval=poll_interval,
        directory=directory,
        tables=tables,
    )


@contextlib.asynccontextmanager
async def staged(
    folder: Path,
    *,
    listen: str = '["127.0.0.1:0"]',
    timeouts: Mapping[str, float] | None = None,
    limits: Mapping[str, int] | None = None,
    upstream: Mapping[str, float] | None = None,
    tls: str | None = None,
    served_with: ssl.SSLContext | None = None,
    gateway: str = "",
    identify: str = "",
    policy: str = "",
    poll_interval: float = 0.02,
    directory: str = "",
    tables: str = "",
    furnished: bool = True,
    opened: bool = True,
    ports: Mapping[str, int] | None = None,
) -> AsyncIterator[Stage]:
    """A stage that is ready, and that leaves nothing behind. `ports` stands in for the origins named there; the region
    `eu` is connected to with `tls` and serves TLS with `served_with`.
    """
    before = asyncio.all_tasks()
    origins = {name: Origin(name, served_with if name == "eu" else None) for name in ("global", "eu", "us")}
    for origin in origins.values():
        await origin.start()
    if furnished:
        await furnish(folder, opened=opened)
    all_ports = {name: origin.port for name, origin in origins.items()} | dict(ports or {})
    text = configure(
        all_ports,
        listen=listen,
        timeouts=timeouts,
        limits=limits,
        upstream=upstream,
        tls=tls,
        gateway=gateway,
        identify=identify,
        policy=policy,
        poll_interval=poll_interval,
        directory=directory,
        tables=tables,
    )
    settings = load_text(text, {}, folder=folder)
    async with running(settings) as process:
        stage = Stage(process, origins, folder)
        if furnished and opened:
            await stage.ready()
        try:
            yield stage
        finally:
            for client in stage.clients:
                client.close()
            await stage.left()
    assert stage.directory.ledger.in_flight == 0
    for origin in origins.values():
        await origin.abandoned()
        await origin.stop()
    await asyncio.sleep(0)
    left = [task.get_name() for task in asyncio.all_tasks() - before - {asyncio.current_task()}]
    assert not left, f"tasks are left: {left}"
