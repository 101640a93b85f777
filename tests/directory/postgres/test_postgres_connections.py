"""The PostgreSQL store's connections: how many, how long they are waited for, and how dead ones are noticed."""

from __future__ import annotations

import asyncio
import gc
import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from router.directory.postgres.options import PostgresOptions
from router.directory.postgres.pool import connect
from router.directory.postgres.source import read_source
from router.directory.postgres.store import PostgresStore
from router.directory.store import StoreError, StoreUnreadableError
from router.model.placement import Entry, Kind
from tests.directory.feeds import EU, W1, W2, draft, fact_of, register, renew
from tests.directory.manual_clock import ManualClock
from tests.directory.postgres.gates import Gate, raw
from tests.directory.postgres.relay import Relay
from tests.postgres_server import PostgresServer, on_shared, url_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.directory.postgres.conftest import Own
    from tests.directory.sites import PostgresSite

LOOKUP = Entry(Kind.WORKSPACE, W1)


# How many


async def test_a_call_waits_for_a_connection_for_a_bounded_time(database: PostgresSite) -> None:
    store = database.connect(pool_size=1, pool_wait=0.05)
    async with raw(url_of(database.database)) as connection:
        gate = Gate(connection)
        await gate.close_for(W1)
        writing = asyncio.create_task(store.put_workspaces([draft(1)]))
        await gate.until_waiting(1)
        with pytest.raises(StoreError, match=r"all 1 connections were in use for 0.05 s: .* raise directory.pool_size"):
            await store.position()
        await gate.open()
        await writing
    assert (await store.position()).seq == 1


async def test_a_lookup_does_not_wait_behind_a_writer_for_a_connection(database: PostgresSite) -> None:
    store = database.connect(pool_size=1)
    async with raw(url_of(database.database)) as connection:
        gate = Gate(connection)
        await gate.close_for(W1)
        writing = asyncio.create_task(store.put_workspaces([draft(1)]))
        await gate.until_waiting(1)
        assert (await store.lookup(LOOKUP, primary=True)).seq == 0
        await gate.open()
        await writing


async def test_many_calls_at_once_share_what_connections_there_are(database: PostgresSite) -> None:
    store = database.connect(pool_size=2, pool_wait=30.0)
    await store.put_workspaces([draft(1)])
    answers = await asyncio.gather(*(store.lookup(LOOKUP, primary=True) for _ in range(50)))
    assert {answer.seq for answer in answers} == {1}
    async with raw(url_of(database.database)) as connection:
        cursor = await connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert await cursor.fetchone() == (3,)


async def test_nothing_is_left_behind_in_a_session_that_a_pooler_would_hand_on(database: PostgresSite) -> None:
    store = database.connect(pool_size=1, statement_timeout=3.0)
    await store.put_workspaces([draft(1)])
    for _ in range(10):
        await store.lookup(LOOKUP, primary=True)
    await renew(store, await register(store), await store.position())
    for session in (store._primary, store._lookups):
        async with session._pool.link() as link:
            settings = ("search_path", "statement_timeout", "lock_timeout", "synchronous_commit", "client_min_messages")
            for setting in settings:
                (shown,) = await (await link.connection.execute(f"SHOW {setting}")).fetchone() or ()
                async with raw(url_of(database.database)) as fresh:
                    assert (shown,) == await (await fresh.execute(f"SHOW {setting}")).fetchone()
            cursor = await link.connection.execute("SELECT count(*) FROM pg_prepared_statements")
            assert await cursor.fetchone() == (0,)


async def test_the_server_compiles_no_statement(database: PostgresSite) -> None:
    # A renewal would look worth it, by mistake, and cost tens of milliseconds each time.
    store = database.connect()
    assert await store.read(lambda transaction: transaction.row("SHOW jit")) == ("off",)
    assert await store.write(lambda feed: feed.transaction.row("SHOW jit")) == ("off",)


# How long


async def test_a_writer_waits_for_another_one_and_then_says_that_it_is_locked(database: PostgresSite) -> None:
    store = database.connect(lock_timeout=0.05)
    async with raw(url_of(database.database)) as other:
        await other.execute("BEGIN")
        await other.execute("SELECT FROM region_router.feed FOR UPDATE")
        with pytest.raises(StoreError, match="is locked by another writer: let that one finish"):
            await store.put_workspaces([draft(1)])
        await other.execute("COMMIT")
    assert await store.put_workspaces([draft(1)]) == 1


async def test_a_statement_that_takes_too_long_is_ended_by_the_server(database: PostgresSite) -> None:
    store = database.connect(statement_timeout=0.05, lock_timeout=30.0)
    async with raw(url_of(database.database)) as other:
        await other.execute("BEGIN")
        await other.execute("LOCK TABLE region_router.workspace")
        with pytest.raises(StoreError, match=r"took too long: .* raise directory.statement_timeout"):
            await store.lookup(LOOKUP, primary=True)
        await other.execute("COMMIT")


async def test_a_call_whose_answer_does_not_come_back_ends_in_time(own: Own) -> None:
    async with Relay(own.server.folder / ".s.PGSQL.5432").running() as relay:
        options = PostgresOptions(relay.url("postgres"), statement_timeout=0.05, lock_timeout=0.05)
        store = PostgresStore(options, clock=ManualClock())
        await store.position()
        relay.swallows = True
        with pytest.raises(StoreError, match="did not answer within"):
            await store.position()
        relay.swallows = False
        assert (await store.position()).seq == 0
        await store.close()


# Calls that are given up


async def test_a_call_given_up_takes_its_connection_with_it_and_the_next_one_works(database: PostgresSite) -> None:
    store = database.connect(pool_size=1)
    async with raw(url_of(database.database)) as connection:
        gate = Gate(connection)
        await gate.close_for(W1)
        writing = asyncio.create_task(store.put_workspaces([draft(1)]))
        await gate.until_waiting(1)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert (await store.position()).seq == 0
        await gate.open()
    # What the server was doing then is undone, because its commit was never sent.
    assert await store.put_workspaces([draft(2)]) == 1
    assert await store.get_workspace(W1) is None


async def test_a_statement_that_fails_in_the_turn_in_which_its_caller_gives_up_is_no_news(
    database: PostgresSite,
) -> None:
    told: list[dict[str, object]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context))
    link = await connect(read_source(url_of(database.database), "directory.url"))
    calling = asyncio.create_task(link.execute("SELECT pg_sleep(60)", None, 60.0))
    await asyncio.sleep(0)
    (asked,) = [task for task in asyncio.all_tasks() if "Cursor.execute" in repr(task)]
    asked.add_done_callback(partial(_cancel, calling))
    on_shared(f"SELECT pg_terminate_backend({link.connection.info.backend_pid})")
    await asyncio.wait([calling])
    assert calling.cancelled()
    await link.close()
    del asked, calling
    gc.collect()
    assert told == []
    loop.set_exception_handler(None)


async def test_a_connection_asked_for_by_somebody_who_gave_up_is_there_for_the_next(database: PostgresSite) -> None:
    store = database.connect(pool_size=1)
    asking = asyncio.create_task(store.position())
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (await store.position()).seq == 0


async def test_closing_ends_calls_under_way(database: PostgresSite) -> None:
    store = database.connect()
    async with raw(url_of(database.database)) as connection:
        gate = Gate(connection)
        await gate.close_for(W1)
        writing = asyncio.create_task(store.put_workspaces([draft(1)]))
        await gate.until_waiting(1)
        await store.close()
        with pytest.raises(StoreError):
            await writing
        await gate.open()


async def test_a_store_that_was_never_used_can_be_closed(database: PostgresSite) -> None:
    await database.connect().close()


# Servers that go and come


async def test_a_server_restarted_while_connections_were_idle_is_not_noticed_by_anybody(
    own: Own,
) -> None:
    server, store = own
    await asyncio.gather(*(store.lookup(LOOKUP, primary=True) for _ in range(4)))
    before = await store.position()
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)
    assert await store.position() == before
    assert len(await asyncio.gather(*(store.lookup(LOOKUP, primary=True) for _ in range(4)))) == 4


async def test_a_server_that_is_down_is_told_at_once_and_used_again_when_it_is_back(own: Own) -> None:
    server, store = own
    await store.position()
    await asyncio.to_thread(server.stop)
    with pytest.raises(StoreError, match=r"cannot be reached: see that it runs and that directory\.url is right"):
        await store.position()
    await asyncio.to_thread(server.start)
    assert (await store.position()).seq == 0


async def test_of_several_hosts_the_one_that_takes_writes_is_used(own: Own) -> None:
    server = own.server
    standby = await asyncio.to_thread(lambda: PostgresServer().copy(server).start())
    hosts = f"{standby.folder},{server.folder}".replace("/", "%2F")
    store = PostgresStore(PostgresOptions(f"postgresql://postgres@{hosts}/postgres"), clock=ManualClock())
    await store.put_workspaces([draft(1)])
    assert (await own.store.lookup(LOOKUP, primary=True)).seq == 1
    await store.close()
    await asyncio.to_thread(standby.remove)


# What is told


async def test_a_database_without_a_directory_asks_for_a_migration(database: PostgresSite) -> None:
    on_shared(f"CREATE DATABASE {database.database}_bare TEMPLATE template0")
    store = PostgresStore(PostgresOptions(url_of(f"{database.database}_bare")), clock=ManualClock())
    with pytest.raises(StoreUnreadableError, match="has no directory in it: run `region-router migrate`"):
        await store.lookup(LOOKUP, primary=True)
    await store.close()
    on_shared(f"DROP DATABASE {database.database}_bare")


async def test_a_database_that_is_not_there_is_told(database: PostgresSite) -> None:
    store = PostgresStore(PostgresOptions(url_of("nowhere")), clock=ManualClock())
    with pytest.raises(StoreError, match='database "nowhere" does not exist'):
        await store.position()
    await store.close()


@pytest.mark.parametrize(
    ("version", "min_reader", "told"),
    [(7, 6, r"knows schema 6, .* upgrade this release"), (0, 0, "run `region-router migrate`")],
)
async def test_a_schema_of_another_age_is_told_with_the_mend(
    database: PostgresSite, version: int, min_reader: int, told: str
) -> None:
    async with raw(url_of(database.database)) as connection:
        await connection.execute("DELETE FROM region_router.schema_version")
        await connection.execute(f"INSERT INTO region_router.schema_version VALUES ({version}, {min_reader}, 0)")
    with pytest.raises(StoreUnreadableError, match=told):
        await database.connect().position()


async def test_a_newer_schema_that_this_release_can_still_read_is_used(database: PostgresSite) -> None:
    async with raw(url_of(database.database)) as connection:
        await connection.execute("INSERT INTO region_router.schema_version VALUES (70, 1, 0)")
    store = database.connect()
    assert await store.put_workspaces([draft(1)]) == 1
    assert (await store.info()).schema == 70


async def test_another_directory_than_the_one_that_is_meant_is_refused(database: PostgresSite) -> None:
    options = PostgresOptions(url_of(database.database))
    store = PostgresStore(options, clock=database.clock, directory_id="f" * 32)
    with pytest.raises(StoreUnreadableError, match=r"is the directory [0-9a-f]{32}, not f{32}: correct directory.url"):
        await store.lookup(LOOKUP, primary=True)
    await store.close()


async def test_a_user_who_may_not_write_is_told_what_is_missing(database: PostgresSite) -> None:
    on_shared("DROP ROLE IF EXISTS reader")
    on_shared("CREATE ROLE reader LOGIN")
    async with raw(url_of(database.database)) as connection:
        await connection.execute("GRANT USAGE ON SCHEMA region_router TO reader")
        await connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA region_router TO reader")
    url = url_of(database.database).replace("postgres@", "reader@")
    store = PostgresStore(PostgresOptions(url), clock=database.clock)
    assert (await store.lookup(LOOKUP, primary=True)).seq == 0
    with pytest.raises(StoreError, match="does not permit this to its user"):
        await store.put_workspaces([draft(1)])
    await store.close()
    async with raw(url_of(database.database)) as connection:
        await connection.execute("DROP OWNED BY reader")
    on_shared("DROP ROLE reader")


async def test_no_password_is_ever_told(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.DEBUG)
    async with Relay(tmp_path / "nobody").running() as relay:
        for url in (
            f"postgresql://hush-user:hush%20word@127.0.0.1:{relay.port}/router?connect_timeout=2",
            "postgresql://hush-user@hush%20word.invalid/router?password=hush%20word",
        ):
            store = PostgresStore(PostgresOptions(url), clock=ManualClock())
            with pytest.raises(StoreError) as told:
                await store.position()
            assert "hush word" not in str(told.value)
            await store.close()
    assert "hush word" not in caplog.text


# What it holds


async def test_what_gateways_read_and_write_is_ids_hashes_and_placements_and_no_tenant_data(
    database: PostgresSite,
) -> None:
    async with raw(url_of(database.database)) as connection:
        cursor = await connection.execute(
            "SELECT table_name, array_agg(column_name::text) FROM information_schema.columns "
            "WHERE table_schema = 'region_router' GROUP BY table_name"
        )
        columns = {table: set(names) for table, names in await cursor.fetchall()}
    expected = {
        "schema_version": {"version", "min_reader", "applied_at"},
        "feed": {
            "single", "directory_id", "generation", "quarantine_until", "opened", "head", "floor",
            "system", "timeline",
        },
        "workspace": {"id", "region", "epoch", "plan", "owner", "transfer"},
        "subdomain": {"label", "workspace", "seq"},
        "api_key": {"digest", "workspace", "region", "superseded_by", "seq"},
        "transfer": {
            "id", "workspace", "source", "destination", "state", "requested_by",
            "started_at", "deadline", "lock_seq", "ended_at", "reason",
        },
        "change": {"seq", "kind", "name", "number", "region", "workspace", "superseded", "transfer"},
        "registration": {
            "incarnation", "gateway", "host", "lease", "generation", "applied", "renewed_at", "renewals",
        },
        "lost_gateway": {"transfer", "incarnation", "gateway", "host", "ending", "at"},
        "unanswered_request": {
            "transfer", "incarnation", "request_id", "workspace", "region", "ended_at", "fault",
        },
    }  # fmt: skip
    assert {table: columns.get(table) for table in expected} == expected


async def test_a_key_itself_cannot_be_stored_by_anybody(database: PostgresSite) -> None:
    async with raw(url_of(database.database)) as connection:
        with pytest.raises(psycopg.errors.CheckViolation):
            await connection.execute(
                "INSERT INTO region_router.api_key (digest, region, seq) VALUES ('the-secret-key', 'eu', 1)"
            )


async def test_two_subdomains_can_change_places_in_one_import(database: PostgresSite) -> None:
    store = database.connect()
    await store.put_workspaces([replace(draft(1), subdomain="a"), replace(draft(2), subdomain="b")])
    steps = [replace(draft(2, EU), subdomain="c"), replace(draft(1, EU), subdomain="b")]
    await store.put_workspaces([*steps, replace(draft(2, EU), subdomain="a")])
    records = await store.list_workspaces(region=None, after=None, limit=10)
    assert [(record.placement.workspace, record.subdomain) for record in records] == [(W1, "b"), (W2, "a")]


@pytest.mark.parametrize("name", ["a\0b", "a\udcffb"])
async def test_a_name_that_postgresql_cannot_hold_is_not_there(database: PostgresSite, name: str) -> None:
    fact = await fact_of(database.connect(), Kind.SUBDOMAIN, name)
    assert fact.version.number == 0


def _cancel(task: asyncio.Task[Any], _: object) -> None:
    task.cancel()
