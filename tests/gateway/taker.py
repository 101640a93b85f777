"""Who asks a pool for a connection, without an exchange around it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from router.model.fault import Fault

if TYPE_CHECKING:
    from router.gateway.pool import OriginPool
    from router.gateway.upstream import Upstream


class Taker:
    """Waits for a connection. `outcome` is what it gets, or why it gets none."""

    def __init__(self, pool: OriginPool, now: float = 0.0, *, fresh: bool = False) -> None:
        self.outcome: asyncio.Future[Upstream | Fault] = asyncio.get_running_loop().create_future()
        at_once = pool.acquire(self, now, fresh=fresh)
        if at_once is not None:
            self.connected(at_once)

    @property
    def waits(self) -> bool:
        return not self.outcome.done()

    def connected(self, upstream: Upstream) -> None:
        self.outcome.set_result(upstream)

    def not_connected(self, fault: Fault) -> None:
        self.outcome.set_result(fault)

    async def connection(self) -> Upstream:
        got = await self.outcome
        assert not isinstance(got, Fault), got
        return got
