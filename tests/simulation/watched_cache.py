"""The product's cache, with its laws checked at each admission."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from router.directory.cache import Admission, PlacementCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.directory.cache import LookupTicket
    from router.directory.store import Answer, Position
    from router.model.placement import Change, Entry, Fact


def _nobody(violation: str) -> None:
    raise AssertionError(violation)


class WatchedCache(PlacementCache):
    """Tells `report` of an entry that goes back in time while it is known, and of an answer that is admitted though it
    is older than what was applied before it was asked for.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.report: Callable[[str], None] = _nobody
        self._asked_at: dict[LookupTicket, int] = {}

    def begin_term(self, position: Position) -> None:
        """See `PlacementCache`."""
        super().begin_term(position)
        self._asked_at.clear()

    def begin_lookup(self, entry: Entry) -> LookupTicket:
        """See `PlacementCache`."""
        ticket = super().begin_lookup(entry)
        position = self.position
        self._asked_at[ticket] = 0 if position is None else position.seq
        return ticket

    def finish_lookup(self, ticket: LookupTicket, answer: Answer) -> Admission:
        """See `PlacementCache`."""
        before = self.get(answer.fact.entry)
        admission = super().finish_lookup(ticket, answer)
        if admission is Admission.ACCEPTED:
            if answer.seq < self._asked_at.get(ticket, 0):
                self.report("floor: an answer was admitted that is older than what was applied when it was asked for")
            self._compare(before, answer.fact.entry)
        return admission

    def apply(self, change: Change) -> None:
        """See `PlacementCache`."""
        before = self.get(change.fact.entry)
        super().apply(change)
        self._compare(before, change.fact.entry)

    def _compare(self, before: Fact | None, entry: Entry) -> None:
        after = self.get(entry)
        if before is not None and after is not None and after.version < before.version:
            self.report(f"order: the cache went back from version {before.version.number} to {after.version.number}")
