"""What must never be, judged by the directory's own state at the very moment that something is written.

The invariant. While a transfer is `transferring`, no gateway writes anything of its workspace's requests to any region;
once it is `completed`, nothing of it goes to the old one. A region may execute a request that it has whole as long as
its gateway waits for the answer; then it too counts, unless the registration behind it stands on the transfer's list
of gateways that were lost.

Transfers of which a failover lost a commit that was reported are no longer judged: no router can make them right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from router.model.placement import Alias, Entry, Kind
from router.model.transfer import TransferState
from tests.simulation.table import short

if TYPE_CHECKING:
    from router.directory.locate import Found
    from router.model.placement import WorkspaceId
    from router.model.region import RegionName
    from router.model.transfer import Transfer, TransferId
    from tests.simulation.database import State
    from tests.simulation.exchanges import Exchange, Request
    from tests.simulation.processes import GatewayProcess
    from tests.simulation.world import World


class BadEnd(NamedTuple):
    """A request of a workspace that ended in a process without a whole answer."""

    request: str
    workspace: str
    process: str


class Truth:
    """Judges a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.void: set[TransferId] = set()
        self.rows_lost = False
        self.flips = 0
        self._ends: list[BadEnd] = []
        self._moves_before: dict[str, int] = {}

    def lose(self, before: State, after: State) -> None:
        """A failover has gone back from `before` to `after`."""
        for transfer in before.transfers.values():
            kept = after.transfers.get(transfer.id)
            if kept is None or kept.state is not transfer.state:
                self.void.add(transfer.id)
        self.rows_lost = self.rows_lost or any(row not in after.rows for row in before.rows)

    def forget_moves(self, workspace: WorkspaceId) -> None:
        """The workspace was deleted: where it lived before is no longer its old home."""
        self._moves_before[workspace] = self._world.cluster.primary.head

    def disowns(self, region: RegionName, entry: Entry) -> bool:
        """Whether a region says that a workspace is not its own: it was told by the job before the gateway was."""
        placement = self._world.cluster.primary.placement(entry.name)
        return placement is not None and placement.transfer is None and placement.region != region

    def note_end(self, exchange: Exchange) -> None:
        """A request has ended without a whole answer, after something of it was sent."""
        gateway = exchange.gateway
        named = {entry.name for entry, _ in exchange.holds if entry.kind is Kind.WORKSPACE}
        self._ends += [BadEnd(exchange.request.name, workspace, gateway.name) for workspace in named]

    def check_flips(self, before: State, after: State) -> None:
        """The directory has executed a transaction: what has become `transferring` has its list of losses complete."""
        for transfer in after.transfers.values():
            was = before.transfers.get(transfer.id)
            if transfer.state is TransferState.TRANSFERRING and (was is None or was.state is not transfer.state):
                self.flips += 1
                if not self.rows_lost:
                    self._check_list(transfer, after)

    def _check_list(self, transfer: Transfer, state: State) -> None:
        named = {one.request_id for listed, one in state.unanswered if listed == transfer.id}
        lost = {one.incarnation.partition("/")[0] for listed, one in state.lost if listed == transfer.id}
        for end in self._ends:
            if end.workspace == transfer.workspace and end.request not in named and end.process not in lost:
                self._world.violate(
                    f"list: transfer {transfer.id} is transferring, and {end.request}, which got no whole answer from "
                    f"{end.process}, is not on its list"
                )

    def check_write(self, exchange: Exchange) -> None:
        """A request writes bytes to its region, now."""
        for transfer in self._hurt(exchange):
            self._world.violate(
                f"write: {exchange.request.name} was written to {exchange.region} while transfer {transfer.id} of "
                f"{short(transfer.workspace)} ({transfer.source} to {transfer.destination}) is {transfer.state}"
            )

    def check_execution(self, exchange: Exchange) -> None:
        """A region executes a request that it has whole and whose gateway still waits for it."""
        if self.rows_lost:
            return
        for transfer in self._hurt(exchange):
            lost = self._world.cluster.primary.lost
            if not any(listed == transfer.id and one.incarnation == exchange.incarnation for listed, one in lost):
                self._world.violate(
                    f"execution: {exchange.region} executed {exchange.request.name} while transfer {transfer.id} of "
                    f"{short(transfer.workspace)} is {transfer.state}, and {exchange.incarnation} is not listed in it"
                )

    def check_decision(self, gateway: GatewayProcess, request: Request, found: Found) -> None:
        """A request is decided: on nothing older than what its gateway has applied."""
        state = self._world.cluster.primary
        position = gateway.cache.position
        if position is None:
            self._world.violate(f"term: {request.name} was decided between two terms")
            return
        if position.generation != state.generation or self._world.cluster.timeline != state.timeline:
            return
        for entry, version in found.holds:
            for change in reversed(state.changes[: position.seq]):
                if change.fact.entry == entry:
                    if version.number < change.fact.version.number:
                        self._world.violate(f"age: {request.name} was decided on less than its gateway had applied")
                    break

    def _hurt(self, exchange: Exchange) -> list[Transfer]:
        """The transfers that a write of this request to its region would harm."""
        state = self._world.cluster.primary
        return [
            transfer
            for transfer in state.transfers.values()
            if transfer.id not in self.void
            and self._concerns(transfer, exchange, state)
            and (
                transfer.state is TransferState.TRANSFERRING
                or (transfer.state is TransferState.COMPLETED and self._is_old_home(exchange.region, transfer, state))
            )
        ]

    def _is_old_home(self, region: RegionName, transfer: Transfer, state: State) -> bool:
        home = state.placement(transfer.workspace)
        moved_here = transfer.lock_seq > self._moves_before.get(transfer.workspace, 0)
        return region == transfer.source and moved_here and home is not None and home.region != region

    def _concerns(self, transfer: Transfer, exchange: Exchange, state: State) -> bool:
        """Whether it was decided for the transfer's workspace, or by a name that was the workspace's at its lock."""
        if any(entry.name == transfer.workspace for entry, _ in exchange.holds if entry.kind is Kind.WORKSPACE):
            return True
        target = exchange.request.target
        named: object = None
        if target.subdomain is not None:
            named = state.facts.get(Entry(Kind.SUBDOMAIN, target.subdomain))
        elif target.key is not None:
            named = state.facts.get(Entry(Kind.KEY, target.key))
        if not isinstance(named, Alias) or named.workspace != transfer.workspace:
            return False
        return named.version.number < transfer.lock_seq
