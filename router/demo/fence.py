"""The fence of a fake region: what it commits of which workspace, decided where a backend commits.

Theory. No router can take back what a region has in hand already: bytes in its buffers, a request that was cut and is
still being executed, a client that never asked the router. So a region has to refuse by itself, in the transaction that
writes. Two rules close the gap:

1. *Closed*: before anything is copied, the job closes the workspace under its transfer's id. Whatever comes then is
   refused, whatever its epoch, until that id opens it.
2. *Epochs*: what carries an older `X-Workspace-Epoch` than the highest that was seen is refused, open or closed. To
   open says an epoch too, so that a request from before the move is older than that, even if it comes first.

A check when a request's head arrives is no fence: the workspace may be closed before the request commits. What carries
no epoch has not come through a router, and is refused by the first rule only.

A backend keeps this in the database that it writes to: it locks the workspace's row of the fence (shared) in each
writing transaction, and (exclusive) to close it. Here `commit` runs in the step that answers, and dies with the demo.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Refusal(Enum):
    """Why nothing is committed: status and members of the answer. 421 lets a router look the workspace up again."""

    CLOSED = (423, "This workspace is closed while it is moved", 4230)
    STALE = (421, "This request was routed before the workspace was moved", 4210)


@dataclass(frozen=True, slots=True)
class _Closed:
    transfer: str
    epoch: int


class Fence:
    """The fence of one region, for all its workspaces."""

    def __init__(self) -> None:
        self._closed: dict[str, _Closed] = {}
        self._highest: dict[str, int] = {}

    def close(self, workspace: str, transfer: str, epoch: int) -> bool:
        """Close `workspace` for `transfer`, which locked it at `epoch`; again is no error. `False`: the call is older
        than what has happened here, or another transfer has closed it since.
        """
        closed = self._closed.get(workspace)
        if closed is not None and closed.transfer == transfer:
            return True
        if epoch < self._highest.get(workspace, 0) or (closed is not None and epoch <= closed.epoch):
            return False
        self._closed[workspace] = _Closed(transfer, epoch)
        self._highest[workspace] = epoch
        return True

    def open(self, workspace: str, transfer: str, epoch: int) -> bool:
        """Let requests of `epoch` and later in again. `False`: it is not `transfer` that closed it."""
        closed = self._closed.get(workspace)
        if closed is None or closed.transfer != transfer:
            return False
        del self._closed[workspace]
        self._highest[workspace] = max(epoch, self._highest[workspace])
        return True

    def commit(self, workspace: str, epoch: int | None) -> Refusal | None:
        """Commit a request, or say why not. Nothing may come between this and the write itself."""
        if workspace in self._closed:
            return Refusal.CLOSED
        if epoch is None:
            return None
        if epoch < self._highest.get(workspace, 0):
            return Refusal.STALE
        self._highest[workspace] = epoch
        return None
