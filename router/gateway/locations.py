"""Locations of a region, told as the client would have to write them, where policy hides regions.

The law of the room: only a URL that names this region for this service is changed: its origin or its public authority,
or no host at all. Scheme and host become those that the client used; the service's path at the region becomes the
prefix that the client's host has for it. Everything behind that stays as it came, and so does what names anybody else.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from router.model.region import DEFAULT_PORTS

if TYPE_CHECKING:
    from router.model.region import Endpoint

_FIELD: Final = re.compile(rb"(?im)^((?:content-)?location:[ \t]*)([^\r\n]*)")
_URL: Final = re.compile(rb"(?:(?i:(https?)):)?//([^/?#]*)(.*)", re.DOTALL)


class Facade(NamedTuple):
    """What a client sees of a service: the scheme, the host with its port, and the prefix in front of the rest."""

    scheme: bytes
    authority: bytes
    prefix: bytes


def names_location(kept: bytes) -> bool:
    """Whether there is anything to hide in these fields."""
    return _FIELD.search(kept) is not None


def hide_region(kept: bytes, endpoint: Endpoint, facade: Facade) -> bytes:
    """The fields `kept` with each Location and Content-Location as the client knows it."""
    return _FIELD.sub(lambda match: match[1] + hide(match[2], endpoint, facade), kept)


def hide(location: bytes, endpoint: Endpoint, facade: Facade) -> bytes:
    """`location` as the client knows it."""
    match = _URL.fullmatch(location)
    if match is None:
        # A path without host means this region too, and its prefix may differ from the client's.
        return _map_path(location, endpoint, facade) if location.startswith(b"/") else location
    scheme, authority, path = match.groups()
    if not _is_own(endpoint, scheme, authority.decode("latin-1").lower()):
        return location
    return b"%b://%b%b" % (facade.scheme, facade.authority, _map_path(path, endpoint, facade))


def _is_own(endpoint: Endpoint, scheme: bytes | None, authority: str) -> bool:
    """Whether `authority` is the endpoint's. Without a scheme its own is meant, whichever that is."""
    public, origin = endpoint.public_url, endpoint.origin
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    for own_scheme, own in ((public.scheme, public.authority), (origin.scheme, f"{host}:{origin.port}")):
        used = scheme.decode("ascii").lower() if scheme is not None else own_scheme
        # A region behind a TLS terminator may name itself with the other scheme; then its host alone says who it is.
        if _with_port(authority, used) == _with_port(own, own_scheme) or authority == own:
            return True
    return False


def _with_port(authority: str, scheme: str) -> str:
    if authority.rpartition(":")[2].isdigit() and ":" in authority:
        return authority
    return f"{authority.removesuffix(':')}:{DEFAULT_PORTS[scheme]}"


def _map_path(path: bytes, endpoint: Endpoint, facade: Facade) -> bytes:
    """The service's path at the region, if it stands in front, becomes the client's prefix."""
    own = endpoint.path
    if own == facade.prefix or not path.startswith(own) or path[len(own) : len(own) + 1] not in {b"", b"/", b"?", b"#"}:
        return path
    mapped = facade.prefix + path[len(own) :]
    return mapped if mapped.startswith(b"/") else b"/" + mapped
