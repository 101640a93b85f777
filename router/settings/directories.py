"""Where a directory is: the language of its URL, and what goes with which kind of directory.

The law of the room: that of `router.settings.grammar` and of `router.settings.check`, to which these parts belong. A
URL of PostgreSQL is stricter here than libpq takes it: a password with a sign that should have been percent-encoded
makes libpq read a part of it as a host or a port, and say so in its errors.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import unquote

from router.settings.grammar import GrammarError, SqliteUrl, read_sqlite_url

if TYPE_CHECKING:
    from router.settings.problems import Findings, Place
    from router.settings.schema import Document

_PLAIN: Final = r"[A-Za-z0-9._~!$'()*+;-]|%[0-9A-Fa-f]{2}"
_HOST: Final = rf"(?:\[[0-9A-Fa-f:.]+\]|(?:{_PLAIN})*)(?::[0-9]{{1,5}})?"
_POSTGRES: Final = re.compile(
    rf"postgres(?:ql)?://(?:(?:{_PLAIN}|[,=&])*(?::(?:{_PLAIN}|[,=&])*)?@)?"
    rf"(?P<hosts>{_HOST}(?:,{_HOST})*)"
    rf"(?:/(?P<database>(?:{_PLAIN})*))?"
    rf"(?:\?(?P<parameters>[a-z_]+=(?:{_PLAIN}|[/:,])*(?:&[a-z_]+=(?:{_PLAIN}|[/:,])*)*))?"
)
_POSTGRES_SCHEMES: Final = ("postgresql:", "postgres:")
_ENCRYPTED: Final = frozenset({"require", "verify-ca", "verify-full"})
DEFAULT_LOCKS: Final = "directory-gateways"
"""The folder of a host's locks, beside the configuration."""

_ONLY_POSTGRES: Final = ("replica_url", "listen_url", "locks")


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """A URL as libpq takes it. `name` says where it leads, without user and password, and may be shown."""

    text: str = field(repr=False)
    name: str

    def __str__(self) -> str:
        return f"postgresql://{self.name}"


DirectoryUrl: TypeAlias = SqliteUrl | PostgresUrl


def read_directory_url(text: str) -> DirectoryUrl:
    """`sqlite:///file` or `postgresql://…`. Raises `GrammarError`."""
    return read_postgres_url(text) if text.startswith(_POSTGRES_SCHEMES) else read_sqlite_url(text)


def read_postgres_url(text: str) -> PostgresUrl:
    """`postgresql://user:password@host,host/database?parameter=value`. Raises `GrammarError`."""
    mend = (
        'write "postgresql://user:password@host:5432/database", several hosts with commas between them; '
        "percent-encode every special sign of user and password"
    )
    found = _POSTGRES.fullmatch(text)
    if found is None:
        raise GrammarError("this is not a URL of PostgreSQL", mend)
    if not found["database"]:
        raise GrammarError("the URL names no database", mend)
    return PostgresUrl(text, unquote(f"{found['hosts']}/{found['database']}"))


def check_directory(document: Document, findings: Findings) -> None:
    """What PostgreSQL needs is there, and SQLite has nothing that only PostgreSQL has."""
    table = document.directory
    if isinstance(table.url, SqliteUrl):
        for name in _ONLY_POSTGRES:
            if getattr(table, name) is not None and not findings.echoes(("directory", "url")):
                mend = "leave it out, or name a PostgreSQL database in directory.url"
                findings.problem(("directory", name), "a directory in SQLite has no such thing", mend)
        return
    for name in ("url", "replica_url", "listen_url"):
        url = getattr(table, name)
        if isinstance(url, PostgresUrl):
            _check_postgres(("directory", name), url, findings)


def _check_postgres(place: Place, url: PostgresUrl, findings: Findings) -> None:
    try:
        import psycopg.conninfo  # noqa: PLC0415 - comes with an extra, which SQLite does not need
    except ImportError:
        findings.problem(place, "PostgreSQL needs psycopg, which is not here", "pip install 'region-router[postgres]'")
        return
    try:
        given = psycopg.conninfo.conninfo_to_dict(url.text)
    except psycopg.ProgrammingError:
        # What libpq says repeats parts of the URL.
        findings.problem(place, "libpq cannot read this URL", "correct the parameters behind its ?")
        return
    hosts = str(given.get("host") or "").split(",")
    if given.get("sslmode") not in _ENCRYPTED and not all(_is_local(host) for host in hosts):
        text = "user, password and data may travel to it unencrypted"
        findings.warn(place, text, "add ?sslmode=verify-full to it, or =require at least")


def _is_local(host: str) -> bool:
    if not host or host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
