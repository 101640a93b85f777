"""Making and upgrading a directory in PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from router.directory.migrate import migrations, parse
from router.directory.postgres.maintenance import migrate
from router.directory.postgres.options import PostgresOptions
from router.directory.postgres.store import PostgresStore
from router.directory.store import StoreError, StoreUnreadableError
from tests.directory.manual_clock import ManualClock
from tests.directory.postgres.gates import raw
from tests.directory.processes import run
from tests.postgres_server import on_shared, url_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHIPPED = migrations("postgres")


@pytest.fixture
def bare() -> Iterator[str]:
    """A database with nothing in it."""
    name = f"bare_{uuid4().hex[:12]}"
    on_shared(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
    yield name
    on_shared(f"DROP DATABASE {name} WITH (FORCE)")


async def test_a_directory_is_made_by_all_migrations_and_the_next_run_does_nothing(bare: str) -> None:
    options = PostgresOptions(url_of(bare))
    assert await migrate(options, clock=ManualClock()) == SHIPPED
    assert await migrate(options, clock=ManualClock()) == ()
    store = PostgresStore(options, clock=ManualClock())
    info = await store.info()
    await store.close()
    assert (info.schema, info.opened, info.head, info.floor) == (SHIPPED[-1].version, False, 0, 1)


async def test_of_four_processes_that_migrate_at_once_one_does_it(bare: str, tmp_path: Path) -> None:
    program = f"""
from router.directory.postgres.maintenance import migrate
from router.directory.postgres.options import PostgresOptions
print(len(asyncio.run(migrate(PostgresOptions({url_of(bare)!r}), clock=clock))))
"""
    ends = await asyncio.gather(*(run(program, tmp_path) for _ in range(4)))
    assert sorted(end.out for end in ends) == ["0\n"] * 3 + [f"{len(SHIPPED)}\n"]
    async with raw(url_of(bare)) as connection:
        cursor = await connection.execute("SELECT version FROM region_router.schema_version ORDER BY version")
        assert [version for (version,) in await cursor.fetchall()] == [one.version for one in SHIPPED]
        cursor = await connection.execute("SELECT count(*) FROM region_router.feed")
        assert await cursor.fetchone() == (1,)


async def test_a_migration_that_fails_leaves_nothing_behind(bare: str) -> None:
    async with raw(url_of(bare)) as connection:
        await connection.execute("CREATE SCHEMA region_router")
        await connection.execute("CREATE TABLE region_router.registration (somebody_elses int)")
        with pytest.raises(StoreError):
            await migrate(PostgresOptions(url_of(bare)), clock=ManualClock())
        cursor = await connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'region_router'::regnamespace"
        )
        assert await cursor.fetchall() == [("registration",)]


async def test_a_schema_that_was_made_for_a_user_is_enough_for_him(bare: str) -> None:
    on_shared("DROP ROLE IF EXISTS owner_only")
    on_shared("CREATE ROLE owner_only LOGIN")
    async with raw(url_of(bare)) as connection:
        await connection.execute("CREATE SCHEMA region_router AUTHORIZATION owner_only")
    options = PostgresOptions(url_of(bare).replace("postgres@", "owner_only@"))
    assert await migrate(options, clock=ManualClock()) == SHIPPED
    store = PostgresStore(options, clock=ManualClock())
    assert (await store.open_directory(restored=False)).opened
    await store.close()
    async with raw(url_of(bare)) as connection:
        await connection.execute("DROP OWNED BY owner_only CASCADE")
    on_shared("DROP ROLE owner_only")


async def test_a_newer_schema_is_not_touched(bare: str) -> None:
    options = PostgresOptions(url_of(bare))
    await migrate(options, clock=ManualClock())
    async with raw(url_of(bare)) as connection:
        await connection.execute("INSERT INTO region_router.schema_version VALUES (70, 70, 0)")
    with pytest.raises(StoreUnreadableError, match="upgrade this release"):
        await migrate(options, clock=ManualClock())


async def test_a_database_that_cannot_hold_every_text_is_refused(tmp_path: Path) -> None:
    name = f"latin_{uuid4().hex[:12]}"
    on_shared(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(StoreError, match="its encoding is not UTF8: create the database with that encoding"):
        await migrate(PostgresOptions(url_of(name)), clock=ManualClock())
    on_shared(f"DROP DATABASE {name}")


def test_a_migration_quotes_the_bodies_of_functions() -> None:
    with pytest.raises(ValueError, match="between quotes"):
        parse("0001_x.sql", "-- min_reader: 1\nCREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1; $$;\n")
