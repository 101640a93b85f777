"""The kinds of directory that the control plane must work on, and short names for what its tests put into one."""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Protocol

import psycopg

from router.control.audit import Act
from router.control.lifecycle import Lifecycle, Report, Wish
from router.control.options import ControlOptions, RegionOffer
from router.control.problems import Declined
from router.control.tenants import Details, Tenants
from router.directory.postgres.control import PostgresControlStore
from router.directory.sqlite import SqliteStore, migrate
from router.directory.sqlite.control import SqliteControlStore
from router.model.placement import WorkspaceId
from router.model.region import RegionName
from router.model.tenant import MemberId, MemberStatus
from tests.directory.manual_clock import ManualClock
from tests.postgres_server import url_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TypeVar

    from router.control.ports import ControlStore, ControlTransaction
    from router.directory.store import Store
    from router.model.transfer import TransferId
    from tests.directory.sites import PostgresSite

    T = TypeVar("T")

GLOBAL, EU, US, AU, UK = (RegionName(name) for name in ("global", "eu", "us", "au", "uk"))
W1, W2, W3 = (WorkspaceId(f"64a687e29ae1f428e7ebe30{n}") for n in (1, 2, 3))
OWNER, ANN, BOB = (MemberId(name) for name in ("owner-1", "ann", "bob"))
KEY, OTHER_KEY = "a1" * 32, "b2" * 32

OPTIONS = ControlOptions(
    home=GLOBAL,
    regions={
        name: RegionOffer(name, name.upper(), f"https://{name}.example.com", accepting=name != UK)
        for name in (GLOBAL, EU, US, AU, UK)
    },
    workspace_id=re.compile("[0-9a-f]{24}"),
    subdomain_suffix="example.com",
    own_hosts=frozenset({"eu.example.com"}),
    destinations=("hook",),
)


class ControlSite(Protocol):
    """One directory, freshly made and opened, that several processes may use at the same time."""

    clock: ManualClock

    @property
    def store(self) -> ControlStore:
        """The first control store."""

    @property
    def directory(self) -> Store:
        """The directory that gateways use."""

    def connect(self) -> ControlStore:
        """A control store as another process would make it. Closed at the end of the test."""

    async def execute(self, statement: str) -> None:
        """Do what nobody in this program does. Raises what the database says."""

    async def close(self) -> None:
        """Close all that was connected."""


class SqliteControlSite:
    """A file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = ManualClock()
        # Today, which receivers of webhooks insist on.
        self.clock.suspend(time.time() - self.clock.wall())
        migrate(path, clock=self.clock)
        self.directory = SqliteStore(path, clock=self.clock, busy_timeout=30.0)
        self.stores: list[SqliteControlStore] = []
        self.store = self.connect()

    def connect(self) -> SqliteControlStore:
        store = SqliteControlStore(self.path, busy_timeout=30.0)
        self.stores.append(store)
        return store

    async def execute(self, statement: str) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute(statement)

    async def close(self) -> None:
        for store in self.stores:
            await store.close()
        await self.directory.close()


class PostgresControlSite:
    """A database of its own."""

    def __init__(self, site: PostgresSite) -> None:
        self._site = site
        self.clock = site.clock
        self.clock.suspend(time.time() - self.clock.wall())
        self.directory = site.connect()
        self.stores: list[PostgresControlStore] = []
        self.store = self.connect()
        self._closed = False

    def connect(self) -> PostgresControlStore:
        store = PostgresControlStore(self._site.connect(lock_timeout=30.0), threads=8)
        self.stores.append(store)
        return store

    async def execute(self, statement: str) -> None:
        with psycopg.connect(url_of(self._site.database), autocommit=True) as connection:
            connection.execute(f"SET search_path = region_router; {statement}".encode())

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for store in self.stores:
            await store.close()
        await self._site.close()


class Stage:
    """A site, and what people and jobs do with it: each call one transaction, now."""

    def __init__(self, site: ControlSite, options: ControlOptions = OPTIONS) -> None:
        self.site = site
        self.options = options

    @property
    def now(self) -> float:
        return self.site.clock.wall()

    async def do(self, work: Callable[[ControlTransaction], T]) -> T:
        return await self.site.store.transact(work)

    async def tenants(self, work: Callable[[Tenants], T]) -> T:
        act = Act("backend", self.now)
        return await self.do(lambda tx: work(Tenants(tx, act, self.options)))

    async def lifecycle(self, work: Callable[[Lifecycle], T]) -> T:
        act = Act("job", self.now)
        return await self.do(lambda tx: work(Lifecycle(tx, act, self.options)))

    async def put(self, workspace: WorkspaceId = W1, region: RegionName = GLOBAL, **more: str) -> None:
        wanted = Details(region, **{"plan": "PRO", "owner": OWNER, **more})
        assert not isinstance(await self.tenants(lambda all_: all_.put_workspace(workspace, wanted)), Declined)

    async def join(self, member: MemberId, workspace: WorkspaceId = W1, status: str = "active") -> None:
        put = await self.tenants(lambda all_: all_.put_member(workspace, member, MemberStatus(status)))
        assert not isinstance(put, Declined)

    async def start(self, workspace: WorkspaceId = W1, destination: RegionName = EU) -> TransferId:
        started = await self.lifecycle(lambda all_: all_.start(Wish(workspace, destination, OWNER)))
        return accepted(started).transfer.id

    async def transferring(self, workspace: WorkspaceId = W1, destination: RegionName = EU) -> TransferId:
        """Started, with the barrier held: no gateway is registered."""
        transfer = await self.start(workspace, destination)
        await self.site.directory.evaluate(transfer, now=self.now)
        return transfer

    async def completed(self, workspace: WorkspaceId = W1, destination: RegionName = EU) -> TransferId:
        transfer = await self.transferring(workspace, destination)
        accepted(await self.lifecycle(lambda all_: all_.complete(transfer)))
        return transfer

    async def region_of(self, workspace: WorkspaceId = W1) -> tuple[str, int, bool]:
        """Region, epoch, and whether it is locked."""
        found = await self.do(lambda tx: tx.workspace(workspace))
        assert found is not None
        return found.placement.region, found.placement.epoch, found.placement.transfer is not None

    async def events(self) -> list[str]:
        return [event.type for event in await self.do(lambda tx: tx.events(limit=1000))]


def accepted(outcome: Report | Declined) -> Report:
    assert isinstance(outcome, Report), outcome
    return outcome


def slugs(outcome: object) -> list[str]:
    """Why something was declined."""
    assert isinstance(outcome, Declined), outcome
    return [one.problem.spec.slug for one in outcome.objections]
