"""Observing: every request goes home, and what would have been done with it is counted.

Theory. The first step of a roll-out: the gateway stands in front, does all of its work on every request, and carries
none of it out. So a request goes where it went before the gateway was there, with its own Host; not even a refusal, a
lock or a directory that can't be asked keeps it from there. What would protect this gateway itself stays (limits,
loops, what is no HTTP), and so does what names no service here: there is no home for it.

Nothing holds such a request back when its workspace is locked. So it has no place in the ledger, and the gateway never
says that it has applied a lock (`router.directory.ledger.Onlooker`): while one observes, no transfer gets past it.

The law of the room: pure but for the count and the log, where a workspace's requests are one line a minute.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from router.directory.throttle import Throttle
from router.model.problem import Problem
from router.routing.identify import identify, join_target, match_prefix
from router.routing.values import Locked, Proxy, Redirect, Refuse

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.directory.ports import Clock
    from router.routing.table import RoutingTable
    from router.routing.values import Decision, RequestHead

OF_THE_WORKSPACE: Final = frozenset(
    {
        Problem.WORKSPACE_CONFLICT,
        Problem.AMBIGUOUS_PATH,
        Problem.WORKSPACE_UNKNOWN,
        Problem.REGION_UNAVAILABLE,
        Problem.DIRECTORY_UNAVAILABLE,
    }
)
"""Refusals that are about where a request goes; all others are about whether it may come."""

LOG_SECONDS: Final = 60.0
LOG_SIZE: Final = 4096

_log = logging.getLogger(__name__)


class Observed(NamedTuple):
    """What would have been done: the region, empty if none was found; the decision; the problem, empty if none."""

    region: str
    decision: str
    problem: str = ""


class Observer:
    """Decides instead of the decision. `count` is told of each."""

    def __init__(self, table: RoutingTable, count: Callable[[Observed], None], clock: Clock) -> None:
        self._table = table
        self._count = count
        self._logged = Throttle(LOG_SECONDS, LOG_SIZE, clock)

    def instead(self, head: RequestHead, decision: Decision) -> Decision:
        """What is done: the way home, or `decision` itself if that is not about the way."""
        if isinstance(decision, Refuse) and decision.problem not in OF_THE_WORKSPACE:
            return decision
        home = self._way_home(head)
        if home is None:
            return decision
        observed = describe(decision)
        self._count(observed)
        if observed != Observed(home.region, "proxy"):
            self._tell(head, observed)
        return home

    def _way_home(self, head: RequestHead) -> Proxy | None:
        """To the service that host and path name, whatever else they say; `None` if they name none."""
        table = self._table
        prefixes = table.view(head.host).prefixes
        prefix = match_prefix(head.target.partition(b"?")[0], prefixes) if prefixes else None
        if prefix is None:
            return None
        region = table.policy.home
        endpoint = table.endpoint(region, prefix.service.name)
        target = join_target(endpoint, head.target[len(prefix.path) :])
        return Proxy(region, endpoint, target, head.authority, None, None)

    def _tell(self, head: RequestHead, observed: Observed) -> None:
        target = identify(head, self._table)
        names = () if isinstance(target, Refuse) else (target.workspace, target.subdomain)
        name = next((name for name in names if name is not None), "none")
        if self._logged.admit((name, observed)):
            what = observed.problem or (f"{observed.decision} {observed.region}".rstrip())
            _log.info("observed: %s, workspace %s: would be %s", head.method, name, what)


def describe(decision: Decision) -> Observed:
    """`decision` in the words of the metrics."""
    match decision:
        case Proxy(region=region):
            return Observed(region, "proxy")
        case Redirect(region=region):
            return Observed(region, "redirect")
        case Locked(region=region):
            return Observed(region, "locked", Problem.WORKSPACE_LOCKED.spec.slug)
        case Refuse(problem=problem):
            return Observed("", "refuse", problem.spec.slug)
