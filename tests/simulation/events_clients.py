"""Events of clients and regions: a request's arrival, and whatever comes next for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.gateway.exchange_table import Event, State
from tests.simulation.exchanges import Request
from tests.simulation.processes import GatewayProcess
from tests.simulation.scope import SETTLED
from tests.simulation.table import TARGETS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.simulation.exchanges import Exchange
    from tests.simulation.world import World

READ_AT_ONCE: Final = 100
"""Bytes: more than any request has."""


def arrive(world: World, gateway: str, target: str, pieces: int, room: int, hung: bool, turns: int) -> bool:
    """A request arrives. `room`: what its connection's kernel takes at first; `hung`: its region does nothing."""
    process = world.processes.get(gateway)
    if not isinstance(process, GatewayProcess) or process.dead or process.closing:
        return False
    request = Request(f"r{len(world.requests) + 1}", TARGETS[target], pieces, room, hung=hung)
    world.requests[request.name] = request
    process.take(request)
    world.run(process, turns)
    return True


def proceed(world: World, name: str, turns: int) -> bool:
    """A request's client or its region does what comes next."""
    exchange = under_way(world, name)
    step = None if exchange is None else next_step(world, exchange)
    if exchange is None or step is None:
        return False
    exchange.gateway.loop.deliver(step)
    world.run(exchange.gateway, turns)
    return True


def leave(world: World, name: str) -> bool:
    """A client leaves."""
    exchange = under_way(world, name)
    if exchange is None:
        return False
    exchange.gateway.loop.deliver(exchange.fire, Event.CLIENT_GONE)
    world.run(exchange.gateway, SETTLED)
    return True


def under_way(world: World, name: str) -> Exchange | None:
    """The exchange of a request that has one, in a process that lives."""
    request = world.requests.get(name)
    exchange = None if request is None else request.exchange
    if exchange is None or exchange.state is State.OVER or exchange.gateway.dead:
        return None
    return exchange


def next_step(world: World, exchange: Exchange) -> Callable[[], object] | None:
    """What its process is told of next, or `None` if nothing more comes."""
    if exchange.state is State.CONNECTING:
        return exchange.connected
    kernel = exchange.kernel
    writer = None if kernel is None else exchange.gateway.loop.writers.get(kernel.fileno())
    if kernel is not None and writer is not None:
        if exchange.request.hung:
            return None
        kernel.room += READ_AT_ONCE
        return exchange.writable
    if exchange.takes_piece:
        return exchange.piece
    if exchange.state is not State.AWAITING or exchange.request.hung:
        return None
    if not exchange.executed:
        exchange.executed = True
        world.note(f"{exchange.region} executes {exchange.request.name}")
        world.truth.check_execution(exchange)
        return _nothing
    return exchange.answered


def _nothing() -> None:
    """A region's work shows in nobody's process."""


HANDLERS: Final[Mapping[str, Callable[..., bool]]] = {"arrive": arrive, "proceed": proceed, "leave": leave}
