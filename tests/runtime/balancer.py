"""A balancer that sends each new connection to a gateway that says it is ready, and clients that check every answer."""

from __future__ import annotations

import asyncio
import contextlib
from itertools import cycle
from typing import TYPE_CHECKING

from tests.gateway.stage import GET

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.runtime.gateways import Address, GatewayProcess

LOOK_SECONDS = 0.05
_PIECE = 1 << 16


class Balancer:
    """It looks at each readiness probe every `LOOK_SECONDS`, and passes bytes on."""

    def __init__(self, gateways: Sequence[GatewayProcess]) -> None:
        self._gateways = gateways
        self._ready: list[GatewayProcess] = list(gateways)
        self._turn = 0
        self._pipes: set[asyncio.Task[None]] = set()
        self.port = 0

    def pick(self) -> Address:
        """Where the next connection goes."""
        self._turn += 1
        return self._ready[self._turn % len(self._ready)].address

    @contextlib.asynccontextmanager
    async def balancing(self) -> AsyncIterator[Balancer]:
        looking = asyncio.create_task(self._look())
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=256)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            looking.cancel()
            for pipe in self._pipes:
                pipe.cancel()
            await asyncio.gather(looking, *self._pipes, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            answers = [(await gateway.ask_ops("/readyz"))[0] for gateway in self._gateways]
            ready = [gateway for gateway, status in zip(self._gateways, answers, strict=True) if status == 200]
            self._ready = ready or self._ready
            await asyncio.sleep(LOOK_SECONDS)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(*self.pick())
        for source, sink in ((reader, upstream_writer), (upstream_reader, writer)):
            pipe = asyncio.create_task(_pipe(source, sink))
            self._pipes.add(pipe)
            pipe.add_done_callback(self._pipes.discard)


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_PIECE):
            writer.write(data)
            await writer.drain()
    writer.close()


class CheckingClient:
    """Asks without a pause on one connection after the other, each until an answer says that it is the last."""

    def __init__(self, balancer: Balancer, body: bytes) -> None:
        self._balancer = balancer
        self._body = body
        self.answered = 0
        self.lost: list[str] = []
        self.stopping = False

    async def run(self) -> None:
        while not self.stopping:
            await self._use_a_connection()

    async def _use_a_connection(self) -> None:
        where = self._balancer.pick()
        used = 0
        try:
            reader, writer = await asyncio.open_connection(*where)
            with contextlib.closing(writer):
                while not self.stopping:
                    writer.write(GET)
                    head = await reader.readuntil(b"\r\n\r\n")
                    body = await reader.readexactly(len(self._body))
                    if not head.startswith(b"HTTP/1.1 200 ") or body != self._body:
                        self.lost.append(f"{where}, request {used}: {head!r}")
                    self.answered += 1
                    used += 1
                    if b"\r\nConnection: close\r\n" in head:
                        return
        except (OSError, EOFError) as error:
            self.lost.append(f"{where}, request {used}: {error!r}")


@contextlib.asynccontextmanager
async def checking_clients(balancer: Balancer, body: bytes, number: int = 8) -> AsyncIterator[list[CheckingClient]]:
    """So many clients that ask until the block ends, and then have got their last answer."""
    clients = [CheckingClient(balancer, body) for _ in range(number)]
    tasks = [asyncio.create_task(client.run()) for client in clients]
    try:
        yield clients
    finally:
        for client in clients:
            client.stopping = True
        await asyncio.gather(*tasks)


async def progress(clients: Sequence[CheckingClient], more: int = 50) -> None:
    """Wait until every client has had so many answers more."""
    wanted = [client.answered + more for client in clients]
    for client, number in cycle(zip(clients, wanted, strict=True)):
        if all(client.answered >= number or client.lost for client, number in zip(clients, wanted, strict=True)):
            return
        if client.answered < number:
            await asyncio.sleep(LOOK_SECONDS)
