"""Calls between processes and the directory: sent, executed, answered, each at the schedule's pleasure.

A call that its caller has given up is still under way: it may be executed late, and its answer finds nobody.
"""

from __future__ import annotations

import asyncio
import math
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from router.directory.store import StoreError, WriteRefusedError
from tests.simulation import database
from tests.simulation.control_rows import ControlRows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from router.directory.store import Answer, Newcomer, Position, Renewal, Renewed
    from router.model.barrier import BarrierView, Silent
    from router.model.losses import Ending, Losses, UnansweredRequest
    from router.model.placement import Entry, WorkspaceId
    from router.model.transfer import Refusal, Transfer, TransferEvent, TransferId
    from tests.simulation.database import Cluster, State
    from tests.simulation.loop import SimulatedLoop

T = TypeVar("T")


class Stage(Enum):
    """Where a call is."""

    SENT = "sent"
    EXECUTED = "executed"


class Call:
    """One call under way. `result` is what it will be answered, once it is executed."""

    __slots__ = ("arguments", "future", "kind", "name", "process", "result", "stage")

    def __init__(self, name: str, process: str, kind: str, arguments: tuple[Any, ...], loop: SimulatedLoop) -> None:
        self.name = name
        self.process = process
        self.kind = kind
        self.arguments = arguments
        self.stage = Stage.SENT
        self.result: Any = None
        self.future: asyncio.Future[Any] = asyncio.Future(loop=loop)

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.future.done()

    def answer(self) -> None:
        """Hand its result over: a delivery."""
        if self.future.done():
            return
        if isinstance(self.result, Exception):
            self.future.set_exception(self.result)
        else:
            self.future.set_result(self.result)


class Execution(NamedTuple):
    """How the directory executes one kind of call. `writes`: in a transaction of the primary."""

    run: Callable[..., Any]
    writes: bool


EXECUTIONS: Final[Mapping[str, Execution]] = {
    "lookup": Execution(lambda state, now, entry, primary: database.lookup(state, entry), False),
    "position": Execution(lambda state, now: database.position(state), False),
    "registrations": Execution(lambda state, now: state.view(), False),
    "inspect": Execution(lambda state, now, work: work(ControlRows(state)), False),
    "transact": Execution(lambda state, now, work: work(ControlRows(state)), True),
    "get transfer": Execution(lambda state, now, transfer: state.transfers.get(transfer), False),
    "list transfers": Execution(lambda state, now, *args: database.list_transfers(state, *args), False),
    "losses": Execution(lambda state, now, transfer: database.losses(state, transfer), False),
    "register": Execution(lambda state, now, newcomer: database.register(state, newcomer, now), True),
    "renew": Execution(lambda state, now, renewal: database.renew(state, renewal, now), True),
    "unregister": Execution(lambda state, now, *args: database.unregister(state, *args), True),
    "start transfer": Execution(lambda state, now, *args: database.start_transfer(state, *args), True),
    "advance": Execution(lambda state, now, *args: database.advance_transfer(state, *args), True),
    "evaluate": Execution(lambda state, now, *args: database.evaluate(state, *args), True),
    "forget": Execution(lambda state, now, *args: database.forget(state, args[0], args[1], args[2], now), True),
}


def execute(call: Call, cluster: Cluster, now: float, *, at: State | None = None) -> None:
    """Let the directory execute `call`, at the primary unless a snapshot is given for it. `now`: its wall clock."""
    execution = EXECUTIONS[call.kind]
    call.stage = Stage.EXECUTED
    state = cluster.begin(now) if execution.writes else (at or cluster.primary)
    try:
        call.result = execution.run(state, now, *call.arguments)
    except (StoreError, WriteRefusedError) as error:
        call.result = error
        return
    if execution.writes:
        cluster.commit(state)


class Connection:
    """Implements the store's protocols for one process. `send` hands a call to the network."""

    def __init__(self, send: Callable[[str, tuple[Any, ...]], Call]) -> None:
        self._send = send

    async def _ask(self, kind: str, *arguments: Any) -> Any:
        return await self._send(kind, arguments).future

    async def lookup(self, entry: Entry, *, primary: bool) -> Answer:
        answer: Answer = await self._ask("lookup", entry, primary)
        return answer

    async def register(self, newcomer: Newcomer) -> None:
        await self._ask("register", newcomer)

    async def position(self) -> Position:
        position: Position = await self._ask("position")
        return position

    async def renew(self, renewal: Renewal) -> Renewed | None:
        renewed: Renewed | None = await self._ask("renew", renewal)
        return renewed

    async def unregister(self, incarnation: str, *, unanswered: Iterable[UnansweredRequest] = ()) -> None:
        await self._ask("unregister", incarnation, tuple(unanswered))

    async def registrations(self) -> BarrierView:
        view: BarrierView = await self._ask("registrations")
        return view

    async def start_transfer(self, transfer: Transfer, *, losses_since: float = math.inf) -> Transfer:
        started: Transfer = await self._ask("start transfer", transfer, losses_since)
        return started

    async def advance_transfer(
        self, transfer: TransferId, event: TransferEvent, *, now: float, reason: str | None = None
    ) -> Transfer | Refusal | None:
        advanced: Transfer | Refusal | None = await self._ask("advance", transfer, event, now, reason)
        return advanced

    async def evaluate(
        self, transfer: TransferId, *, now: float, silent: Iterable[Silent] = ()
    ) -> tuple[Transfer, BarrierView] | None:
        evaluated: tuple[Transfer, BarrierView] | None = await self._ask("evaluate", transfer, now, tuple(silent))
        return evaluated

    async def get_transfer(self, transfer: TransferId) -> Transfer | None:
        found: Transfer | None = await self._ask("get transfer", transfer)
        return found

    async def list_transfers(self, *, workspace: WorkspaceId | None, running: bool) -> tuple[Transfer, ...]:
        listed: tuple[Transfer, ...] = await self._ask("list transfers", workspace, running)
        return listed

    async def transact(self, work: Callable[[Any], T]) -> T:
        result: T = await self._ask("transact", work)
        return result

    async def read(self, work: Callable[[Any], T]) -> T:
        result: T = await self._ask("inspect", work)
        return result

    async def forget(self, incarnation: str, *, ending: Ending, renewals: int | None = None) -> bool:
        forgotten: bool = await self._ask("forget", incarnation, ending, renewals)
        return forgotten

    async def losses(self, transfer: TransferId) -> Losses:
        losses: Losses = await self._ask("losses", transfer)
        return losses
