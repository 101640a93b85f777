"""A URL of PostgreSQL: where it leads, what is added to it, how it is called in messages.

The law of the room: a password that stands in the URL leaves this module only for libpq. What is added gives way to
what the URL says itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from router.directory.store import StoreUnreadableError

if TYPE_CHECKING:
    from collections.abc import Mapping

READ_WRITE: Final = "read-write"
"""The first of the hosts that takes writes: not a standby, wherever the primary has gone."""
PREFER_STANDBY: Final = "prefer-standby"

_SECRETS: Final = ("password", "sslpassword", "passfile", "oauth_client_secret")
_HIDDEN: Final = "***"

_DEFAULTS: Final[Mapping[str, str | int]] = {
    "application_name": "region-router",
    "connect_timeout": 2,
    # A peer that is gone without a word is noticed within about 20 seconds, whatever the connection was doing.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 20_000,
}
"""Times in seconds but for the last, which is in milliseconds. `connect_timeout` is for each host."""


@dataclass(frozen=True, slots=True)
class Source:
    """A place to connect to: `setting` is where its URL is configured, `name` how it is told to people."""

    setting: str
    name: str
    conninfo: str = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def conceal(self, text: str) -> str:
        """`text` without anything secret of the URL."""
        return _conceal(text, self.secrets)


def read_source(url: str, setting: str, *, session: str = READ_WRITE) -> Source:
    """The source that `url` names, for connections of the kind `session`. Raises `StoreUnreadableError`."""
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # What libpq says repeats parts of the URL, and those may be of the password.
        raise StoreUnreadableError(f"{setting}: is not a URL that libpq can read: correct it") from None
    parameters = {**_DEFAULTS, "target_session_attrs": session, **given, "client_encoding": "utf8"}
    secrets = tuple(str(given[name]) for name in _SECRETS if given.get(name))
    return Source(setting, _conceal(_name(given), secrets), make_conninfo("", **parameters), secrets)


def _name(given: Mapping[str, str | int | None]) -> str:
    """`host:port,host:port/database`, as far as the URL says so."""
    hosts = str(given.get("host") or given.get("hostaddr") or "local").split(",")
    ports = str(given.get("port") or "").split(",")
    pairs = [f"{host}:{port}" if port else host for host, port in zip(hosts, _spread(ports, len(hosts)), strict=True)]
    return f"PostgreSQL {','.join(pairs)}/{given.get('dbname') or given.get('user') or ''}"


def _conceal(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    return text


def _spread(ports: list[str], count: int) -> list[str]:
    return ports * count if len(ports) == 1 else [*ports, *[""] * count][:count]
