"""The database file: missing, wrong, damaged, replaced underneath; and what the store does when that is mended."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from router.directory.sqlite import SqliteStore, migrate
from router.directory.sqlite.file import DatabaseFile
from router.directory.store import Renewal, StoreError, StoreUnreadableError
from router.model.placement import Kind, Placement
from tests.directory.feeds import EU, US, W1, draft, fact_of, put_one_by_one, register, renew, workspace
from tests.directory.files import files_in, move, remove_logs
from tests.directory.manual_clock import ManualClock
from tests.directory.sites import SqliteSite

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PAGE = 4096


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[SqliteSite]:
    """A directory in a file."""
    site = SqliteSite(tmp_path / "directory.db")
    yield site
    await site.close()


@pytest.fixture
async def backup(tmp_path: Path) -> Path:
    """Another directory, complete in its file, in which W1 lives in us."""
    site = SqliteSite(tmp_path / "backup.db")
    await site.connect().put_workspaces([draft(1, US)])
    await site.close()
    return site.path


async def region_of(store: SqliteStore, number: int = 1) -> str | None:
    fact = await fact_of(store, Kind.WORKSPACE, workspace(number))
    return fact.region if isinstance(fact, Placement) else None


# Another directory than the one that is pinned


async def test_a_directory_that_is_not_the_pinned_one_is_refused(file: SqliteSite) -> None:
    info = await file.connect().info()
    store = SqliteStore(file.path, clock=ManualClock(), directory_id="0" * 32)
    with pytest.raises(StoreUnreadableError, match=f"is the directory {info.directory_id}, not 0000"):
        await store.info()
    await store.close()


async def test_the_pinned_directory_is_used(file: SqliteSite) -> None:
    info = await file.connect().info()
    store = SqliteStore(file.path, clock=ManualClock(), directory_id=info.directory_id)
    assert await store.info() == info
    await store.close()


# Missing, and never made in passing


async def test_making_a_store_touches_no_disk(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "nowhere" / "directory.db", clock=ManualClock())
    await store.close()
    assert files_in(tmp_path) == []


async def test_a_missing_file_is_an_error_that_names_the_mend_and_makes_no_file(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "directory.db", clock=ManualClock())
    with pytest.raises(StoreError, match=r"directory\.db: no such file: .*region-router migrate"):
        await store.position()
    with pytest.raises(StoreError, match="no such file"):
        await store.put_workspaces([draft(1)])
    await store.close()
    assert files_in(tmp_path) == []


async def test_a_store_works_as_soon_as_its_file_appears(tmp_path: Path) -> None:
    path = tmp_path / "directory.db"
    store = SqliteStore(path, clock=ManualClock())
    with pytest.raises(StoreError):
        await store.position()
    migrate(path, clock=ManualClock())
    await store.put_workspaces([draft(1)])
    assert await region_of(store) == EU
    await store.close()


async def test_a_file_that_vanished_is_an_error_and_comes_back_whole(file: SqliteSite) -> None:
    store = file.connect()
    await store.put_workspaces([draft(1)])
    away = file.path.with_name("away.db")
    move(file.path, away)
    with pytest.raises(StoreError, match="no such file"):
        await region_of(store)
    with pytest.raises(StoreError, match="no such file"):
        await store.put_workspaces([draft(2)])
    move(away, file.path)
    await store.put_workspaces([draft(3)])
    assert [await region_of(store, number) for number in (1, 2, 3)] == [EU, None, EU]


# Wrong


def test_a_folder_is_not_a_directory_file(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreadableError, match="is not a file"):
        DatabaseFile(tmp_path, 1.0).open()


async def test_text_is_not_a_database(tmp_path: Path) -> None:
    path = tmp_path / "directory.db"
    path.write_text("workspace,region\n" * 500)
    store = SqliteStore(path, clock=ManualClock())
    with pytest.raises(StoreUnreadableError, match="is not a SQLite database"):
        await store.position()
    await store.close()


async def test_an_empty_file_asks_for_a_migration(tmp_path: Path) -> None:
    path = tmp_path / "directory.db"
    path.touch()
    store = SqliteStore(path, clock=ManualClock())
    with pytest.raises(StoreUnreadableError, match="is empty: run `region-router migrate`"):
        await store.position()
    await store.close()


async def test_the_database_of_another_program_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "directory.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE workspace (id TEXT)")
    before = path.read_bytes()
    store = SqliteStore(path, clock=ManualClock())
    with pytest.raises(StoreUnreadableError, match="another program's"):
        await store.position()
    await store.close()
    assert path.read_bytes() == before


# Damaged


async def test_a_damaged_file_is_an_error_that_names_the_mend(file: SqliteSite) -> None:
    await file.connect().put_workspaces([draft(number) for number in range(1, 2000)])
    await file.close()
    size = file.path.stat().st_size
    with file.path.open("r+b") as raw:
        raw.seek(PAGE)
        raw.write(b"\xa5" * (size - PAGE))
    with pytest.raises(StoreUnreadableError, match=r"is damaged: restore a backup, then run .*--restored"):
        await region_of(file.connect())


async def test_a_damaged_header_is_an_error_that_names_the_mend(file: SqliteSite) -> None:
    with file.path.open("r+b") as raw:
        raw.write(b"\0" * 100)
    with pytest.raises(StoreUnreadableError, match="restore a backup"):
        await region_of(file.connect())


async def test_a_directory_that_lost_its_feed_is_refused(file: SqliteSite) -> None:
    with closing(sqlite3.connect(file.path)) as raw:
        raw.execute("DELETE FROM feed")
        raw.commit()
    with pytest.raises(StoreUnreadableError, match="has lost its feed"):
        await file.connect().position()


async def test_a_directory_that_lost_a_table_under_way_is_an_error(file: SqliteSite) -> None:
    store = file.connect()
    await store.position()
    with closing(sqlite3.connect(file.path)) as raw:
        raw.execute("DROP TABLE subdomain")
    with pytest.raises(StoreUnreadableError, match="does not hold what its schema number promises"):
        await fact_of(store, Kind.SUBDOMAIN, "acme")


async def test_after_an_error_the_file_is_judged_anew(file: SqliteSite) -> None:
    store = file.connect()
    await store.position()
    with closing(sqlite3.connect(file.path)) as raw:
        raw.execute("DROP TABLE subdomain")
        raw.execute("INSERT INTO schema_version VALUES (7, 7, 0)")
        raw.commit()
    with pytest.raises(StoreUnreadableError):
        await fact_of(store, Kind.SUBDOMAIN, "acme")
    with pytest.raises(StoreUnreadableError, match="upgrade this release"):
        await fact_of(store, Kind.SUBDOMAIN, "acme")


# Replaced underneath


async def test_a_backup_moved_into_place_is_noticed_by_readers_and_writers(file: SqliteSite, backup: Path) -> None:
    reader, writer = file.connect(), file.connect()
    await writer.put_workspaces([draft(1, EU), draft(2, EU)])
    assert await region_of(reader) == EU
    move(backup, file.path)
    assert await region_of(reader) == US
    await writer.put_workspaces([draft(3, EU)])
    assert [await region_of(reader, number) for number in (1, 2, 3)] == [US, None, EU]


async def test_a_renewal_after_a_restore_finds_no_row_of_the_old_file(file: SqliteSite, backup: Path) -> None:
    store = file.connect()
    incarnation = await register(store)
    position = await store.position()
    await renew(store, incarnation, position)
    move(backup, file.path)
    assert await store.renew(Renewal(incarnation, position.seq, position)) is None


async def test_the_old_files_log_is_not_replayed_into_the_backup(file: SqliteSite, backup: Path) -> None:
    store = file.connect()
    await put_one_by_one(store, range(1, 50))
    move(backup, file.path)
    assert (await store.info()).head == 1
    await file.close()
    with closing(sqlite3.connect(file.path)) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert raw.execute("SELECT count(*) FROM workspace").fetchone() == (1,)


async def test_stores_that_notice_one_after_the_other_go_on_together(file: SqliteSite, backup: Path) -> None:
    first, second, third = file.connect(), file.connect(), file.connect()
    for store in (first, second, third):
        await store.put_workspaces([draft(1, EU)])
    move(backup, file.path)
    await first.put_workspaces([draft(11)])
    await second.put_workspaces([draft(12)])
    await first.put_workspaces([draft(13)])
    for store in (first, second, third):
        assert [await region_of(store, number) for number in (1, 11, 12, 13)] == [US, EU, EU, EU]


async def test_a_log_that_belongs_to_the_new_file_is_left_alone(file: SqliteSite, backup: Path) -> None:
    old = file.connect()
    await old.put_workspaces([draft(1, EU)])
    remove_logs(file.path)
    move(backup, file.path)
    new = file.connect()
    await new.put_workspaces([draft(11)])
    assert await region_of(old, 11) == EU
    await new.put_workspaces([draft(12)])
    assert await region_of(old, 12) == EU


async def test_files_are_opened_one_process_at_a_time(file: SqliteSite) -> None:
    folder = os.open(file.path.parent, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    opening = asyncio.create_task(file.connect().position())
    done, _ = await asyncio.wait([opening], timeout=0.1)
    assert not done
    os.close(folder)
    assert (await opening).seq == 0


async def test_a_file_replaced_behind_a_symbolic_link_is_noticed(file: SqliteSite, backup: Path) -> None:
    link = file.path.with_name("link.db")
    link.symlink_to(file.path)
    store = SqliteStore(link, clock=file.clock)
    await store.put_workspaces([draft(1, EU)])
    move(backup, file.path)
    assert await region_of(store) == US
    await store.close()


async def test_a_replacement_that_is_no_directory_is_refused_until_it_is_mended(file: SqliteSite, backup: Path) -> None:
    store = file.connect()
    await store.put_workspaces([draft(1, EU)])
    wrong = file.path.with_name("wrong.db")
    wrong.write_text("not a database " * 500)
    move(wrong, file.path)
    for _ in range(2):
        with pytest.raises(StoreUnreadableError):
            await region_of(store)
    move(backup, file.path)
    assert await region_of(store) == US


async def test_a_backup_that_came_in_another_journal_mode_is_used_with_a_log(file: SqliteSite, backup: Path) -> None:
    copy = backup.with_name("copy.db")
    with closing(sqlite3.connect(backup)) as raw:
        raw.execute("VACUUM INTO ?", (str(copy),))
    store = file.connect()
    await store.put_workspaces([draft(1, EU)])
    move(copy, file.path)
    assert await region_of(store) == US
    with closing(sqlite3.connect(file.path)) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_every_commit_is_durable_and_references_are_checked(file: SqliteSite) -> None:
    database = DatabaseFile(file.path, 1.5)
    connection, _ = database.open()
    found = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    }
    connection.close()
    database.close()
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 1500}


async def test_a_path_may_have_characters_that_mean_something_in_a_url(tmp_path: Path) -> None:
    path = tmp_path / "a?mode=memory#%20 b.db"
    migrate(path, clock=ManualClock())
    store = SqliteStore(path, clock=ManualClock())
    await store.put_workspaces([draft(1)])
    await store.close()
    assert files_in(tmp_path) == [path.name]


async def test_the_stored_workspace_is_there_after_the_last_process_left(file: SqliteSite) -> None:
    await file.connect().put_workspaces([draft(1)])
    await file.close()
    record = await file.connect().get_workspace(W1)
    assert record is not None
