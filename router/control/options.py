"""What the control plane is told once: the regions as it offers them, and the product's numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from router.model.losses import WINDOW
from router.model.transfer import DEFAULT_DURATION

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping

    from router.model.region import RegionName

PLANS: Final = ("PRO", "ENTERPRISE")
BACKUP_LOCK: Final = 7 * 86_400.0
"""Seconds that a source keeps its locked copy."""


@dataclass(frozen=True, slots=True)
class RegionOffer:
    """A region as people choose it."""

    name: RegionName
    label: str
    public_url: str
    accepting: bool = True


@dataclass(frozen=True, slots=True)
class ControlOptions:
    """Runtime values. Durations are in seconds.

    - `workspace_id`: what an id looks like, in lower case; `subdomain_suffix`: behind which label, if any.
    - `own_hosts`: hosts of services and regions, which no subdomain may be.
    - `redirecting`: services of which some request is redirected, past any lock.
    - `requires_tenant_data`: a workspace whose owner or plan is not known does not move; else those rules are judged
      only where the directory knows them.
    - `losses_window`: before a transfer's start, what was lost in so long is on its list.
    - `destinations`: the names of those who are told of events.
    """

    home: RegionName
    regions: Mapping[RegionName, RegionOffer]
    workspace_id: re.Pattern[str]
    subdomain_suffix: str | None = None
    own_hosts: frozenset[str] = frozenset()
    redirecting: tuple[str, ...] = ()
    plans: tuple[str, ...] = PLANS
    transfer_duration: float = DEFAULT_DURATION
    backup_lock: float = BACKUP_LOCK
    requires_tenant_data: bool = True
    losses_window: float = WINDOW
    destinations: tuple[str, ...] = field(default=())
