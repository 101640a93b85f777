"""The crowd: clients that ask well, and clients that stall, pipeline, vanish, and do not read.

The law of the room: every client knows what it may be told. Whoever asks for a region's misbehaviour is told of it, or
cut off; nobody takes half an answer for a whole one; whoever stalls is ended in time.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.gateway.origin import RESET
from tests.gateway.stage import AT_HOME, IN_EU, IN_US, MOVING, path, request
from tests.soak.regions import BIG, SMALL

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

PATIENCE: Final = 8.0
"""Seconds after which a client that should have been ended or answered has been forgotten."""

CUT: Final = 0
"""What an answer counts as that ended before it was whole."""

TOLD: Final[dict[str, frozenset[int]]] = {
    "ok": frozenset({200}),
    "big": frozenset({200}),
    "early": frozenset({200}),
    "hints": frozenset({200}),
    "stream": frozenset({200}),
    "until-close": frozenset({200}),
    "closes": frozenset({200}),
    "excess": frozenset({200}),
    "stall": frozenset({504}),
    "stall-body": frozenset({CUT}),
    "truncate": frozenset({CUT}),
    "reset": frozenset({502}),
    "reset-body": frozenset({CUT, 502}),
    "garbage": frozenset({502}),
}
"""What a client is told of a region that behaves so. A region that is reset may lose even the head that it sent."""

LOCKED: Final = frozenset({423, 504})
"""What one is told besides while the workspace is locked, and if the lock has cut it."""

_SOUND: Final = ("ok", "ok", "ok", "ok", "big", "early", "hints", "stream", "until-close", "excess")
_BROKEN: Final = ("stall", "stall-body", "truncate", "reset", "reset-body", "garbage")
_LENGTH: Final = re.compile(rb"(?i)\ncontent-length: *([0-9]+)")


@dataclass
class Tally:
    """What has happened so far: `told` counts statuses, `wrong` says what must not have happened."""

    told: Counter[int] = field(default_factory=Counter)
    ended: int = 0
    wrong: list[str] = field(default_factory=list)


class Crowd:
    """Clients at one gateway. `pause` seconds lie between two requests of a client that asks well."""

    def __init__(self, address: tuple[str, int], tally: Tally) -> None:
        self.pause = 0.01
        self.stopping = False
        self._address = address
        self._tally = tally

    async def asker(self, chance: Random) -> None:
        """Ask, connection after connection, until the soak stops."""
        while not self.stopping:
            reader, writer = await asyncio.open_connection(*self._address)
            try:
                for _ in range(chance.randint(1, 200)):
                    if self.stopping or not await self._ask(reader, writer, chance):
                        break
                    await asyncio.sleep(self.pause)
            finally:
                writer.close()

    async def nuisance(self, chance: Random) -> None:
        """Be a nuisance, one after the other, until the soak stops."""
        kinds: tuple[Callable[[Random], Awaitable[None]], ...] = (
            *(self._stall_in_head, self._stall_in_body, self._never_read, self._break_off, self._break_off),
            *(self._vanish, self._vanish, self._vanish, self._pipeline, self._garble, self._idle),
        )
        while not self.stopping:
            await chance.choice(kinds)(chance)
            await asyncio.sleep(self.pause)

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, chance: Random) -> bool:
        """Ask once; whether the connection can be used again."""
        manner = chance.choice(_BROKEN) if chance.random() < 0.05 else chance.choice(_SOUND)
        workspace = chance.choice((AT_HOME, IN_EU, IN_EU, IN_US, MOVING))
        if workspace == IN_US:
            # Its connections end unannounced. What nothing may repeat can meet one of them and fail, so only GETs go.
            sent, method, manner = request("GET", path(IN_US, "closes")), "GET", "closes"
        else:
            sent, method = _asking(manner, workspace, chance)
        writer.write(sent)
        status, body, persistent = CUT, b"", False
        try:
            async with asyncio.timeout(PATIENCE):
                status, body, persistent = await _read(reader, head_only=method == "HEAD")
        except TimeoutError:
            self._tally.wrong.append(f"{method} {manner} was not answered in time")
        except (asyncio.IncompleteReadError, ConnectionError):
            status = CUT
        self._tally.told[status] += 1
        allowed = TOLD["ok" if method == "HEAD" else manner]
        if workspace == MOVING:
            allowed |= LOCKED | {CUT}
        if status not in allowed:
            self._tally.wrong.append(f"{method} {manner} was told {status}: {body[:300]!r}")
        if status == 200 and method != "HEAD" and body != (BIG if manner == "big" else SMALL):
            self._tally.wrong.append(f"{method} {manner} got {len(body)} other bytes")
        return persistent and status != CUT

    # --- nuisances

    async def _stall_in_head(self, chance: Random) -> None:
        whole = request("GET", path())
        await self._await_end(whole[: chance.randrange(1, len(whole))])

    async def _stall_in_body(self, _: Random) -> None:
        await self._await_end(request("POST", path(rest="ok"), "Content-Length: 1000") + b"some")

    async def _garble(self, chance: Random) -> None:
        await self._await_end(bytes(chance.randrange(256) for _ in range(40)) + b"\r\n\r\n")

    async def _idle(self, _: Random) -> None:
        await self._await_end(b"")

    async def _await_end(self, sent: bytes) -> None:
        """Send that and nothing more: the gateway has to end it."""
        reader, writer = await asyncio.open_connection(*self._address)
        writer.write(sent)
        try:
            async with asyncio.timeout(PATIENCE):
                while await reader.read(65536):
                    pass
            self._tally.ended += 1
        except TimeoutError:
            self._tally.wrong.append(f"a client that stalled behind {sent!r} was not ended")
        except ConnectionError:
            self._tally.ended += 1
        finally:
            writer.close()

    async def _never_read(self, chance: Random) -> None:
        """Ask for much and read nothing, for longer than is waited for."""
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            sock.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, self._address)
            await loop.sock_sendall(sock, request("GET", path(rest="big")) * 20)
            await asyncio.sleep(chance.uniform(0.5, 2.5))

    async def _break_off(self, chance: Random) -> None:
        """Leave in the middle of an upload."""
        await self._leave(request("POST", path(rest="ok"), "Transfer-Encoding: chunked") + b"4\r\nso", chance)

    async def _vanish(self, chance: Random) -> None:
        """Leave while an answer is awaited, or on its way."""
        await self._leave(
            request("GET", path(rest=chance.choice(("stall", "big", "stream", "stall-body", "ok")))), chance
        )

    async def _leave(self, sent: bytes, chance: Random) -> None:
        reader, writer = await asyncio.open_connection(*self._address)
        writer.write(sent)
        if chance.random() < 0.5:
            try:
                async with asyncio.timeout(chance.uniform(0, 0.1)):
                    await reader.read(1000)
            except (TimeoutError, ConnectionError):
                pass
        if chance.random() < 0.5:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
        else:
            writer.close()

    async def _pipeline(self, chance: Random) -> None:
        """Ask five times at once, and sometimes leave in between."""
        reader, writer = await asyncio.open_connection(*self._address)
        writer.write(request("GET", path(rest="ok")) * 5)
        try:
            async with asyncio.timeout(PATIENCE):
                for _ in range(chance.randint(0, 5)):
                    status, body, _ = await _read(reader, head_only=False)
                    if (status, body) != (200, SMALL):
                        self._tally.wrong.append(f"a pipelined request was told {status}")
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError) as error:
            self._tally.wrong.append(f"a pipelined request was not answered: {error!r}")
        finally:
            writer.close()


def _asking(manner: str, workspace: str, chance: Random) -> tuple[bytes, str]:
    """A request, and its method."""
    target = path(workspace, manner)
    kind = chance.randrange(8)
    if kind == 1:
        return request("HEAD", target), "HEAD"
    if kind == 2:
        return request("POST", target, body=b"p" * chance.choice((1, 1000, 40_000))), "POST"
    if kind == 3:
        return request("PUT", target, "Transfer-Encoding: chunked") + b"3\r\nput\r\n0\r\n\r\n", "PUT"
    return request("GET", target), "GET"


async def _read(reader: asyncio.StreamReader, *, head_only: bool) -> tuple[int, bytes, bool]:
    """Status and body of one answer, interim ones skipped, and whether another may follow.

    Raises `asyncio.IncompleteReadError` and `ConnectionError` for one that is not whole.
    """
    while (head := await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 1"):
        pass
    persistent = b"\nConnection: close\r" not in head
    status = int(head[9:12])
    if head_only:
        return status, b"", persistent
    length = _LENGTH.search(head)
    if length is not None:
        return status, await reader.readexactly(int(length[1])), persistent
    if b"\nTransfer-Encoding: chunked\r" not in head:
        return status, await reader.read(-1), False
    body = b""
    while True:
        size = int(await reader.readuntil(b"\r\n"), 16)
        piece = await reader.readexactly(size + 2)
        if not size:
            return status, body, persistent
        body += piece[:-2]
