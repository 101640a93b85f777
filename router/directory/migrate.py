"""Which migrations this release ships, and what a database's own schema number means for it. Reads files, no database.

Theory. A database says two numbers of itself: its schema `version`, and `min_reader`, the oldest release (named by the
newest schema *it* ships) that can still work on it. So a newer schema is no error as such: it is one only where its
`min_reader` has passed this release. An older schema is always one: this release counts on what it lacks.
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final, NamedTuple

from router.directory.store import StoreUnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME: Final = re.compile(r"(?P<version>[0-9]{4})_(?P<title>[a-z0-9_]+)\.sql")
_HEADER: Final = re.compile(r"-- min_reader: (?P<min_reader>[0-9]+)\n")


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: `version` is its number, `min_reader` the oldest release that can work on what it leaves."""

    version: int
    title: str
    min_reader: int
    statements: tuple[str, ...]


class Schema(NamedTuple):
    """What a database says of itself. Version 0 is a database that has nothing in it yet."""

    version: int
    min_reader: int


BLANK: Final = Schema(0, 0)


@cache
def migrations(dialect: str) -> tuple[Migration, ...]:
    """All that this release ships for `dialect` (the name of a folder), in order."""
    folder = resources.files("router.directory").joinpath("migrations", dialect)
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return in_order(tuple(parse(file.name, file.read_text(encoding="utf-8")) for file in files))


def parse(name: str, text: str) -> Migration:
    """Read one file. Raises `ValueError` where its name or its header line is not as the law says."""
    named, headed = _NAME.fullmatch(name), _HEADER.match(text)
    if named is None:
        raise ValueError(f"{name}: a migration is named 0001_title.sql")
    if headed is None:
        raise ValueError(f"{name}: the first line must be `-- min_reader: N`")
    version, min_reader = int(named["version"]), int(headed["min_reader"])
    if not 1 <= min_reader <= version:
        raise ValueError(f"{name}: min_reader {min_reader} is not between 1 and {version}")
    return Migration(version, named["title"], min_reader, tuple(_statements(name, text)))


def in_order(found: tuple[Migration, ...]) -> tuple[Migration, ...]:
    """`found`, if it counts 1, 2, 3, … and `min_reader` never falls. Raises `ValueError`."""
    if [one.version for one in found] != list(range(1, len(found) + 1)) or not found:
        raise ValueError(f"migrations must be numbered 1, 2, 3, …: {[one.version for one in found]}")
    readers = [one.min_reader for one in found]
    if readers != sorted(readers):
        raise ValueError(f"a later migration cannot be read by older releases than an earlier one: {readers}")
    return found


def require_readable(found: Schema, shipped: tuple[Migration, ...], where: str) -> None:
    """Raise `StoreUnreadableError`, with the mend, unless this release can work on a database with `found`."""
    ours = shipped[-1].version
    if found.min_reader > ours:
        raise StoreUnreadableError(
            f"{where}: its schema {found.version} needs a release that knows schema {found.min_reader}, "
            f"this one knows {ours}: upgrade this release"
        )
    if found.version < ours:
        raise StoreUnreadableError(
            f"{where}: its schema is {found.version}, this release needs {ours}: run `region-router migrate`"
        )


def pending(found: Schema, shipped: tuple[Migration, ...], where: str) -> tuple[Migration, ...]:
    """What brings a database with `found` to this release's schema. Raises `StoreUnreadableError` if it is too new."""
    if found.version >= shipped[-1].version:
        require_readable(found, shipped, where)
    return shipped[found.version :]


def _statements(name: str, text: str) -> Iterator[str]:
    """The statements one by one: the module's own `executescript` would commit the transaction they must share."""
    if "$$" in text:
        # SQLite's rules part the statements of every dialect, and they know quotes only.
        raise ValueError(f"{name}: a function's body stands between quotes, not between $$")
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement.strip()
            statement = ""
    if any(line.strip() and not line.startswith("--") for line in statement.splitlines()):
        raise ValueError(f"{name}: its last statement has no end")
