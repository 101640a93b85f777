"""The channel between a supervisor and one of its workers: messages over a pair of connected sockets.

Each message is one line of JSON, a table with the kind of message under `is`. The channel's end is a message too: the
other side is gone, whatever became of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    import socket

Message: TypeAlias = "dict[str, Any]"

_LONGEST: Final = 64 << 20
"""Bytes of one message: a report of metrics has some hundred kilobytes."""


class Channel:
    """One end. Made by `open_channel`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, kind: str, **content: Any) -> None:
        """Send a message; nobody is told if the other side is gone."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps({"is": kind, **content}).encode("ascii") + b"\n")

    @property
    def is_clear(self) -> bool:
        """Whether all that was sent has left this process."""
        return not self._writer.transport.get_write_buffer_size()

    async def receive(self) -> Message | None:
        """The next message; `None` once the other side is gone."""
        try:
            line = await self._reader.readline()
        except ConnectionError:
            return None
        message: Message | None = json.loads(line) if line.endswith(b"\n") else None
        return message

    async def close(self) -> None:
        """Send what was not sent, and end it."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


async def open_channel(sock: socket.socket) -> Channel:
    """The end at `sock`, which is the channel's from now on."""
    sock.setblocking(False)
    return Channel(*await asyncio.open_unix_connection(sock=sock, limit=_LONGEST))
