"""Rerouting: what follows when a region says that a workspace is not its own.

Theory. The feed brings a move within moments, but a region may know of it first: it was told by the transfer job, this
gateway was not yet. Such an answer (421, or what policy names) proves nothing, a region can be wrong. It is a reason to
ask the directory, at its primary, and nothing more: only if the placement has a newer version there, and is not locked,
the request is walked again, once. Otherwise the region's answer is passed on as it came.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from router.directory.directory import DirectoryUnavailableError
from router.model.placement import Placement

if TYPE_CHECKING:
    from router.directory.directory import CachedDirectory
    from router.directory.ledger import Hold

_log = logging.getLogger(__name__)


class Disowned(Protocol):
    """Who wants to know: an exchange that holds an answer back."""

    def refreshed(self, *, moved: bool) -> None:
        """The directory has been asked."""


async def ask_again(directory: CachedDirectory, exchange: Disowned, hold: Hold) -> None:
    """Ask the directory for the placement that `exchange` was decided on, and tell it whether that has changed."""
    entry, version = hold
    try:
        await directory.refresh(entry)
    except DirectoryUnavailableError as error:
        _log.warning("a placement that its region disowns could not be refreshed: %s", error)
    # No await between here and the decision.
    fact = directory.known(entry)
    exchange.refreshed(moved=isinstance(fact, Placement) and fact.version > version and fact.transfer is None)
