"""Making, upgrading and opening a directory: what an operator does, never a gateway in passing.

The law of the room: one transaction, under an advisory lock that a pooler cannot lose. Whoever comes second waits, and
finds nothing left to do.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from router.directory.migrate import BLANK, Migration, Schema, migrations, pending, require_readable
from router.directory.postgres.errors import STANDBY
from router.directory.postgres.feed import generation_of, info_of, milliseconds, rotate
from router.directory.postgres.pool import Pool
from router.directory.postgres.session import SCHEMA, Session, Terms, Transaction
from router.directory.postgres.source import read_source
from router.directory.store import StoreError, StoreUnreadableError

if TYPE_CHECKING:
    from router.directory.ports import Clock
    from router.directory.postgres.feed import Clockwork, Feed
    from router.directory.postgres.options import PostgresOptions
    from router.directory.postgres.pool import Link
    from router.directory.store import DirectoryInfo

DIALECT: Final = "postgres"

_STATEMENT_TIMEOUT: Final = 3600.0
_LOCK_TIMEOUT: Final = 60.0
"""Seconds: a migration may have much to do, and another one may be at it."""

_LOCK: Final = "SELECT pg_advisory_xact_lock(7453010373645657681)"
"""Any number that nobody else takes."""


async def migrate(options: PostgresOptions, *, clock: Clock) -> tuple[Migration, ...]:
    """Bring the directory at `options.url` to this release's schema, and make it if there is none.

    Returns what was applied, in order; all of it or nothing is. Raises `StoreError`, `StoreUnreadableError`.
    """
    patient = replace(options, statement_timeout=_STATEMENT_TIMEOUT, lock_timeout=_LOCK_TIMEOUT)
    pool = Pool(read_source(options.url, "directory.url"), size=1, wait=options.pool_wait, inspect=_accept)
    session = Session(pool, Terms(patient), generation_of)
    try:
        return await session.write(lambda transaction: _upgrade(transaction, clock.wall()))
    finally:
        await session.close()


async def inspect(link: Link, terms: Terms, directory_id: str | None, *, primary: bool) -> None:
    """Judge a new connection: whether this release can work there, whether it is the directory that is meant, and a
    primary if it has to be one. A standby says what was: who begins there would not know of a lock that counts as
    applied by him.

    The wrong directory would make everybody unknown, which is worse than none at all. Raises `StoreError`.
    """
    transaction = Transaction(link, terms.limit)
    row = await transaction.row(
        f"{terms.read}SELECT version, min_reader, directory_id, pg_is_in_recovery() FROM schema_version "  # noqa: S608 - constants only
        "LEFT JOIN feed ON true "
        "ORDER BY version DESC LIMIT 1; COMMIT"
    )
    version, min_reader, found, standby = row or (*BLANK, None, False)
    name = link.source.name
    require_readable(Schema(version, min_reader), migrations(DIALECT), name)
    if directory_id not in {None, found}:
        raise StoreUnreadableError(
            f"{name}: is the directory {found}, not {directory_id}: correct {link.source.setting} or directory.id"
        )
    if standby and primary:
        raise StoreError(f"{name}: {STANDBY.format(setting=link.source.setting)}")


async def open_directory(feed: Feed, *, restored: bool, clockwork: Clockwork) -> DirectoryInfo:
    """Mark the directory as opened. `restored` starts another generation, because a copy that was put back may lack
    what was acknowledged since it was made; and because it may lack registrations too, no lock barrier holds before
    the longest lease that any gateway can have is over.
    """
    if restored:
        await rotate(feed.transaction, clockwork)
    await feed.transaction.run("UPDATE feed SET opened = true")
    feed.tell()
    return await info_of(feed.transaction)


async def _accept(_: Link) -> None:
    """Nothing can be asked of a database that is still to be made a directory."""


async def _upgrade(transaction: Transaction, now: float) -> tuple[Migration, ...]:
    await transaction.rows(_LOCK)
    await _require_text(transaction)
    found = await _schema_of(transaction)
    applied = pending(found, migrations(DIALECT), transaction.source.name)
    if found == BLANK:
        await _make_schema(transaction)
    for migration in applied:
        for statement in migration.statements:
            await transaction.run(statement)
        await transaction.run(
            "INSERT INTO schema_version (version, min_reader, applied_at) VALUES (%(version)s, %(reader)s, %(now)s)",
            {"version": migration.version, "reader": migration.min_reader, "now": now},
        )
    if found == BLANK:
        await transaction.run(
            "INSERT INTO feed (single, directory_id, generation, quarantine_until, opened, head, floor, "
            "system, timeline) SELECT 1, %(id)s, %(generation)s, 0, false, 0, 1, h.system, h.timeline FROM history() h",
            {"id": uuid.uuid4().hex, "generation": milliseconds(now)},
        )
    transaction.generation = await generation_of(transaction)
    return applied


async def _require_text(transaction: Transaction) -> None:
    row = await transaction.row("SELECT current_setting('server_encoding')")
    if row is None or row[0] != "UTF8":
        raise StoreError(f"{transaction.source.name}: its encoding is not UTF8: create the database with that encoding")


async def _schema_of(transaction: Transaction) -> Schema:
    row = await transaction.row("SELECT to_regclass(%(table)s) IS NOT NULL", {"table": f"{SCHEMA}.schema_version"})
    if row is None or not row[0]:
        return BLANK
    version = await transaction.row("SELECT version, min_reader FROM schema_version ORDER BY version DESC LIMIT 1")
    return Schema(*version) if version else BLANK


async def _make_schema(transaction: Transaction) -> None:
    # Asked for first: who may not create schemas may still use one that was made for him.
    row = await transaction.row("SELECT to_regnamespace(%(schema)s) IS NOT NULL", {"schema": SCHEMA})
    if row is None or not row[0]:
        await transaction.run(f"CREATE SCHEMA {SCHEMA}")
