"""Where the configuration comes from: a file, the environment over it, and the files that it names.

The law of the room: what is compared is content. A file that was touched and says the same is no news, and one that is
being written is not read before it has been the same at two looks.
"""

from __future__ import annotations

import contextlib
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from router.settings.load import load_text, read
from router.settings.overlay import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from router.settings.values import Settings

_Look: TypeAlias = "tuple[tuple[int, int, int] | None, ...]"

_SHOWN: Final = 12


class Configuration(NamedTuple):
    """What was read at one time. `digest`: of all of it, the same for the same content."""

    text: str
    settings: Settings
    digest: str


class Source:
    """The file at `path`, with `environ` over it."""

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self.path = path
        self._environ = dict(environ)
        self._named = tuple(
            Path(value)
            for name, value in environ.items()
            if name.upper().startswith(PREFIX) and name.upper().endswith("_FILE")
        )

    def read(self) -> Configuration:
        """Read it now. Raises `ConfigError`."""
        text = read(self.path)
        settings = self.parse(text)
        return Configuration(text, settings, self.digest(text, settings.files))

    def parse(self, text: str) -> Settings:
        """The settings that `text` makes, with the environment and the files as they are now. Raises `ConfigError`."""
        return load_text(text, self._environ, folder=self.path.absolute().parent, name=str(self.path))

    def digest(self, text: str, files: Iterable[Path]) -> str:
        """Of `text` and of what `files` and the environment's files hold."""
        digest = sha256(text.encode("utf-8"))
        for file in (*self._named, *files):
            digest.update(b"\0%s\0" % str(file).encode("utf-8", "surrogateescape"))
            with contextlib.suppress(OSError):
                digest.update(file.read_bytes())
        return digest.hexdigest()[:_SHOWN]

    def glance(self, files: Iterable[Path]) -> str:
        """The digest of what stands there now, whether or not it can be used. Raises `ConfigError`."""
        return self.digest(read(self.path), files)

    def watch(self, files: Iterable[Path]) -> Watch:
        """Look at the file, at those of the environment, and at `files`."""
        return Watch((self.path, *self._named, *files))


class Watch:
    """Notices that one of `files` may have other content than at the first look."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._files = tuple(dict.fromkeys(files))
        self._settled = self._last = self._look()

    def changed(self) -> bool:
        """Whether they have changed, and have been as they are now since the last call."""
        look = self._look()
        settled = look == self._last
        self._last = look
        if not settled or look == self._settled:
            return False
        self._settled = look
        return True

    def _look(self) -> _Look:
        return tuple(map(_glance, self._files))


def _glance(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
