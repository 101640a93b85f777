"""The change feed as its reader sees it: whether what a renewal brought continues what was applied.

The law of the room: the feed is gapless in the order of commits, so whatever does not follow is never skipped or
guessed at. It ends the term and the reader starts cold. An empty answer means "up to date" only if its head says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from router.directory.store import Position, Renewed


def find_break(position: Position, renewed: Renewed) -> str | None:
    """Why `renewed` does not continue what was applied up to `position`, or `None` if it does."""
    if renewed.generation != position.generation:
        return f"the directory is of generation {renewed.generation} now, not {position.generation}"
    if renewed.head < position.seq:
        return f"the directory's head went back to {renewed.head} behind {position.seq}"
    if position.seq + 1 < renewed.floor:
        return f"changes {position.seq + 1} to {renewed.floor - 1} are no longer kept"
    expected = position.seq + 1
    for change in renewed.changes:
        if change.seq != expected:
            return f"change {expected} is missing before {change.seq}"
        expected += 1
    if renewed.head > position.seq and not renewed.changes:
        return f"change {expected} is missing though the head is {renewed.head}"
    if expected - 1 > renewed.head:
        return f"change {expected - 1} lies behind the head {renewed.head}"
    return None
