"""What a configuration file may say: the tables, their settings, defaults and meaning.

The law of the room: a setting is read into the value it is compared or used as by `router.settings.grammar`; nothing is
required here, because what is missing is a matter of the whole document (`router.settings.check`) and must not hide
other problems. Every setting has a description: the README's table is made of them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator
from pydantic_core import PydanticCustomError

from router.directory.options import DirectoryOptions
from router.gateway.cors import EVERYBODY
from router.gateway.options import GatewayOptions
from router.gateway.trust import Network
from router.model.region import PublicUrl
from router.routing.fields import Underscores
from router.routing.table import (
    DEFAULT_TEMPLATES,
    DEFAULT_WORKSPACE_ID,
    Action,
    Disclose,
    Template,
    Unknown,
)
from router.settings import grammar
from router.settings.grammar import Address, GrammarError, Match, OriginUrl, SqliteUrl
from router.settings.id_pattern import read_id_pattern

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Notation:
    """How a value is written, for the table of settings and for mends."""

    text: str


def _reads(read: Callable[[str], Value]) -> PlainValidator:
    """A validator that reads text with a function of the grammar."""

    def validate(value: object) -> Value:
        if not isinstance(value, str):
            raise PydanticCustomError("string_type", "must be text")
        try:
            return read(value)
        except GrammarError as error:
            raise PydanticCustomError("grammar", "{text}", {"text": error.text, "mend": error.mend}) from error

    return PlainValidator(validate)


Seconds = Annotated[float, Field(gt=0, le=7 * 86400, allow_inf_nan=False), Notation("seconds")]
Count = Annotated[int, Field(ge=1, le=10_000_000), Notation("number")]
Bytes = Annotated[int, Field(ge=256, le=2**30), Notation("bytes")]
Rate = Annotated[int, Field(ge=0, le=2**20), Notation("bytes/s")]
Flag = Annotated[bool, Notation("`true` or `false`")]
ErrorStatus = Annotated[int, Field(ge=400, le=599), Notation("status")]

Listener = Annotated[Address, _reads(grammar.read_address), Notation("`host:port`")]
Text = Annotated[str, _reads(grammar.read_text), Notation("text")]
FileName = Annotated[str, _reads(grammar.read_file_name), Notation("file")]
SqliteText = Annotated[SqliteUrl, _reads(grammar.read_sqlite_url), Notation("sqlite URL")]
IdPattern = Annotated[re.Pattern[str], _reads(read_id_pattern), Notation("pattern")]
IdTemplate = Annotated[Template, _reads(grammar.read_id_template), Notation("template")]
PathTemplate = Annotated[Template, _reads(grammar.read_template), Notation("template")]
Subdomains = Annotated[str, _reads(grammar.read_suffix), Notation("`*.suffix`")]
HeaderName = Annotated[str, _reads(grammar.read_header_name), Notation("field name")]
MatchText = Annotated[Match, _reads(grammar.read_match), Notation("`host[/prefix]`")]
Path = Annotated[bytes, _reads(grammar.read_path), Notation("path")]
Origin = Annotated[OriginUrl, _reads(grammar.read_origin), Notation("URL without path")]
Public = Annotated[PublicUrl, _reads(grammar.read_public_url), Notation("URL without path")]
ServerName = Annotated[str, _reads(grammar.read_server_name), Notation("host")]
Proxies = Annotated[Network, _reads(grammar.read_network), Notation("CIDR block")]
WebOrigin = Annotated[str, _reads(grammar.read_web_origin), Notation("origin")]
FieldName = Annotated[str, _reads(grammar.read_field_name), Notation("field name")]
Method = Annotated[str, _reads(grammar.read_method), Notation("method")]
RegionKey = Annotated[str, Notation("region")]
ServiceKey = Annotated[str, Notation("service")]

Listeners = Annotated[tuple[Listener, ...], Field(strict=False, min_length=1)]
_GATEWAY: Final = GatewayOptions()
_CORS: Final = EVERYBODY
_DIRECTORY: Final = DirectoryOptions()
DEFAULT_API_KEY_HEADER: Final = "X-Api-Key"


class Table(BaseModel):
    """A TOML table: unknown keys are refused, types are exact."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TimeoutsTable(Table):
    """`[gateway.timeouts]`: each limits silence or waiting, never the length of a stream that moves."""

    head: Seconds = Field(
        default=_GATEWAY.head_timeout, description="from the first byte of a request's head to its end"
    )
    keepalive: Seconds = Field(
        default=_GATEWAY.keepalive_timeout, description="an idle client connection is kept so long"
    )
    body_idle: Seconds = Field(
        default=_GATEWAY.body_idle_timeout, description="no byte of a request's body comes from the client"
    )
    write_idle: Seconds = Field(default=_GATEWAY.write_idle_timeout, description="the client does not read the answer")
    connect: Seconds = Field(default=_GATEWAY.connect_timeout, description="dialling a region's origin")
    first_byte: Seconds = Field(
        default=_GATEWAY.first_byte_timeout,
        description="from a request that was sent to the head of the region's answer",
    )
    upstream_idle: Seconds = Field(
        default=_GATEWAY.upstream_idle_timeout, description="no byte of an answer's body comes from the region"
    )
    tunnel_idle: Seconds = Field(
        default=_GATEWAY.tunnel_idle_timeout, description="no byte of a WebSocket comes from either side"
    )
    pool_idle: Seconds = Field(
        default=_GATEWAY.pool_idle_timeout,
        description="an idle connection to an origin is kept so long (less than the region keeps it)",
    )
    pool_wait: Seconds = Field(
        default=_GATEWAY.pool_wait_timeout, description="a request waits so long for a connection to an origin"
    )
    lock_drain: Seconds = Field(
        default=_GATEWAY.lock_drain_timeout, description="requests decided before a lock are cut after so long"
    )
    shutdown: Seconds = Field(
        default=_GATEWAY.shutdown_timeout, description="requests in flight are cut so long after a signal to stop"
    )


class LimitsTable(Table):
    """`[gateway.limits]`: how much one peer may make the gateway hold."""

    pool_size: Count = Field(default=_GATEWAY.pool_size, description="connections per origin")
    pool_queue: Count = Field(
        default=_GATEWAY.pool_queue, description="requests that may wait for a connection, per origin"
    )
    max_in_flight: Count = Field(
        default=_GATEWAY.max_in_flight,
        description="requests that are answered or wait for a connection, per origin; one more is 503",
    )
    max_request_line: Bytes = Field(default=_GATEWAY.max_request_line, description="a request line; longer is 414")
    max_head: Bytes = Field(default=_GATEWAY.max_head, description="a whole request head; larger is 431")
    max_field: Bytes = Field(default=_GATEWAY.max_field, description="one header field; longer is 431")
    max_fields: Count = Field(default=_GATEWAY.max_fields, description="header fields of a request; more is 431")
    max_body: Annotated[int, Field(ge=0, le=2**62), Notation("bytes")] | None = Field(
        default=_GATEWAY.max_body, description="a request's body; larger is 413. Not set: no limit"
    )
    min_body_rate: Rate = Field(
        default=_GATEWAY.min_body_rate,
        description="a body that comes more slowly over `body_idle` is 408, an answer that is read more slowly over "
        "`write_idle` is cut. 0: any rate",
    )
    max_requests_per_connection: Count = Field(
        default=_GATEWAY.max_requests_per_connection,
        description="requests on one client connection; it is closed behind the answer to the last",
    )
    max_connections_per_client: Count = Field(
        default=_GATEWAY.max_connections_per_client,
        description="connections of one client address (IPv6: of its /64); one more is reset at once",
    )
    max_in_flight_per_client: Count = Field(
        default=_GATEWAY.max_in_flight_per_client,
        description="requests of one client address under way at a time; one more is 503",
    )
    upstream_max_head: Bytes = Field(default=_GATEWAY.upstream_max_head, description="the head of a region's answer")
    upstream_max_fields: Count = Field(
        default=_GATEWAY.upstream_max_fields, description="header fields of a region's answer"
    )
    buffer_high: Bytes = Field(
        default=_GATEWAY.buffer_high, description="buffered bytes at which the sending side is paused"
    )


class UpstreamTable(Table):
    """`[gateway.upstream]`: how origins are found, and when they are given up for a while."""

    resolve_every: Seconds = Field(
        default=_GATEWAY.resolve_every,
        description="between two lookups of an origin's name; connections to addresses that are gone are drained",
    )
    breaker_failures: Count = Field(
        default=_GATEWAY.breaker_failures,
        description="so many failed connects to an origin in a row open its circuit; no answer counts as one",
    )
    breaker_open: Seconds = Field(
        default=_GATEWAY.breaker_open,
        description="an open circuit answers 503 for so long, then one request tries to connect",
    )


class GatewayTable(Table):
    """`[gateway]`: the data plane."""

    listen: Listeners = Field(
        default=(Address("127.0.0.1", 8080),),
        description="where clients connect; IPv6 in brackets, port 0 lets the kernel choose",
    )
    trusted_proxies: Annotated[tuple[Proxies, ...], Field(strict=False)] = Field(
        default=_GATEWAY.trusted_proxies,
        description="whose `X-Forwarded-*` are kept and appended to; everybody else's are replaced. The client is the "
        "right-most address of `X-Forwarded-For` that is not in here",
    )
    forwarded: Flag = Field(
        default=_GATEWAY.forwarded, description="regions get `Forwarded` (RFC 7239) besides `X-Forwarded-*`"
    )
    underscore_fields: Annotated[Underscores, Field(strict=False)] = Field(
        default=_GATEWAY.underscore_fields,
        description="a field whose name would frame, route, authenticate or be one of ours if `_` were read as `-` "
        "(`Content_Length`, `X_Api_Key`): the request is refused (400), or the field is dropped",
    )
    timeouts: TimeoutsTable = TimeoutsTable()
    limits: LimitsTable = LimitsTable()
    upstream: UpstreamTable = UpstreamTable()


class OpsTable(Table):
    """`[ops]`: metrics and health."""

    listen: Listeners = Field(default=(Address("127.0.0.1", 9090),), description="where metrics and health are served")


class ControlTable(Table):
    """`[control]`: reserved, nothing can be set yet."""


class DirectoryTable(Table):
    """`[directory]`: where placements live, and how they are cached."""

    url: SqliteText = Field(
        default=SqliteUrl("directory.db"),
        description="`sqlite:///file` relative to this file, or `sqlite:////absolute/file`",
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
    cache_size: Count = Field(default=_DIRECTORY.cache_size, description="placements kept in memory")
    absent_size: Count = Field(default=_DIRECTORY.absent_size, description="ids known not to exist, kept in memory")
    absent_ttl: Seconds = Field(default=_DIRECTORY.absent_ttl, description="an id is known not to exist for so long")
    alias_size: Count = Field(
        default=_DIRECTORY.alias_size, description="subdomains and API keys (hashed) kept in memory"
    )


class IdentifyTable(Table):
    """`[identify]`: how a request names its workspace."""

    workspace_id: IdPattern = Field(
        default=read_id_pattern(DEFAULT_WORKSPACE_ID), description="what an id looks like, whatever its case"
    )
    paths: Annotated[tuple[IdTemplate, ...], Field(strict=False)] = Field(
        default=tuple(grammar.read_id_template(text) for text in DEFAULT_TEMPLATES),
        description="where in a path the id stands, behind at most one `/v1`; `*` is one segment",
    )
    subdomains: Subdomains | None = Field(
        default=None, description="hosts whose one label in front may name a workspace"
    )
    api_key_header: HeaderName = Field(
        default=DEFAULT_API_KEY_HEADER.lower(), description="the field that holds an API key (whatever its case)"
    )


class RouteTable(Table):
    """`[[policy.routes]]`: the first that fits wins over the service's action."""

    service: ServiceKey | None = Field(default=None, description="fits requests for this service")
    method: Method | None = Field(default=None, description="fits this method")
    path: PathTemplate | None = Field(default=None, description="fits what stands behind the service's prefix")
    action: Annotated[Action, Field(strict=False)] | None = Field(
        default=None, description="what is done with a request that fits"
    )
    region: RegionKey | None = Field(
        default=None, description="where a request that fits goes, if it names no workspace"
    )


class PolicyTable(Table):
    """`[policy]`: what is decided where the directory leaves a choice."""

    home: RegionKey = Field(default="global", description="the region this gateway stands in front of")
    unknown_workspace: Annotated[Unknown, Field(strict=False)] = Field(
        default=Unknown.HOME, description="a workspace that the directory does not know goes home, or is refused (404)"
    )
    disclose_region: Annotated[Disclose, Field(strict=False)] = Field(
        default=Disclose.SUCCESS, description="which answers name the region: a region's 2xx, all, none"
    )
    stale_statuses: Annotated[tuple[ErrorStatus, ...], Field(strict=False)] = Field(
        default=(421,),
        description="with these a region says that a workspace is not its own: the placement is refreshed, and if it "
        "has changed, the request is sent there, once",
    )
    hide_regions: Flag = Field(
        default=False,
        description="a region's `Location` that names its own origin or public URL is told with the client's host",
    )
    routes: Annotated[tuple[RouteTable, ...], Field(strict=False)] = ()


class CorsTable(Table):
    """`[cors]`: what browsers may read of the router's own answers. A region's are passed on as they came."""

    allow_origins: Annotated[tuple[WebOrigin, ...], Field(strict=False)] = Field(
        default=_CORS.origins,
        description="whose pages: `https://app.example.com`, or `*` for all. Empty: no CORS at all",
    )
    allow_credentials: Flag = Field(default=_CORS.credentials, description="pages may send cookies along; not with `*`")
    allow_methods: Annotated[tuple[Method, ...], Field(strict=False)] = Field(
        default=_CORS.methods,
        description="what a preflight is told that the region can't be asked for, as the next two are",
    )
    allow_headers: Annotated[tuple[FieldName, ...], Field(strict=False)] = Field(
        default=_CORS.headers, description="fields that pages may send"
    )
    max_age: Annotated[int, Field(ge=0, le=86_400), Notation("seconds")] = Field(
        default=_CORS.max_age, description="browsers may remember that so long"
    )
    expose_headers: Annotated[tuple[FieldName, ...], Field(strict=False)] = Field(
        default=_CORS.exposed, description="fields of an answer that pages may read"
    )


class ServiceTable(Table):
    """`[services.S]`: one of the services that stand behind the global hosts."""

    match: Annotated[tuple[MatchText, ...], Field(strict=False)] = Field(
        default=(), description="required: hosts (`host`, `*.suffix`, `*`) and the prefix that is taken off"
    )
    path: Path | None = Field(default=None, description="required: the prefix that is put instead, at every region")
    action: Annotated[Action, Field(strict=False)] = Field(
        default=Action.PROXY, description="what is done with a request for a region that is not home"
    )
    region: RegionKey | None = Field(default=None, description="every request goes there; no workspace is looked for")


class TlsTable(Table):
    """`tls`: how a connection to an https origin is verified. Files are relative to the configuration's folder."""

    ca: FileName | None = Field(default=None, description="certificates to trust (PEM). Not set: the system's")
    cert: FileName | None = Field(default=None, description="our own certificate (PEM), if the origin asks for one")
    key: FileName | None = Field(default=None, description="its key (PEM). Not set: it is in the same file")
    server_name: ServerName | None = Field(
        default=None, description="the name to verify. Not set: the public URL's host"
    )


class OverrideTable(Table):
    """`services.S` of a region: what is different for that service there."""

    origin: Origin | None = Field(default=None, description="where we connect for this service")
    public_url: Public | None = Field(default=None, description="where clients are redirected for this service")
    path: Path | None = Field(default=None, description="the prefix that is put for this service")
    tls: TlsTable | None = None


class RegionTable(Table):
    """`[regions.R]`: a home of workspaces."""

    label: Text | None = Field(default=None, description="its name for people. Not set: the region's name")
    origin: Origin | None = Field(
        default=None, description="required, unless every service has its own: where we connect"
    )
    public_url: Public | None = Field(default=None, description="required: where clients are redirected")
    tls: TlsTable | None = None
    services: dict[str, OverrideTable] = {}


class Document(Table):
    """A whole configuration."""

    gateway: GatewayTable = GatewayTable()
    ops: OpsTable = OpsTable()
    control: ControlTable = ControlTable()
    directory: DirectoryTable = DirectoryTable()
    identify: IdentifyTable = IdentifyTable()
    policy: PolicyTable = PolicyTable()
    cors: CorsTable = CorsTable()
    services: dict[str, ServiceTable] = {}
    regions: dict[str, RegionTable] = {}
