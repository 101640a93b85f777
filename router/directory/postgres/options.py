"""What can be set of the PostgreSQL store. Built by the settings; needs no psycopg."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PostgresOptions:
    """Times in seconds. URLs may hold passwords, so they are never shown.

    - `url`: the primary; with several hosts, whichever of them takes writes. `replica_url`: where lookups may go.
      `listen_url`: a direct connection to the primary for LISTEN; without one there is polling only.
    - `pool_size`: connections to each of them; `pool_wait`: how long a call waits for a free one.
    - `statement_timeout`: for one statement; `lock_timeout`: how long a writer waits for another one.
    - `heartbeat`: between two proofs that notifications arrive; also how long one is waited for.
    - `accept_loss`: do not wait for standbys. Then a failover may lose what was reported, a lock included, and only the
      regions' fence holds.
    """

    url: str = field(repr=False)
    replica_url: str | None = field(default=None, repr=False)
    listen_url: str | None = field(default=None, repr=False)
    pool_size: int = 8
    pool_wait: float = 2.0
    statement_timeout: float = 5.0
    lock_timeout: float = 5.0
    heartbeat: float = 5.0
    accept_loss: bool = False
