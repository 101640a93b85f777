"""Secrets that stand in files, as orchestrators mount them: read when asked for, and again when a file was replaced."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

LARGEST: Final = 4096
"""Bytes of a secret's file."""

_log = logging.getLogger(__name__)


class SecretFile:
    """One secret, alone in its file; blanks and line ends around it are not part of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._secret: bytes | None = None

    def read(self) -> bytes | None:
        """The secret that is there now; `None` while there is none. A look at the file's status tells if it changed."""
        try:
            found = self.path.stat()
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
            if seen != self._seen:
                with self.path.open("rb") as file:
                    content = file.read(LARGEST + 1).strip()
                self._secret = content if 0 < len(content) <= LARGEST else None
                self._seen = seen
        except OSError as error:
            if self._seen is not None:
                _log.warning("%s: a secret cannot be read any more (%s)", self.path, error.strerror)
            self._seen = self._secret = None
        return self._secret
