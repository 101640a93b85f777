"""What a schedule's world is made of, and the constants that all of them share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from router.directory.options import DirectoryOptions

DRIFT: Final = 0.02
MARGIN: Final = 0.2
SKEW: Final = 1.0
"""How far the wall clocks of two machines may be apart: a quarantine begins by one and ends by another."""
LOCK_DRAIN: Final = 1.5
WALL_AT_START: Final = 1_700_000_000.0
SETTLED: Final = -1
"""Instead of a number of turns: run until everybody waits."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a schedule's world is made of. Seconds and counts, as in `DirectoryOptions`."""

    gateways: int = 1
    lease: float = 4.0
    renewal_timeout: float = 1.5
    feed_batch: int = 1000
    cache_size: int = 100
    absent_ttl: float = 5.0
    max_lookups: int = 32
    synchronous: bool = True
    """Transfers, registrations and renewals are on the standby before they are answered."""
    rates: tuple[float, ...] = ()
    """How fast the processes' clocks go, in the order they are made; 1 for those that are not named."""
    evaluators_in_gateways: bool = False
    w2_exists: bool = True
    wall_ahead: float = 0.0
    """By how much the wall clocks of control processes are ahead of the directory's; at most SKEW."""
    patience: float = 0.3
    """For the transfer service; and between two looks of a job at its transfer:"""
    job_interval: float = 0.5

    def options(self) -> DirectoryOptions:
        """As the product takes them."""
        return DirectoryOptions(
            poll_interval=0.5,
            lease=self.lease,
            renewal_timeout=self.renewal_timeout,
            lookup_timeout=1.0,
            max_lookups=self.max_lookups,
            retry_max=1.0,
            cache_size=self.cache_size,
            absent_ttl=self.absent_ttl,
            feed_batch=self.feed_batch,
            clock_drift=DRIFT,
            lease_margin=MARGIN,
        )

    @property
    def allowance(self) -> float:
        """Seconds after which nobody trusts what was renewed before."""
        return self.lease * (1.0 + DRIFT) + MARGIN

    @property
    def quarantine(self) -> float:
        """Seconds for which a new generation lets no barrier hold."""
        return self.allowance + SKEW
