"""The gauntlet: a real gateway between a client that sends anything and regions that read with h11.

The law of the room: a run leaves nothing behind, so that the next one starts as the first did, and its findings are
its own; each client has an address of its own, so that what arrives late is told from what is wrong. What is a finding
is told by `tests.fuzz.judgement`; besides, nothing may be logged as an error, no exception may reach the loop, and
whatever the client does, its exchange is gone in time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import TYPE_CHECKING, Any, Final, cast

from tests.fuzz.judgement import judge_answer, judge_requests, judge_told
from tests.fuzz.runs import ASKING, RequestRun
from tests.fuzz.strict_origin import StrictOrigin, payload, strict_origin
from tests.gateway.origin import RESET
from tests.gateway.stage import GET, staged
from tests.strict_reader import read_answers, read_requests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.fuzz.runs import AnswerRun, Run
    from tests.fuzz.strict_origin import StrictConnection
    from tests.gateway.stage import Stage
    from tests.strict_reader import ReadRequest

EVERY_HOST: Final = '[services.any]\nmatch = ["*"]\npath = "/"'
SHORT: Final = {
    **{"head": 0.4, "keepalive": 0.4, "body_idle": 0.4, "write_idle": 0.4, "connect": 0.4, "pool_wait": 0.4},
    **{"first_byte": 0.4, "upstream_idle": 0.4, "pool_idle": 0.4},
}
DEADLINE: Final = 4.0
"""Seconds in which each exchange and connection has to end: the deadlines and some sweeps, and a slow machine."""

QUIET_TURNS: Final = 12
QUIET_SECONDS: Final = 0.001


class _Alarms(logging.Handler):
    """Whatever somebody would be woken for: errors in the log, and exceptions that nobody caught."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(self.format(record))

    def take(self) -> list[str]:
        heard, self.heard = self.heard, []
        return heard

    @contextlib.contextmanager
    def listening(self) -> Any:
        loop = asyncio.get_running_loop()
        before = loop.get_exception_handler()
        loop.set_exception_handler(lambda _, context: self.heard.append(repr(context)))
        loggers = [logging.getLogger(name) for name in ("router", "asyncio", "aiohttp")]
        for logger in loggers:
            logger.addHandler(self)
        try:
            yield
        finally:
            loop.set_exception_handler(before)
            for logger in loggers:
                logger.removeHandler(self)


def _reset(transport: asyncio.Transport) -> None:
    if not transport.is_closing():
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    transport.abort()


class _Client(asyncio.Protocol):
    """Collects what it is told. `ended` is `fin` or `reset` once the gateway has ended it."""

    def __init__(self) -> None:
        self.told = bytearray()
        self.ended: str | None = None
        self.over = asyncio.Event()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.told += data

    def eof_received(self) -> None:
        self.ended = "fin"

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = self.ended or ("fin" if exc is None else "reset")
        self.over.set()

    def leave(self, ending: str) -> None:
        if ending == "reset":
            _reset(self.transport)
        else:
            self.transport.close()


class Gauntlet:
    """`findings` runs one run, and tells what is wrong: nothing, if all is well."""

    def __init__(self, stage: Stage, origin: StrictOrigin, alarms: _Alarms) -> None:
        self._stage = stage
        self._origin = origin
        self._alarms = alarms
        self._loop = asyncio.get_running_loop()
        self._number = 0

    async def findings(self, run: Run) -> list[str]:
        """Run `run`."""
        found = await (self._requests(run) if isinstance(run, RequestRun) else self._answers(run))
        found += await self._left_behind()
        return found + self._alarms.take()

    async def stalls(self, runs: list[RequestRun]) -> list[str]:
        """All of `runs` at once, each by a client that then does nothing: what does not end in time."""
        self._origin.begin(("length",))
        clients = [await self._connect() for _ in runs]
        for client, run in zip(clients, runs, strict=True):
            await self._send(client, run.segments)
        try:
            async with asyncio.timeout(DEADLINE):
                for client in clients:
                    await client.over.wait()
        except TimeoutError:
            pass
        found = [f"still there: {run}" for client, run in zip(clients, runs, strict=True) if not client.over.is_set()]
        for client in clients:
            client.leave("reset")
        found += self._origin.complaints
        found += await self._left_behind()
        return found + self._alarms.take()

    async def _requests(self, run: RequestRun) -> list[str]:
        origin = self._origin
        origin.begin(run.styles)
        client = await self._connect()
        sent = await self._send(client, run.segments)
        found: list[str] = []
        if run.ending == "wait":
            found += await self._ended_by_gateway(client)
        else:
            await self._settled(client)
        ended = client.ended == "fin"
        client.leave(run.ending)
        await client.over.wait()
        read = read_requests(sent).messages
        found += origin.complaints
        arrivals = {address: self._arrived_from(address) for address in (self._address(), self._address(-1))}
        found += judge_requests(read, arrivals[self._address()])
        if sum(map(len, arrivals.values())) != len(origin.arrivals):
            found.append(f"requests of somebody else: {origin.arrivals}")
        bodies = [payload(number) for number in range(len(origin.arrivals))]
        found += judge_told(bytes(client.told), [request.method for request in read], bodies, ended=ended)
        return found

    async def _answers(self, run: AnswerRun) -> list[str]:
        asking = ASKING[run.asking]
        method = asking.partition(b" ")[0]
        work: list[asyncio.Task[None]] = []

        def raw(connection: StrictConnection) -> None:
            work.append(self._loop.create_task(self._send_answer(connection, run)))

        self._origin.begin(("length",), raw)
        client = await self._connect()
        client.transport.write(asking)
        await self._settled(client)
        await asyncio.gather(*work)
        await self._settled(client)
        told = bytes(client.told)
        found, answer = judge_answer(
            method, b"".join(run.segments), told, sent_ended=run.ending == "fin", told_ended=client.ended == "fin"
        )
        if answer is not None and answer.whole and client.ended is None:
            found += await self._ask_again(client)
        client.leave("close")
        await client.over.wait()
        return found + self._origin.complaints

    async def _ask_again(self, client: _Client) -> list[str]:
        """Whatever the region sent before, the next answer is the next request's, or the connection is ended."""
        self._origin.raw = None
        before = len(client.told)
        client.transport.write(GET)
        deadline = self._loop.time() + DEADLINE
        while client.ended is None and self._loop.time() < deadline:
            told = bytes(client.told[before:])
            answers = read_answers(told).messages
            if answers and answers[0].whole:
                right = len(answers) == 1 and answers[0].body == payload(len(self._origin.arrivals) - 1)
                return [] if right else [f"the next request was told {told!r}"]
            await asyncio.sleep(0)
        return [] if client.ended is not None else ["the next request was not answered"]

    async def _send_answer(self, connection: StrictConnection, run: AnswerRun) -> None:
        transport = connection.transport
        for segment in run.segments:
            if transport.is_closing():
                return
            transport.write(segment)
            await self._turns(3)
        if run.ending == "reset":
            _reset(transport)
        elif run.ending == "fin":
            transport.close()

    async def _connect(self) -> _Client:
        self._number += 1
        local = (self._address(), 0)
        _, client = await self._loop.create_connection(_Client, *self._stage.address, local_addr=local)
        return client

    def _address(self, back: int = 0) -> str:
        """The address of the client of this run, or of the one so many runs ago: all of 127/8 is this machine."""
        number = self._number + back
        return f"127.{1 + number // 62500 % 250}.{number // 250 % 250}.{1 + number % 250}"

    def _arrived_from(self, address: str) -> list[ReadRequest]:
        return [each for each in self._origin.arrivals if each.values(b"x-forwarded-for") == [address.encode()]]

    async def _send(self, client: _Client, segments: tuple[bytes, ...]) -> bytes:
        """Send each segment for itself, until the gateway has had enough. What was sent."""
        sent = b""
        for segment in segments:
            if client.transport.is_closing():
                break
            client.transport.write(segment)
            sent += segment
            await self._turns(3)
        return sent

    async def _turns(self, number: int) -> None:
        for _ in range(number):
            await asyncio.sleep(0)  # one turn of the loop, in which what has come is read

    async def _settled(self, client: _Client) -> None:
        """Wait until nothing moves any more. What is missed by going on too early is not a finding, only less seen."""
        deadline = self._loop.time() + DEADLINE
        mark, turns, since = None, 0, 0.0
        while self._loop.time() < deadline:
            now = (len(client.told), client.ended, self._origin.received, len(self._origin.arrivals))
            if now != mark:
                mark, turns, since = now, 0, self._loop.time()
            turns += 1
            if client.over.is_set() or (turns > QUIET_TURNS and self._loop.time() - since > QUIET_SECONDS):
                return
            await asyncio.sleep(0)

    async def _ended_by_gateway(self, client: _Client) -> list[str]:
        try:
            async with asyncio.timeout(DEADLINE):
                await client.over.wait()
        except TimeoutError:
            return ["the gateway does not end the connection"]
        return []

    async def _left_behind(self) -> list[str]:
        """Wait until the gateway has let go of everything; what it has not."""
        gateway, ledger = self._stage.gateway, self._stage.directory.ledger
        deadline = self._loop.time() + DEADLINE
        while gateway.connections or ledger.in_flight:
            if self._loop.time() > deadline:
                return [f"{len(gateway.connections)} connections and {ledger.in_flight} requests are left"]
            await asyncio.sleep(0)
        return []


@contextlib.asynccontextmanager
async def gauntlet(folder: Path) -> AsyncIterator[Gauntlet]:
    """A gauntlet whose gateway keeps its files in `folder`."""
    alarms = _Alarms()
    async with strict_origin() as (origin, port):
        ports = dict.fromkeys(("global", "eu", "us"), port)
        with alarms.listening():
            async with staged(folder, policy=EVERY_HOST, timeouts=SHORT, ports=ports) as stage:
                yield Gauntlet(stage, origin, alarms)
    assert not alarms.heard, alarms.heard
