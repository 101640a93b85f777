"""Guests: how much of the gateway each client address holds, so that none of them can hold it all.

Theory. A client is known by its address alone: before a backend has judged its credentials, everything else can be made
up. What is counted is what is held *now* (connections, requests under way), never what came per second: rates are the
backends' business. An IPv6 client is given a /64 at least and could come from any address in it, so that the /64 is the
guest.

The law of the room: plain numbers and no clock. An entry lives as long as it counts something, so that there are never
more entries than connections and requests together, whatever addresses are made up.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final

_SHARED_BITS: Final = 64


class Guest:
    """What one client address holds now. `warned`: the log has been told that it wants too much."""

    __slots__ = ("connections", "name", "requests", "warned")

    def __init__(self, name: str) -> None:
        self.name = name
        self.connections = 0
        self.requests = 0
        self.warned = False


class Guests:
    """The guests that hold anything. Whatever is counted is counted out again, within the limit or not."""

    def __init__(self) -> None:
        self._max_connections = 0
        self._max_requests = 0
        self._present: dict[str, Guest] = {}

    def limit(self, max_connections: int, max_requests: int) -> None:
        """From now on a guest may hold so many; who holds more keeps them."""
        self._max_connections = max_connections
        self._max_requests = max_requests

    def __len__(self) -> int:
        return len(self._present)

    def find(self, address: str) -> Guest:
        """The guest that `address` is. One that is new has to be counted in the same step, or it would stay."""
        name = guest_name(address)
        guest = self._present.get(name)
        if guest is None:
            guest = self._present[name] = Guest(name)
        return guest

    def arrive(self, guest: Guest) -> bool:
        """One more connection of `guest`. Whether it may have that many."""
        guest.connections += 1
        return guest.connections <= self._max_connections

    def leave(self, guest: Guest) -> None:
        """A connection that has arrived is gone."""
        guest.connections -= 1
        if not guest.connections and not guest.requests:
            self._present.pop(guest.name, None)

    def begin(self, guest: Guest) -> bool:
        """One more request of `guest`. Whether it may have that many."""
        guest.requests += 1
        return guest.requests <= self._max_requests

    def end(self, guest: Guest) -> None:
        """A request that has begun is over."""
        guest.requests -= 1
        if not guest.requests and not guest.connections:
            self._present.pop(guest.name, None)


@lru_cache(maxsize=4096)
def guest_name(address: str) -> str:
    """What an IP address is counted as: itself, or the /64 that an IPv6 address is in. An IPv4 address that is written
    as an IPv6 one is an IPv4 address; text that is no address is counted as it is.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(IPv6Network((int(parsed), _SHARED_BITS), strict=False))
    return str(parsed)
