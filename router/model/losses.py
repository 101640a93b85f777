"""What a transfer cannot know the end of: requests without a whole answer, and gateways that cannot be asked any more.

Theory. The lock barrier proves that nothing of a workspace is *written to* a region any more. It cannot prove that the
region has stopped *executing* what was written before: a request whose answer never came in full may still be running
there. Whoever got the whole answer knows; of everything else the transfer keeps a list, so that the job that copies can
wait as long as the region may go on executing. A gateway that died or fell silent cannot name its requests, so it
stands on the list itself. One that left by itself has named them, and does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from router.model.placement import WorkspaceId

WINDOW: Final = 900.0
"""Seconds that a region may go on executing a request without a whole answer, unless the operator knows better."""

FORGOTTEN_REQUESTS: Final = "forgotten"
"""Stands in the place of a fault where a gateway had more of such requests than it can remember."""


class Ending(StrEnum):
    """How a registration came to be taken away by somebody else than its own gateway."""

    EXPIRED = "expired"
    FORGOTTEN = "forgotten"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class LostGateway:
    """A gateway worker that cannot name its requests any more. `at`: when its row was taken, seconds since 1970."""

    incarnation: str
    gateway: str
    host: str
    ending: Ending
    at: float


@dataclass(frozen=True, slots=True)
class UnansweredRequest:
    """A request of which something was sent to `region`, and no whole answer came back.

    - `incarnation`: the registration under which its gateway says so; empty where it had none just then.
    - `ended_at`: when it ended for the gateway, seconds since 1970; the region may have ended it later, or never begun.
    - `fault`: the label of the fault that ended it. `FORGOTTEN_REQUESTS`, with an empty `request_id` and `region`:
      there were more than the gateway could remember, the last of them at `ended_at`, and some may be of `workspace`.
    """

    request_id: str
    workspace: WorkspaceId
    region: str
    incarnation: str
    ended_at: float
    fault: str


@dataclass(frozen=True, slots=True)
class Losses:
    """The list of one transfer: gateways in the order they were lost, requests in the order they ended."""

    gateways: tuple[LostGateway, ...] = ()
    requests: tuple[UnansweredRequest, ...] = ()


NOTHING_LOST: Final = Losses()
