"""A transaction, from its first statement to the certainty that it is committed.

Theory. Everything that a transaction needs is set inside it (SET LOCAL): behind a pooler in transaction mode a session
is nobody's, and what was set in it belongs to whoever comes next.

*Readers* see one snapshot (REPEATABLE READ, which never fails for readers, on a standby neither) and cannot write.
*Writers* are READ COMMITTED: they serialize on the feed's row, and each statement behind that lock has to see what the
last writer has committed, which a snapshot taken while waiting for it would hide.

*Committed* is what the standbys have confirmed, where there are any (synchronous_commit = on; where the server waits
for none it costs nothing). If that wait is cancelled, the server says so by a warning only, and the commit is visible,
though it may be lost with its machine. So a warning is a failure, until a second commit on the same history has been
confirmed: the standbys receive in order, so what is confirmed behind a commit confirms it. If that fails too the caller
gets an error and knows no more than if no answer had come; nobody has been told anything. What others read meanwhile is
the business of those who report: they confirm what they have read (`confirm`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from router.directory.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from router.directory.postgres.options import PostgresOptions
    from router.directory.postgres.pool import Link, Pool, Row
    from router.directory.postgres.source import Source

T = TypeVar("T")

SCHEMA: Final = "region_router"

_GRACE: Final = 2.0
"""Seconds beyond the server's own timeouts in which its answer may come."""

_READ: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_WRITE: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"

_ONE_CONFIRMS: Final = "SELECT pg_advisory_xact_lock(2886218022912013947)"
"""Any number that nobody else takes."""

_MARK: Final = f"SELECT pg_logical_emit_message(true, '{SCHEMA}', 'confirmed')"


class Transaction:
    """What the rooms work with: statements on one connection, each within its time. Raises `StoreError`."""

    def __init__(self, link: Link, limit: float) -> None:
        self._link = link
        self._limit = limit
        self.generation: int | None = None
        """Under which it writes, once that is known: its commit is worth nothing under another one."""

    @property
    def source(self) -> Source:
        """Where it runs."""
        return self._link.source

    async def rows(self, query: str, parameters: dict[str, Any] | None = None) -> list[Row]:
        """The rows of the last statement in `query` that has any."""
        cursor = await self._link.execute(query, parameters, self._limit)
        rows: list[Row] = []
        while True:
            if cursor.description is not None:
                rows = await cursor.fetchall()
            if not cursor.nextset():
                return rows

    async def row(self, query: str, parameters: dict[str, Any] | None = None) -> Row | None:
        """Its first row, if there is one."""
        rows = await self.rows(query, parameters)
        return rows[0] if rows else None

    async def run(self, query: str, parameters: dict[str, Any] | None = None) -> int:
        """How many rows were changed by `query`, which is one statement."""
        return (await self._link.execute(query, parameters, self._limit)).rowcount

    async def confirm(self) -> None:
        """Mark what was only read, one reader after the other. While the standbys are gone a commit waits for them on
        the server, for ever, though its caller has given up: it must not be one more for each that asks.
        """
        await self.rows(_ONE_CONFIRMS)
        await self.mark()

    async def mark(self) -> None:
        """Write something that means nothing: the commit then waits for the standbys, which receive in order, so all
        that was visible to this transaction is confirmed with it. A commit without any writing waits for nobody.
        """
        await self.rows(_MARK)


class Terms:
    """How transactions begin, and how many seconds a statement may take before its connection is given up."""

    def __init__(self, options: PostgresOptions) -> None:
        self.limit = max(options.statement_timeout, options.lock_timeout) + _GRACE
        timeouts = (
            f"SET LOCAL search_path = {SCHEMA}, pg_temp; "
            f"SET LOCAL statement_timeout = {_milliseconds(options.statement_timeout)}; "
            f"SET LOCAL lock_timeout = {_milliseconds(options.lock_timeout)}; "
            f"SET LOCAL idle_in_transaction_session_timeout = {_milliseconds(2 * self.limit)}; "
            # Where the feed's single row was never counted, a renewal looks so costly that the server would compile it,
            # for tens of milliseconds and each time anew. No statement of ours is worth that.
            "SET LOCAL jit = off; "
        )
        durability = "local" if options.accept_loss else "on"
        self.read = f"{_READ}; {timeouts}"
        # A server that was told to keep its warnings to itself would keep the one that matters.
        warnings = "SET LOCAL client_min_messages = warning; "
        self.write = f"{_WRITE}; {timeouts}SET LOCAL synchronous_commit = {durability}; {warnings}"


class Session:
    """Runs functions over transactions on the connections of `pool`.

    `history` tells the generation that a transaction is on, `None` if it is on none that is known.
    """

    def __init__(self, pool: Pool, terms: Terms, history: Callable[[Transaction], Awaitable[int | None]]) -> None:
        self._pool = pool
        self._terms = terms
        self._history = history

    @property
    def source(self) -> Source:
        """Where its transactions run."""
        return self._pool.source

    def leave(self) -> None:
        """See `Pool.leave`."""
        self._pool.leave()

    async def close(self) -> None:
        """Close the connections. Calls under way end with `StoreError`."""
        await self._pool.close()

    async def ask(self, query: str, parameters: dict[str, Any]) -> Row | None:
        """The first row of one statement, read in one message. Raises `StoreError`."""
        async with self._pool.link() as link:
            transaction = Transaction(link, self._terms.limit)
            return await transaction.row(f"{self._terms.read}{query}; COMMIT", parameters)

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """What `work` finds in one snapshot. Raises `StoreError`, and whatever `work` raises."""
        async with self._pool.link() as link:
            transaction = Transaction(link, self._terms.limit)
            await transaction.run(self._terms.read)
            result = await work(transaction)
            await transaction.run("COMMIT")
            return result

    async def write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """What `work` has done, committed and confirmed; nothing of it if it raises.

        Raises `StoreError`, and whatever `work` raises. Behind a `StoreError` it may be committed nevertheless.
        """
        async with self._pool.link() as link:
            link.warned = False
            transaction = Transaction(link, self._terms.limit)
            await transaction.run(self._terms.write)
            try:
                result = await work(transaction)
            except StoreError:
                raise
            except Exception:
                # Not left to the closing of the connection: others wait for its locks.
                await transaction.run("ROLLBACK")
                raise
            await transaction.run("COMMIT")
            if link.warned:
                await self._confirm(link, transaction.generation)
            return result

    async def _confirm(self, link: Link, generation: int | None) -> None:
        """See the theory. On the same connection; and on the same history, should a pooler have changed the server."""
        link.warned = False
        transaction = Transaction(link, self._terms.limit)
        await transaction.run(self._terms.write)
        await transaction.mark()
        found = await self._history(transaction)
        await transaction.run("COMMIT")
        if link.warned or found != generation:
            raise StoreError(
                f"{self._pool.source.name}: what was written here is not confirmed by a standby, and may be lost: "
                "see that its standbys follow, or set directory.accept_loss"
            )


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
