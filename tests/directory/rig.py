"""One gateway's cached directory on a store in memory, with a clock that a test moves."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import TYPE_CHECKING

from router.directory.directory import CachedDirectory, assemble
from router.directory.hostlock import HostLockError
from router.directory.locate import Found, Missing
from router.directory.options import DirectoryOptions
from router.directory.ports import TaskSpawner
from router.directory.registration import Identity
from router.model.region import ServiceName
from router.routing.table import Service
from router.routing.values import Target
from tests.directory.manual_clock import ManualClock, settle
from tests.directory.memory_store import MemoryStore

if TYPE_CHECKING:
    from router.directory.ledger import Ticket
    from router.directory.locate import Lookup
    from router.model.placement import WorkspaceId

LEASE = 60.0


def target_of(
    workspace: WorkspaceId | None = None,
    *,
    subdomain: str | None = None,
    key: str | None = None,
    malformed: bool = False,
) -> Target:
    return Target(Service(ServiceName("api")), b"/v1/x", workspace, malformed=malformed, subdomain=subdomain, key=key)


@dataclass
class MemoryLock:
    """A lock of `MemoryLocks`."""

    held: set[str]
    incarnation: str

    def release(self) -> None:
        self.held.remove(self.incarnation)


@dataclass
class MemoryLocks:
    """The locks of a host on which the test says who has died."""

    held: set[str] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    discarded: list[str] = field(default_factory=list)
    full: bool = False

    def hold(self, incarnation: str) -> MemoryLock:
        if self.full:
            raise HostLockError("no space left on the host")
        self.held.add(incarnation)
        return MemoryLock(self.held, incarnation)

    def prove_dead(self, incarnation: str) -> bool:
        return incarnation in self.dead

    def discard(self, incarnation: str) -> None:
        self.discarded.append(incarnation)


@dataclass
class Exchange:
    """A holder that notes what it is told."""

    told: list[str] = field(default_factory=list)

    def superseded(self) -> None:
        self.told.append("superseded")

    def term_ended(self) -> None:
        self.told.append("term ended")


class Rig:
    """Registered and caught up after `start`. Incarnations are named i1, i2 and so on."""

    def __init__(self, options: DirectoryOptions | None = None, store: MemoryStore | None = None) -> None:
        self.clock = ManualClock()
        self.spawner = TaskSpawner()
        self.locks = MemoryLocks()
        self.store = store or MemoryStore()
        self.options = options or DirectoryOptions(lease=LEASE)
        numbers = count(1)
        self.directory: CachedDirectory = assemble(
            self.store,
            self.store,
            identity=Identity("gw", "host"),
            locks=self.locks,
            options=self.options,
            clock=self.clock,
            spawner=self.spawner,
            random=Random(1),
            name=lambda: f"i{next(numbers)}",
        )

    async def start(self) -> None:
        self.directory.start()
        await settle()

    async def find(self, target: Target) -> Lookup:
        """The gateway's loop of locate and fetch."""
        lookup = self.directory.locate(target)
        while isinstance(lookup, Missing):
            await self.directory.fetch(lookup)
            lookup = self.directory.locate(target, fetched=True)
        return lookup

    async def found(self, target: Target) -> Found:
        lookup = await self.find(target)
        assert isinstance(lookup, Found)
        return lookup

    async def enter(self, target: Target) -> tuple[Ticket, Exchange]:
        """A request decided on what is known of `target`, and in flight."""
        exchange = Exchange()
        return self.directory.ledger.enter((await self.found(target)).holds, exchange), exchange

    def begin_fetch(self, target: Target) -> asyncio.Task[None]:
        """A request that waits for what is missing."""
        lookup = self.directory.locate(target)
        assert isinstance(lookup, Missing)
        return asyncio.get_running_loop().create_task(self.directory.fetch(lookup))

    @property
    def applied(self) -> int:
        """What the newest renewal reported."""
        return self.store.renewals[-1].applied
