"""Migrations: what their files may say, what a schema number means, and how a directory is made and upgraded."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from router.directory.migrate import Migration, Schema, in_order, migrations, parse, pending, require_readable
from router.directory.sqlite import SqliteStore, migrate
from router.directory.store import StoreError, StoreUnreadableError
from tests.directory.feeds import W1, draft
from tests.directory.files import files_in
from tests.directory.manual_clock import ManualClock
from tests.directory.processes import run, start

if TYPE_CHECKING:
    from pathlib import Path

SHIPPED = tuple(Migration(number, f"step{number}", reader, ()) for number, reader in ((1, 1), (2, 1), (3, 2)))


# The files


def test_what_is_shipped_is_in_order() -> None:
    assert migrations("sqlite")[0].title == "directory"


def test_a_file_is_read_statement_by_statement() -> None:
    text = "-- min_reader: 2\n-- why; and how\nCREATE TABLE a (b TEXT);\nINSERT INTO a\nVALUES (';');\n-- end\n"
    found = parse("0002_more_tables.sql", text)
    assert (found.version, found.title, found.min_reader) == (2, "more_tables", 2)
    assert [statement.splitlines()[-1] for statement in found.statements] == [
        "CREATE TABLE a (b TEXT);",
        "VALUES (';');",
    ]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("2_more.sql", "-- min_reader: 1\n", "is named"),
        ("0002_more.sql", "CREATE TABLE a (b);\n", "first line"),
        ("0002_more.sql", "-- min_reader: 3\n", "not between 1 and 2"),
        ("0002_more.sql", "-- min_reader: 0\n", "not between 1 and 2"),
        ("0002_more.sql", "-- min_reader: 1\nCREATE TABLE a (b)\n", "has no end"),
    ],
)
def test_a_file_that_breaks_the_law_is_not_read(name: str, text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse(name, text)


@pytest.mark.parametrize("numbers", [[], [2], [1, 3], [1, 1]])
def test_migrations_are_numbered_without_a_gap(numbers: list[int]) -> None:
    with pytest.raises(ValueError, match="numbered"):
        in_order(tuple(Migration(number, "step", 1, ()) for number in numbers))


def test_no_migration_makes_older_releases_readers_again() -> None:
    with pytest.raises(ValueError, match="cannot be read by older releases"):
        in_order((Migration(1, "a", 1, ()), Migration(2, "b", 2, ()), Migration(3, "c", 1, ())))


# What the numbers mean


@pytest.mark.parametrize("found", [Schema(3, 2), Schema(4, 2), Schema(9, 3)])
def test_the_same_schema_and_a_newer_one_that_lets_us_are_readable(found: Schema) -> None:
    require_readable(found, SHIPPED, "here")


@pytest.mark.parametrize(
    ("found", "mend"), [(Schema(4, 4), "upgrade this release"), (Schema(2, 1), "migrate"), (Schema(0, 0), "migrate")]
)
def test_an_older_schema_and_a_newer_one_that_does_not_let_us_are_not(found: Schema, mend: str) -> None:
    with pytest.raises(StoreUnreadableError, match=mend):
        require_readable(found, SHIPPED, "here")


def test_what_is_pending_is_what_the_database_has_not_seen() -> None:
    assert [one.version for one in pending(Schema(0, 0), SHIPPED, "here")] == [1, 2, 3]
    assert [one.version for one in pending(Schema(2, 1), SHIPPED, "here")] == [3]
    assert pending(Schema(3, 2), SHIPPED, "here") == ()
    assert pending(Schema(5, 3), SHIPPED, "here") == ()


def test_a_database_that_is_too_new_is_not_migrated() -> None:
    with pytest.raises(StoreUnreadableError, match="upgrade this release"):
        pending(Schema(5, 5), SHIPPED, "here")


# Making and upgrading a directory


def test_a_new_directory_is_readable_by_its_owner_only_and_alone_in_its_folder(tmp_path: Path) -> None:
    applied = migrate(tmp_path / "directory.db", clock=ManualClock())
    assert applied == migrations("sqlite")
    assert files_in(tmp_path) == ["directory.db"]
    assert (tmp_path / "directory.db").stat().st_mode & 0o777 == 0o600


async def test_migrating_again_applies_nothing_and_keeps_everything(tmp_path: Path) -> None:
    path, clock = tmp_path / "directory.db", ManualClock()
    migrate(path, clock=clock)
    store = SqliteStore(path, clock=clock)
    await store.put_workspaces([draft(1)])
    before = await store.info()
    assert migrate(path, clock=clock) == ()
    assert await store.info() == before
    assert await store.get_workspace(W1) is not None
    await store.close()


async def test_every_directory_has_an_id_of_its_own_and_is_closed(tmp_path: Path) -> None:
    infos = []
    for name in ("a.db", "b.db"):
        migrate(tmp_path / name, clock=ManualClock())
        store = SqliteStore(tmp_path / name, clock=ManualClock())
        infos.append(await store.info())
        await store.close()
    assert infos[0].directory_id != infos[1].directory_id
    assert not any(info.opened for info in infos)


def test_an_empty_file_becomes_a_directory(tmp_path: Path) -> None:
    path = tmp_path / "directory.db"
    path.touch()
    assert migrate(path, clock=ManualClock()) == migrations("sqlite")


def test_the_database_of_another_program_is_not_migrated(tmp_path: Path) -> None:
    path = tmp_path / "directory.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE t (v)")
    before = path.read_bytes()
    with pytest.raises(StoreUnreadableError, match="another program's"):
        migrate(path, clock=ManualClock())
    assert path.read_bytes() == before


def test_text_is_not_migrated(tmp_path: Path) -> None:
    path = tmp_path / "directory.db"
    path.write_text("not a database " * 500)
    with pytest.raises(StoreUnreadableError, match="is not a SQLite database"):
        migrate(path, clock=ManualClock())


def test_a_missing_folder_is_an_error_that_names_the_mend(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="its folder does not exist"):
        migrate(tmp_path / "nowhere" / "directory.db", clock=ManualClock())


def test_a_folder_in_the_files_place_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreadableError, match="is not a file"):
        migrate(tmp_path, clock=ManualClock())


def test_a_locked_directory_is_not_waited_for_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "directory.db"
    migrate(path, clock=ManualClock())
    monkeypatch.setattr("router.directory.sqlite.maintenance.BUSY_TIMEOUT", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="is locked by another process"):
            migrate(path, clock=ManualClock())


async def test_a_directory_that_cannot_be_made_whole_is_not_made_at_all(tmp_path: Path) -> None:
    program = """
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
try:
    migrate(path, clock=clock)
except StoreError as error:
    print(error)
"""
    out = (await run(program, tmp_path / "directory.db")).out
    assert "check its disk, its free space and file size limits" in out
    assert len(out.splitlines()) == 1
    assert files_in(tmp_path) == []


async def test_processes_that_make_a_directory_at_once_make_one(tmp_path: Path) -> None:
    program = """
print("ready", flush=True)
sys.stdin.readline()
print(len(migrate(path, clock=clock)))
"""
    makers = [await start(program, tmp_path / "directory.db") for _ in range(3)]
    for maker in makers:
        assert maker.stdout is not None
        assert await maker.stdout.readline() == b"ready\n"
    ends = await asyncio.gather(*(maker.communicate(b"\n") for maker in makers))
    assert sorted(int(out) for out, _ in ends) == [0, 0, len(migrations("sqlite"))]
    assert files_in(tmp_path) == ["directory.db"]
