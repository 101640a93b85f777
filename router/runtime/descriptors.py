"""File descriptors: whether this process may have as many as its configuration can make it need.

Theory. A process that runs out of them accepts nobody and reaches no region, at the moment when most depends on it.
What it may have is known at the start: so is what it can need at most, which is one for each connection to an origin
and each client. The limit on clients is given or it is what is left; then the descriptors can't run out.

The law of the room: a configuration that can't be kept is an error, not a warning: better no start than a promise.
"""

from __future__ import annotations

import logging
import resource
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from router.settings.problems import ConfigError, ConfigProblem

if TYPE_CHECKING:
    from router.routing.table import RoutingTable
    from router.settings.values import Settings

RESERVE: Final = 128
"""For listeners, the directory, the log, the ops listener's clients, and a few to spare."""

FEW: Final = 1024
"""With room for fewer clients than this the operator is warned: that is one client address's share by default."""

_WAYS: Final = "ulimit -n, LimitNOFILE= of systemd, --ulimit nofile= of Docker"

_log = logging.getLogger(__name__)


def fit(settings: Settings) -> Settings:
    """`settings` with `max_connections` filled in, after the limit was raised as far as this process may.

    Raises `ConfigError` if what is configured may need more descriptors than there can be.
    """
    return fit_into(settings, _raise_limit())


def fit_into(settings: Settings, limit: int | None) -> Settings:
    """`settings` for a process with `limit` descriptors, `None` for any number. Raises `ConfigError`."""
    wanted = settings.gateway.max_connections
    if limit is None:
        return settings
    upstream = settings.gateway.pool_size * _origins(settings.table)
    room = limit - upstream - RESERVE
    if wanted is None:
        if room < FEW:
            _log.warning(
                "this process may have %d open files, which leaves room for %d clients beside %d connections to "
                "origins; mend: raise the limit (%s) to %d, or lower gateway.limits.pool_size",
                *(limit, max(room, 1), upstream, _WAYS, FEW + upstream + RESERVE),
            )
        return replace(settings, gateway=replace(settings.gateway, max_connections=max(room, 1)))
    if wanted > room:
        needed = wanted + upstream + RESERVE
        text = f"needs {needed} open files beside {upstream} connections to origins, and this process may have {limit}"
        mend = f"raise the limit ({_WAYS}) to {needed}, or lower it or gateway.limits.pool_size"
        raise ConfigError([ConfigProblem("gateway.limits.max_connections", text, mend)])
    return settings


def _origins(table: RoutingTable) -> int:
    return len({endpoint.origin for region in table.regions.values() for endpoint in region.endpoints.values()})


def _raise_limit() -> int | None:
    """Take as many as are granted without asking anybody. `None`: there is no limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return None if hard == resource.RLIM_INFINITY else hard
