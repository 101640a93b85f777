"""What tells two states of a simulated world apart: everything that what follows could depend on.

The product's coroutines cannot be copied, but they can be looked at: where each is suspended, and the plain values in
its frames. With the directory, the calls under way, the clocks and what cache, ledger and lease hold, that is all.
Whatever is left out here could hide a state; whatever is put in too much only costs time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.directory.lease import Moment
from router.directory.store import Position, Renewal
from router.model.transfer import Transfer

if TYPE_CHECKING:
    import asyncio

    from tests.simulation.database import State
    from tests.simulation.exchanges import Request
    from tests.simulation.network import Call
    from tests.simulation.processes import Process
    from tests.simulation.world import World

PLAIN: Final = (int, float, str, Moment, Position, Renewal, Transfer, type(None))


def fingerprint(world: World) -> int:
    """Equal for states from which the same follows."""
    return hash(
        (
            round(world.time.now, 6),
            _directory(world.cluster.primary),
            world.cluster.replayed,
            world.cluster.timeline,
            tuple(sorted(_call(call) for call in world.calls.values())),
            tuple(_process(process) for process in world.processes.values()),
            tuple(_request(request) for request in world.requests.values()),
        )
    )


def _call(call: Call) -> str:
    arguments = [getattr(one, "__qualname__", None) or repr(one) for one in call.arguments]
    return f"{call.process} {call.kind} {call.stage} {arguments} {call.result} {call.abandoned}"


def _directory(state: State) -> tuple[Any, ...]:
    return (
        state.generation,
        state.timeline,
        state.floor,
        state.changes,
        tuple(state.rows.items()),
        tuple(state.transfers.items()),
        state.lost,
        state.unanswered,
    )


def _process(process: Process) -> tuple[Any, ...]:
    loop = process.loop
    ready = tuple(getattr(callback, "__qualname__", type(callback).__name__) for callback, _ in loop.ready)
    timers = tuple(sorted(round(hour, 6) for hour, _, future in loop.timers if not future.done()))
    tasks = tuple(sorted(_task(task) for task in loop.tasks if not task.done()))
    return (process.dead, process.paused, process.cut_off, ready, timers, tasks, process.remembers())


def _task(task: asyncio.Task[Any]) -> str:
    """Where a task is suspended, from its outermost frame inwards."""
    frames = []
    waiting: Any = task.get_coro()
    while waiting is not None and hasattr(waiting, "cr_frame"):
        frame = waiting.cr_frame
        if frame is None:
            break
        values = [f"{name}={value!r}" for name, value in frame.f_locals.items() if isinstance(value, PLAIN)]
        frames.append(f"{frame.f_code.co_name}@{frame.f_lasti}({','.join(values)})")
        waiting = waiting.cr_await
    return " ".join(frames)


def _request(request: Request) -> tuple[Any, ...]:
    exchange = request.exchange
    if exchange is None:
        return (request.outcome,)
    ticket = exchange.ticket
    return (
        request.outcome,
        request.retried,
        exchange.state,
        exchange.region,
        exchange.sent,
        exchange.executed,
        exchange.holds,
        ticket is None or (ticket.stale, ticket.ended, ticket.left),
    )
