"""Origins' names: asked for once at a time, kept when DNS fails, and followed when they move."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import pytest

from router.gateway.options import GatewayOptions
from router.gateway.pool import OriginPool, Pools
from router.gateway.resolving import AddrInfo, Name, Names, SystemResolver, addr_info, in_turn
from router.model.fault import Fault
from router.model.region import Endpoint, Origin, PublicUrl
from tests.gateway.bell import Bell
from tests.gateway.taker import Taker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from router.gateway.upstream import Upstream

NAME = Name("euc1.internal", 8080)
EVERY = 30.0
HERE, THERE = "127.0.0.1", "127.0.0.2"


class ToldResolver:
    """Answers as a test has told it: addresses, or none, which is a failure. `held`: not before it is set."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked: list[Name] = []
        self.held: asyncio.Event | None = None
        self.bell = Bell()

    async def resolve(self, host: str, port: int) -> Sequence[AddrInfo]:
        self.asked.append(Name(host, port))
        self.bell.ring()
        if self.held is not None:
            await self.held.wait()
        if not self.addresses:
            raise OSError("DNS is down")
        return [addr_info(address, port) for address in self.addresses]

    async def close(self) -> None:
        """Nothing is kept."""


class Follower:
    """Names with a clock of their own, and what they said of changes."""

    def __init__(self, resolver: ToldResolver) -> None:
        self.now = 0.0
        self.moves: list[frozenset[str]] = []
        self.bell = Bell()
        self.names = Names(resolver, EVERY, lambda: self.now, self._moved)
        self.resolver = resolver

    def _moved(self, name: Name, addresses: frozenset[str]) -> None:
        self.moves.append(addresses)
        self.bell.ring()

    async def hosts(self, name: Name = NAME) -> list[str]:
        return [info[4][0] for info in await self.names.addresses(name)]

    async def refreshed(self) -> None:
        """Let the answer get old, and let a newer one, or a failure, come."""
        self.now += EVERY
        self.names.refresh(self.now)
        await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == f"resolve {NAME.host}"))


async def test_an_answer_is_used_until_it_is_too_old() -> None:
    follower = Follower(ToldResolver(HERE))
    await follower.hosts()
    follower.now = EVERY - 1
    follower.names.refresh(follower.now)
    assert await follower.hosts() == [HERE]
    assert len(follower.resolver.asked) == 1


async def test_a_name_is_asked_for_again_and_a_new_answer_replaces_the_old() -> None:
    follower = Follower(ToldResolver(HERE))
    await follower.hosts()
    follower.resolver.addresses = (THERE,)
    await follower.refreshed()
    assert await follower.hosts() == [THERE]
    assert follower.moves == [{THERE}]


async def test_the_same_addresses_in_another_order_are_no_change() -> None:
    follower = Follower(ToldResolver(HERE, THERE))
    await follower.hosts()
    follower.resolver.addresses = (THERE, HERE)
    await follower.refreshed()
    assert follower.moves == []


async def test_the_last_good_answer_is_kept_while_dns_fails() -> None:
    follower = Follower(ToldResolver(HERE))
    await follower.hosts()
    follower.resolver.addresses = ()
    for _ in range(3):
        await follower.refreshed()
    assert await follower.hosts() == [HERE]
    assert len(follower.resolver.asked) == 4
    assert follower.moves == []


async def test_nobody_waits_for_a_refresh() -> None:
    follower = Follower(ToldResolver(HERE))
    await follower.hosts()
    follower.resolver.held = asyncio.Event()
    follower.now = EVERY
    follower.names.refresh(follower.now)
    assert await follower.hosts() == [HERE]
    follower.names.refresh(follower.now + EVERY)
    await follower.resolver.bell.until(lambda: len(follower.resolver.asked) > 1 or None)
    assert len(follower.resolver.asked) == 2
    await follower.names.close()


async def test_all_who_wait_for_a_name_share_one_lookup() -> None:
    follower = Follower(ToldResolver(HERE))
    assert await asyncio.gather(*(follower.hosts() for _ in range(5))) == [[HERE]] * 5
    assert len(follower.resolver.asked) == 1


async def test_one_who_gives_up_takes_the_answer_from_nobody_else() -> None:
    follower = Follower(ToldResolver(HERE))
    follower.resolver.held = asyncio.Event()
    impatient, patient = (asyncio.create_task(follower.hosts()) for _ in range(2))
    await follower.resolver.bell.until(lambda: follower.resolver.asked or None)
    impatient.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await impatient
    follower.resolver.held.set()
    assert await patient == [HERE]


async def test_a_failure_is_told_and_not_remembered() -> None:
    follower = Follower(ToldResolver())
    with pytest.raises(OSError, match="not resolved"):
        await follower.hosts()
    follower.resolver.addresses = (HERE,)
    assert await follower.hosts() == [HERE]


@pytest.mark.parametrize("address", [HERE, "::1", "2001:db8::7"])
async def test_an_address_is_never_asked_for(address: str) -> None:
    follower = Follower(ToldResolver())
    assert await follower.hosts(Name(address, 80)) == [address]
    assert follower.resolver.asked == []


async def test_the_system_s_resolver_knows_localhost_and_refuses_what_is_no_name() -> None:
    resolver = SystemResolver()
    found = await resolver.resolve("localhost", 8080)
    assert {info[4][0] for info in found} <= {HERE, "::1"}
    assert {info[4][1] for info in found} == {8080}
    with pytest.raises(OSError, match="no name"):
        await resolver.resolve("a" * 64, 8080)
    await resolver.close()


def test_each_address_has_its_turn_and_the_preferred_family_stays_in_front() -> None:
    infos = [addr_info(address, 80) for address in ("::1", "::2", "127.0.0.1", "127.0.0.2", "127.0.0.3")]
    ordered = [[info[4][0] for info in in_turn(infos, turn)] for turn in range(2)]
    assert ordered == [
        ["::1", "::2", "127.0.0.1", "127.0.0.2", "127.0.0.3"],
        ["::2", "::1", "127.0.0.2", "127.0.0.3", "127.0.0.1"],
    ]


# --- what follows for connections


class Region:
    """One port on two addresses of this machine, a name that leads to the first, and the pool of its connections."""

    def __init__(self, port: int) -> None:
        self.resolver = ToldResolver(HERE)
        self.now = 0.0
        self.bell = Bell()
        options = GatewayOptions(resolve_every=EVERY, pool_idle_timeout=1000)
        self.pools = Pools(options, lambda: self.now, self.resolver)
        origin = Origin("http", NAME.host, port)
        self.pool: OriginPool = self.pools.of(Endpoint(origin, PublicUrl("http", "x", "x"), b""))

    async def connection(self) -> Upstream:
        return await Taker(self.pool, self.now).connection()

    async def moved(self, *addresses: str) -> None:
        """The name points to `addresses`, and the pool has heard of it."""
        self.resolver.addresses = addresses
        asked = len(self.resolver.asked)
        self.now += EVERY
        self.pools.sweep(self.now)
        await self.resolver.bell.until(lambda: len(self.resolver.asked) > asked or None)
        await asyncio.sleep(0)


@pytest.fixture
async def region() -> AsyncIterator[Region]:
    loop = asyncio.get_running_loop()
    with socket.create_server((HERE, 0)) as first:
        port = first.getsockname()[1]
        servers = [await loop.create_server(asyncio.Protocol, sock=first)]
        servers.append(await loop.create_server(asyncio.Protocol, THERE, port))
        one = Region(port)
        yield one
        await one.pools.close()
        for server in servers:
            server.close()


async def test_an_idle_connection_to_an_address_that_is_gone_is_closed(region: Region) -> None:
    region.pool.release(await region.connection(), 0)
    await region.moved(THERE)
    assert region.pool.idle == []
    new = await region.connection()
    assert new.address == THERE
    new.abort()


async def test_a_busy_connection_to_an_address_that_is_gone_is_not_used_again(region: Region) -> None:
    busy = await region.connection()
    await region.moved(THERE)
    assert busy.usable
    region.pool.release(busy, region.now)
    assert region.pool.idle == []
    assert not busy.usable


async def test_an_address_that_has_come_back_is_used_again(region: Region) -> None:
    busy = await region.connection()
    await region.moved(THERE)
    await region.moved(HERE, THERE)
    region.pool.release(busy, region.now)
    assert region.pool.idle == [busy]


async def test_connections_to_addresses_that_stay_are_kept(region: Region) -> None:
    region.pool.release(await region.connection(), 0)
    await region.moved(HERE, THERE)
    assert [upstream.address for upstream in region.pool.idle] == [HERE]


async def test_connections_are_spread_over_all_addresses(region: Region) -> None:
    region.resolver.addresses = (HERE, THERE)
    connections = [await region.connection() for _ in range(4)]
    assert sorted(upstream.address for upstream in connections) == [HERE, HERE, THERE, THERE]
    for upstream in connections:
        upstream.abort()


async def test_a_name_without_any_address_is_a_failed_connect(region: Region) -> None:
    region.resolver.addresses = ()
    assert await Taker(region.pool).outcome is Fault.CONNECT_FAILED
