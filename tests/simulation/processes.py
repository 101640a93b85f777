"""Processes: a gateway, and a control process with its job and evaluator. Each has a loop and a clock of its own."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

from router.control.lifecycle import Wish
from router.control.options import ControlOptions, RegionOffer
from router.control.problems import Declined
from router.control.transfers import TransferService
from router.directory import directory as directory_module
from router.directory.directory import assemble
from router.directory.evaluator import BarrierEvaluator
from router.directory.ports import TaskSpawner
from router.directory.registration import Identity
from router.directory.store import StoreError
from router.directory.watch import Watch
from router.model.transfer import TransferState
from tests.simulation.clocks import ProcessClock
from tests.simulation.exchanges import Request, walk
from tests.simulation.loop import SimulatedLoop
from tests.simulation.network import Call, Connection
from tests.simulation.table import HOME, REGIONS, TABLE
from tests.simulation.watched_cache import WatchedCache

if TYPE_CHECKING:
    from random import Random

    from router.directory.options import DirectoryOptions
    from router.model.placement import WorkspaceId
    from router.model.region import RegionName
    from tests.simulation.world import World


OFFERS: Final = ControlOptions(
    HOME,
    {name: RegionOffer(name, name, f"https://{name}.example") for name in REGIONS},
    TABLE.workspace_id,
    requires_tenant_data=False,
)


class Host:
    """A machine: its locks tell its processes which of its registrations have no process any more."""

    def __init__(self) -> None:
        self.locks: dict[str, Process] = {}


class HeldLock:
    """Implements `router.directory.hostlock.HostLock`."""

    def __init__(self, host: Host, incarnation: str) -> None:
        self._host = host
        self._incarnation = incarnation

    def release(self) -> None:
        """See `HostLock`."""
        self._host.locks.pop(self._incarnation, None)


class ProcessLocks:
    """Implements `router.directory.hostlock.HostLocks` for one process."""

    def __init__(self, host: Host, process: Process) -> None:
        self._host = host
        self._process = process

    def hold(self, incarnation: str) -> HeldLock:
        """See `HostLocks`."""
        self._host.locks[incarnation] = self._process
        return HeldLock(self._host, incarnation)

    def prove_dead(self, incarnation: str) -> bool:
        """See `HostLocks`. A paused process holds its locks."""
        holder = self._host.locks.get(incarnation)
        return holder is not None and holder.dead

    def discard(self, incarnation: str) -> None:
        """See `HostLocks`."""
        self._host.locks.pop(incarnation, None)


class Process:
    """What any process has: it runs, is paused (deliveries wait, clocks go on), or is dead."""

    def __init__(self, world: World, name: str, host: Host, rate: float) -> None:
        self.world = world
        self.name = name
        self.host = host
        self.loop = SimulatedLoop()  # type: ignore[abstract]  # as much of a loop as is used
        self.clock = ProcessClock(world.time, self.loop, rate)
        self.locks = ProcessLocks(host, self)
        self.spawner = TaskSpawner()
        self.store = Connection(self._send)
        self.dead = False
        self.paused: str | None = None
        self.paused_at = 0.0
        self.cut_off = ""
        """What does not pass between it and the directory: what goes "out", what comes "in", or "both"."""
        self._numbers = count(1)

    def _send(self, kind: str, arguments: tuple[Any, ...]) -> Call:
        call = Call(f"{self.name} {kind} {next(self._numbers)}", self.name, kind, arguments, self.loop)
        self.world.calls[call.name] = call
        return call

    @property
    def runs(self) -> bool:
        """Whether its code can run."""
        return not self.dead and self.paused is None

    @property
    def timers_due(self) -> bool:
        """Whether somebody in it should have been woken."""
        hour = self.loop.next_timer()
        return hour is not None and hour <= self.clock.monotonic()

    def remembers(self) -> tuple[Any, ...]:
        """What it knows, apart from where its coroutines stand."""
        return ()

    def evaluate_barriers(self, options: DirectoryOptions) -> Watch:
        """Run the barrier's evaluator in the background."""
        watch = Watch(self.clock, options)
        evaluator = BarrierEvaluator(self.store, self.locks, self.clock, watch)
        self.loop.deliver(lambda: self.spawner.spawn(evaluator.run(), "evaluator"))
        return watch


class GatewayProcess(Process):
    """A gateway. `gateway`: its configured name, which its successors have too."""

    def __init__(
        self,
        world: World,
        name: str,
        gateway: str,
        host: Host,
        rate: float,
        *,
        options: DirectoryOptions,
        lock_drain_timeout: float,
        random: Random,
    ) -> None:
        super().__init__(world, name, host, rate)
        self.gateway = gateway
        self.lock_drain_timeout = lock_drain_timeout
        self.requests: list[Request] = []
        self.closing = False
        with mock.patch.object(directory_module, "PlacementCache", WatchedCache):
            self.directory = assemble(
                self.store,
                self.store,
                identity=Identity(gateway, "host"),
                locks=self.locks,
                options=options,
                clock=self.clock,
                spawner=self.spawner,
                random=random,
                name=lambda: world.name_incarnation(self),
            )
        self.cache: WatchedCache = self.directory._cache  # type: ignore[assignment]  # made by the patch above
        self.cache.report = lambda text: world.violate(f"{text} ({name})")
        self.loop.deliver(self.directory.start)

    def remembers(self) -> tuple[Any, ...]:
        """See `Process`."""
        cache, directory = self.cache, self.directory
        facts = tuple(cache.get(entry) for entry in self.world.cluster.primary.facts)
        state = directory.state
        return (
            *(facts, cache.position, cache.term, cache._newest_answer, directory._waiting, len(directory._flights)),
            *(
                state.trusted,
                round(state.lease_left, 6),
                state.opened,
                state.caught_up,
                state.incarnation,
                state.failing,
            ),
            *(
                directory.ledger.in_flight,
                directory.ledger.applied(0 if cache.position is None else cache.position.seq),
            ),
            *(len(directory.unanswered), directory.unanswered.owes),
        )

    def take(self, request: Request) -> None:
        """A request has arrived."""
        request.gateway = self
        self.requests.append(request)
        self.loop.deliver(walk, self, request)

    def close(self) -> None:
        """Stop, as after the last listener was closed."""
        self.closing = True
        self.loop.deliver(lambda: self.spawner.spawn(self.directory.close(), "close"))


class ControlProcess(Process):
    """Runs transfers for people and jobs, and an evaluator."""

    def __init__(
        self,
        world: World,
        name: str,
        host: Host,
        rate: float,
        *,
        options: DirectoryOptions,
        patience: float,
        job_interval: float,
    ) -> None:
        super().__init__(world, name, host, rate)
        watch = self.evaluate_barriers(options)
        self._job_interval = job_interval
        self._service = TransferService(
            self.store,
            self.store,
            self.locks,
            self.clock,
            watch,
            options=OFFERS,
            who="job",
            patience=patience,
        )

    def move(self, workspace: WorkspaceId, destination: RegionName, *, copying: float, succeeds: bool) -> None:
        """Run a whole transfer in the background."""
        work = self._move(workspace, destination, copying, succeeds)
        self.loop.deliver(lambda: self.spawner.spawn(work, "job"))

    def abort(self, workspace: WorkspaceId) -> None:
        """Call a transfer off, if it is early enough."""
        self.loop.deliver(lambda: self.spawner.spawn(self._abort(workspace), "abort"))

    async def _move(self, workspace: WorkspaceId, destination: RegionName, copying: float, succeeds: bool) -> None:
        try:
            status = await self._service.start(Wish(workspace, destination, None))
        except StoreError:
            return
        while not isinstance(status, Declined) and status.transfer.state is TransferState.LOCKING:
            await self.clock.sleep(self._job_interval)
            status = await self._patiently(self._service.show, status.transfer.id)
        if isinstance(status, Declined) or status.transfer.state is not TransferState.TRANSFERRING:
            return
        await self.clock.sleep(copying)
        if succeeds:
            await self._patiently(self._service.complete, status.transfer.id)
        else:
            await self._patiently(lambda name: self._service.fail(name, reason="copying failed"), status.transfer.id)

    async def _patiently(self, ask: Any, name: str) -> Any:
        while True:
            try:
                return await ask(name)
            except StoreError:
                await self.clock.sleep(self._job_interval)

    async def _abort(self, workspace: WorkspaceId) -> None:
        try:
            await self._service.abort(workspace)
        except StoreError:
            return
