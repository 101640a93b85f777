"""Making, upgrading and opening a directory: what an operator does, never a gateway in passing.

The law of the room: a half-made directory is never at its path. A new one is built beside it and linked into place,
which fails if somebody else was first; an existing one is upgraded in one transaction.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import uuid
from typing import TYPE_CHECKING, Final

from router.directory.migrate import BLANK, Migration, migrations, pending
from router.directory.sqlite.errors import from_sqlite, from_system
from router.directory.sqlite.feed import info_of
from router.directory.sqlite.file import (
    APPLICATION_ID,
    DIALECT,
    connect,
    identify,
    is_blank,
    make_durable,
    require_ours,
    schema_of,
    transaction,
)
from router.directory.sqlite.lane import WRITE
from router.directory.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from router.directory.ports import Clock
    from router.directory.store import DirectoryInfo

BUSY_TIMEOUT: Final = 5.0
"""Seconds that a writer waits for another one. An import of 100 000 workspaces takes less."""


def migrate(path: Path, *, clock: Clock) -> tuple[Migration, ...]:
    """Bring the directory at `path` to this release's schema, and make it (for its owner only) if there is none.

    Blocks. Returns what was applied, in order; all of it or nothing is. Raises `StoreError`, `StoreUnreadableError`.
    """
    path = path.absolute()
    now = clock.wall()
    try:
        if not path.parent.is_dir():
            raise StoreError(f"{path}: its folder does not exist: correct the path, or make the folder")
        if not path.exists():
            with contextlib.suppress(FileExistsError):
                return _make(path, now)
        return _upgrade(path, now)
    except sqlite3.Error as error:
        raise from_sqlite(error, path) from error
    except OSError as error:
        raise from_system(error, path) from error


def open_directory(connection: sqlite3.Connection, *, restored: bool, lease: float, now: float) -> DirectoryInfo:
    """Mark the directory as opened. `restored` starts another generation, because a copy that was put back may lack
    what was acknowledged since it was made; and because it may lack registrations too, no lock barrier holds before
    the longest lease that any gateway can have is over: `lease`, or that of a row.
    """
    if restored:
        connection.execute(
            "UPDATE feed SET generation = max(generation + 1, ?), "
            "quarantine_until = ? + max(?, (SELECT coalesce(max(lease), 0) FROM registration))",
            (_milliseconds(now), now, lease),
        )
    connection.execute("UPDATE feed SET opened = 1")
    return info_of(connection)


def _make(path: Path, now: float) -> tuple[Migration, ...]:
    """Raises `FileExistsError` if another process was first."""
    made = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        applied = _upgrade(made, now)
        os.link(made, path)
        _sync_folder(path.parent)
    finally:
        for suffix in ("", "-wal", "-shm"):
            made.with_name(made.name + suffix).unlink(missing_ok=True)
    return applied


def _upgrade(path: Path, now: float) -> tuple[Migration, ...]:
    identify(path)
    with contextlib.closing(connect(path, BUSY_TIMEOUT)) as connection:
        if not is_blank(connection):
            require_ours(connection, path)
        make_durable(connection, path)
        with transaction(connection, WRITE):
            return tuple(_apply(connection, path, now))


def _apply(connection: sqlite3.Connection, path: Path, now: float) -> Iterator[Migration]:
    found = BLANK if is_blank(connection) else schema_of(connection)
    for migration in pending(found, migrations(DIALECT), str(path)):
        for statement in migration.statements:
            connection.execute(statement)
        connection.execute(
            "INSERT INTO schema_version (version, min_reader, applied_at) VALUES (?, ?, ?)",
            (migration.version, migration.min_reader, now),
        )
        yield migration
    if found == BLANK:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(
            "INSERT INTO feed (single, directory_id, generation, quarantine_until, opened, head, floor) "
            "VALUES (1, ?, ?, 0, 0, 0, 1)",
            (uuid.uuid4().hex, _milliseconds(now)),
        )


def _milliseconds(now: float) -> int:
    """A generation: later than any of a copy made earlier, even where that copy counted on by itself."""
    return int(now * 1000)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
