"""The simulated directory keeps the contract that SQLite keeps: whatever is asked, both answer the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from router.directory.store import Newcomer, Position, Renewal, StoreError, WorkspaceDraft, WriteRefusedError
from router.model.barrier import Silent
from router.model.losses import Ending, Losses, UnansweredRequest
from router.model.placement import Entry, Kind
from router.model.transfer import Transfer, TransferEvent, TransferId, TransferState
from tests.directory.sites import SqliteSite
from tests.simulation import database
from tests.simulation.network import EXECUTIONS
from tests.simulation.table import EU, US, W1, W2

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from router.directory.store import Store

CALLS = 60
NAMES = ("i1", "i2", "i3")
TRANSFERS = ("t1", "t2", "t3", "t4")


@dataclass
class Twins:
    """The real directory and the simulated one, each of which is asked the same."""

    real: Store
    simulated: database.State
    random: Random
    now: Callable[[], float]
    trace: list[str] = field(default_factory=list)

    async def ask(self) -> None:
        """Anything. Both must give the same answer."""
        kind, real, simulated = getattr(self, f"_{self.random.choice(ASKED)}")()
        try:
            expected = await real
        except (WriteRefusedError, StoreError) as error:
            expected = type(error)
        state = self.simulated.copy()
        try:
            answer = EXECUTIONS[kind].run(state, self.now(), *simulated)
        except (WriteRefusedError, StoreError) as error:
            answer = type(error)
        else:
            self.simulated = state
        self.trace.append(f"{kind} {simulated}")
        assert _ordered(answer) == _ordered(expected), "\n".join(self.trace)

    def _name(self) -> str:
        return self.random.choice(NAMES)

    def _lookup(self) -> Any:
        entry = Entry(Kind.WORKSPACE, self.random.choice((W1, W2)))
        return "lookup", self.real.lookup(entry, primary=True), (entry, True)

    def _position(self) -> Any:
        return "position", self.real.position(), ()

    def _register(self) -> Any:
        newcomer = Newcomer(f"i{len(self.trace)}" if self.random.random() < 0.3 else self._name(), "gw", "host", 9.0)
        return "register", self.real.register(newcomer), (newcomer,)

    def _renew(self) -> Any:
        head, name = self.simulated.head, self._name()
        position = Position(self.simulated.generation, self.random.randint(0, head))
        lost = UnansweredRequest(f"r{len(self.trace)}", self.random.choice((W1, W2)), "eu", name, self.now(), "fault")
        unanswered = (lost,) if self.random.random() < 0.3 else ()
        applied, limit = self.random.randint(0, head + 1), self.random.choice((1, 3, 1000))
        renewal = Renewal(name, applied, position, limit, unanswered)
        return "renew", self.real.renew(renewal), (renewal,)

    def _unregister(self) -> Any:
        name = self._name()
        return "unregister", self.real.unregister(name), (name, ())

    def _start(self) -> Any:
        free = [name for name in TRANSFERS if name not in self.simulated.transfers] or ["t9"]
        workspace, destination = self.random.choice((W1, W2)), self.random.choice((EU, US))
        state, now = TransferState.LOCKING, self.now()
        wanted = Transfer(TransferId(free[0]), workspace, EU, destination, state, "owner", now, now + 9.0, 0)
        return "start transfer", self.real.start_transfer(wanted, losses_since=now - 5.0), (wanted, now - 5.0)

    def _advance(self) -> Any:
        transfer = TransferId(self.random.choice(TRANSFERS))
        event = self.random.choice((TransferEvent.COMPLETE, TransferEvent.FAIL, TransferEvent.ABORT))
        now = self.now()
        return "advance", self.real.advance_transfer(transfer, event, now=now), (transfer, event, now, None)

    def _evaluate(self) -> Any:
        transfer, now = TransferId(self.random.choice(TRANSFERS)), self.now()
        silent = (Silent(self._name(), self.random.randint(0, 2)),) if self.random.random() < 0.4 else ()
        return "evaluate", self.real.evaluate(transfer, now=now, silent=silent), (transfer, now, silent)

    def _forget(self) -> Any:
        name, renewals = self._name(), self.random.choice((None, 0, 1))
        forgotten = self.real.forget(name, ending=Ending.DEAD, renewals=renewals)
        return "forget", forgotten, (name, Ending.DEAD, renewals)

    def _losses(self) -> Any:
        transfer = TransferId(self.random.choice(TRANSFERS))
        return "losses", self.real.losses(transfer), (transfer,)

    def _registrations(self) -> Any:
        return "registrations", self.real.registrations(), ()

    def _list(self) -> Any:
        running = self.random.random() < 0.5
        return "list transfers", self.real.list_transfers(workspace=None, running=running), (None, running)


ASKED = (
    *("lookup", "position", "register", "renew", "renew", "renew", "unregister", "start", "start"),
    *("advance", "evaluate", "evaluate", "forget", "losses", "registrations", "list"),
)


def _ordered(answer: Any) -> Any:
    """Without what no contract promises: in which order rows and losses are told."""
    match answer:
        case (Transfer() as transfer, view):
            return transfer, _ordered(view)
        case Losses(gateways, requests):
            return sorted(map(repr, gateways)), sorted(map(repr, requests))
    rows = getattr(answer, "registrations", None)
    return answer if rows is None else sorted(map(repr, rows))


@pytest.mark.parametrize("seed", range(12))
async def test_it_answers_as_sqlite_does(tmp_path: Path, seed: int) -> None:
    site = SqliteSite(tmp_path / "directory.db")
    real = site.connect()
    await real.open_directory(restored=False)
    await real.put_workspaces([WorkspaceDraft(W1, EU), WorkspaceDraft(W2, US)])
    state = database.empty()
    state.generation = (await real.position()).generation
    database.place(state, W1, EU)
    database.place(state, W2, US)
    twins = Twins(real, state, Random(seed), site.clock.wall)
    for _ in range(CALLS):
        site.clock.jump(twins.random.choice((0.0, 1.0)))
        await twins.ask()
    await site.close()
