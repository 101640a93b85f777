"""Trust: who may say where a request comes from.

Theory. X-Forwarded-For, -Proto, -Host and Forwarded are claims of the peer. Anybody's are replaced by what the
connection itself shows; a trusted proxy's are kept, and what the connection shows is appended. Each proxy vouches for
the entry that it appended, the right-most one it sends; so the client is the right-most address that is no trusted
proxy. What stands left of it is hearsay: it is passed on as such, and nothing here rests on it.

Pure: an address or a head in, text out.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from router.gateway.heads import parse_authority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from router.gateway.heads import Admitted

Network: TypeAlias = IPv4Network | IPv6Network

UNKNOWN: Final = "unknown"
"""The address of a peer that has none (RFC 7239 §6.2)."""

LOCAL: Final = "unix"
"""The address of a peer behind a UNIX socket: a proxy on this machine, since nobody else may open it. It is trusted,
and says who its client is; regions are not told of it."""

_NAMES: Final = frozenset({UNKNOWN, LOCAL})
_CLAIM: Final = re.compile(rb"(?im)^(x-forwarded-for|x-forwarded-proto|x-forwarded-host|forwarded):[ \t]*([^\r\n]*)")
_NODE: Final = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}|([0-9A-Fa-f:.]+)")
_LONGEST_NODE: Final = len("[0000:0000:0000:0000:0000:ffff:255.255.255.255]:65535")


class Peer(NamedTuple):
    """The other side of a connection.

    - `address`: its IP address, an IPv4 one never in IPv6 clothes; `secure`: whether it came by TLS.
    - `lines`: the fields that tell a region of it, the same for each of its requests; empty if they depend on those.
    """

    address: str
    secure: bool
    trusted: bool
    lines: bytes

    @property
    def proto(self) -> bytes:
        """The scheme that it used."""
        return b"https" if self.secure else b"http"


class Claims(NamedTuple):
    """What a head says of where it comes from. The lists are joined as they came, empty if there is none."""

    forwarded_for: bytes
    proto: bytes | None
    host: bytes | None
    forwarded: bytes


class Account(NamedTuple):
    """What a region is told of a request's way: `lines` but for X-Forwarded-Host, which is `host`."""

    lines: bytes
    host: bytes
    proto: bytes


class Trust:
    """Who is trusted, and what regions are told. `forwarded`: they get RFC 7239's field too."""

    def __init__(self, proxies: Sequence[Network], *, forwarded: bool) -> None:
        self._proxies = tuple(proxies)
        self._forwarded = forwarded
        # Behind a load balancer the same few addresses come with every request.
        self.trusts: Callable[[str], bool] = lru_cache(maxsize=4096)(self._trusts)
        self.peer: Callable[[str, bool], Peer] = lru_cache(maxsize=4096)(self._peer)

    def _trusts(self, address: str) -> bool:
        """Whether a claim that comes from `address` is believed."""
        if address == LOCAL:
            return True
        if not self._proxies or address == UNKNOWN:
            return False
        parsed = ip_address(address.partition("%")[0])
        return any(parsed.version == network.version and parsed in network for network in self._proxies)

    def _peer(self, address: str, secure: bool) -> Peer:
        """The peer at `address`, an IP address as a socket tells it, `UNKNOWN` or `LOCAL`."""
        plain = address if address in _NAMES else _plain(address)
        peer = Peer(plain, secure, self.trusts(plain), b"")
        if peer.trusted or self._forwarded:
            return peer
        return peer._replace(lines=_lines(peer.address.encode("ascii", "replace"), peer.proto))

    def client_address(self, peer: Peer, block: bytes) -> str:
        """The address of the client whose request's head is `block`: the right-most one that is no trusted proxy's."""
        if not peer.trusted:
            return peer.address
        entries = read_claims(block).forwarded_for.decode("latin-1").split(",")
        return rightmost_untrusted(peer.address, entries, self.trusts)

    def account(self, peer: Peer, admitted: Admitted) -> Account:
        """What a region is told of a request that came from `peer`."""
        authority = admitted.head.authority
        claims = read_claims(admitted.block) if peer.trusted else NO_CLAIMS
        address = _hop(peer, claims.forwarded_for)
        proto = claims.proto or peer.proto
        lines = _lines(_append(claims.forwarded_for, address), proto)
        if self._forwarded:
            own = b"" if peer.address == LOCAL and claims.forwarded else _element(peer, authority)
            lines += b"Forwarded: %b\r\n" % _append(claims.forwarded, own)
        return Account(lines, claims.host or authority, proto)


NOBODY: Final = Peer(UNKNOWN, secure=False, trusted=False, lines=b"")
NO_CLAIMS: Final = Claims(b"", None, None, b"")


def read_claims(block: bytes) -> Claims:
    """What the head `block` claims. A scheme or host that is not just one sane value is none."""
    found: dict[bytes, list[bytes]] = {}
    for name, value in _CLAIM.findall(block):
        found.setdefault(name.lower(), []).append(value.rstrip(b" \t"))
    protos = found.get(b"x-forwarded-proto", ())
    hosts = found.get(b"x-forwarded-host", ())
    proto = protos[0].lower() if len(protos) == 1 else b""
    host = hosts[0] if len(hosts) == 1 and parse_authority(hosts[0]) else None
    return Claims(
        _join(found.get(b"x-forwarded-for", ())),
        proto if proto in {b"http", b"https"} else None,
        host,
        _join(found.get(b"forwarded", ())),
    )


def rightmost_untrusted(peer: str, entries: Sequence[str], trusts: Callable[[str], bool]) -> str:
    """The client behind `peer`: `entries` are those of X-Forwarded-For in their order.

    An entry that is no address (`unknown`, an obfuscated name, garbage) ends the search: nobody vouches for what stands
    left of it. If all are trusted, the left-most one is the client.
    """
    address = peer
    for entry in reversed(entries):
        if not trusts(address):
            break
        node = read_node(entry.strip(" \t"))
        if node is None:
            break
        address = node
    return address


def read_node(text: str) -> str | None:
    """The address in `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`."""
    match = _NODE.fullmatch(text) if len(text) <= _LONGEST_NODE else None
    if match is None:
        return None
    try:
        return _plain(match[1] or match[2] or match[3])
    except ValueError:
        return None


def _plain(address: str) -> str:
    """An IPv4 address that a dual-stack socket or a proxy shows as IPv6 is the IPv4 address."""
    parsed = ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return str(mapped or parsed)


def _lines(forwarded_for: bytes, proto: bytes) -> bytes:
    return b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\n" % (forwarded_for, proto)


def _element(peer: Peer, authority: bytes) -> bytes:
    """One hop of RFC 7239. An IPv6 address is quoted in brackets (§6.1), a zone has no place in it."""
    address = UNKNOWN if peer.address == LOCAL else peer.address.partition("%")[0]
    node = f'"[{address}]"' if ":" in address else address
    return b'for=%b;host="%b";proto=%b' % (node.encode("ascii", "replace"), authority, peer.proto)


def _hop(peer: Peer, claimed: bytes) -> bytes:
    """What is appended to X-Forwarded-For for `peer`: nothing for a proxy on this machine that names its client."""
    if peer.address == LOCAL:
        return b"" if claimed else UNKNOWN.encode("ascii")
    return peer.address.encode("ascii", "replace")


def _append(claimed: bytes, ours: bytes) -> bytes:
    return b"%b, %b" % (claimed, ours) if claimed and ours else claimed or ours


def _join(values: Iterable[bytes]) -> bytes:
    return b", ".join(value for value in values if value)
