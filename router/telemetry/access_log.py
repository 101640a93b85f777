"""The access log: one line a request on stdout, for people or as JSON.

Theory. A write may block for as long as its reader likes, and nobody's request may wait for that. So lines are written
by a thread of their own, out of a queue that is bounded: what finds it full is dropped, and counted. The thread takes
all that waits at once, and writes whole lines in pieces that a pipe takes as one (POSIX: up to `PIPE_BUF`), because
several processes may share it and must not cut each other's lines.

The law of the room: a line is made of the values of `router.model.record` alone. Nothing there is as a client wrote it
but its method, and its own request id, which is plain text.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import select
import time
from threading import Thread
from typing import TYPE_CHECKING, Final, TypeAlias

from router.telemetry.logs import Form

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from router.model.record import Details, Record

STDOUT: Final = 1
WAITING: Final = 8192
"""Lines that may wait for the thread."""
AT_ONCE: Final = select.PIPE_BUF
CLOSE_SECONDS: Final = 2.0
"""How long the end of the process waits for a reader that takes nothing."""

Value: TypeAlias = "str | int | float | None"


class AccessLog:
    """Writes to the descriptor `to`, which stays the caller's. `shows_workspace`: lines name the workspace."""

    def __init__(self, form: Form, *, shows_workspace: bool, to: int = STDOUT, waiting: int = WAITING) -> None:
        self._show: Callable[[dict[str, Value]], str] = _show_json if form is Form.JSON else _show_text
        self._shows_workspace = shows_workspace
        self._to = to
        self._limit = waiting
        self._queue: queue.SimpleQueue[tuple[Record, Details] | None] = queue.SimpleQueue()
        self._thread: Thread | None = None
        # Each counted by one thread alone.
        self._crowded_out = 0
        self._unwritten = 0

    @property
    def dropped(self) -> int:
        """Lines that were never written."""
        return self._crowded_out + self._unwritten

    def write(self, record: Record, details: Details) -> None:
        """One line, soon. Never blocks."""
        if self._queue.qsize() >= self._limit:
            self._crowded_out += 1
            return
        if self._thread is None:
            # A daemon: a reader that takes nothing must not keep the process from ending.
            self._thread = Thread(target=self._run, name="access log", daemon=True)
            self._thread.start()
        self._queue.put((record, details))

    async def close(self) -> None:
        """Write what waits, for `CLOSE_SECONDS` at most."""
        if self._thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join, CLOSE_SECONDS)

    def _run(self) -> None:
        ended = False
        while not ended:
            waiting = [self._queue.get()]
            while len(waiting) < self._limit and not self._queue.empty():
                waiting.append(self._queue.get())
            ended = None in waiting
            lines = (self._line(*each).encode() for each in waiting if each is not None)
            for piece, count in pieces(lines):
                if not self._write_piece(piece):
                    self._unwritten += count

    def _line(self, record: Record, details: Details) -> str:
        values = fields_of(record, details)
        if self._shows_workspace:
            values["workspace"] = details.workspace
        return self._show(values) + "\n"

    def _write_piece(self, piece: bytes) -> bool:
        while piece:
            try:
                piece = piece[os.write(self._to, piece) :]
            except BlockingIOError:
                select.select([], [self._to], [], 1.0)
            except OSError:
                # Its reader is gone, or its disk full: that is no reason to serve nobody.
                return False
        return True


def pieces(lines: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    """Whole lines together, up to `AT_ONCE` bytes, and how many they are. A longer line comes alone."""
    held: list[bytes] = []
    size = 0
    for line in lines:
        if held and size + len(line) > AT_ONCE:
            yield b"".join(held), len(held)
            held, size = [], 0
        held.append(line)
        size += len(line)
    if held:
        yield b"".join(held), len(held)


def fields_of(record: Record, details: Details) -> dict[str, Value]:
    """What a line says, in its order. Times in seconds; `None` for what is not known, or was not measured."""
    fields: dict[str, Value] = {
        "time": _moment(details.ended),
        "logger": "access",
        "id": details.request_id,
        "method": record.method or None,
        "service": details.service or None,
        "route": details.route or None,
        "region": record.region or None,
        "decision": record.decision,
        "epoch": details.epoch,
        "source": str(record.source),
        "status": record.status,
        "fault": None if record.fault is None else record.fault.label,
        "bytes_in": None,
        "bytes_out": None,
        "directory": None,
        "connect": None,
        "first_byte": None,
        "total": round(record.duration, 6),
    }
    measures = details.measures
    if measures is None:
        return fields
    fields |= {
        "bytes_in": measures.bytes_in,
        "bytes_out": measures.bytes_out,
        "directory": _rounded(measures.decided),
        "total": round(measures.total, 6),
    }
    if measures.attempts:
        last = measures.attempts[-1]
        fields |= {"connect": _since(last.began, last.connected), "first_byte": _since(last.connected, last.answered)}
    if len(measures.attempts) > 1:
        fields["attempts"] = len(measures.attempts)
    if measures.trace is not None:
        fields["trace"] = f"{measures.trace.trace_id:032x}"
    return fields


def _show_json(fields: dict[str, Value]) -> str:
    return json.dumps(fields, ensure_ascii=False)


def _show_text(fields: dict[str, Value]) -> str:
    """What says itself comes first; the rest has names, and is left out where there is nothing."""
    first = ("time", "method", "status", "decision", "region", "service", "route")
    head = " ".join("-" if fields[name] is None else str(fields[name]) for name in first[1:])
    rest = (f"{name}={value}" for name, value in fields.items() if name not in {*first, "logger"} and value is not None)
    return f"{fields['time']} ACCESS {head} {' '.join(rest)}"


def _moment(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000))
    return f"{whole}.{milliseconds % 1000:03d}Z"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)


def _since(first: float | None, then: float | None) -> float | None:
    return None if first is None or then is None else round(then - first, 6)
