"""The access log's thread: what waits, what is dropped, and that neither a slow reader nor a gone one is felt."""

from __future__ import annotations

import asyncio
import json
import os
import select
from typing import TYPE_CHECKING

import pytest

from router.model.record import Details, Record
from router.telemetry.access_log import AT_ONCE, AccessLog, pieces
from router.telemetry.logs import Form

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORD = Record("eu", "proxy", "GET", 200, 0.25, "hit", None)


def details(request_id: str) -> Details:
    return Details(request_id, "api", "/workspaces/{workspace}/…", None, 7, 1_780_000_000.1234, True, None)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe: its reading and its writing end."""
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        try:
            os.close(descriptor)
        except OSError:
            continue


def read_all(reading: int, writing: int) -> bytes:
    """What is in the pipe, and nothing more will come."""
    os.close(writing)
    text = b""
    while more := os.read(reading, 1 << 16):
        text += more
    return text


async def test_a_line_is_written_before_the_log_is_closed(pipe: tuple[int, int]) -> None:
    log = AccessLog(Form.JSON, shows_workspace=False, to=pipe[1])
    log.write(RECORD, details("one"))
    await log.close()
    line = json.loads(read_all(*pipe))
    assert (line["id"], line["time"], line["total"]) == ("one", "2026-05-28T20:26:40.123Z", 0.25)


async def test_a_log_without_lines_has_nothing_to_close() -> None:
    await AccessLog(Form.HUMAN, shows_workspace=False).close()


async def test_a_reader_that_takes_nothing_blocks_nobody_and_what_it_misses_is_counted(pipe: tuple[int, int]) -> None:
    log = AccessLog(Form.JSON, shows_workspace=False, to=pipe[1], waiting=100)
    number = 0
    async with asyncio.timeout(20):
        # The pipe holds so much, the queue a hundred lines more.
        while not log.dropped:
            log.write(RECORD, details(str(number)))
            number += 1
            await asyncio.sleep(0)
    for _ in range(1000):
        log.write(RECORD, details("late"))
    closing = asyncio.create_task(log.close())
    text = b""
    while not closing.done():
        if select.select([pipe[0]], [], [], 0)[0]:
            text += os.read(pipe[0], 1 << 16)
        await asyncio.sleep(0)
    text += read_all(*pipe)
    written = [json.loads(line)["id"] for line in text.splitlines()]
    assert len(written) + log.dropped == number + 1000
    assert written[:50] == [str(each) for each in range(50)]


async def test_a_reader_that_is_gone_costs_lines_and_nothing_else(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    log = AccessLog(Form.HUMAN, shows_workspace=False, to=pipe[1])
    log.write(RECORD, details("one"))
    log.write(RECORD, details("two"))
    await log.close()
    assert log.dropped == 2


async def test_a_descriptor_that_does_not_block_loses_nothing(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    log = AccessLog(Form.JSON, shows_workspace=False, to=pipe[1])
    for number in range(2000):
        log.write(RECORD, details(str(number)))
    closing = asyncio.create_task(log.close())
    text = b""
    while not closing.done():
        if select.select([pipe[0]], [], [], 0)[0]:
            text += os.read(pipe[0], 1 << 16)
        await asyncio.sleep(0)
    text += read_all(*pipe)
    assert [json.loads(line)["id"] for line in text.splitlines()] == [str(number) for number in range(2000)]


def test_lines_are_written_whole_in_pieces_that_a_pipe_takes_as_one() -> None:
    lines = [b"x" * size + b"\n" for size in (10, AT_ONCE - 20, 30, AT_ONCE + 5, 1)]
    written = list(pieces(lines))
    assert b"".join(piece for piece, _ in written) == b"".join(lines)
    assert [count for _, count in written] == [2, 1, 1, 1]
    assert [len(piece) <= AT_ONCE for piece, _ in written] == [True, True, False, True]
