"""What a configuration file may say: the tables, their settings, defaults and meaning.

The law of the room: a setting is read into the value it is compared or used as by `router.settings.grammar`; nothing is
required here, because what is missing is a matter of the whole document (`router.settings.check`) and must not hide
other problems. Every setting has a description: the README's table is made of them.
"""

from typing import Annotated, Final

from pydantic import Field

from router.control.access import Scope
from router.control.options import BACKUP_LOCK, PLANS
from router.gateway.cors import EVERYBODY
from router.gateway.options import GatewayOptions
from router.model.transfer import DEFAULT_DURATION
from router.routing.fields import Underscores
from router.routing.table import (
    DEFAULT_TEMPLATES,
    DEFAULT_WORKSPACE_ID,
    Action,
    Disclose,
    Mode,
    Unknown,
)
from router.settings import grammar
from router.settings.directory_table import DirectoryTable
from router.settings.grammar import Address
from router.settings.id_pattern import read_id_pattern
from router.settings.notation import (
    Bytes,
    ControlName,
    Count,
    Delay,
    ErrorStatus,
    FieldName,
    FileName,
    Flag,
    HeaderName,
    HookUrl,
    IdPattern,
    IdTemplate,
    Listener,
    Listeners,
    MatchText,
    Method,
    Moment,
    Notation,
    Origin,
    Path,
    PathTemplate,
    Proxies,
    Public,
    Rate,
    RegionKey,
    Seconds,
    ServerName,
    ServiceKey,
    Subdomains,
    Table,
    TcpListener,
    Text,
    TokenHash,
    WebOrigin,
)
from router.settings.telemetry import LogTable, TracingTable

_GATEWAY: Final = GatewayOptions()
_CORS: Final = EVERYBODY
DEFAULT_API_KEY_HEADER: Final = "X-Api-Key"


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
    max_connections: Count | None = Field(
        default=_GATEWAY.max_connections,
        description="client connections of one process; one more is reset at once. Not set: as many as its limit of "
        "open files leaves room for",
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


class GatewayTlsTable(Table):
    """`[gateway.tls]`: where clients connect by TLS. Renewed files are taken over while the gateway runs."""

    listen: Annotated[tuple[TcpListener, ...], Field(strict=False)] = Field(
        default=(), description="where clients connect by TLS (1.2 or 1.3)"
    )
    cert: FileName | None = Field(default=None, description="the gateway's certificate and its chain (PEM)")
    key: FileName | None = Field(default=None, description="its key (PEM). Not set: it is in the same file")


class GatewayTable(Table):
    """`[gateway]`: the data plane."""

    listen: Listeners = Field(
        default=(Address("127.0.0.1", 8080),),
        description="where clients connect; IPv6 in brackets, port 0 lets the kernel choose. Behind a UNIX socket is a "
        "proxy of this machine, which is trusted. May be empty beside `gateway.tls.listen`",
    )
    proxy_protocol: Flag = Field(
        default=False,
        description="each client connection begins with a PROXY header (version 1 or 2), which is taken from "
        "`gateway.trusted_proxies` and UNIX sockets alone",
    )
    drain_delay: Delay = Field(
        default=5.0,
        description="after SIGTERM the gateway says that it is not ready and goes on for so long, until no balancer "
        "sends it anything new; Ctrl-C skips it",
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
    tls: GatewayTlsTable = GatewayTlsTable()
    timeouts: TimeoutsTable = TimeoutsTable()
    limits: LimitsTable = LimitsTable()
    upstream: UpstreamTable = UpstreamTable()


class OpsTable(Table):
    """`[ops]`: metrics and health."""

    listen: Listeners = Field(default=(Address("127.0.0.1", 9090),), description="where metrics and health are served")


class ControlTlsTable(Table):
    """`[control.tls]`: what the control API's own listeners show."""

    cert: FileName | None = Field(default=None, description="its certificate and the chain (PEM)")
    key: FileName | None = Field(default=None, description="its key (PEM). Not set: it is in the same file")


class TokenTable(Table):
    """`[[control.tokens]]`: who may use the control API. Several may be valid at once, to replace one by another."""

    name: ControlName | None = Field(default=None, description="required: who holds it, as the audit log says")
    hash: TokenHash | None = Field(default=None, description="the SHA-256 of the token in hex")
    file: FileName | None = Field(
        default=None, description="or a file with the token itself, read again when it was replaced"
    )
    scopes: Annotated[tuple[Annotated[Scope, Field(strict=False)], ...], Field(strict=False)] = Field(
        default=(), description="required: what it is for. Each includes `read`, `admin` all"
    )
    expires: Moment | None = Field(default=None, description="from then on it is not valid. Not set: never")


class WebhookTable(Table):
    """`[[control.webhooks]]`: who is told of events."""

    name: ControlName | None = Field(default=None, description="required: who is told")
    url: HookUrl | None = Field(default=None, description="required: where events are sent")
    secret_file: FileName | None = Field(
        default=None, description="required: a file with the `whsec_` key that signs, or several while it is replaced"
    )


class ControlTable(Table):
    """`[control]`: the control plane. Without a token there is no control API."""

    listen: Annotated[tuple[Listener, ...], Field(strict=False)] = Field(
        default=(), description="where the control API is served. Not set: with the metrics, on loopback only"
    )
    tls: ControlTlsTable = ControlTlsTable()
    tokens: Annotated[tuple[TokenTable, ...], Field(strict=False)] = ()
    open_to_loopback: Flag = Field(
        default=False, description="requests from this machine itself need no token: for trying out"
    )
    plans: Annotated[tuple[Text, ...], Field(strict=False, min_length=1)] = Field(
        default=PLANS, description="plans that may move their workspaces"
    )
    require_tenant_data: Flag | None = Field(
        default=None,
        description="a workspace moves only if its owner and plan are known; else their rules are judged where they "
        "are. Not set: true where anybody may use the control API",
    )
    transfer_duration: Seconds = Field(
        default=DEFAULT_DURATION, description="from the start of a transfer to its deadline, when it fails by itself"
    )
    backup_lock: Annotated[float, Field(gt=0, le=366 * 86_400, allow_inf_nan=False), Notation("seconds")] = Field(
        default=BACKUP_LOCK, description="the source of a completed transfer keeps its locked copy so long"
    )
    webhooks: Annotated[tuple[WebhookTable, ...], Field(strict=False)] = ()


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
    mode: Annotated[Mode, Field(strict=False)] = Field(
        default=Mode.ENFORCE,
        description="`observe`: every request goes home, with its own Host, and what would have been done is counted "
        "and logged. No lock is held, and no transfer gets past its lock meanwhile",
    )
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


class ReloadTable(Table):
    """`[reload]`: how a running process learns that its configuration has changed. SIGHUP always asks it to look."""

    interval: Delay = Field(
        default=1.0,
        description="between two looks at this file and those that it names; 0: only SIGHUP. A configuration with a "
        "problem is refused, and the one before goes on",
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
    accepting: Flag = Field(default=True, description="whether transfers may bring workspaces here")
    tls: TlsTable | None = None
    services: dict[str, OverrideTable] = Field(default_factory=dict)


class Document(Table):
    """A whole configuration."""

    gateway: GatewayTable = GatewayTable()
    ops: OpsTable = OpsTable()
    control: ControlTable = ControlTable()
    directory: DirectoryTable = DirectoryTable()
    identify: IdentifyTable = IdentifyTable()
    policy: PolicyTable = PolicyTable()
    cors: CorsTable = CorsTable()
    reload: ReloadTable = ReloadTable()
    log: LogTable = LogTable()
    tracing: TracingTable = TracingTable()
    services: dict[str, ServiceTable] = Field(default_factory=dict)
    regions: dict[str, RegionTable] = Field(default_factory=dict)
