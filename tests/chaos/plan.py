"""What is done to what: the two runs, their times, and the configuration of their gateways."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from router.directory.options import DirectoryOptions
from router.model.placement import WorkspaceId
from router.model.region import RegionName

if TYPE_CHECKING:
    from collections.abc import Mapping

REGIONS: Final = tuple(map(RegionName, ("global", "eu", "us", "uk", "au")))
HOME: Final = REGIONS[0]
"""Workspaces leave it, and none comes back."""

WORKSPACES: Final = tuple(WorkspaceId(f"64a687e29ae1f428e7eb{number:04x}") for number in range(50))
GATEWAYS: Final = 3
WRITERS: Final = 96
MOVERS: Final = 10
"""Workspaces that are on their way at the same time."""

OPTIONS: Final = DirectoryOptions(poll_interval=0.1, lease=2.0, lease_margin=0.5, unanswered_window=20.0)
"""The gateways' and the job's, as far as the barrier rests on them: short, so that a run sees many leases lapse."""

LAPSE: Final = OPTIONS.lease * (1.0 + OPTIONS.clock_drift) + OPTIONS.lease_margin
"""Seconds of silence after which a gateway is given up."""

LONGEST_EXECUTION: Final = 0.6
"""Seconds that a region works on one request at most."""

NO_DRAIN: Final = "no-drain"
BREAKS: Final = ("", NO_DRAIN)


class PlanError(Exception):
    """The environment asks for what there is not. One line."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run. `stops`: gateways are stopped beyond their lease, the database is restarted, its connections are slow;
    `fences`: regions refuse what comes too late.
    """

    name: str
    seconds: float
    stops: bool
    fences: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Both runs. `broken`: gateways are started with a fault."""

    runs: tuple[Run, ...]
    seed: int
    broken: str = ""


def read_plan(environment: Mapping[str, str] = os.environ) -> Plan:
    """What `CHAOS_SECONDS` (of one run), `CHAOS_SEED` and `CHAOS_BREAK` ask for. Raises `PlanError`."""
    broken = environment.get("CHAOS_BREAK", "")
    if broken not in BREAKS:
        raise PlanError(f"CHAOS_BREAK is {broken!r}: the only fault to choose is {NO_DRAIN}")
    seconds = _number(environment, "CHAOS_SECONDS", 75)
    runs = (Run("A", seconds, stops=True, fences=True), Run("B", seconds, stops=False, fences=False))
    return Plan(runs, _number(environment, "CHAOS_SEED", secrets.randbits(32)), broken)


def configure(database: str, origins: Mapping[RegionName, int], options: DirectoryOptions = OPTIONS) -> str:
    """The configuration of a gateway that reaches its directory at the URL `database`, and the regions at ports."""
    regions = "".join(
        f'[regions.{name}]\norigin = "http://127.0.0.1:{port}"\npublic_url = "https://{name}.example.com"\n'
        for name, port in origins.items()
    )
    return f"""
[gateway]
listen = ["127.0.0.1:0"]
drain_delay = 0
[gateway.timeouts]
lock_drain = 0.4
[ops]
listen = ["127.0.0.1:0"]
[directory]
url = "{database}"
listen_url = "{database}"
locks = "locks"
lease = {options.lease}
lease_margin = {options.lease_margin}
clock_drift = {options.clock_drift}
poll_interval = {options.poll_interval}
unanswered_window = {options.unanswered_window}
pool_size = 4
pool_wait = 1
renewal_timeout = 1
lookup_timeout = 1
statement_timeout = 2
lock_timeout = 2
retry_max = 0.5
heartbeat = 1
[policy]
home = "{HOME}"
[services.api]
match = ["example.com/api"]
path = "/api"
{regions}"""


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise PlanError(f"{name} is {text!r}: write a whole number")
    return int(text)
