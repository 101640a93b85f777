"""What stops writers inside their transactions until a test lets them go on, and sees who waits."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_KEY = 4711


@asynccontextmanager
async def raw(url: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """A connection of a test's own, outside any transaction."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        yield connection


class Gate:
    """Whoever writes the workspace `name` waits inside his transaction until the gate is opened."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection

    async def close_for(self, name: str) -> None:
        await self._connection.execute(f"SELECT pg_advisory_lock({_KEY})")
        await self._connection.execute(
            f"CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS "
            f"'BEGIN PERFORM pg_advisory_xact_lock({_KEY}); RETURN new; END'"
        )
        await self._connection.execute(
            "CREATE TRIGGER gate BEFORE INSERT OR UPDATE ON region_router.workspace FOR EACH ROW "
            f"WHEN (new.id = '{name}') EXECUTE FUNCTION gate()"
        )

    async def open(self) -> None:
        await self._connection.execute(f"SELECT pg_advisory_unlock({_KEY})")

    async def until_waiting(self, count: int) -> list[int]:
        """Return when so many of this database's sessions wait for locks: their process ids."""
        while True:
            cursor = await self._connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            waiting = [pid for (pid,) in await cursor.fetchall()]
            if len(waiting) >= count:
                return waiting
