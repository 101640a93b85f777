"""What the data plane needs of others, as protocols owned here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from router.gateway.observing import Observed
    from router.model.record import Details, Record
    from router.model.region import RegionName


class Reporter(Protocol):
    """Is told more of the requests that are logged or traced. It must not block and must not raise."""

    def report(self, record: Record, details: Details) -> None:
        """One of them has ended; its record was counted."""


class Recorder(Protocol):
    """Counts what happened. Called on the hot path: it must be cheap and must not raise."""

    def record(self, record: Record) -> None:
        """A request has ended."""

    def turned_away(self) -> None:
        """A connection was reset at once, because its client has as many as it may."""

    def entered(self, region: RegionName) -> None:
        """A request goes out to `region`."""

    def observed(self, seen: Observed) -> None:
        """A request went home because this gateway only observes; this would have been done."""

    def left(self, region: RegionName) -> None:
        """It is over."""
