"""Real gateways that are stopped (SIGSTOP) with something in hand, on PostgreSQL: what a transfer makes of them."""

from __future__ import annotations

import asyncio
import re
import signal
from typing import TYPE_CHECKING

import pytest

from router.directory.evaluator import evaluate_transfer
from router.directory.hostlock import FileHostLocks
from router.directory.options import DirectoryOptions
from router.directory.ports import SystemClock
from router.directory.postgres.options import PostgresOptions
from router.directory.postgres.store import PostgresStore
from router.directory.store import WorkspaceDraft
from router.directory.watch import Watch
from router.gateway.sockets import USER_TIMEOUT_MS
from router.model.barrier import waits_for
from router.model.losses import Ending
from router.model.region import RegionName
from router.model.transfer import TransferState
from tests.chaos.plan import REGIONS, WORKSPACES, configure
from tests.directory.feeds import transfer_of
from tests.directory.sites import PostgresSite
from tests.gateway.origin import Origin
from tests.gateway.wire import Client
from tests.postgres_server import url_of
from tests.runtime.gateways import GatewayProcess, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from router.directory.evaluator import Evaluation
    from router.model.transfer import Transfer

W = WORKSPACES[0]
EU, US = RegionName("eu"), RegionName("us")
HALF = b"h" * 1000
HEAD = f"POST /api/v1/workspaces/{W}/entries HTTP/1.1\r\nHost: example.com\r\n".encode()

pytestmark = pytest.mark.timeout(180)


class Scene:
    """A directory where `W` lives in eu, one origin that stands for all regions, and gateways of one configuration."""

    def __init__(self, folder: Path, store: PostgresStore, url: str) -> None:
        self.origin = Origin("region")
        self.store = store
        self.locks = FileHostLocks(folder / "locks")
        self.options = DirectoryOptions()
        self._config = folder / "router.toml"
        self._url = url
        self._gateways: list[GatewayProcess] = []
        self._clients: list[Client] = []
        self._watch = Watch(SystemClock(), self.options)

    async def open(self, options: DirectoryOptions) -> None:
        self.options, self._watch = options, Watch(SystemClock(), options)
        await self.origin.start()
        self._config.write_text(configure(self._url, dict.fromkeys(REGIONS, self.origin.port), options), "utf-8")
        await self.store.put_workspaces([WorkspaceDraft(W, EU)])
        await self.store.open_directory(restored=False)

    async def gateway(self) -> GatewayProcess:
        gateway = GatewayProcess(self._config)
        self._gateways.append(gateway)
        await gateway.start()
        await gateway.ready()
        return gateway

    async def client(self, gateway: GatewayProcess) -> Client:
        client = await Client.connect(gateway.address)
        self._clients.append(client)
        return client

    async def start_transfer(self) -> Transfer:
        return await self.store.start_transfer(transfer_of(W, US, started_at=SystemClock().wall()))

    async def evaluate(self, transfer: Transfer) -> Evaluation:
        evaluation = await evaluate_transfer(self.store, self.locks, SystemClock(), self._watch, transfer.id)
        assert evaluation is not None
        return evaluation

    async def until_transferring(self, transfer: Transfer) -> None:
        while (await self.evaluate(transfer))[0].state is not TransferState.TRANSFERRING:  # noqa: ASYNC110 - rings no bell
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        for client in self._clients:
            client.close()
        for gateway in self._gateways:
            await gateway.kill()
        await self.origin.stop()
        await self.store.close()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    site = await PostgresSite.make()
    url = url_of(site.database)
    scene = Scene(tmp_path, PostgresStore(PostgresOptions(url), clock=SystemClock()), url)
    yield scene
    await scene.close()
    await site.close()


def incarnation_of(gateway: GatewayProcess) -> str:
    (name,) = re.findall(r"registered as ([0-9a-f]+)", "".join(gateway.log))
    return str(name)


async def test_a_second_process_of_the_same_name_takes_nothing_over_from_one_that_is_stopped(scene: Scene) -> None:
    await scene.open(DirectoryOptions(poll_interval=0.1))
    first = await scene.gateway()
    first.send(signal.SIGSTOP)
    second = await scene.gateway()
    transfer = await scene.start_transfer()
    stopped, other = incarnation_of(first), incarnation_of(second)

    async def only_one_is_waited_for() -> bool:
        return [row.incarnation for row in waits_for(*await scene.evaluate(transfer))] == [stopped]

    await eventually(only_one_is_waited_for)
    rows = {row.incarnation: row for row in (await scene.store.registrations()).registrations}
    assert rows[stopped].gateway == rows[other].gateway
    assert (await scene.evaluate(transfer))[0].state is TransferState.LOCKING
    first.send(signal.SIGCONT)
    await scene.until_transferring(transfer)
    assert (await scene.store.losses(transfer.id)).gateways == ()


async def test_a_gateway_that_was_stopped_beyond_its_lease_writes_nothing_of_what_it_had_in_hand(scene: Scene) -> None:
    await scene.open(DirectoryOptions(poll_interval=0.1, lease=2.0, lease_margin=0.5))
    gateway = await scene.gateway()
    client = await scene.client(gateway)
    await client.send(HEAD + b"Content-Length: 2000\r\n\r\n" + HALF)
    request = await scene.origin.head()
    await scene.origin.bell.until(lambda: request.body == HALF or None)
    gateway.send(signal.SIGSTOP)
    await client.send(HALF)
    transfer = await scene.start_transfer()
    await scene.until_transferring(transfer)
    (lost,) = (await scene.store.losses(transfer.id)).gateways
    assert (lost.incarnation, lost.ending) == (incarnation_of(gateway), Ending.EXPIRED)
    gateway.send(signal.SIGCONT)
    assert await request.connection.ended() == "reset"
    assert request.body == HALF
    assert (await client.answer()).status == 503
    assert len(scene.origin.requests) == 1


async def test_what_lies_in_the_kernel_for_a_region_that_does_not_read_is_given_up_before_the_transfer_goes_on(
    scene: Scene,
) -> None:
    # The kernel of a stopped gateway would go on sending: the margin outlasts it, as it does by default.
    margin = USER_TIMEOUT_MS / 1000 + 2.0
    assert margin < DirectoryOptions().lease_margin
    await scene.open(DirectoryOptions(poll_interval=0.1, lease=2.0, lease_margin=margin))
    scene.origin.never_reads = True
    gateway = await scene.gateway()
    client = await scene.client(gateway)
    total = 64_000_000
    await client.send(HEAD + f"Content-Length: {total}\r\n\r\n".encode())
    sent = await client.send_until_blocked(HALF * 64, total, patience=0.5)
    assert sent < total
    connection = await scene.origin.connection()
    gateway.send(signal.SIGSTOP)
    transfer = await scene.start_transfer()
    await scene.until_transferring(transfer)
    assert [lost.ending for lost in (await scene.store.losses(transfer.id)).gateways] == [Ending.EXPIRED]
    # It gets what its own kernel had taken, and not what the gateway's had.
    connection.transport.resume_reading()
    assert await connection.ended() == "reset"
    received = len(connection.received)
    assert received < sent
    gateway.send(signal.SIGCONT)
    await gateway.logged("term .* ended")
    assert len(connection.received) == received
    assert len(scene.origin.connections) == 1
