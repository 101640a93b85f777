"""The hint to a client whose API key a transfer has made worthless.

Theory. Keys are reissued when a workspace moves, so the new region answers a key from before with 401, and that is what
the client gets: status and body are the region's. But a client that logs its user out for it, or reports a broken
integration, could be told why. The directory knows which keys were superseded. Most requests are decided by their path
and nobody has looked their key up; so where a region says 401, the answer is held back until that is done, no longer
than a lookup may take. A hint that is missing does no harm: so many lookups at a time and no more, because whoever
guesses keys must not get in the way of those who need the directory.
"""

from __future__ import annotations

import logging
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from router.directory.directory import DirectoryUnavailableError
from router.directory.locate import Missing
from router.model.placement import Alias, Entry, Kind

if TYPE_CHECKING:
    from router.directory.directory import CachedDirectory
    from router.directory.ports import Spawner
    from router.gateway.rerouting import Disowned

REISSUED: Final = b"X-Router-Hint: key-reissued-by-transfer\r\n"
MOST: Final = 16
"""Keys that are looked up at a time."""

_log = logging.getLogger(__name__)


class Hints:
    """What the directory knows of the API keys that regions refuse."""

    def __init__(self, directory: CachedDirectory, spawner: Spawner) -> None:
        self._directory = directory
        self._spawner = spawner
        self._asking = 0

    def lines(self, key: bytes | None) -> bytes:
        """The field for a refused `key` that is known to be superseded; nothing for any other."""
        fact = None if key is None else self._directory.known(_entry(key))
        return REISSUED if isinstance(fact, Alias) and fact.superseded else b""

    def must_ask(self, key: bytes | None) -> bool:
        """Whether nothing is known of `key`, and it may be asked for now."""
        return key is not None and self._asking < MOST and self._directory.known(_entry(key)) is None

    def ask(self, exchange: Disowned, key: bytes) -> None:
        """Ask for `key`, and tell `exchange` when that is done, whatever came of it."""
        self._spawner.spawn(self._ask(exchange, key), "hint")

    async def _ask(self, exchange: Disowned, key: bytes) -> None:
        self._asking += 1
        try:
            await self._directory.fetch(Missing((_entry(key),)))
        except DirectoryUnavailableError as error:
            _log.debug("no hint for a key: %s", error)
        finally:
            self._asking -= 1
        # No await between here and the answer's head: the entry is pinned no longer than this step.
        exchange.refreshed(moved=False)


def _entry(key: bytes) -> Entry:
    return Entry(Kind.KEY, sha256(key).hexdigest())
