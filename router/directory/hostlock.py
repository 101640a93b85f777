"""Host-local proof of life: a lock that the operating system takes away from a dead process, and only from a dead one.

Theory. A registration whose process was killed would hold up every transfer for its whole lease. Any process of its
host may prove it dead: each registration holds an `flock` on a file named by its incarnation, taken *before* its row is
inserted and held until after the row is gone. If somebody else can take that lock, the process that held it no longer
exists, and a paused one still holds it. A missing file proves nothing: the process may live on another host.

The lock belongs to the open file, which a forked child shares: take it in the process that serves, after forking.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from typing import TYPE_CHECKING, Final, Protocol

from router.directory.store import StoreError

if TYPE_CHECKING:
    from pathlib import Path

# An incarnation read from a directory becomes a file's name: nothing in it may lead elsewhere.
_NAME: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")


class HostLockError(StoreError):
    """The lock could not be taken. The text is one line for an operator."""


class HostLock(Protocol):
    """The lock of one registration, held."""

    def release(self) -> None:
        """The registration's row is gone: give the lock up and leave nothing behind."""


class HostLocks(Protocol):
    """The locks of all registrations on this host."""

    def hold(self, incarnation: str) -> HostLock:
        """Take the lock of a registration that is about to be made. Raises `HostLockError`."""

    def prove_dead(self, incarnation: str) -> bool:
        """Whether the process of that registration is certainly gone. `False` proves nothing."""

    def discard(self, incarnation: str) -> None:
        """A registration that was proved dead has been forgotten: remove what is left of it."""


class FileHostLocks:
    """Lock files `<incarnation>.lock` in `directory`, which only its owner may enter."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def hold(self, incarnation: str) -> HostLock:
        """See `HostLocks`."""
        path = self._path(incarnation)
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise HostLockError(
                f"cannot create {path}: {error.strerror}; the gateway must be able to write there"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            _remove(path)
            raise HostLockError(
                f"cannot lock {path}: {error.strerror}; put the directory on a local file system"
            ) from error
        return _FileHostLock(descriptor, path)

    def prove_dead(self, incarnation: str) -> bool:
        """See `HostLocks`. The file stays, so that the proof can be repeated until the row is gone."""
        if not _NAME.fullmatch(incarnation):
            return False
        try:
            descriptor = os.open(self._path(incarnation), os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True

    def discard(self, incarnation: str) -> None:
        """See `HostLocks`."""
        if _NAME.fullmatch(incarnation):
            _remove(self._path(incarnation))

    def _path(self, incarnation: str) -> Path:
        return self._directory / f"{incarnation}.lock"


def locks_of(database: Path) -> Path:
    """Where the locks of the registrations in the SQLite directory at `database` are: beside it.

    Whoever uses the file runs on its host, by SQLite's own rule for a write-ahead log: so a lock beside it can be tried
    by all of them, and no host has to be compared.
    """
    return database.with_name(database.name + "-gateways")


class _FileHostLock:
    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._path = path

    def release(self) -> None:
        """See `HostLock`. The file goes first: a free lock in a file that is still there would be read as a death."""
        _remove(self._path)
        os.close(self._descriptor)


def _remove(path: Path) -> None:
    # The row is gone, so a file that cannot be removed is litter and no more.
    with contextlib.suppress(OSError):
        path.unlink()
