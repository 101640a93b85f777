"""Large bodies, up and down at the same time: the origin that takes and gives them, and the client at the other end.

Both run on the core of the load and have to be cheaper than what is between them: blocking sockets, a thread each,
`sendfile` out of memory, and incoming bytes that the kernel drops uncopied (what is in them is no matter here; how many
there were is checked at both ends).

    python -m tests.bench.bulk origin PORT MEBIBYTES
    python -m tests.bench.bulk client PORT MEBIBYTES WORKSPACE
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from tests.bench.plan import MEBIBYTE

if TYPE_CHECKING:
    from collections.abc import Callable

_SILENCE_SECONDS: Final = 60.0
_BLOCK: Final = MEBIBYTE
_MAX_HEAD: Final = 65_536


class Peer:
    """One connection, read as a head and then as bytes that are only counted."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(_SILENCE_SECONDS)
        self.connection = connection
        self._ahead = b""

    def head(self) -> tuple[str, int]:
        """The first line, and the length of the body behind the head. Raises `ConnectionError` at the end."""
        while b"\r\n\r\n" not in self._ahead:
            piece = self.connection.recv(_MAX_HEAD)
            if not piece or len(self._ahead) > _MAX_HEAD:
                raise ConnectionError("the connection ended in front of a head, or inside it")
            self._ahead += piece
        block, _, self._ahead = self._ahead.partition(b"\r\n\r\n")
        first, *fields = block.decode("latin-1").split("\r\n")
        lengths = [line.partition(":")[2] for line in fields if line.lower().startswith("content-length:")]
        return first, int(lengths[0]) if lengths else 0

    def text(self, length: int) -> bytes:
        """The next `length` bytes, for short ones."""
        while len(self._ahead) < length:
            piece = self.connection.recv(_MAX_HEAD)
            if not piece:
                raise ConnectionError("the connection ended inside a body")
            self._ahead += piece
        text, self._ahead = self._ahead[:length], self._ahead[length:]
        return text

    def count(self, length: int) -> int:
        """How many of the next `length` bytes come."""
        counted = min(length, len(self._ahead))
        self._ahead = self._ahead[counted:]
        block = bytearray(_BLOCK)
        while counted < length:
            # For TCP the kernel drops the bytes in place of copying them.
            taken = self.connection.recv_into(block, min(_BLOCK, length - counted), socket.MSG_TRUNC)
            if not taken:
                break
            counted += taken
        return counted

    def pour(self, memory: int, length: int) -> None:
        """Send `length` bytes: the block behind the descriptor `memory`, again and again."""
        # sendfile needs a socket that blocks: the kernel's own limits end one that nobody reads.
        self.connection.setblocking(True)
        limit = int(_SILENCE_SECONDS).to_bytes(8, sys.byteorder) + bytes(8)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        left = length
        offset = 0
        while left:
            sent = os.sendfile(self.connection.fileno(), memory, offset, min(_BLOCK - offset, left))
            left -= sent
            offset = (offset + sent) % _BLOCK


def block_in_memory() -> int:
    """The descriptor of one block of zeros."""
    memory = os.memfd_create("bench")
    os.write(memory, bytes(_BLOCK))
    return memory


def serve(port: int, size: int) -> None:
    """Answer each GET with `size` bytes and each POST with the number of bytes that came, until a signal."""
    memory = block_in_memory()

    def answer(connection: socket.socket) -> None:
        peer = Peer(connection)
        with connection, suppress(OSError):
            while True:
                line, length = peer.head()
                if line.startswith("GET "):
                    connection.sendall(_answer_head(size, "application/octet-stream"))
                    peer.pour(memory, size)
                else:
                    told = json.dumps({"received": peer.count(length)}).encode()
                    connection.sendall(_answer_head(len(told), "application/json") + told)

    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()


def exchange(port: int, size: int, workspace: str) -> float:
    """Send and receive `size` bytes at the same time through a proxy. Seconds from the first to the last byte.

    Raises `OSError` if anything was missing at either end.
    """
    memory = block_in_memory()
    faults: list[Exception] = []
    start = threading.Barrier(3)

    def upload() -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            start.wait(_SILENCE_SECONDS)
            connection.sendall(_request_head("POST", workspace, size))
            peer = Peer(connection)
            peer.pour(memory, size)
            line, length = peer.head()
            received = json.loads(peer.text(length))["received"] if " 200 " in line else line
            if received != size:
                raise OSError(f"the origin received {received} of {size} bytes")

    def download() -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            start.wait(_SILENCE_SECONDS)
            connection.sendall(_request_head("GET", workspace, None))
            peer = Peer(connection)
            line, length = peer.head()
            received = peer.count(length) if " 200 " in line else line
            if received != size:
                raise OSError(f"the client received {received} of {size} bytes")

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            faults.append(error)
            start.abort()

    threads = [threading.Thread(target=guarded, args=(work,)) for work in (upload, download)]
    for thread in threads:
        thread.start()
    with suppress(threading.BrokenBarrierError):
        start.wait(_SILENCE_SECONDS)
    begun = time.monotonic()
    for thread in threads:
        thread.join()
    if faults:
        raise OSError("; ".join(map(str, faults)))
    return time.monotonic() - begun


def _request_head(method: str, workspace: str, length: int | None) -> bytes:
    size = "" if length is None else f"Content-Length: {length}\r\nContent-Type: application/octet-stream\r\n"
    head = f"{method} /api/v1/workspaces/{workspace}/bulk HTTP/1.1\r\nHost: api.clockify.me\r\n{size}\r\n"
    return head.encode("ascii")


def _answer_head(length: int, kind: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n".encode("ascii")


def main(role: str, port: str, mebibytes: str, *workspace: str) -> None:
    """See the top of this file."""
    if role == "origin":
        serve(int(port), int(mebibytes) * MEBIBYTE)
    else:
        print(json.dumps({"seconds": exchange(int(port), int(mebibytes) * MEBIBYTE, *workspace)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
