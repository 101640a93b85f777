"""Where each workspace was when, as the job knows it, and what the records of the regions must therefore hold.

Theory. A workspace stays in a region from the moment when the job *asked* that it should to the moment when the job
was *told* that it is `transferring`. The directory has changed it later than the one and earlier than the other, so
whatever was executed outside of a stay was certainly executed where or when nothing may be. There is one exception,
which the transfer itself names: what was sent to the region before, and got no whole answer, may be executed until the
job begins to copy. It has to be on the transfer's list, itself or its gateway; what is not is a violation as well.

An acknowledged write has to be among the data where its workspace is at the end, whichever region executed it.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from router.model.losses import NOTHING_LOST
from tests.chaos.records import Outcome
from tests.chaos.writers import Process

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from router.model.losses import Losses
    from router.model.placement import WorkspaceId
    from router.model.region import RegionName
    from tests.chaos.records import Books, Recorded

SHOWN: Final = 10
"""Findings of each kind that are told."""


@dataclass(slots=True)
class Stay:
    """A workspace's time in one region, in seconds of the clock that all processes share.

    `until` it was told to be `transferring`, `losses` what its transfer lists; `copied` is when copying began.
    """

    region: RegionName
    since: float = -math.inf
    until: float = math.inf
    copied: float = -math.inf
    losses: Losses = NOTHING_LOST

    def explains(self, line: Recorded, processes: Mapping[str, Process]) -> bool:
        """Whether it was right to execute that write here. `processes`: who has registered under which name."""
        if self.since <= line.at <= self.until:
            return True
        return self.until < line.at <= self.copied and _lists(self.losses, line, processes)


@dataclass(slots=True)
class History:
    """All stays of one workspace, in their order; the last one is the present."""

    stays: list[Stay]

    def explains(self, region: RegionName, line: Recorded, processes: Mapping[str, Process]) -> bool:
        return any(stay.region == region and stay.explains(line, processes) for stay in self.stays)


@dataclass
class Verdict:
    """What was found. `findings` tells some of it in words."""

    executed: int = 0
    fenced: int = 0
    violations: int = 0
    lost: int = 0
    duplicated: int = 0
    findings: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (self.violations or self.lost or self.duplicated)


def judge(
    books: Mapping[RegionName, Books],
    histories: Mapping[WorkspaceId, History],
    acknowledged: Mapping[str, WorkspaceId],
    processes: Mapping[str, Process],
) -> Verdict:
    """Hold the regions' books against what was promised, and when. `processes`: by the names of their registrations."""
    executions = [
        (region, line) for region, book in books.items() for line in book.record if line.outcome is Outcome.EXECUTED
    ]
    verdict = Verdict(
        executed=len(executions),
        fenced=sum(line.outcome is not Outcome.EXECUTED for book in books.values() for line in book.record),
    )
    wrong = list(_wrong(executions, histories, processes))
    times = Counter(line.name for _, line in executions)
    twice = [f"{name} was executed {number} times" for name, number in times.items() if number > 1]
    lost = list(_lost(books, histories, acknowledged))
    verdict.violations, verdict.duplicated, verdict.lost = len(wrong), len(twice), len(lost)
    verdict.findings = wrong[:SHOWN] + twice[:SHOWN] + lost[:SHOWN]
    return verdict


def _lists(losses: Losses, line: Recorded, processes: Mapping[str, Process]) -> bool:
    """Whether that write is on the list, itself or by its gateway."""
    if any(request.request_id == line.request for request in losses.requests):
        return True
    sent_to = Process.of(line.name)
    return any(processes.get(gateway.incarnation) == sent_to for gateway in losses.gateways)


def _wrong(
    executions: Iterable[tuple[RegionName, Recorded]],
    histories: Mapping[WorkspaceId, History],
    processes: Mapping[str, Process],
) -> Iterator[str]:
    by_name = {str(workspace): history for workspace, history in histories.items()}
    for region, line in executions:
        history = by_name[line.workspace]
        if history.explains(region, line, processes):
            continue
        left = [stay for stay in history.stays if stay.until < line.at]
        if left and left[-1] is not history.stays[-1]:
            following = history.stays[history.stays.index(left[-1]) + 1]
            move = f"{left[-1].region} → {following.region}"
            yield (
                f"{line.name} of {line.workspace} was executed in {region} {line.at - left[-1].until:.3f} s after the "
                f"move {move} was transferring; that was ended {following.since - left[-1].until:.3f} s after it was"
            )
        else:
            yield f"{line.name} of {line.workspace} was executed in {region}, where it never lived by then"


def _lost(
    books: Mapping[RegionName, Books],
    histories: Mapping[WorkspaceId, History],
    acknowledged: Mapping[str, WorkspaceId],
) -> Iterator[str]:
    homes = {workspace: history.stays[-1].region for workspace, history in histories.items()}
    for name, workspace in acknowledged.items():
        home = homes[workspace]
        if name not in books[home].data.get(workspace, frozenset()):
            yield f"{name} of {workspace} was acknowledged, and is not in {home}"
