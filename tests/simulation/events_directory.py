"""Events of the directory's machines, and of operators who change what is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.model.placement import Alias, Entry, Kind
from tests.simulation import database
from tests.simulation.table import ALIASES, REGIONS, WORKSPACES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.simulation.world import World


def outage(world: World, on: bool) -> bool:
    """The directory executes nothing any more, or does again."""
    if world.down is on:
        return False
    world.down = on
    return True


def replay(world: World, states: int) -> bool:
    """The replica shows some more of what the primary has committed."""
    cluster = world.cluster
    newest = len(cluster.wal) - 1
    if cluster.replayed == newest:
        return False
    cluster.replayed = min(newest, cluster.replayed + states)
    return True


def promote(world: World, lost: int, zombie: bool) -> bool:
    """The standby takes over without the newest `lost` states, as far as it may lack them."""
    cluster = world.cluster
    newest = max(cluster.durable if cluster.synchronous else 0, len(cluster.wal) - 1 - lost)
    world.truth.lose(cluster.primary, cluster.wal[newest])
    cluster.promote(newest, zombie=zombie)
    return True


def restore(world: World, lost: int) -> bool:
    """An older copy of the directory is put back and opened, which begins a generation at once."""
    cluster = world.cluster
    newest = max(0, len(cluster.wal) - 1 - lost)
    world.truth.lose(cluster.primary, cluster.wal[newest])
    cluster.promote(newest, zombie=False)
    cluster.commit(cluster.begin(world.wall()))
    return True


def prune(world: World) -> bool:
    """The feed is cut off at its head: who has not read it finds a gap."""
    if world.cluster.primary.floor == world.cluster.primary.head + 1:
        return False
    state = world.cluster.begin(world.wall())
    state.floor = state.head + 1
    world.cluster.commit(state, synchronous=False)
    return True


def put(world: World, workspace: str, region: str | None) -> bool:
    """An operator puts a workspace, or deletes it. Not in transfer."""
    name = WORKSPACES[workspace]
    before = world.cluster.primary.placement(name)
    if (before is None) is (region is None) or (before is not None and before.transfer is not None):
        return False
    state = world.cluster.begin(world.wall())
    if region is None:
        database.remove(state, Entry(Kind.WORKSPACE, name))
        world.truth.forget_moves(name)
    else:
        database.place(state, name, next(one for one in REGIONS if one == region))
    world.cluster.commit(state, synchronous=False)
    return True


def rename(world: World, alias: str, workspace: str | None) -> bool:
    """An operator lets an alias name another workspace, or nothing. None of them may be in transfer."""
    entry, before = ALIASES[alias], world.cluster.primary
    fact = before.facts.get(entry)
    named = fact.workspace if isinstance(fact, Alias) else None
    target = None if workspace is None else WORKSPACES[workspace]
    if named == target or any(one is not None and before.running(one) for one in (named, target)):
        return False
    if target is not None and before.placement(target) is None:
        return False
    state = world.cluster.begin(world.wall())
    if target is None:
        database.remove(state, entry)
    else:
        database.name(state, entry, workspace=target)
    world.cluster.commit(state, synchronous=False)
    return True


HANDLERS: Final[Mapping[str, Callable[..., bool]]] = {
    "outage": outage,
    "replay": replay,
    "promote": promote,
    "restore": restore,
    "prune": prune,
    "put": put,
    "rename": rename,
}
