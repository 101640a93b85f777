"""What can be set of the cached directory. Built by the settings, used by every file of this room."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from router.model.losses import WINDOW

_AT_LEAST_ONE: Final = (
    *("max_lookups", "max_waiting", "cache_size", "absent_size", "alias_size", "feed_batch"),
    "unanswered_size",
)


@dataclass(frozen=True, slots=True)
class DirectoryOptions:
    """Times in seconds, sizes in entries.

    - `poll_interval`: between two renewals while nothing happens; a renewal is the only poll of the feed.
    - `lease`: how long a gateway may trust its cache without a renewal; written in its row.
    - `renewal_timeout`: for each call of the registration; `lookup_timeout`: for a lookup and its wait for a turn.
    - `max_lookups`: lookups at the store at a time; `max_waiting`: requests that may wait for lookups at a time.
    - `retry_max`: the longest pause between attempts while the store fails.
    - `cache_size`: placements; `absent_size`, `absent_ttl`: workspaces that are not there; `alias_size`: subdomains
      and keys, those that are not there included.
    - `feed_batch`: changes per renewal.
    - `clock_drift`: by how much of itself a second may differ between two machines; `lease_margin`: seconds that a
      silent gateway is waited for beyond its lease, for what its kernel still sends.
    - `unanswered_window`: seconds that a region may go on executing a request that got no whole answer;
      `unanswered_size`: how many of these are remembered.
    """

    poll_interval: float = 0.25
    lease: float = 3600.0
    renewal_timeout: float = 5.0
    lookup_timeout: float = 2.0
    max_lookups: int = 32
    max_waiting: int = 1024
    retry_max: float = 5.0
    cache_size: int = 200_000
    absent_size: int = 50_000
    absent_ttl: float = 5.0
    alias_size: int = 50_000
    feed_batch: int = 1000
    clock_drift: float = 0.01
    lease_margin: float = 30.0
    unanswered_window: float = WINDOW
    unanswered_size: int = 10_000

    def __post_init__(self) -> None:
        """Raise `ValueError` for a value that is not positive."""
        for field in fields(self):
            least = 1 if field.name in _AT_LEAST_ONE else 0
            value = getattr(self, field.name)
            if value < least or value == 0:
                raise ValueError(f"{field.name} must be positive, not {value}")
