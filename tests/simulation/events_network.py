"""Events of processes, their machines, and the calls between them and the directory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.directory.store import StoreError
from tests.simulation.network import Call, Stage, execute
from tests.simulation.processes import ControlProcess, GatewayProcess
from tests.simulation.scope import SETTLED
from tests.simulation.table import REGIONS, WORKSPACES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.simulation.world import World


OUT: Final = ("out", "both")
IN: Final = ("in", "both")


def let_time_pass(world: World, seconds: float) -> bool:
    """Nothing else happens meanwhile."""
    world.time.now += seconds
    return True


def run_process(world: World, name: str, turns: int) -> bool:
    """A process gets to run: what reached it, and timers that are due."""
    process = world.processes.get(name)
    if process is None or not process.runs or not (process.loop.ready or process.timers_due):
        return False
    if process.timers_due:
        process.loop.deliver(process.loop.fire_timers, process.clock.monotonic())
    world.run(process, turns)
    return True


def execute_call(world: World, name: str, at: str) -> bool:
    """The directory executes a call: its primary, its replica, or an old primary that still answers."""
    call = world.calls.get(name)
    if call is None or call.stage is not Stage.SENT or world.down or world.processes[call.process].cut_off in OUT:
        return False
    snapshot = None
    if at == "replica":
        if call.kind != "lookup" or call.arguments[1]:
            return False
        snapshot = world.cluster.replica
    elif at == "zombie":
        snapshot = world.cluster.zombie
        if snapshot is None or call.kind not in {"lookup", "position"}:
            return False
    before = world.cluster.primary
    execute(call, world.cluster, world.wall(), at=snapshot)
    if world.cluster.primary.transfers is not before.transfers:
        world.truth.check_flips(before, world.cluster.primary)
    if world.story is not None:
        world.note(f"-> {call.result!r}")
    if call.abandoned:
        del world.calls[name]
    return True


def answer_call(world: World, name: str, turns: int) -> bool:
    """The answer to a call reaches its process."""
    call = world.calls.get(name)
    if call is None or call.stage is not Stage.EXECUTED or world.processes[call.process].cut_off in IN:
        return False
    _deliver(world, call, turns)
    return True


def fail_call(world: World, name: str, late: bool) -> bool:
    """The caller is told that it failed, which says nothing of whether it was executed, or (`late`) will be."""
    call = world.calls.get(name)
    if call is None or call.abandoned:
        return False
    if call.stage is Stage.SENT and late:
        ghost = Call(f"{name} (late)", call.process, call.kind, call.arguments, world.processes[call.process].loop)
        ghost.future.cancel()
        world.calls[ghost.name] = ghost
    call.result = StoreError("the connection was lost")
    _deliver(world, call, SETTLED)
    return True


def _deliver(world: World, call: Call, turns: int) -> None:
    del world.calls[call.name]
    process = world.processes[call.process]
    process.loop.deliver(call.answer)
    world.run(process, turns)


def pause(world: World, name: str, how: str) -> bool:
    """A process is stopped, or its machine is."""
    process = world.processes.get(name)
    if process is None or not process.runs:
        return False
    process.paused, process.paused_at = how, world.time.now
    return True


def resume(world: World, name: str, turns: int) -> bool:
    """It goes on, with clocks that may not know how long it was."""
    process = world.processes.get(name)
    if process is None or process.paused is None or process.dead:
        return False
    seconds = world.time.now - process.paused_at
    if process.paused == "suspended":
        process.clock.missed_suspension(seconds)
    elif process.paused == "frozen":
        process.clock.missed_freeze(seconds)
    process.paused = None
    world.run(process, turns)
    return True


def crash(world: World, name: str) -> bool:
    """A process is killed."""
    process = world.processes.get(name)
    if process is None or process.dead:
        return False
    process.dead, process.paused = True, None
    return True


def restart(world: World, gateway: str) -> bool:
    """The supervisor starts it again under its name: the one before is dead, or only seems so."""
    if any(one.runs and not one.closing for one in world.gateways() if one.gateway == gateway):
        return False
    world.start_gateway(gateway)
    return True


def restart_control(world: World) -> bool:
    """As for gateways. Jobs that ran there are gone."""
    if any(one.runs for one in world.controls()):
        return False
    world.start_control()
    return True


def close(world: World, name: str) -> bool:
    """A gateway is told to stop. What is under way may end."""
    process = world.processes.get(name)
    if not isinstance(process, GatewayProcess) or not process.runs or process.closing:
        return False
    process.close()
    world.run(process, SETTLED)
    return True


def step_wall(world: World, name: str, seconds: float) -> bool:
    """Somebody sets a process's wall clock."""
    process = world.processes.get(name)
    if process is None or process.dead:
        return False
    process.clock.step_wall(seconds)
    return True


def cut_off(world: World, name: str, way: str) -> bool:
    """Nothing passes any more between a process and the directory: out, in, or both. Nothing of it: all does again."""
    process = world.processes.get(name)
    if process is None or process.dead or process.cut_off == way:
        return False
    process.cut_off = way
    return True


def wake(world: World, name: str) -> bool:
    """A gateway is told that the directory has news."""
    process = world.processes.get(name)
    if not isinstance(process, GatewayProcess) or process.dead:
        return False
    process.loop.deliver(process.directory.wake)
    world.run(process, SETTLED)
    return True


def move(world: World, control: str, workspace: str, region: str, copying: float, succeeds: bool) -> bool:
    """A job begins a transfer."""
    process = world.processes.get(control)
    if not isinstance(process, ControlProcess) or not process.runs:
        return False
    destination = next(name for name in REGIONS if name == region)
    process.move(WORKSPACES[workspace], destination, copying=copying, succeeds=succeeds)
    world.run(process, SETTLED)
    return True


def abort(world: World, control: str, workspace: str) -> bool:
    """Somebody calls a transfer off."""
    process = world.processes.get(control)
    if not isinstance(process, ControlProcess) or not process.runs:
        return False
    process.abort(WORKSPACES[workspace])
    world.run(process, SETTLED)
    return True


HANDLERS: Final[Mapping[str, Callable[..., bool]]] = {
    "time": let_time_pass,
    "run": run_process,
    "execute": execute_call,
    "answer": answer_call,
    "fail": fail_call,
    "pause": pause,
    "resume": resume,
    "crash": crash,
    "restart": restart,
    "restart control": restart_control,
    "close": close,
    "step wall": step_wall,
    "cut off": cut_off,
    "wake": wake,
    "move": move,
    "abort": abort,
}
