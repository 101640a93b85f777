"""What a configuration file may say of the directory.

The law of the room: that of `router.settings.schema`, to which this table belongs.
"""

from typing import Final

from pydantic import Field

from router.directory.options import DirectoryOptions
from router.directory.postgres.options import PostgresOptions
from router.settings.grammar import SqliteUrl
from router.settings.notation import Count, DirectoryText, FileName, Flag, Fraction, PostgresText, Seconds, Table, Text

_DIRECTORY: Final = DirectoryOptions()
_POSTGRES: Final = PostgresOptions("")


class DirectoryTable(Table):
    """`[directory]`: where placements live, and how they are cached."""

    url: DirectoryText = Field(
        default=SqliteUrl("directory.db"),
        description="`sqlite:///file` relative to this file, `sqlite:////absolute/file`, or "
        "`postgresql://user:password@host,host/database`; of several hosts the one that takes writes",
    )
    replica_url: PostgresText | None = Field(
        default=None, description="a standby of PostgreSQL, for lookups. Not set: the primary answers them all"
    )
    listen_url: PostgresText | None = Field(
        default=None,
        description="PostgreSQL's primary itself, not a pooler: where changes are listened for. Not set: polling only",
    )
    locks: FileName | None = Field(
        default=None,
        description="a folder on a local disk, the same for all gateways and commands of a host, where they prove that "
        "they live. Not set: `directory-gateways` beside this file; of SQLite it is beside the database",
    )
    accept_loss: Flag = Field(
        default=_POSTGRES.accept_loss,
        description="PostgreSQL: do not wait for standbys. A failover may then lose what was reported, locks included: "
        "only the regions' fence holds",
    )
    pool_size: Count = Field(
        default=_POSTGRES.pool_size, description="PostgreSQL: connections for lookups, for the rest, and to the replica"
    )
    pool_wait: Seconds = Field(default=_POSTGRES.pool_wait, description="PostgreSQL: a call waits for one so long")
    statement_timeout: Seconds = Field(
        default=_POSTGRES.statement_timeout, description="PostgreSQL: one statement; it is ended there"
    )
    lock_timeout: Seconds = Field(
        default=_POSTGRES.lock_timeout, description="PostgreSQL: a writer waits for another one"
    )
    heartbeat: Seconds = Field(
        default=_POSTGRES.heartbeat,
        description="PostgreSQL: between two proofs that notifications arrive at `listen_url`",
    )
    id: Text | None = Field(default=None, description="the directory's own id, if only that one may be used")
    lease: Seconds = Field(
        default=_DIRECTORY.lease, description="a gateway trusts its cache so long without a directory"
    )
    poll_interval: Seconds = Field(default=_DIRECTORY.poll_interval, description="between two looks at the change feed")
    lookup_timeout: Seconds = Field(default=_DIRECTORY.lookup_timeout, description="one lookup; then 503")
    renewal_timeout: Seconds = Field(default=_DIRECTORY.renewal_timeout, description="one renewal of the lease")
    retry_max: Seconds = Field(
        default=_DIRECTORY.retry_max, description="longest pause between attempts while the directory fails"
    )
    max_lookups: Count = Field(default=_DIRECTORY.max_lookups, description="lookups under way at the same time")
    max_waiting: Count = Field(
        default=_DIRECTORY.max_waiting, description="requests that may wait for lookups; then 503"
    )
    feed_batch: Count = Field(default=_DIRECTORY.feed_batch, description="changes fetched at a time")
    clock_drift: Fraction = Field(
        default=_DIRECTORY.clock_drift, description="by how much of itself a second differs between machines at most"
    )
    lease_margin: Seconds = Field(
        default=_DIRECTORY.lease_margin,
        description="a silent gateway is waited for so long beyond its lease; kernels give up sending after 20 s",
    )
    unanswered_window: Seconds = Field(
        default=_DIRECTORY.unanswered_window,
        description="a region may go on for so long with a request that got no whole answer; transfers list these",
    )
    unanswered_size: Count = Field(
        default=_DIRECTORY.unanswered_size, description="requests without a whole answer that are remembered"
    )
    cache_size: Count = Field(default=_DIRECTORY.cache_size, description="placements kept in memory")
    absent_size: Count = Field(default=_DIRECTORY.absent_size, description="ids known not to exist, kept in memory")
    absent_ttl: Seconds = Field(default=_DIRECTORY.absent_ttl, description="an id is known not to exist for so long")
    alias_size: Count = Field(
        default=_DIRECTORY.alias_size, description="subdomains and API keys (hashed) kept in memory"
    )
