"""What a test does with files while the loop stands still."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def files_in(folder: Path) -> list[str]:
    """Their names."""
    return sorted(path.name for path in folder.iterdir())


def move(source: Path, target: Path) -> None:
    """As `mv` does it: over whatever was there."""
    source.replace(target)


def remove_logs(path: Path) -> None:
    """Remove what SQLite keeps beside a database."""
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink()


@contextmanager
def shared_folder() -> Iterator[Path]:
    """A folder that other users may enter, unlike pytest's own; what a test forbids there is undone."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o700)
