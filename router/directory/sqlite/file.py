"""The database file: how a connection to it is opened, and how its replacement underneath is noticed.

Theory. A backup is often put back with `mv` while gateways run. SQLite does not notice: an open connection goes on with
the unlinked file, and a new one finds the old file's write-ahead log under its name and *replays it into the backup*.
So the file's identity (device and inode) is compared before every transaction, and when it is another one the log that
belonged to the old file is set aside before the new file is opened. Only the log that this process itself has used is:
a descriptor kept on it pins its inode number, so no newer log can be mistaken for it. A process that starts after the
`mv` cannot know; so where nothing runs that would notice, the old `-wal` and `-shm` are removed together with the `mv`.

The descriptor is of the log alone. Closing any descriptor of the database or of its shared memory would drop this
process's POSIX locks on them, SQLite's included.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from router.directory.migrate import BLANK, Schema, migrations, require_readable
from router.directory.sqlite.errors import RESTORE, from_sqlite, from_system
from router.directory.store import StoreError, StoreUnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator

APPLICATION_ID: Final = int.from_bytes(b"RgRt", "big")
"""Stands in the file's header, so that another program's database is not mistaken for a directory."""

DIALECT: Final = "sqlite"

_OLDEST_SQLITE: Final = (3, 37)
"""STRICT tables."""


class Identity(NamedTuple):
    """Which file a path leads to."""

    device: int
    inode: int


class DatabaseFile:
    """The file at `path`, and what this process knows of the one it last opened. Shared by the threads of a store."""

    def __init__(self, path: Path, busy_timeout: float, directory_id: str | None = None) -> None:
        self.path = path
        self._busy_timeout = busy_timeout
        self._directory_id = directory_id
        self._identity: Identity | None = None
        self._log: int | None = None

    def identity(self) -> Identity:
        """Which file is at the path now. Raises `StoreError`, `StoreUnreadableError`."""
        return identify(self.path)

    def open(self) -> tuple[sqlite3.Connection, Identity]:
        """A new connection to the file that is at the path now. Raises `StoreError`, `StoreUnreadableError`."""
        with _folder_locked(self.path):
            found = self.identity()
            if self._log is not None and found != self._identity:
                _set_aside(self.path, self._log)
            connection = connect(self.path, self._busy_timeout)
            try:
                # Before the first read, which is what opens the log.
                self._require_unmoved(found)
                _configure(connection, self.path)
                self._require_pinned(connection)
                self._remember(found)
            except BaseException:
                connection.close()
                raise
        return connection, found

    def close(self) -> None:
        """Give back what is kept between connections."""
        if self._log is not None:
            os.close(self._log)
            self._log = None

    def _remember(self, found: Identity) -> None:
        try:
            log = os.open(_beside(self.path, "-wal"), os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise from_system(error, self.path) from error
        try:
            self._require_unmoved(found)
        except StoreError:
            os.close(log)
            raise
        self.close()
        self._identity, self._log = found, log

    def _require_pinned(self, connection: sqlite3.Connection) -> None:
        """The wrong directory would make everybody unknown, which is worse than none at all."""
        (found,) = connection.execute("SELECT directory_id FROM feed").fetchone()
        if self._directory_id not in {None, found}:
            raise StoreUnreadableError(
                f"{self.path}: is the directory {found}, not {self._directory_id}: "
                "correct directory.url or directory.id"
            )

    def _require_unmoved(self, found: Identity) -> None:
        if self.identity() != found:
            raise StoreError(f"{self.path}: was replaced while it was being opened: try again")


def identify(path: Path) -> Identity:
    """Which file is at `path`. Raises `StoreError` if there is none, `StoreUnreadableError` if it is no regular one."""
    try:
        found = path.stat()
    except OSError as error:
        raise from_system(error, path) from error
    if not stat.S_ISREG(found.st_mode):
        raise StoreUnreadableError(f"{path}: is not a file: correct the path")
    return Identity(found.st_dev, found.st_ino)


def connect(path: Path, busy_timeout: float) -> sqlite3.Connection:
    """Open an existing file, and nothing more. `busy_timeout` in seconds. Raises `StoreError`."""
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StoreUnreadableError(f"{path}: SQLite {sqlite3.sqlite_version} is too old: 3.37 or newer is needed")
    try:
        # Transactions are begun by hand, and mode=rw never makes a file.
        return sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=busy_timeout)
    except sqlite3.Error as error:
        raise from_sqlite(error, path) from error


def require_ours(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `StoreUnreadableError` unless the file's header says that it is a directory."""
    if _number(connection, "PRAGMA application_id") == APPLICATION_ID:
        return
    if is_blank(connection):
        raise StoreUnreadableError(f"{path}: is empty: run `region-router migrate`")
    raise StoreUnreadableError(f"{path}: is another program's SQLite database: correct the path")


def is_blank(connection: sqlite3.Connection) -> bool:
    """Whether there is nothing in the file at all."""
    return not _number(connection, "SELECT count(*) FROM sqlite_schema")


def schema_of(connection: sqlite3.Connection) -> Schema:
    """What the database says of itself."""
    row = connection.execute("SELECT version, min_reader FROM schema_version ORDER BY version DESC LIMIT 1").fetchone()
    return Schema(*row) if row else BLANK


def make_durable(connection: sqlite3.Connection, path: Path) -> None:
    """WAL, and every commit on the disk when it returns. A restored backup may have come in another mode."""
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StoreError(f"{path}: its file system allows no write-ahead log: put it on a local disk")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    """All of the block or nothing of it. `begin` is the statement that opens it."""
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk and some other errors have rolled back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _configure(connection: sqlite3.Connection, path: Path) -> None:
    """Check first, then set: a file that is not ours must not be changed."""
    try:
        require_ours(connection, path)
        require_readable(schema_of(connection), migrations(DIALECT), str(path))
        make_durable(connection, path)
        if _number(connection, "SELECT count(*) FROM feed") != 1:
            raise StoreUnreadableError(f"{path}: has lost its feed: {RESTORE}")
    except sqlite3.Error as error:
        raise from_sqlite(error, path) from error


@contextlib.contextmanager
def _folder_locked(path: Path) -> Iterator[None]:
    """One opening at a time, in all processes: else one could take a log that another has just made for an old one."""
    try:
        folder = os.open(path.resolve().parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise from_system(error, path) from error
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
        except OSError as error:
            raise from_system(error, path) from error
        yield
    finally:
        os.close(folder)


def _set_aside(path: Path, log: int) -> None:
    """Move the old file's log out of the new file's way, if it is still there.

    Where the path's log is neither the old one nor absent, somebody has opened the new file properly already.
    """
    name = _beside(path, "-wal")
    try:
        there = name.exists()
        if there and not os.path.samestat(name.stat(), os.fstat(log)):
            return
        _beside(path, "-shm").unlink(missing_ok=True)
        if there:
            name.rename(_beside(path, "-wal.replaced"))
    except OSError as error:
        raise StoreError(f"{path}: was replaced, and the old log {name} is in the way: remove it") from error


def _beside(path: Path, suffix: str) -> Path:
    """SQLite names its files after the file itself, not after a link to it."""
    return Path(f"{path.resolve()}{suffix}")


def _number(connection: sqlite3.Connection, query: str) -> int:
    (number,) = connection.execute(query).fetchone()
    return int(number)
