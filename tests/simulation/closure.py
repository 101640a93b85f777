"""What must happen at last: the faults have stopped, everybody gets his turn, and time passes.

Liveness by fair closure. From any moment on, if nothing is lost or held up any more: every transfer that is `locking`
becomes `transferring`, and every request ends, within the time that the protocol promises. That is the lock drain
where every registration has a process that runs; else a lease with its allowances besides. Processes that are paused
are resumed, or left paused for ever: both must do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.directory.store import Position
from router.gateway.exchange_table import State
from router.model.transfer import TransferState
from tests.simulation import events_clients, events_network
from tests.simulation.network import Stage
from tests.simulation.scope import LOCK_DRAIN, SETTLED, WALL_AT_START

if TYPE_CHECKING:
    from tests.simulation.processes import GatewayProcess
    from tests.simulation.world import World

RESUMED: Final = "resumed"
LEFT_PAUSED: Final = "left paused"

STRIDE: Final = 0.3
SLACK: Final = 1.3
"""Seconds for retries, polls and evaluations, with STRIDE between two looks."""
ROUNDS_AT_MOST: Final = 60
SLOWEST: Final = 0.98
"""The rate of the slowest clock that may watch."""


def close_fairly(world: World, closing: str) -> None:
    """Bring the world to rest, and note a violation if that takes longer than promised."""
    _stop_faults(world, closing)
    started = world.time.now
    while not world.violations:
        exchange_messages(world)
        if _at_rest(world):
            _check_rest(world)
            return
        late = _what_is_late(world, started)
        if late is not None:
            world.violate(f"liveness: with what was paused {closing}, {late}")
            return
        world.time.now += STRIDE
        if world.story is not None:
            world.story.append(f"{world.time.now:7.2f} s  (fairly)")


def exchange_messages(world: World) -> bool:
    """Everything that is under way arrives, and everybody acts on it, until only time can bring something new.

    Returns whether there was anything.
    """
    began = world.steps
    for _ in range(ROUNDS_AT_MOST):
        before = world.steps
        for name, call in list(world.calls.items()):
            if call.stage is Stage.SENT:
                world.steps += events_network.execute_call(world, name, "primary")
            if call.stage is Stage.EXECUTED and world.processes[call.process].runs:
                world.steps += events_network.answer_call(world, name, SETTLED)
        for name, request in world.requests.items():
            if request.gateway is not None and request.gateway.runs:
                world.steps += events_clients.proceed(world, name, SETTLED)
        for name in world.processes:
            world.steps += events_network.run_process(world, name, SETTLED)
        if world.steps == before or world.violations:
            return world.steps > began
    world.violate("liveness: messages are exchanged without end")
    return True


def flush(world: World, replica: bool, *kinds: str) -> bool:
    """Calls of these kinds are executed and answered at once, and what follows from them. Whether there were any."""
    began = world.steps
    at = "replica" if replica else "primary"
    for _ in range(ROUNDS_AT_MOST):
        before = world.steps
        for name, call in list(world.calls.items()):
            if call.kind in kinds and world.processes[call.process].runs:
                if call.stage is Stage.SENT:
                    executed = events_network.execute_call(world, name, at) or (
                        replica and events_network.execute_call(world, name, "primary")
                    )
                    world.steps += executed
                if call.stage is Stage.EXECUTED and name in world.calls:
                    world.steps += events_network.answer_call(world, name, SETTLED)
        if world.steps == before or world.violations:
            return world.steps > began
    world.violate("liveness: messages are exchanged without end")
    return True


def flush_answers(world: World, *kinds: str) -> bool:
    """Calls of these kinds that were executed are answered at once. Whether there were any."""
    answered = False
    for name, call in list(world.calls.items()):
        if call.kind in kinds and call.stage is Stage.EXECUTED and world.processes[call.process].runs:
            answered = events_network.answer_call(world, name, SETTLED) or answered
    return answered


def execute_all(world: World, *kinds: str) -> bool:
    """Calls of these kinds that were sent are executed, and not answered yet. Whether there were any."""
    sent = [name for name, call in world.calls.items() if call.kind in kinds]
    executed = [name for name in sent if events_network.execute_call(world, name, "primary")]
    return bool(executed)


def wake_all(world: World) -> bool:
    """Every process gets to run. Whether there was anything to do for one."""
    woken = [name for name in world.processes if events_network.run_process(world, name, SETTLED)]
    return bool(woken)


def _stop_faults(world: World, closing: str) -> None:
    world.note(f"the faults stop; what is paused is {closing}")
    world.down = False
    for process in world.processes.values():
        process.cut_off = ""
        if closing == RESUMED:
            events_network.resume(world, process.name, SETTLED)
    if not any(process.runs for process in world.controls()):
        world.start_control()


def _what_is_late(world: World, started: float) -> str | None:
    """What should have come to rest by now, by what stood in its way since the faults stopped at `started`."""
    state = world.cluster.primary
    own = {gateway.directory.state.incarnation for gateway in _serving(world)}
    world.slow = world.slow or not own.issuperset(state.rows)
    # No barrier holds before a generation's quarantine is over, by the directory's wall clock.
    begin = max(started, state.quarantine_until - WALL_AT_START - min(0.0, world.scope.wall_ahead))
    late = world.time.now - begin - LOCK_DRAIN - SLACK - STRIDE
    if world.slow:
        late -= world.scope.allowance / SLOWEST
    if late <= 0:
        return None
    locking = [transfer.id for transfer in state.transfers.values() if transfer.state is TransferState.LOCKING]
    if locking:
        return f"transfer {locking[0]} is still locking, for {sorted(state.rows)}"
    unended = _unended(world)
    if unended:
        return f"requests {unended} have not ended"
    return "a gateway does not catch up" if late > SLACK else None


def _serving(world: World) -> list[GatewayProcess]:
    return [gateway for gateway in world.gateways() if gateway.runs and not gateway.closing]


def _at_rest(world: World) -> bool:
    state = world.cluster.primary
    if any(transfer.state is TransferState.LOCKING for transfer in state.transfers.values()):
        return False
    serving, head = _serving(world), Position(state.generation, state.head)
    if serving and state.timeline != world.cluster.timeline:
        return False  # a failover that nobody has noticed yet
    if any(not one.directory.state.ready or one.directory.state.position != head for one in serving):
        return False
    return not _unended(world)


def _unended(world: World) -> list[str]:
    """Requests that should have ended: all but those whose region hangs and that nothing has made stale."""
    names = []
    for name, request in world.requests.items():
        exchange = request.exchange
        if request.gateway is None or not request.gateway.runs or request.outcome is not None:
            continue
        if request.hung and exchange is not None and exchange.state is not State.CONNECTING:
            ticket = exchange.ticket
            if ticket is None or not ticket.stale or ticket.ended:
                continue
        names.append(name)
    return names


def _check_rest(world: World) -> None:
    """Whoever serves knows nothing but the truth."""
    state = world.cluster.primary
    for gateway in _serving(world):
        for entry in state.facts:
            known = gateway.cache.get(entry)
            if known is not None and known != state.fact(entry):
                world.violate(f"truth: {gateway.name} still takes {entry.name} for {known}")
