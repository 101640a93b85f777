"""What the rest of the program gets: one frozen value with everything that was configured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from router.control.access import Token
    from router.control.options import ControlOptions
    from router.control.webhooks import Destination
    from router.directory.options import DirectoryOptions
    from router.directory.postgres.options import PostgresOptions
    from router.gateway.options import GatewayOptions
    from router.gateway.tls import ServerIdentity
    from router.routing.table import RoutingTable
    from router.settings.grammar import Address, SocketFile
    from router.settings.problems import ConfigProblem
    from router.telemetry.logs import Form


@dataclass(frozen=True, slots=True)
class DirectorySettings:
    """Where the directory is.

    - `place`: the absolute path of a SQLite file, or a PostgreSQL database; `name`: what people may be shown of it.
    - `locks`: the folder in which the gateways of this host prove that they live.
    - `id`, if given, is the only directory that may be used.
    """

    place: Path | PostgresOptions
    name: str
    locks: Path
    id: str | None
    options: DirectoryOptions


@dataclass(frozen=True, slots=True)
class ServingSettings:
    """How a process serves: where clients come by TLS and what it shows them, whether each connection begins with a
    PROXY header, how long it goes on when it was told to stop, and how often it looks whether its files have changed
    (seconds; 0: never).
    """

    tls_listen: tuple[Address, ...]
    identity: ServerIdentity | None
    proxy_protocol: bool
    drain_delay: float
    reload_interval: float


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """How lines are written, whether they and traces name the workspace, where traces are sent, if at all, and who the
    gateway is in them. Which requests are logged and traced is among the gateway's options.
    """

    form: Form
    shows_workspace: bool
    collector: str | None
    service_name: str


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """The control plane. Without a listener of its own the API is served with the metrics, on loopback.

    `identity`: what its listeners show by TLS, if they do. Nobody can use it without a token, unless it is
    `open_to_loopback`.
    """

    listen: tuple[Address | SocketFile, ...]
    identity: ServerIdentity | None
    tokens: tuple[Token, ...]
    open_to_loopback: bool
    options: ControlOptions
    destinations: tuple[Destination, ...]

    @property
    def serves(self) -> bool:
        """Whether anybody could use the API."""
        return bool(self.tokens) or self.open_to_loopback


@dataclass(frozen=True, slots=True)
class Settings:
    """A checked configuration. `warnings` are for people: what works and may not be what was meant; `files` are those
    that it names and that were read for it.
    """

    listen: tuple[Address | SocketFile, ...]
    ops_listen: tuple[Address | SocketFile, ...]
    serving: ServingSettings
    files: tuple[Path, ...]
    gateway: GatewayOptions
    directory: DirectorySettings
    control: ControlSettings
    telemetry: TelemetrySettings
    table: RoutingTable
    warnings: tuple[ConfigProblem, ...] = ()
