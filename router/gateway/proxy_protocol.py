"""The PROXY protocol, versions 1 and 2: the line or block in which a balancer says whose connection it passes on.

Theory. The header comes before everything else, TLS included, and nothing marks a connection that has none: so whoever
takes it must know beforehand that it comes, and from whom. What is not a header is refused, never guessed to be the
beginning of a request; what is refused was no header of an honest balancer.

The law of the room: pure, and bounded. `read_header` looks at what has come so far, and as long as the header is not
whole *all* of that belongs to it: a reader may take it away and wait for more. So no byte behind the header is ever
read with it, which is what lets TLS begin there.
"""

from __future__ import annotations

import re
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

LONGEST_LINE: Final = 107
"""Bytes of a version 1 header at most, its CRLF included."""
LONGEST_BLOCK: Final = 4096
"""Bytes of a version 2 header that are taken: the format allows 65 551, and balancers send less than 500."""

_LINE: Final = b"PROXY "
_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_FIXED: Final = 16
_PORT: Final = re.compile(r"0|[1-9][0-9]{0,4}")

_TCP4, _TCP6, _UNIX, _UNSPECIFIED = 0x11, 0x21, 0x31, 0x00
_ADDRESSES: Final = {_UNSPECIFIED: 0, _TCP4: 12, _TCP6: 36, _UNIX: 216}
"""Family and transport → bytes of its addresses. Datagrams do not come by a stream."""

_TLV_TLS: Final = 0x20
_TLS_FIXED: Final = 5
_CLIENT_USED_TLS: Final = 0x01


class BadHeaderError(ValueError):
    """What has come is no PROXY header. The text is one line for the log, and repeats nothing of it."""


class Whose(Enum):
    """Whose connection it is."""

    NAMED = "named"
    """That of the client whose address is told."""
    UNNAMED = "unnamed"
    """A client's whose address the balancer does not know or tell."""
    OWN = "own"
    """The balancer's own: it looks whether we are alive."""


class Header(NamedTuple):
    """A whole header. `length`: its bytes; `address`: the client's IP address if it is named; `secure`: whether the
    client speaks TLS with the balancer, `None` if that is not told.
    """

    length: int
    whose: Whose
    address: str = ""
    secure: bool | None = None


def read_header(data: bytes) -> Header | None:
    """The header that `data` begins with; `None` if all of `data` is the beginning of one.

    Raises `BadHeaderError` as soon as it can be none.
    """
    if data.startswith(_LINE):
        return _read_line(data)
    if data.startswith(_SIGNATURE):
        return _read_block(data)
    if _LINE.startswith(data) or _SIGNATURE.startswith(data):
        return None
    raise BadHeaderError("it begins with no PROXY header")


# --- version 1


def _read_line(data: bytes) -> Header | None:
    end = data.find(b"\r\n", 0, LONGEST_LINE)
    if end < 0:
        if len(data) >= LONGEST_LINE or b"\r" in data[:-1] or not data.removesuffix(b"\r").isascii():
            raise BadHeaderError("the PROXY line does not end in time")
        return None
    family, *fields = data[len(_LINE) : end].decode("latin-1").split(" ")
    if family == "UNKNOWN":
        return Header(end + 2, Whose.UNNAMED)
    if family not in {"TCP4", "TCP6"} or len(fields) != 4:
        raise BadHeaderError("the PROXY line is not of its form")
    source, destination, *ports = fields
    read = _read_ipv4 if family == "TCP4" else _read_ipv6
    address = read(source)
    read(destination)
    if not all(_PORT.fullmatch(port) and int(port) <= 65535 for port in ports):
        raise BadHeaderError("a port of the PROXY line is none")
    return Header(end + 2, Whose.NAMED, address)


def _read_ipv4(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except ValueError:
        raise BadHeaderError("an address of the PROXY line is not an IPv4 address") from None


def _read_ipv6(text: str) -> str:
    try:
        address = IPv6Address(text)
    except ValueError:
        raise BadHeaderError("an address of the PROXY line is not an IPv6 address") from None
    if address.scope_id is not None:
        raise BadHeaderError("an address of the PROXY line has a zone")
    return str(address)


# --- version 2


def _read_block(data: bytes) -> Header | None:
    if len(data) < _FIXED:
        return None
    version, command = data[12] >> 4, data[12] & 0x0F
    length = _FIXED + int.from_bytes(data[14:16], "big")
    if version != 2 or command > 1:
        raise BadHeaderError("the PROXY block is of a version or a command that is not known")
    if length > LONGEST_BLOCK:
        raise BadHeaderError("the PROXY block is too long")
    if len(data) < length:
        return None
    if command == 0:
        # Whatever addresses stand there mean nothing.
        return Header(length, Whose.OWN)
    return _read_addresses(data[13], data[_FIXED:length], length)


def _read_addresses(family: int, content: bytes, length: int) -> Header:
    size = _ADDRESSES.get(family)
    if size is None:
        raise BadHeaderError("the PROXY block has a family or a transport that no stream has")
    if len(content) < size:
        raise BadHeaderError("the PROXY block is too short for its addresses")
    if family == _UNSPECIFIED:
        return Header(length, Whose.UNNAMED)
    secure = _read_tls(content[size:])
    if family == _TCP4:
        return Header(length, Whose.NAMED, str(IPv4Address(content[:4])), secure)
    if family == _TCP6:
        return Header(length, Whose.NAMED, str(IPv6Address(content[:16])), secure)
    return Header(length, Whose.UNNAMED, secure=secure)


def _read_tls(content: bytes) -> bool | None:
    """What the extensions, of which there must be no half one, say of the client's TLS."""
    secure = None
    while content:
        size = int.from_bytes(content[1:3], "big")
        value = content[3 : 3 + size]
        if len(content) < 3 or len(value) < size:
            raise BadHeaderError("an extension of the PROXY block is cut off")
        if content[0] == _TLV_TLS:
            if size < _TLS_FIXED:
                raise BadHeaderError("the TLS extension of the PROXY block is too short")
            secure = bool(value[0] & _CLIENT_USED_TLS)
        content = content[3 + size :]
    return secure
