"""The SQLite store among other processes, on disks that fail, and in its threads."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from router.directory.sqlite import SqliteStore
from router.directory.sqlite.errors import from_sqlite
from router.directory.store import StoreError, StoreUnreadableError
from router.model.placement import Kind, Placement
from tests.directory.feeds import W1, W2, draft, fact_of, read_feed, workspace
from tests.directory.files import shared_folder
from tests.directory.processes import AS_NOBODY, run, start
from tests.directory.sites import SqliteSite

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[SqliteSite]:
    """A directory in a file."""
    site = SqliteSite(tmp_path / "directory.db")
    yield site
    await site.close()


@pytest.fixture
async def shared() -> AsyncIterator[SqliteSite]:
    """A directory in a folder that other users may enter, unlike pytest's own."""
    with shared_folder() as folder:
        site = SqliteSite(folder / "directory.db")
        yield site
        await site.close()


# Other processes


async def test_two_processes_that_write_at_once_keep_the_feed_gapless(file: SqliteSite) -> None:
    program = """
async def main():
    store = SqliteStore(path, clock=clock, busy_timeout=30.0)
    print("ready", flush=True)
    first = int(sys.stdin.readline())
    await put_one_by_one(store, range(first, first + 100))
    await store.close()
asyncio.run(main())
"""
    writers = [await start(program, file.path) for _ in range(2)]
    for writer in writers:
        assert writer.stdout is not None
        assert await writer.stdout.readline() == b"ready\n"
    ends = await asyncio.gather(
        *(writer.communicate(f"{1000 * number}\n".encode()) for number, writer in enumerate(writers, start=1))
    )
    assert [(out, writer.returncode) for writer, (out, _) in zip(writers, ends, strict=True)] == [(b"", 0)] * 2
    assert [change.seq for change in await read_feed(file.connect())] == list(range(1, 201))


async def test_a_writer_waits_for_another_process_and_then_says_that_it_is_locked(file: SqliteSite) -> None:
    store = file.connect(busy_timeout=0.05)
    with closing(sqlite3.connect(file.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="is locked by another process"):
            await store.put_workspaces([draft(1)])
        other.execute("COMMIT")
    assert await store.put_workspaces([draft(1)]) == 1


async def test_a_miss_is_answered_while_a_writer_waits_for_its_lock(file: SqliteSite) -> None:
    store = file.connect()
    await store.put_workspaces([draft(1)])
    with closing(sqlite3.connect(file.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(store.put_workspaces([draft(2)]))
        assert isinstance(await fact_of(store, Kind.WORKSPACE, W1), Placement)
        assert not waiting.done()
        other.execute("COMMIT")
    assert await waiting == 1


async def test_a_process_killed_in_its_transaction_leaves_nothing_of_it(file: SqliteSite) -> None:
    program = """
async def main():
    store = SqliteStore(path, clock=clock)
    await store.put_workspaces([draft(1)])
    await store.put_workspaces([draft(n) for n in range(2, 3000)], progress=lambda _: os.kill(os.getpid(), 9))
asyncio.run(main())
"""
    assert (await run(program, file.path)).code == -9
    store = file.connect()
    assert await store.put_workspaces([draft(4000)]) == 1
    records = await store.list_workspaces(region=None, after=None, limit=10)
    assert [record.placement.workspace for record in records] == [W1, workspace(4000)]


# Disks and permissions


async def test_a_disk_without_room_refuses_the_whole_import_and_works_again_with_room(file: SqliteSite) -> None:
    program = """
async def main():
    store = SqliteStore(path, clock=clock)
    await store.put_workspaces([draft(1)])
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
    try:
        await store.put_workspaces([draft(n) for n in range(2, 30_000)])
    except StoreError as error:
        print(error)
    print(len(await store.list_workspaces(region=None, after=None, limit=10)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(await store.put_workspaces([draft(2)]))
    await store.close()
asyncio.run(main())
"""
    lines = (await run(program, file.path)).out.splitlines()
    assert "check its disk, its free space and file size limits" in lines[0]
    assert lines[1:] == ["1", "1"]


async def test_a_read_only_file_answers_lookups_and_refuses_writes_with_the_mend(shared: SqliteSite) -> None:
    await shared.connect().put_workspaces([draft(1)])
    reader = shared.connect()
    await reader.info()
    for suffix in ("", "-wal", "-shm"):
        shared.path.with_name(shared.path.name + suffix).chmod(0o444)
    program = (
        AS_NOBODY
        + """
async def main():
    store = SqliteStore(path, clock=clock)
    print((await fact_of(store, Kind.WORKSPACE, W1)).region)
    try:
        await store.put_workspaces([draft(2)])
    except StoreError as error:
        print(error)
    await store.close()
asyncio.run(main())
"""
    )
    region, refusal = (await run(program, shared.path)).out.splitlines()
    assert region == "eu"
    assert "cannot be written: make the file and its folder writable for this user" in refusal


@pytest.mark.parametrize("what", ["file", "folder"])
async def test_an_unreadable_file_or_folder_is_an_error_with_the_mend(shared: SqliteSite, what: str) -> None:
    (shared.path if what == "file" else shared.path.parent).chmod(0o000)
    program = (
        AS_NOBODY
        + """
async def main():
    store = SqliteStore(path, clock=clock)
    for call in (store.position(), store.put_workspaces([draft(2)])):
        try:
            await call
        except StoreError as error:
            print(error)
    await store.close()
asyncio.run(main())
"""
    )
    lines = (await run(program, shared.path)).out.splitlines()
    assert len(lines) == 2
    assert all("let this user read and write it" in line for line in lines)


def test_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "full.db")) as full:
        full.execute("PRAGMA max_page_count = 2")
        full.execute("CREATE TABLE t (v TEXT)")
        with pytest.raises(sqlite3.Error) as raised:
            full.execute("INSERT INTO t VALUES (?)", ("x" * 100_000,))
    told = from_sqlite(raised.value, tmp_path)
    assert type(told) is StoreError
    assert "has no room left: free some space" in str(told)


# Schemas of another age


async def test_a_newer_schema_that_this_release_can_still_read_is_used(file: SqliteSite) -> None:
    _write_schema(file.path, version=7, min_reader=1)
    store = file.connect()
    assert await store.put_workspaces([draft(1)]) == 1
    assert (await store.info()).schema == 7


async def test_a_newer_schema_that_this_release_cannot_read_asks_for_an_upgrade(file: SqliteSite) -> None:
    _write_schema(file.path, version=7, min_reader=6)
    with pytest.raises(StoreUnreadableError, match=r"knows schema 6, .* upgrade this release"):
        await file.connect().position()


async def test_an_older_schema_asks_for_a_migration(file: SqliteSite) -> None:
    with closing(sqlite3.connect(file.path)) as raw:
        raw.execute("DELETE FROM schema_version")
        raw.commit()
    with pytest.raises(StoreUnreadableError, match="run `region-router migrate`"):
        await file.connect().position()


# Threads


class Stop:
    """Holds a write inside its transaction, from the moment it is there until it may go on."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.reached = asyncio.Event()
        self.go_on = threading.Event()

    def __call__(self, _: int) -> None:
        self._loop.call_soon_threadsafe(self.reached.set)
        self.go_on.wait(30.0)


async def test_cancelling_whoever_waits_does_not_cancel_a_transaction_that_has_begun(file: SqliteSite) -> None:
    store, stop = file.connect(), Stop()
    writing = asyncio.create_task(store.put_workspaces([draft(1)], progress=stop))
    await stop.reached.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    stop.go_on.set()
    await store.put_workspaces([draft(2)])
    assert await store.get_workspace(W1) is not None


async def test_a_call_cancelled_before_its_turn_is_dropped(file: SqliteSite) -> None:
    store, stop = file.connect(), Stop()
    first = asyncio.create_task(store.put_workspaces([draft(1)], progress=stop))
    await stop.reached.wait()
    second = asyncio.create_task(store.put_workspaces([draft(2)]))
    await asyncio.sleep(0)
    second.cancel()
    stop.go_on.set()
    await asyncio.wait([first, second])
    await store.put_workspaces([draft(3)])
    assert await store.get_workspace(W2) is None


async def test_closing_ends_what_has_begun_and_refuses_what_has_not(file: SqliteSite) -> None:
    store, stop = file.connect(), Stop()
    begun = asyncio.create_task(store.put_workspaces([draft(1)], progress=stop))
    await stop.reached.wait()
    queued = asyncio.create_task(store.put_workspaces([draft(2)]))
    closing_ = asyncio.create_task(store.close())
    await asyncio.sleep(0)
    stop.go_on.set()
    await closing_
    assert await begun == 1
    with pytest.raises(StoreError, match="closed"):
        await queued
    assert await file.connect().get_workspace(W2) is None


async def test_a_store_that_was_never_used_can_be_closed(file: SqliteSite) -> None:
    await file.connect().close()


def test_a_feed_that_keeps_nothing_cannot_be_asked_for(file: SqliteSite) -> None:
    with pytest.raises(ValueError, match="keep_changes"):
        SqliteStore(file.path, clock=file.clock, keep_changes=0)


# What it holds


def test_the_directory_holds_ids_hashes_and_placements_and_no_tenant_data(file: SqliteSite) -> None:
    with closing(sqlite3.connect(file.path)) as raw:
        columns = {
            table: {column for (column,) in raw.execute("SELECT name FROM pragma_table_info(?)", (table,))}
            for (table,) in raw.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        }
    assert columns == {
        "schema_version": {"version", "min_reader", "applied_at"},
        "feed": {"single", "directory_id", "generation", "quarantine_until", "opened", "head", "floor"},
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
        "member": {"workspace", "member", "status"},
        "account": {"member", "region"},
        "transfer_progress": {"transfer", "percent", "note", "reported_at"},
        "backup": {"transfer", "workspace", "region", "created_at", "locked_until", "expired_at"},
        "event": {"number", "id", "type", "workspace", "occurred_at", "payload"},
        "sqlite_sequence": {"name", "seq"},
        "delivery": {
            "destination", "event", "workspace", "state", "attempts", "due_at", "first_attempt_at", "ended_at",
            "status", "trouble", "holder", "held_until",
        },
        "audit": {"number", "at", "who", "action", "subject", "before", "after"},
        "stored_answer": {"who", "idempotency_key", "fingerprint", "status", "fields", "body", "stored_at"},
    }  # fmt: skip


def test_a_key_itself_cannot_be_stored_by_anybody(file: SqliteSite) -> None:
    with (
        closing(sqlite3.connect(file.path)) as raw,
        pytest.raises(sqlite3.IntegrityError, match="CHECK constraint failed"),
    ):
        raw.execute("INSERT INTO api_key (digest, region, seq) VALUES ('the-secret-key', 'eu', 1)")


def _write_schema(path: Path, *, version: int, min_reader: int) -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("INSERT INTO schema_version VALUES (?, ?, 0)", (version, min_reader))
        raw.commit()
