"""The small languages of a configuration: text → value, or what is wrong with it and the mend.

The law of the room: a text is read once, here, into the form in which it will be compared. What could be read two ways
is refused. No message repeats a URL: it may carry a credential that has no business in a log.
"""

from __future__ import annotations

import ipaddress
import re
from ipaddress import IPv4Network, IPv6Network
from typing import Final, NamedTuple

from router.model.flaw import quote
from router.model.region import DEFAULT_PORTS, PublicUrl
from router.routing.table import Template, compile_template

_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_HOST_PORT: Final = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?")
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#\\]*)(.*)", re.DOTALL)
_SEGMENT: Final = re.compile(r"[A-Za-z0-9._~!$&'()+,=:@-]+")
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_COLLECTOR: Final = re.compile(r"https?://[!-\"$-.0-;=A-~]+/[!-\"$->@-~]*")
_METHOD: Final = re.compile(r"[A-Z][A-Z0-9-]*")
_RESERVED_FIELDS: Final = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "expect", "keep-alive"}
)
_MAX_HOST: Final = 253
_MAX_TEXT: Final = 200
_LONGEST_SOCKET: Final = 107
_SOCKET_MODE: Final = re.compile(r"mode=0?([0-7]{3})")

DEFAULT_SOCKET_MODE: Final = 0o660


class GrammarError(ValueError):
    """The text is not of its language: `text` says why, `mend` what to write."""

    def __init__(self, text: str, mend: str) -> None:
        super().__init__(f"{text}; mend: {mend}")
        self.text = text
        self.mend = mend


class Match(NamedTuple):
    """`host[/prefix]`: `host` is `clockify.me`, `*.clockify.me` or `*`; `prefix` has no trailing slash."""

    host: str
    prefix: bytes

    def __str__(self) -> str:
        return self.host + self.prefix.decode("ascii")


class Address(NamedTuple):
    """Where a listener listens. `host` is a name or an IP address without brackets; port 0 lets the kernel choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class SocketFile(NamedTuple):
    """A listener on a UNIX socket: its absolute path, and who may open it."""

    path: str
    mode: int

    def __str__(self) -> str:
        return f"unix:{self.path}"


class OriginUrl(NamedTuple):
    """Where we connect: `host` without brackets, `port` always filled in."""

    scheme: str
    host: str
    port: int


class SqliteUrl(NamedTuple):
    """The directory's file: absolute, or relative to the configuration's folder."""

    file: str

    def __str__(self) -> str:
        return f"sqlite:///{self.file}"


def read_host(text: str) -> str:
    """A host as it is compared: lower case, no port, no trailing dot, IPv6 in brackets. Raises `GrammarError`."""
    if not text.isascii():
        raise GrammarError("a host is plain ASCII", "write an internationalised name in its xn-- form")
    host = text.lower()
    if host.startswith("["):
        if not host.endswith("]"):
            raise _no_host(text)
        return f"[{_read_ipv6(host[1:-1])}]"
    host = host.removesuffix(".")
    if ":" in host:
        raise GrammarError(f"{quote(text)} has a port", "leave the port out; an IPv6 address stands in [brackets]")
    if len(host) > _MAX_HOST or not _HOST_NAME.fullmatch(host):
        raise _no_host(text)
    if host.rpartition(".")[2].isdigit():
        _read_ipv4(host)
    return host


def read_match(text: str) -> Match:
    """`host[/prefix]`. Raises `GrammarError`."""
    host, slash, prefix = text.partition("/")
    if host == "*":
        return Match(host, read_path(slash + prefix or "/"))
    if host.startswith("*."):
        return Match(read_suffix(host), read_path(slash + prefix or "/"))
    if "*" in host:
        raise GrammarError(
            f"{quote(host)} has a * inside", "* stands alone, or for exactly one label in front: *.example.com"
        )
    if not host:
        raise GrammarError("the host is missing", "write host/prefix, as in clockify.me/api")
    return Match(read_host(host), read_path(slash + prefix or "/"))


def read_suffix(text: str) -> str:
    """`*.clockify.me`. Raises `GrammarError`."""
    if not text.startswith("*."):
        raise GrammarError(
            f"{quote(text)} is not a pattern of subdomains", "write *. and the domain, as in *.clockify.me"
        )
    suffix = read_host(text[2:])
    if suffix.startswith("[") or suffix.rpartition(".")[2].isdigit():
        raise GrammarError("an IP address has no subdomains", "write a domain behind the *.")
    return f"*.{suffix}"


def read_path(text: str) -> bytes:
    """A path prefix on segment boundaries, without its trailing slash: `/` is empty. Raises `GrammarError`."""
    if not text.startswith("/"):
        raise GrammarError("a path starts with /", 'write it like "/api"')
    path = text.removesuffix("/")
    for segment in path.split("/")[1:]:
        if segment == "":
            raise GrammarError("a path has no empty segment (//)", "write single slashes")
        if segment in {".", ".."}:
            raise GrammarError("a path has no dot segment", "write the path that is meant")
        if not _SEGMENT.fullmatch(segment):
            raise GrammarError(
                f"segment {quote(segment)} has characters that a path can hold in more than one form",
                "write letters, digits and ._~!$&'()+,=:@- only; no query, no % escape, no wildcard",
            )
    return path.encode("ascii")


def read_origin(text: str) -> OriginUrl:
    """`http[s]://host[:port]`, where we connect. Raises `GrammarError`."""
    scheme, host, port = _read_base_url(text)
    return OriginUrl(scheme, strip_brackets(host), port)


def read_public_url(text: str) -> PublicUrl:
    """`http[s]://host[:port]`, where clients are told to go; a default port is left out. Raises `GrammarError`."""
    scheme, host, port = _read_base_url(text)
    return PublicUrl(scheme, host if port == DEFAULT_PORTS[scheme] else f"{host}:{port}", host)


def read_address(text: str) -> Address:
    """`host:port` of a listener. Raises `GrammarError`."""
    mend = 'write "127.0.0.1:8080", "0.0.0.0:8080" for all of IPv4, or "[::]:8080"'
    match = _HOST_PORT.fullmatch(text)
    if match is None or match[2] is None:
        raise GrammarError(f"{quote(text)} is not host:port", mend)
    if not match[1]:
        raise GrammarError("the host is missing", mend)
    return Address(strip_brackets(read_host(match[1])), _read_port(match[2], lowest=0))


def read_listener(text: str) -> Address | SocketFile:
    """`host:port`, or `unix:/path` with `?mode=660` behind it. Raises `GrammarError`."""
    if not text.startswith("unix:"):
        return read_address(text)
    mend = 'write "unix:/run/region-router.sock", with "?mode=660" behind it for other rights than 660'
    path, mark, query = text.removeprefix("unix:").partition("?")
    if not path.startswith("/") or path.endswith("/") or not path.isprintable():
        raise GrammarError(f"{quote(text)} names no socket by an absolute path", mend)
    if len(path.encode()) > _LONGEST_SOCKET:
        raise GrammarError(f"a socket's path has at most {_LONGEST_SOCKET} bytes", "use a shorter path")
    mode = _SOCKET_MODE.fullmatch(query) if mark else None
    if mark and mode is None:
        raise GrammarError(f"{quote(text)} does not say who may open it", mend)
    return SocketFile(path, int(mode[1], 8) if mode else DEFAULT_SOCKET_MODE)


def read_sqlite_url(text: str) -> SqliteUrl:
    """`sqlite:///relative.db` or `sqlite:////absolute.db`. Raises `GrammarError`."""
    mend = 'write "sqlite:///directory.db" (relative to this file) or "sqlite:////var/lib/region-router/directory.db"'
    path = text.removeprefix("sqlite:///")
    if path == text:
        raise GrammarError("the URL of a directory starts with sqlite:/// or postgresql://", mend)
    if not path.strip("/") or path.endswith("/"):
        raise GrammarError("the URL names no file", mend)
    if path == ":memory:":
        raise GrammarError("a directory in memory could not be shared with the command line", mend)
    if any(character in "?#%" or not character.isprintable() for character in path):
        raise GrammarError("the path of the directory's file has one of ?, #, % or a control character", mend)
    return SqliteUrl(path)


def read_template(text: str) -> Template:
    """A path template like `/workspaces/{workspace}`. Raises `GrammarError`."""
    mend = 'write plain segments, * and {workspace} for one segment each, as in "/users/*/defaultWorkspace/{workspace}"'
    if {".", ".."} & set(text.split("/")):
        raise GrammarError("a template has no dot segment", mend)
    try:
        return compile_template(text)
    except ValueError as error:
        raise GrammarError(str(error), mend) from error


def read_id_template(text: str) -> Template:
    """A template that says where the workspace's id stands. Raises `GrammarError`."""
    template = read_template(text)
    if template.pattern.groups != 1:
        raise GrammarError("the template does not say where the id stands", "put {workspace} in the id's place")
    return template


def read_network(text: str) -> IPv4Network | IPv6Network:
    """`10.0.0.0/8`, `fd00::/8`, or one address. Raises `GrammarError`."""
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        mend = 'write the network\'s own address and its length, as in "10.0.0.0/8", or one address'
        raise GrammarError(f"{quote(text)} is not a block of addresses", mend) from error


def read_collector(text: str) -> str:
    """The URL to which traces are sent. Raises `GrammarError`."""
    if not _COLLECTOR.fullmatch(text):
        mend = 'write scheme, host and path, as in "http://127.0.0.1:4318/v1/traces"'
        raise GrammarError("this is not a URL that traces can be sent to", mend)
    return text


def read_web_origin(text: str) -> str:
    """`https://app.example.com` as browsers serialize it, or `*`. Raises `GrammarError`."""
    return text if text == "*" else str(read_public_url(text))


def read_field_name(text: str) -> str:
    """A field's name as it stands. Raises `GrammarError`."""
    if not _TOKEN.fullmatch(text) or text == "*":
        raise GrammarError(f"{quote(text)} is not the name of a header field", 'write names like "Retry-After"')
    return text


def read_header_name(text: str) -> str:
    """A field's name in lower case. Raises `GrammarError`."""
    if not _TOKEN.fullmatch(text):
        raise GrammarError(f"{quote(text)} is not the name of a header field", 'write it like "X-Api-Key"')
    if text.lower() in _RESERVED_FIELDS:
        raise GrammarError(
            f"{quote(text)} frames or routes a request and is no credential", 'write it like "X-Api-Key"'
        )
    return text.lower()


def read_method(text: str) -> str:
    """A method in upper case: methods are compared exactly. Raises `GrammarError`."""
    if not _METHOD.fullmatch(text):
        raise GrammarError(f"{quote(text)} is not a method", 'write it in upper case, as in "POST"')
    return text


def read_server_name(text: str) -> str:
    """The name that TLS verifies, an IP address without brackets. Raises `GrammarError`."""
    return strip_brackets(read_host(text))


def read_text(text: str) -> str:
    """One line of printable text. Raises `GrammarError`."""
    if not text.strip() or len(text) > _MAX_TEXT or not text.isprintable():
        raise GrammarError("the text is empty, longer than 200 characters or not printable", "write one short line")
    return text


def read_file_name(text: str) -> str:
    """The path of a file. Raises `GrammarError`."""
    if not text or not text.isprintable():
        raise GrammarError(
            "the file's path is empty or not printable", "write a path relative to this file, or an absolute one"
        )
    return text


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def strip_brackets(host: str) -> str:
    """An IPv6 address without its brackets; any other host as it is."""
    return host[1:-1] if host.startswith("[") else host


def _read_base_url(text: str) -> tuple[str, str, int]:
    mend = 'write scheme, host and at most a port, as in "https://euc1.clockify.me" or "http://127.0.0.1:9101"'
    match = _URL.fullmatch(text)
    if match is None:
        raise GrammarError("this is not a URL", mend)
    scheme, authority, tail = match[1].lower(), match[2], match[3]
    if scheme not in DEFAULT_PORTS:
        raise GrammarError("the scheme is neither http nor https", mend)
    if "@" in authority:
        raise GrammarError("a URL here has no user and no password", mend)
    if tail:
        raise GrammarError("a URL here has no path, no query and no trailing slash", mend)
    host_port = _HOST_PORT.fullmatch(authority)
    if host_port is None or not host_port[1]:
        raise GrammarError("the URL's host and port are not host[:port]", mend)
    port = DEFAULT_PORTS[scheme] if host_port[2] is None else _read_port(host_port[2], lowest=1)
    return scheme, read_host(host_port[1]), port


def _read_port(digits: str, *, lowest: int) -> int:
    port = int(digits)
    if not lowest <= port <= 65535:
        raise GrammarError(f"there is no port {port}", f"write a port from {lowest} to 65535")
    return port


def _read_ipv6(text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError as error:
        raise GrammarError(f"{quote(text)} is not an IPv6 address", "write it in brackets, as in [::1]") from error
    if address.scope_id is not None:
        raise GrammarError("an IPv6 address here has no zone", "leave out the % and what follows")
    return address.compressed


def _read_ipv4(text: str) -> None:
    try:
        ipaddress.IPv4Address(text)
    except ValueError as error:
        raise GrammarError(f"{quote(text)} is not an IPv4 address", "write four numbers, as in 127.0.0.1") from error


def _no_host(text: str) -> GrammarError:
    mend = "write a name like api.clockify.me, an IPv4 address or an IPv6 one in [brackets]"
    return GrammarError(f"{quote(text)} is not a host", mend)
