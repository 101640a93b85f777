"""Origins' names and the addresses behind them.

The law of the room: a name is asked for by one lookup at a time, whoever wants it; an answer is used until a newer one
is there, however often DNS fails in between, because a region does not move when DNS breaks. Only a name that was never
resolved makes anybody wait. An address is no name, and is never asked for.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from aiohttp import ThreadedResolver

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence, Set

_log = logging.getLogger(__name__)

AddrInfo: TypeAlias = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]


class Resolver(Protocol):
    """Asks DNS, or whatever the system takes for it."""

    async def resolve(self, host: str, port: int) -> Sequence[AddrInfo]:
        """The addresses of `host`, the preferred ones first; at least one. Raises `OSError`."""

    async def close(self) -> None:
        """Nothing will be asked any more."""


class SystemResolver:
    """The system's own resolver (files, DNS), in threads."""

    def __init__(self) -> None:
        self._threads = ThreadedResolver()

    async def resolve(self, host: str, port: int) -> Sequence[AddrInfo]:
        """See `Resolver.resolve`."""
        try:
            results = await self._threads.resolve(host, port, family=socket.AddressFamily.AF_UNSPEC)
        except UnicodeError as error:
            raise OSError(f"{host} is no name that can be asked for") from error
        if not results:
            raise OSError(f"{host} has no address")
        return [addr_info(result["host"], result["port"]) for result in results]

    async def close(self) -> None:
        """See `Resolver.close`."""
        await self._threads.close()


class Name(NamedTuple):
    """What is resolved."""

    host: str
    port: int


class _Known(NamedTuple):
    """The last good answer, and when it, or what failed to replace it, came."""

    addresses: tuple[AddrInfo, ...]
    since: float


class Names:
    """The addresses of all names that anybody has asked for, asked for again every `resolve_every` seconds.

    `changed` is called with a name and the addresses that it has from now on.
    """

    def __init__(
        self,
        resolver: Resolver,
        resolve_every: float,
        now: Callable[[], float],
        changed: Callable[[Name, frozenset[str]], None],
    ) -> None:
        self._resolver = resolver
        self._resolve_every = resolve_every
        self._now = now
        self._changed = changed
        self._known: dict[Name, _Known] = {}
        self._lookups: dict[Name, asyncio.Task[OSError | None]] = {}

    async def addresses(self, name: Name) -> tuple[AddrInfo, ...]:
        """Where `name` is, the preferred first. Raises `OSError` if that was never known and can't be found out."""
        while name not in self._known:  # what was found may have been forgotten since
            if is_address(name.host):
                return (addr_info(*name),)
            # Shielded: others may wait for the same lookup.
            failure = await asyncio.shield(self._lookups.get(name) or self._start_lookup(name))
            if failure is not None:
                raise OSError(f"{name.host} was not resolved") from failure
        return self._known[name].addresses

    def adopt(self, resolve_every: float, wanted: Set[Name]) -> None:
        """Ask again so often from now on, and for the names in `wanted` alone."""
        self._resolve_every = resolve_every
        self._known = {name: known for name, known in self._known.items() if name in wanted}

    def refresh(self, now: float) -> None:
        """Ask again for every name whose answer is too old."""
        for name, known in self._known.items():
            if now - known.since >= self._resolve_every and name not in self._lookups:
                self._start_lookup(name)

    async def close(self) -> None:
        """Give up what is being asked for."""
        lookups = list(self._lookups.values())
        for task in lookups:
            task.cancel()
        await asyncio.gather(*lookups, return_exceptions=True)
        await self._resolver.close()

    def _start_lookup(self, name: Name) -> asyncio.Task[OSError | None]:
        task = self._lookups[name] = asyncio.create_task(self._look_up(name), name=f"resolve {name.host}")
        return task

    async def _look_up(self, name: Name) -> OSError | None:
        known = self._known.get(name)
        try:
            addresses = tuple(await self._resolver.resolve(*name))
        except OSError as error:
            _log.warning("resolving %s failed: %s", name.host, error)
            if known is not None:
                self._known[name] = known._replace(since=self._now())
            return error
        finally:
            del self._lookups[name]
        self._known[name] = _Known(addresses, self._now())
        hosts = _hosts(addresses)
        if known is not None and _hosts(known.addresses) != hosts:
            _log.info("%s is at other addresses now: %s", name.host, ", ".join(sorted(hosts)))
            self._changed(name, hosts)
        return None


def is_address(host: str) -> bool:
    """Whether `host` is an IP address, without brackets."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def addr_info(address: str, port: int) -> AddrInfo:
    """What connecting to an IP address takes."""
    if ":" in address:
        return (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0))
    return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))


def in_turn(addresses: Sequence[AddrInfo], turn: int) -> list[AddrInfo]:
    """`addresses`, but another one of each family first at each turn: an origin with several gets its share at each.
    The preferred family stays in front.
    """
    families = dict.fromkeys(family for family, *_ in addresses)
    ordered: list[AddrInfo] = []
    for family in families:
        members = [info for info in addresses if info[0] == family]
        first = turn % len(members)
        ordered += members[first:] + members[:first]
    return ordered


def _hosts(addresses: tuple[AddrInfo, ...]) -> frozenset[str]:
    return frozenset(address[0] for *_, address in addresses)
