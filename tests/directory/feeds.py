"""Short names for what the store tests put, move and read."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING
from uuid import uuid4

from router.directory.store import Newcomer, Position, Renewal, WorkspaceDraft
from router.model.placement import Entry, Kind, WorkspaceId
from router.model.region import RegionName
from router.model.transfer import Transfer, TransferId, TransferState

if TYPE_CHECKING:
    from router.directory.store import Renewed, Store
    from router.model.barrier import Registration
    from router.model.placement import Change, Fact

EU = RegionName("eu")
US = RegionName("us")
UK = RegionName("uk")
LEASE = 600.0


def workspace(number: int) -> WorkspaceId:
    """A well-formed id."""
    return WorkspaceId(f"{number:024x}")


W1 = workspace(1)
W2 = workspace(2)
W3 = workspace(3)


def draft(number: int, region: RegionName = EU) -> WorkspaceDraft:
    """A workspace without anything but a region."""
    return WorkspaceDraft(workspace(number), region)


def transfer_of(
    moved: WorkspaceId, destination: RegionName = US, *, name: str = "t1", started_at: float = 1000.0
) -> Transfer:
    """As a caller makes one: source and lock_seq are the store's to fill in."""
    return Transfer(
        id=TransferId(name),
        workspace=moved,
        source=RegionName(""),
        destination=destination,
        state=TransferState.LOCKING,
        requested_by="owner-1",
        started_at=started_at,
        deadline=started_at + 3600.0,
        lock_seq=0,
    )


async def fact_of(store: Store, kind: Kind, name: str) -> Fact:
    """What a lookup says."""
    return (await store.lookup(Entry(kind, name), primary=True)).fact


async def generation_of(store: Store) -> int:
    """The present one."""
    return (await store.position()).generation


async def register(store: Store, incarnation: str | None = None, *, lease: float = LEASE) -> str:
    """Register a gateway, and return its incarnation."""
    incarnation = incarnation or uuid4().hex
    await store.register(Newcomer(incarnation, "gateway-1", "host-1", lease))
    return incarnation


async def renew(store: Store, incarnation: str, position: Position, *, applied: int = 0, limit: int = 1000) -> Renewed:
    """Renew a row that is there."""
    renewed = await store.renew(Renewal(incarnation, applied, position, limit))
    assert renewed is not None
    return renewed


async def read_feed(store: Store, since: int = 0) -> tuple[Change, ...]:
    """All changes behind `since` in the present generation, through a registration of their own."""
    incarnation = await register(store)
    position = await store.position()
    renewed = await renew(store, incarnation, Position(position.generation, since), limit=1_000_000)
    await store.unregister(incarnation)
    return renewed.changes


async def put_one_by_one(store: Store, numbers: range) -> None:
    """One transaction each."""
    for number in numbers:
        await store.put_workspaces([draft(number)])


async def rows_seen(store: Store) -> tuple[Registration, ...]:
    """The registrations, as the evaluation of some other workspace's transfer sees them."""
    number = next(_PROBES)
    await store.put_workspaces([draft(number)])
    probe = await store.start_transfer(transfer_of(workspace(number), name=f"probe-{number}"))
    evaluated = await store.evaluate(probe.id, now=0.0)
    assert evaluated is not None
    return evaluated[1].registrations


_PROBES = count(1_000_000)
