"""A primary and its standby, and stores on either of them."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from router.directory.postgres.options import PostgresOptions
from router.directory.postgres.store import PostgresStore
from tests.directory.manual_clock import ManualClock
from tests.directory.postgres.gates import raw

if TYPE_CHECKING:
    from tests.postgres_server import PostgresServer


class Pair:
    """A primary with a directory, and a standby of it; stores on either."""

    def __init__(self, primary: PostgresServer, standby: PostgresServer) -> None:
        self.clock = ManualClock()
        self.primary = primary
        self.standby = standby
        self._stores: list[PostgresStore] = []

    def store(self, *, accept_loss: bool = False, replica_url: str | None = None) -> PostgresStore:
        """On the primary."""
        return self._store(
            PostgresOptions(self.primary.url("postgres"), accept_loss=accept_loss, replica_url=replica_url)
        )

    def store_at(self, url: str, *, patience: float = 5.0) -> PostgresStore:
        """Wherever `url` leads. `patience`: seconds for a statement, and for a lock."""
        return self._store(PostgresOptions(url, statement_timeout=patience, lock_timeout=patience))

    def store_on_standby(self) -> PostgresStore:
        """On what was the standby."""
        return self._store(PostgresOptions(self.standby.url("postgres")))

    async def wait_for_standbys(self, names: str) -> None:
        """Commits are confirmed by those of these names from now on; an empty text: by nobody."""
        async with raw(self.primary.url("postgres")) as connection:
            await connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
            await connection.execute("SELECT pg_reload_conf()")
        while True:
            async with raw(self.primary.url("postgres")) as connection:
                if await (await connection.execute("SHOW synchronous_standby_names")).fetchone() == (names,):
                    return

    async def until_followed(self) -> None:
        """Return when the standby has replayed all that the primary has written."""
        async with raw(self.primary.url("postgres")) as primary:
            while True:
                cursor = await primary.execute(
                    "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()"
                )
                if await cursor.fetchone() == (1,):
                    return

    async def lose_primary(self) -> None:
        """Its machine is gone, and the standby takes over with what it has."""
        await asyncio.to_thread(self.primary.stop, signal.SIGQUIT)
        await asyncio.to_thread(self.standby.promote)

    async def close(self) -> None:
        for store in self._stores:
            await store.close()
        for server in (self.primary, self.standby):
            await asyncio.to_thread(server.remove)

    def _store(self, options: PostgresOptions) -> PostgresStore:
        self._stores.append(PostgresStore(options, clock=self.clock))
        return self._stores[-1]
