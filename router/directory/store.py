"""What the cached directory, the registration and the transfers ask of a store. Any adapter passes one contract suite.

The law of the room: every answer says of which snapshot it is (`generation`, `seq`), so that its reader can refuse one
that is older than what it has applied already. A store that cannot answer raises `StoreError`, never "not found".
Migration and maintenance are not part of the protocol: they belong to the adapters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from router.model.barrier import BarrierView, Silent
    from router.model.losses import Ending, Losses, UnansweredRequest
    from router.model.placement import Change, Entry, Fact, Placement, WorkspaceId
    from router.model.region import RegionName
    from router.model.transfer import Refusal, Transfer, TransferEvent, TransferId


class StoreError(Exception):
    """The store did not answer, or not usefully. The text is one line for an operator and names the mend."""


class StoreUnreadableError(StoreError):
    """The store is there but this release cannot use it: wrong file, corrupt, or a schema of another age."""


class WriteRefusedError(Exception):
    """A change that the directory's own rules forbid. `problems` has one line each; nothing was changed.

    `drafts` has, for each problem that is about one of several drafts, the number of that draft (from 1).
    """

    def __init__(self, problems: Sequence[str], drafts: Sequence[int] = ()) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)
        self.drafts = tuple(drafts)


@dataclass(frozen=True, slots=True)
class Answer:
    """A fact as of one snapshot of the directory."""

    fact: Fact
    generation: int
    seq: int
    opened: bool


@dataclass(frozen=True, slots=True)
class DirectoryInfo:
    """What a directory says of itself, in one snapshot. `quarantine_until` is seconds since 1970; 0: there is none."""

    directory_id: str
    generation: int
    opened: bool
    quarantine_until: float
    head: int
    floor: int
    schema: int


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A registration to be made: a random incarnation, its gateway's name and host, and its lease in seconds.

    `applies`: it has applied whatever is there already, having nothing in flight; a gateway that holds no request back
    has applied nothing, and begins at 0.
    """

    incarnation: str
    gateway: str
    host: str
    lease: float
    applies: bool = True


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the feed."""

    generation: int
    seq: int


@dataclass(frozen=True, slots=True)
class Renewal:
    """One transaction: renews the row, reports `applied`, asks for the feed behind `position`.

    `unanswered` is kept in that transaction: in the running transfer of its workspace, and where none runs for one that
    starts later. What is sent again after an answer was lost is kept once. Of a refused renewal nothing is kept.
    """

    incarnation: str
    applied: int
    position: Position
    limit: int = 1000
    unanswered: tuple[UnansweredRequest, ...] = ()


@dataclass(frozen=True, slots=True)
class Renewed:
    """The feed of one snapshot. `floor` is the oldest `seq` kept, `head` the newest; `changes` follow `position`."""

    generation: int
    floor: int
    head: int
    opened: bool
    changes: tuple[Change, ...]


class LookupStore(Protocol):
    """What the cached directory asks. Called for misses only."""

    async def lookup(self, entry: Entry, *, primary: bool) -> Answer:
        """The fact named `entry`; an `Absence` if there is none. `primary` forbids a replica's answer.

        Raises `StoreError`.
        """


class RegistrationStore(Protocol):
    """What a gateway's registration asks."""

    async def register(self, newcomer: Newcomer) -> None:
        """Insert the row, with `applied` at the head, or at 0. Raises `StoreError`."""

    async def position(self) -> Position:
        """The head, read on the primary. Called *after* the registration's commit. Raises `StoreError`."""

    async def renew(self, renewal: Renewal) -> Renewed | None:
        """Renew and return the feed, or `None` if there is no such row: a refused renewal. Raises `StoreError`."""

    async def unregister(self, incarnation: str, *, unanswered: Iterable[UnansweredRequest] = ()) -> None:
        """Delete the row; deleting one that is gone is no error. Its gateway cannot be asked afterwards, so
        `unanswered`, all that it remembers, is kept in the same transaction as by a renewal, whether or not the row is
        there. Raises `StoreError`.
        """

    async def registrations(self) -> BarrierView:
        """All rows, in one snapshot of the primary. Raises `StoreError`."""


@dataclass(frozen=True, slots=True)
class WorkspaceRecord:
    """All that the directory holds of a workspace: ids and a placement, no tenant data."""

    placement: Placement
    subdomain: str | None = None
    plan: str | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class WorkspaceDraft:
    """A workspace to be put. `None` leaves what is there (a new workspace then has none)."""

    workspace: WorkspaceId
    region: RegionName
    subdomain: str | None = None
    plan: str | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class KeyDraft:
    """An API key to be put, by the SHA-256 of the key in hex. Names a workspace, or a region, never both."""

    digest: str
    workspace: WorkspaceId | None = None
    region: RegionName | None = None
    superseded_by: str | None = None


class WorkspaceStore(Protocol):
    """What an operator's commands ask. Writers check the rules and write in one transaction."""

    async def get_workspace(self, workspace: WorkspaceId) -> WorkspaceRecord | None:
        """The workspace, or `None`. Raises `StoreError`."""

    async def list_workspaces(
        self, *, region: RegionName | None, after: WorkspaceId | None, limit: int
    ) -> tuple[WorkspaceRecord, ...]:
        """At most `limit` workspaces in the order of their ids, behind `after`. Raises `StoreError`."""

    async def put_workspaces(
        self, drafts: Iterable[WorkspaceDraft], *, progress: Callable[[int], None] | None = None
    ) -> int:
        """Put all or none, and return how many changed. A workspace in transfer, a move to another region of one that
        exists (that is what transfers are for), or a subdomain that another workspace has, is refused; a draft that
        changes nothing never is. `progress` is told now and then how many are done, perhaps in a thread of the store's.

        Raises `WriteRefusedError` with every problem, `StoreError`.
        """

    async def delete_workspace(self, workspace: WorkspaceId) -> bool:
        """Leave a tombstone, and one of each name it has; `False` if there was none.

        Raises `WriteRefusedError` in transfer, `StoreError`.
        """

    async def put_keys(self, drafts: Iterable[KeyDraft]) -> int:
        """Put all or none, and return how many changed. Refused for a workspace in transfer, now or then, and for
        one that is not in the directory. A draft is the whole row: what it leaves out is gone.

        Raises `WriteRefusedError` with every problem, `StoreError`.
        """


class TransferStore(Protocol):
    """What transfers ask. Each call is one transaction that also writes the feed."""

    async def start_transfer(self, transfer: Transfer, *, losses_since: float = math.inf) -> Transfer:
        """Insert `transfer` as `locking` (its `source` and `lock_seq` are filled in here), grow the epoch, lock.

        What was lost at `losses_since` (seconds since 1970) or later is on its list from the start: gateways, and the
        unanswered requests of its workspace, those on the lists of other transfers included.

        Raises `WriteRefusedError` (unknown workspace, already running, already there), `StoreError`.
        """

    async def advance_transfer(
        self, transfer: TransferId, event: TransferEvent, *, now: float, reason: str | None = None
    ) -> Transfer | Refusal | None:
        """Apply `router.model.transfer.advance`; `None` if there is no such transfer. Raises `StoreError`.

        `BARRIER_HOLDS` is not for this call: it belongs to `evaluate`.
        """

    async def evaluate(
        self, transfer: TransferId, *, now: float, silent: Iterable[Silent] = ()
    ) -> tuple[Transfer, BarrierView] | None:
        """In one transaction, if the transfer of this random id is `locking`: revoke the rows of `silent` that were not
        renewed meanwhile (as `forget` does, `EXPIRED`), read the others, and if `router.model.barrier.holds`, make it
        `transferring`. Returns what it is now and the rows that are left.

        Raises `StoreError`.
        """

    async def get_transfer(self, transfer: TransferId) -> Transfer | None:
        """The transfer, or `None`. Raises `StoreError`."""

    async def list_transfers(self, *, workspace: WorkspaceId | None, running: bool) -> tuple[Transfer, ...]:
        """Newest first, of one workspace or of all, running ones only if asked. Raises `StoreError`."""

    async def forget(self, incarnation: str, *, ending: Ending, renewals: int | None = None) -> bool:
        """Delete the row of a gateway that will not do it itself, and list it in every running transfer; where none
        runs it is kept for those that start later. With `renewals` only if it was renewed so often and no more.
        Returns whether a row was deleted. Raises `StoreError`.
        """

    async def losses(self, transfer: TransferId) -> Losses:
        """The list of `transfer`; an empty one if there is no such transfer. Raises `StoreError`."""


class Store(LookupStore, RegistrationStore, WorkspaceStore, TransferStore, Protocol):
    """A whole directory."""

    async def close(self) -> None:
        """Give back what the store holds. Pending calls end with `StoreError`."""
