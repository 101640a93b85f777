"""From a function that waits to a loop that does not: how the control plane's rules run over this dialect.

Theory. The rules of the control plane are plain functions, because a rule is easier to read and to trust than its
coroutine would be. What they run over here awaits sockets. So a rule runs in a thread, and each of its statements is
handed to the loop, which does it on the transaction's connection while the thread waits.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from router.directory.postgres.feed import Feed
    from router.directory.postgres.pool import Row
    from router.directory.postgres.session import Transaction

T = TypeVar("T")


class Bridge:
    """One transaction, for the thread that its rule runs in. `feed` is there for those that write."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transaction: Transaction, feed: Feed | None) -> None:
        self._loop = loop
        self.transaction = transaction
        self._feed = feed

    @property
    def feed(self) -> Feed:
        """The change feed."""
        if self._feed is None:
            raise TypeError("a reader has no feed to write to")
        return self._feed

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` gives, on the loop. Raises what it raises."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def rows(self, query: str, **parameters: Any) -> list[Row]:
        """The rows of one statement."""
        return self.wait(self.transaction.rows(query, parameters))

    def row(self, query: str, **parameters: Any) -> Row | None:
        """Its first row, if there is one."""
        return self.wait(self.transaction.row(query, parameters))

    def run(self, query: str, **parameters: Any) -> int:
        """How many rows were changed by one statement."""
        return self.wait(self.transaction.run(query, parameters))
