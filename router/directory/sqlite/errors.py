"""What SQLite and the file system report, told once in an operator's words, each with its mend."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from router.directory.store import StoreError, StoreUnreadableError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

RESTORE: Final = "restore a backup, then run `region-router directory open --restored`"

_MENDS: Final[Mapping[int, tuple[type[StoreError], str]]] = {
    sqlite3.SQLITE_BUSY: (StoreError, "is locked by another process: let that one finish, or stop it"),
    sqlite3.SQLITE_READONLY: (StoreError, "cannot be written: make the file and its folder writable for this user"),
    sqlite3.SQLITE_PERM: (StoreError, "is not accessible: let this user read and write it"),
    sqlite3.SQLITE_CANTOPEN: (StoreError, "cannot be opened: let this user read and write it and its folder"),
    sqlite3.SQLITE_FULL: (StoreError, "has no room left: free some space on its disk"),
    sqlite3.SQLITE_IOERR: (
        StoreError,
        "cannot be read or written: check its disk, its free space and file size limits",
    ),
    sqlite3.SQLITE_CORRUPT: (StoreUnreadableError, f"is damaged: {RESTORE}"),
    sqlite3.SQLITE_NOTADB: (StoreUnreadableError, f"is not a SQLite database: correct the path, or {RESTORE}"),
    sqlite3.SQLITE_ERROR: (StoreUnreadableError, f"does not hold what its schema number promises: {RESTORE}"),
}
"""By primary result code. What is not here is passed on as SQLite says it."""


def from_sqlite(error: sqlite3.Error, path: Path) -> StoreError:
    """What `error` means for the directory in `path`."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return StoreError(f"{path}: {error}")
    kind, mend = _MENDS.get(code & 0xFF, (StoreError, "failed"))
    return kind(f"{path}: {mend} ({error})")


def from_system(error: OSError, path: Path) -> StoreError:
    """What `error`, met while looking for or making `path`, means."""
    if isinstance(error, FileNotFoundError):
        return StoreError(f"{path}: no such file: correct the path, or run `region-router migrate` to make it")
    if isinstance(error, PermissionError):
        return StoreError(f"{path}: is not accessible: let this user read and write it and its folder")
    return StoreError(f"{path}: {error.strerror or error}: correct the path, or check its disk")
