"""A throttle: not the same again so soon.

The law of the room: bounded memory, whatever names come. Where it can't remember one more, it admits nobody until it
has forgotten somebody: forgetting earlier would let a flood of names open it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachetools import TTLCache

if TYPE_CHECKING:
    from collections.abc import Hashable

    from router.directory.ports import Clock


class Throttle:
    """Admits a name once in `seconds`, and at most `size` names in that time."""

    def __init__(self, seconds: float, size: int, clock: Clock) -> None:
        self._size = size
        self._admitted: TTLCache[Hashable, None, float] = TTLCache(size, seconds, timer=clock.monotonic)

    def admit(self, name: Hashable) -> bool:
        """Whether it is `name`'s turn, which it has taken then."""
        if name in self._admitted or len(self._admitted) >= self._size:
            return False
        self._admitted[name] = None
        return True
