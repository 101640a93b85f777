"""The simulated world: processes, the directory's machines, requests and time. What happens in it is told by events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation import database
from tests.simulation.clocks import Time
from tests.simulation.database import Cluster
from tests.simulation.loop import SpinningError
from tests.simulation.processes import ControlProcess, GatewayProcess, Host, Process
from tests.simulation.scope import LOCK_DRAIN, SETTLED, WALL_AT_START, Scope
from tests.simulation.table import EU, KEY, REGION_KEY, SUBDOMAIN, US, W1, W2
from tests.simulation.truth import Truth

if TYPE_CHECKING:
    from random import Random

    from router.directory.locate import Found
    from tests.simulation.exchanges import Exchange, Request
    from tests.simulation.network import Call


class World:
    """Everything there is. `violations` says what went wrong, the first of it first."""

    def __init__(self, scope: Scope, random: Random, *, story: bool = False) -> None:
        self.scope = scope
        self.time = Time()
        self.random = random
        self.options = scope.options()
        self.violations: list[str] = []
        self.story: list[str] | None = [] if story else None
        self.cluster = Cluster(self._first_state(), synchronous=scope.synchronous, quarantine=scope.quarantine)
        self.truth = Truth(self)
        self.calls: dict[str, Call] = {}
        self.hosts = (Host(), Host())
        self.processes: dict[str, Process] = {}
        self.requests: dict[str, Request] = {}
        self.down = False
        self.steps = 0
        self.slow = False
        self._starts = 0
        self._incarnations = 0
        for number in range(scope.gateways):
            self.start_gateway(f"g{number + 1}")
        self.start_control()

    # Making things

    def _first_state(self) -> database.State:
        state = database.empty()
        state.quarantine_until = 0.0
        database.place(state, W1, EU)
        if self.scope.w2_exists:
            database.place(state, W2, US)
        database.name(state, SUBDOMAIN, workspace=W1)
        database.name(state, KEY, workspace=W1)
        database.name(state, REGION_KEY, region=EU)
        return state

    def _next_rate(self) -> float:
        rates = self.scope.rates
        self._starts += 1
        return rates[self._starts - 1] if self._starts <= len(rates) else 1.0

    def start_gateway(self, gateway: str) -> GatewayProcess:
        """Start a process of that gateway: its second one has the same name, and nothing else of the first."""
        before = sum(1 for one in self.gateways() if one.gateway == gateway)
        process = GatewayProcess(
            self,
            gateway if not before else f"{gateway}#{before + 1}",
            gateway,
            self.hosts[int(gateway[1:]) % 2],
            self._next_rate(),
            options=self.options,
            lock_drain_timeout=LOCK_DRAIN,
            random=self.random,
        )
        if self.scope.evaluators_in_gateways:
            process.evaluate_barriers(self.options)
        self.processes[process.name] = process
        self.run(process, SETTLED)
        return process

    def start_control(self) -> ControlProcess:
        """Start a process that runs transfers."""
        number = sum(1 for one in self.processes.values() if isinstance(one, ControlProcess)) + 1
        process = ControlProcess(
            self,
            f"c{number}",
            self.hosts[1],
            self._next_rate(),
            options=self.options,
            patience=self.scope.patience,
            job_interval=self.scope.job_interval,
        )
        process.clock.step_wall(self.scope.wall_ahead)
        self.processes[process.name] = process
        self.run(process, SETTLED)
        return process

    def name_incarnation(self, process: GatewayProcess) -> str:
        """A name that no registration ever had."""
        self._incarnations += 1
        return f"{process.name}/i{self._incarnations}"

    # Asking

    def gateways(self) -> list[GatewayProcess]:
        """All that were ever started."""
        return [one for one in self.processes.values() if isinstance(one, GatewayProcess)]

    def controls(self) -> list[ControlProcess]:
        """All that were ever started."""
        return [one for one in self.processes.values() if isinstance(one, ControlProcess)]

    def wall(self) -> float:
        """The directory's own wall clock."""
        return WALL_AT_START + self.time.now

    # What is noted

    def violate(self, what: str) -> None:
        """Something that must never be has happened."""
        self.violations.append(what)
        self.note(f"VIOLATION: {what}")

    def note(self, text: str) -> None:
        """Say it in the story, if one is told."""
        if self.story is not None:
            self.story.append(f"            {text}")

    def watch_write(self, exchange: Exchange) -> None:
        """A request writes to its region."""
        self.truth.check_write(exchange)

    def watch_decision(self, gateway: GatewayProcess, request: Request, found: Found) -> None:
        """A request is decided."""
        self.truth.check_decision(gateway, request, found)

    def run(self, process: Process, turns: int) -> None:
        """Let a process run, if it can: so many turns, or until everybody in it waits."""
        if not process.runs:
            return
        loop = process.loop
        try:
            if turns == SETTLED:
                loop.settle()
            else:
                for _ in range(turns):
                    loop.turn()
        except SpinningError:
            self.violate(f"{process.name} spins")
        if loop.failures:
            self.violate(f"{process.name} failed: {loop.failures[0]}")

    def end(self) -> None:
        """Take everything apart."""
        for process in self.processes.values():
            process.loop.end()
