"""Regions and where they are reached.

The law of the room: a region has an *origin* per service (where we connect) and a *public URL* per service (where we
redirect), and the two are never one field. Everything here is built once from the configuration and never changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NewType

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

RegionName = NewType("RegionName", str)
ServiceName = NewType("ServiceName", str)

DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What a TLS connection to an origin is verified and authenticated with; `None` means the system's default."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    server_name: str | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where we connect: the key of the connection pool, so two origins are one pool only if all of this is equal.

    `host` is a name or an IP address without brackets; `server_name` is what TLS verifies, empty for http.
    """

    scheme: str
    host: str
    port: int
    server_name: str = ""
    tls: TlsFiles = TlsFiles()

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class PublicUrl:
    """Where clients are told to go: scheme and authority, never a path.

    `authority` is `host[:port]` in lower case as it belongs in a Host header; `host` has no port (brackets kept).
    """

    scheme: str
    authority: str
    host: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


@dataclass(frozen=True, slots=True, eq=False)
class Endpoint:
    """One service in one region, overrides resolved. `path` has no trailing slash: `/report/v1`, or empty for `/`.

    Compared by identity: each is built once, and the hot path keys what it prepared for an endpoint by it.
    """

    origin: Origin
    public_url: PublicUrl
    path: bytes


@dataclass(frozen=True, slots=True)
class Region:
    """A named home of workspaces. `endpoints` holds every service of the configuration."""

    name: RegionName
    label: str
    endpoints: Mapping[ServiceName, Endpoint]
    public_url: PublicUrl
