"""Directories to measure: SQLite and PostgreSQL, filled with as many placements as asked for, and then changed at once.

The law of the room: they are made by the product's migrations, and filled by one statement, since nobody imports ten
million workspaces to look at a table. What is measured afterwards is asked through the product's own stores.
"""

from __future__ import annotations

import sqlite3
from hashlib import md5
from typing import TYPE_CHECKING, Any, Final, Protocol

import psycopg

from router.directory.ports import SystemClock
from router.directory.postgres.maintenance import migrate as migrate_database
from router.directory.postgres.options import PostgresOptions
from router.directory.postgres.store import PostgresStore
from router.directory.sqlite import SqliteStore, migrate
from router.model.placement import WorkspaceId
from tests.postgres_server import PostgresServer

if TYPE_CHECKING:
    from pathlib import Path

    from router.runtime.directories import MaintainedStore

REGIONS: Final = ("global", "eu", "us", "uk", "au")
_REGION: Final = (
    "(CASE number % 5 WHEN 0 THEN 'global' WHEN 1 THEN 'eu' WHEN 2 THEN 'us' WHEN 3 THEN 'uk' ELSE 'au' END)"
)
_REGION_IN_POSTGRES: Final = _REGION.replace("%", "%%")
"""Parameters are put into the text there."""

_CHECKED: Final = {
    "fsync": "on",
    "full_page_writes": "on",
    "shared_buffers": "256MB",
    "max_wal_size": "8GB",
    "autovacuum": "on",
}
"""Of PostgreSQL: nothing of its durability is left out. The rest is as it comes."""


def workspace_of(number: int) -> WorkspaceId:
    """The id of the placement of that number: in no order, and 24 digits."""
    return WorkspaceId(_id_of(number))


class Site(Protocol):
    """One directory."""

    name: str

    async def fill(self, placements: int) -> None:
        """Make it, put that many placements, and open it."""

    def connect(self) -> MaintainedStore:
        """A store as a gateway has it."""

    def change(self, placements: int, changes: int) -> None:
        """Commit that many changes at once, of all placements in turn."""

    def size(self) -> int:
        """Bytes that it takes on the disk."""

    def remove(self) -> None:
        """Leave nothing behind."""


class SqliteSite:
    """A file."""

    name = "SQLite"

    def __init__(self, folder: Path) -> None:
        self._path = folder / "directory.db"

    async def fill(self, placements: int) -> None:
        migrate(self._path, clock=SystemClock())
        base = self._open()
        with base:
            base.execute(
                "INSERT INTO workspace (id, region, epoch) WITH RECURSIVE numbers (number) AS "
                "(SELECT 0 UNION ALL SELECT number + 1 FROM numbers WHERE number < ? - 1) "
                f"SELECT id_of(number), {_REGION}, 1 FROM numbers ORDER BY 1",
                (placements,),
            )
            base.execute("UPDATE feed SET opened = 1")
        base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        base.close()

    def connect(self) -> MaintainedStore:
        return SqliteStore(self._path, clock=SystemClock())

    def change(self, placements: int, changes: int) -> None:
        base = self._open()
        with base:
            base.execute(
                "INSERT INTO change (seq, kind, name, number, region) WITH RECURSIVE numbers (number) AS "
                "(SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < ?) "
                f"SELECT number, 'workspace', id_of(number % ?), 2 + number / ?, {_REGION} "
                "FROM numbers",
                (changes, placements, placements),
            )
            base.execute("UPDATE feed SET head = ?", (changes,))
        base.close()

    def size(self) -> int:
        return self._path.stat().st_size

    def remove(self) -> None:
        for path in self._path.parent.glob("directory.db*"):
            if path.is_file():
                path.unlink()

    def _open(self) -> sqlite3.Connection:
        base = sqlite3.connect(self._path)
        base.create_function("id_of", 1, _id_of, deterministic=True)
        return base


class PostgresSite:
    """A server of its own."""

    name = "PostgreSQL"

    def __init__(self) -> None:
        self._server = PostgresServer(**_CHECKED).initialize().start()
        self._options = PostgresOptions(self._server.url("postgres"))

    async def fill(self, placements: int) -> None:
        await migrate_database(self._options, clock=SystemClock())
        self._run(
            "INSERT INTO workspace (id, region, epoch) "
            f"SELECT substr(md5(number::text), 1, 24), {_REGION_IN_POSTGRES}, 1 "
            "FROM generate_series(0, %(placements)s - 1) AS number ORDER BY 1",
            {"placements": placements},
        )
        self._run("UPDATE feed SET opened = true")
        self._server.execute("VACUUM (ANALYZE) region_router.workspace")
        self._server.execute("CHECKPOINT")

    def connect(self) -> MaintainedStore:
        return PostgresStore(self._options, clock=SystemClock())

    def change(self, placements: int, changes: int) -> None:
        self._run(
            "WITH news AS (INSERT INTO change (seq, kind, name, number, region) "
            "SELECT number, 'workspace', substr(md5((number %% %(placements)s)::text), 1, 24), "
            f"2 + number / %(placements)s, {_REGION_IN_POSTGRES} "
            "FROM generate_series(1, %(changes)s) AS number) UPDATE feed SET head = %(changes)s",
            {"placements": placements, "changes": changes},
        )

    def size(self) -> int:
        with psycopg.connect(self._server.url("postgres")) as connection:
            row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        assert row is not None
        return int(row[0])

    def remove(self) -> None:
        self._server.remove()

    def _run(self, query: str, parameters: dict[str, Any] | None = None) -> None:
        with psycopg.ClientCursor(psycopg.connect(self._server.url("postgres"))) as cursor, cursor.connection:
            cursor.execute("SET search_path = region_router; SET work_mem = '512MB'; SET synchronous_commit = on")
            cursor.execute(query.encode(), parameters)


def _id_of(number: int) -> str:
    return md5(str(number).encode(), usedforsecurity=False).hexdigest()[:24]
