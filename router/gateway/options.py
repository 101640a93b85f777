"""The gateway's deadlines and limits, as frozen values with their defaults.

The law of the room: seconds for times, bytes for sizes; every number bounds what one peer can make us hold or wait for.
A deadline is moved by progress: it limits silence, never the length of a stream that moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.gateway.cors import EVERYBODY, Cors
from router.routing.fields import Underscores

if TYPE_CHECKING:
    from router.gateway.trust import Network


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """Whose silence ends what, and how much of anything is held.

    Towards the client:

    - `head_timeout`: from the first byte of a head to its end; `keepalive_timeout`: an idle connection.
    - `body_idle_timeout`: no byte of a request's body; `write_idle_timeout`: the client does not read.
    - `max_request_line`, `max_field`: bytes of one line; `max_head`: bytes of a whole head; `max_fields`: lines.
    - `max_body`: bytes of a request's body, `None` for no limit.
    - `min_body_rate`: bytes per second that a client must send of a body or take of an answer; what is slower counts as
      silence. 0 for any.
    - `max_requests_per_connection`: its connection is closed behind the last of them.
    - `max_connections`: client connections of this process, `None` for any number.
    - `max_connections_per_client`, `max_in_flight_per_client`: what one client address may hold at a time.

    - `trusted_proxies`: whose X-Forwarded-* are believed. `underscore_fields`: see `Underscores`.
    - `cors`: whose pages may read our own answers, `None` for nobody's.
    - `log_sample`, `trace_sample`: the share of requests, 0 to 1, that the access log has a line of besides those that
      failed, and that are traced; `None` for no log, no tracing at all.

    Towards a region (`forwarded`: it gets RFC 7239's field besides X-Forwarded-*):

    - `connect_timeout`: dialling, TLS included; `first_byte_timeout`: request sent → head of the answer.
    - `upstream_idle_timeout`: no byte of an answer's body; `tunnel_idle_timeout`: no byte of a WebSocket, either way.
    - `pool_size`: connections per origin; `pool_queue`: requests that may wait for one, `pool_wait_timeout` at most;
      `pool_idle_timeout`: an idle connection is kept so long.
    - `max_in_flight`: requests per origin that have a connection or wait for one.
    - `breaker_failures`: failed connects in a row after which nothing is dialled for `breaker_open` seconds.
    - `resolve_every`: origins' names are resolved again after so many seconds.
    - `upstream_max_head` (bytes), `upstream_max_fields` (lines): larger, because regions are trusted more than clients.

    Both ways: `buffer_high` is the number of buffered bytes at which the other side is paused. In the lifetime of the
    process: `lock_drain_timeout` cuts requests that were decided before a lock, `shutdown_timeout` ends a drain.
    """

    head_timeout: float = 10.0
    keepalive_timeout: float = 75.0
    body_idle_timeout: float = 30.0
    write_idle_timeout: float = 30.0
    connect_timeout: float = 5.0
    first_byte_timeout: float = 60.0
    upstream_idle_timeout: float = 60.0
    tunnel_idle_timeout: float = 300.0
    pool_idle_timeout: float = 15.0
    pool_wait_timeout: float = 2.0
    lock_drain_timeout: float = 10.0
    shutdown_timeout: float = 20.0
    pool_size: int = 256
    pool_queue: int = 1024
    max_in_flight: int = 4096
    breaker_failures: int = 5
    breaker_open: float = 5.0
    resolve_every: float = 30.0
    max_request_line: int = 8192
    max_head: int = 65536
    max_field: int = 16384
    max_fields: int = 128
    max_body: int | None = None
    min_body_rate: int = 100
    max_requests_per_connection: int = 10_000
    max_connections: int | None = None
    max_connections_per_client: int = 1024
    max_in_flight_per_client: int = 512
    upstream_max_head: int = 262144
    upstream_max_fields: int = 512
    buffer_high: int = 65536
    trusted_proxies: tuple[Network, ...] = ()
    forwarded: bool = False
    underscore_fields: Underscores = Underscores.REFUSE
    cors: Cors | None = EVERYBODY
    log_sample: float | None = None
    trace_sample: float | None = None
