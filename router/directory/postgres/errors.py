"""What PostgreSQL and libpq report, told once in an operator's words, each with its mend and without any password."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.directory.store import StoreError, StoreUnreadableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

    from router.directory.postgres.source import Source

RESTORE: Final = "restore a backup, then run `region-router directory open --restored`"

STANDBY: Final = "takes no writes, it is a standby: name the primary in {setting}"

_MENDS: Final[Mapping[str, tuple[type[StoreError], str]]] = {
    "08": (StoreError, "has dropped the connection: see that it runs"),
    "22": (StoreError, "cannot hold such text"),
    "23505": (StoreError, "has a row of that name already"),
    "25006": (StoreError, STANDBY),
    "25P03": (StoreError, "has ended a transaction that stood still: this machine is overloaded"),
    "28": (StoreError, "lets this user not in: correct user and password in {setting}"),
    "3D": (StoreError, "has no such database: create it, or correct {setting}"),
    "3F": (StoreUnreadableError, "has no directory in it: run `region-router migrate`"),
    "40": (StoreError, "could not do this beside another transaction: try again"),
    "42501": (StoreError, "does not permit this to its user: grant it what the README names"),
    "42P01": (StoreUnreadableError, "has no directory in it: run `region-router migrate`"),
    "42": (StoreUnreadableError, f"does not hold what its schema number promises: {RESTORE}"),
    "53100": (StoreError, "has no room left: free some space on its disk"),
    "53300": (StoreError, "has no connection left: raise its max_connections, or lower directory.pool_size"),
    "53": (StoreError, "is short of resources"),
    "55P03": (StoreError, "is locked by another writer: let that one finish, or stop it"),
    "57014": (StoreError, "took too long: see what keeps it busy, or raise directory.statement_timeout"),
    "57": (StoreError, "is being stopped or started: wait until it is up"),
    "58": (StoreError, "cannot read or write its files: check its disk"),
    "XX001": (StoreUnreadableError, f"is damaged: {RESTORE}"),
    "XX002": (StoreUnreadableError, f"is damaged: {RESTORE}"),
}
"""By SQLSTATE, else by its class. What is not here is passed on as PostgreSQL says it."""

_UNREACHABLE: Final = "cannot be reached: see that it runs and that {setting} is right"


def from_psycopg(error: psycopg.Error, source: Source) -> StoreError:
    """What `error`, met at `source`, means."""
    state = error.sqlstate
    if state is None:
        kind, mend = StoreError, _UNREACHABLE
    else:
        kind, mend = _MENDS.get(state) or _MENDS.get(state[:2]) or (StoreError, "failed")
    detail = error.diag.message_primary or _one_line(str(error)) or type(error).__name__
    return kind(f"{source.name}: {mend.format(setting=source.setting)} ({source.conceal(detail)})")


def gone(source: Source, seconds: float) -> StoreError:
    """Nothing came back from `source` for so long."""
    return StoreError(f"{source.name}: did not answer within {seconds:g} s: see that it runs and can be reached")


def _one_line(text: str) -> str:
    return "; ".join(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
