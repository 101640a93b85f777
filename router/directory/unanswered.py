"""Requests that ended without a whole answer: remembered for a while, and named to the transfer that has to know.

Theory. Whatever was sent to a region may be executed there, though nobody waits for the answer any more. That matters
to a transfer of the request's workspace only, and nearly always there is none. So a gateway remembers such requests for
as long as a region may go on executing them (`unanswered_window`), and names them when the feed brings a lock of their
workspace. They are *owed* then: `applied` is not reported past the lock before each of them has been sent, in that very
renewal at the latest, so the list is complete when the transfer becomes `transferring`. What ends afterwards, while the
lock stands, is owed at once: its request was stale, and held `applied` back until then. The registration's last word,
when it takes its row away, is all that is remembered, for transfers that start after the gateway has gone.

The law of the room: the memory is bounded, and a loss is never silent. Of requests beyond `unanswered_size` it keeps
the workspace only, and says `FORGOTTEN_REQUESTS` for it. Of workspaces beyond that it keeps nothing, says so for each
workspace that is locked, and counts them. Nothing here is called for a request that ends well.
"""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from router.model.losses import FORGOTTEN_REQUESTS, UnansweredRequest
from router.model.placement import Kind, Placement, WorkspaceId

if TYPE_CHECKING:
    from router.directory.ledger import Hold
    from router.directory.options import DirectoryOptions
    from router.directory.ports import Clock
    from router.model.fault import Fault
    from router.model.placement import Change

BATCH: Final = 1000
"""Requests that one renewal names at most."""

_log = logging.getLogger(__name__)


class _End(NamedTuple):
    """When something ended: on the clock that goes on in a suspended machine, and for people."""

    elapsed: float
    wall: float


@dataclass(frozen=True, slots=True)
class _Remembered:
    request: UnansweredRequest
    end: _End


class _Owed(NamedTuple):
    """To be named before `applied` reaches `seq`."""

    request: UnansweredRequest
    seq: int


class Unanswered:
    """The memory of one process, through all its terms. `incarnation` is the present one's."""

    def __init__(self, options: DirectoryOptions, clock: Clock) -> None:
        self.incarnation = ""
        self.forgotten = 0
        """Requests of which not even the workspace is known any more."""
        self._window = options.unanswered_window
        self._size = options.unanswered_size
        self._clock = clock
        # In the order they ended, as a whole and for each workspace.
        self._all: deque[_Remembered] = deque()
        self._by_workspace: dict[WorkspaceId, deque[_Remembered]] = {}
        self._crowded_out: OrderedDict[WorkspaceId, _End] = OrderedDict()
        self._blind: _End | None = None
        self._locked: dict[WorkspaceId, int] = {}
        self._owed: deque[_Owed] = deque()

    def __len__(self) -> int:
        return len(self._all)

    @property
    def owes(self) -> bool:
        """Whether something has to be named in the next renewal."""
        return bool(self._owed)

    def note(self, holds: tuple[Hold, ...], request_id: bytes, region: str, fault: Fault) -> None:
        """A request that was decided on `holds` has ended by `fault` after something of it was sent to `region`.

        To be called before it leaves the ledger. What rests on no workspace is outside any lock.
        """
        name = next((entry.name for entry, _ in holds if entry.kind is Kind.WORKSPACE), None)
        if name is None:
            return
        workspace = WorkspaceId(name)
        end = _End(self._clock.elapsed(), self._clock.wall())
        # The id is the client's where it sent one.
        shown = request_id.decode("ascii", "backslashreplace")
        request = UnansweredRequest(shown, workspace, region, self.incarnation, end.wall, fault.label)
        remembered = _Remembered(request, end)
        self._all.append(remembered)
        self._by_workspace.setdefault(workspace, deque()).append(remembered)
        self._trim(end.elapsed)
        if workspace in self._locked:
            self._owed.append(_Owed(request, self._locked[workspace]))

    def follow(self, change: Change) -> None:
        """Take note of a change of the feed, before the requests that it concerns do."""
        fact = change.fact
        if not isinstance(fact, Placement):
            return
        if fact.transfer is None:
            self._locked.pop(fact.workspace, None)
        elif fact.workspace not in self._locked:
            self._locked[fact.workspace] = change.seq
            self._trim(self._clock.elapsed())
            named = self._named(fact.workspace)
            self._owed.extend(_Owed(request, change.seq) for request in named)

    def batch(self) -> tuple[UnansweredRequest, ...]:
        """What the next renewal has to name."""
        return tuple(owed.request for owed in islice(self._owed, BATCH))

    def limit(self, applied: int) -> int:
        """How much of `applied` may be reported by a renewal that names the whole of `batch`."""
        behind = islice(self._owed, BATCH, None)
        return min(applied, min((owed.seq - 1 for owed in behind), default=applied))

    def named(self, batch: tuple[UnansweredRequest, ...]) -> None:
        """The renewal that named `batch` was acknowledged."""
        for _ in batch:
            self._owed.popleft()

    def end_term(self) -> None:
        """What is owed will be named when the row is taken away; the next term sees locks of its own."""
        self.incarnation = ""
        self._locked.clear()
        self._owed.clear()

    def last_word(self) -> tuple[UnansweredRequest, ...]:
        """All that is remembered."""
        self._trim(self._clock.elapsed())
        if self._blind is not None:
            _log.warning("transfers that start soon will not know of all requests that got no whole answer")
        crowded_out = (_forgotten(workspace, self.incarnation, end) for workspace, end in self._crowded_out.items())
        return (*(remembered.request for remembered in self._all), *crowded_out)

    def _named(self, workspace: WorkspaceId) -> tuple[UnansweredRequest, ...]:
        requests = tuple(remembered.request for remembered in self._by_workspace.get(workspace, ()))
        forgotten = self._crowded_out.get(workspace, self._blind)
        return requests if forgotten is None else (*requests, _forgotten(workspace, self.incarnation, forgotten))

    def _trim(self, now: float) -> None:
        oldest_kept = now - self._window
        while self._all and self._all[0].end.elapsed < oldest_kept:
            self._drop()
        while len(self._all) > self._size:
            dropped = self._drop()
            self._crowded_out[dropped.request.workspace] = dropped.end
            self._crowded_out.move_to_end(dropped.request.workspace)
        while self._crowded_out and next(iter(self._crowded_out.values())).elapsed < oldest_kept:
            self._crowded_out.popitem(last=False)
        while len(self._crowded_out) > self._size:
            self._blind = self._crowded_out.popitem(last=False)[1]
            self.forgotten += 1
        if self._blind is not None and self._blind.elapsed < oldest_kept:
            self._blind = None

    def _drop(self) -> _Remembered:
        dropped = self._all.popleft()
        of_workspace = self._by_workspace[dropped.request.workspace]
        of_workspace.popleft()
        if not of_workspace:
            del self._by_workspace[dropped.request.workspace]
        return dropped


def _forgotten(workspace: WorkspaceId, incarnation: str, end: _End) -> UnansweredRequest:
    return UnansweredRequest("", workspace, "", incarnation, end.wall, FORGOTTEN_REQUESTS)
