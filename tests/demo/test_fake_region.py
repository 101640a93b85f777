"""A fake region: what reaches it is told as it came."""

from __future__ import annotations

import asyncio
import gzip
import json
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from router.demo.region import LARGEST_TEXT, FakeRegion
from router.model.region import RegionName

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DEAD_KEY = b"a key from before the transfer"


async def is_superseded(digest: str) -> bool:
    return digest == sha256(DEAD_KEY).hexdigest()


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with FakeRegion(RegionName("eu"), is_superseded=is_superseded).listening() as origin:
        host, port = origin.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            yield reader, writer
        finally:
            writer.close()


async def exchange(*requests: bytes) -> bytes:
    """All that comes back on one connection, until the region ends it."""
    async with connected() as (reader, writer):
        writer.writelines(requests)
        return await reader.read()


def split(answer: bytes) -> tuple[bytes, bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


async def echo_of(request: bytes) -> dict[str, Any]:
    async with connected() as (reader, writer):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        echo = json.loads(await reader.readexactly(length_of(head)))
        assert isinstance(echo, dict)
        return echo


def length_of(head: bytes) -> int:
    lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
    return int(lines[b"content-length"])


async def test_an_echo_says_what_reached_which_region() -> None:
    echo = await echo_of(b"PUT /api/v1/user?a=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
    assert echo == {
        "region": "eu",
        "method": "PUT",
        "path": "/api/v1/user?a=1",
        "headers": {"Host": "x", "Content-Length": "2"},
        "body": "hi",
    }


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
async def test_every_method_is_answered_without_a_key(method: str) -> None:
    assert (await echo_of(b"%b / HTTP/1.1\r\nHost: x\r\n\r\n" % method.encode()))["method"] == method


@pytest.mark.parametrize("target", [b"/a%2fb/%7E//..;/\\[x]|?q=%zz#f", b"//evil.example/", b"/?", b"/" + b"a" * 20_000])
async def test_a_target_is_told_byte_for_byte(target: bytes) -> None:
    assert (await echo_of(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % target))["path"] == target.decode("ascii")


async def test_field_names_keep_their_case_and_repeated_ones_all_their_values() -> None:
    echo = await echo_of(b"GET / HTTP/1.1\r\nHost: x\r\nx-a: 1\r\nX-A: 2\r\nx-a: 3\r\n\r\n")
    assert echo["headers"] == {"Host": "x", "x-a": ["1", "3"], "X-A": "2"}


async def test_a_value_beyond_ascii_is_told_byte_for_byte() -> None:
    echo = await echo_of(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: \xff\xe9\r\n\r\n")
    assert echo["headers"]["X-A"].encode("latin-1") == b"\xff\xe9"


@pytest.mark.parametrize("body", [b"a" * (LARGEST_TEXT + 1), b"\xff\x00", gzip.compress(b"text", mtime=0)])
async def test_a_large_or_binary_body_is_told_by_length_and_hash_of_what_came(body: bytes) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert (await echo_of(head + body))["body"] == {"length": len(body), "sha256": sha256(body).hexdigest()}


async def test_the_largest_text_is_told_whole() -> None:
    body = b"a" * LARGEST_TEXT
    echo = await echo_of(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    assert echo["body"] == body.decode()


async def test_a_chunked_body_is_told_without_its_framing() -> None:
    request = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    assert (await echo_of(request))["body"] == "abc"


async def test_trailers_never_show_in_the_next_echo() -> None:
    chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: 1\r\n\r\n"
    answers = await exchange(chunked, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answers.count(b"HTTP/1.1 200 OK") == 1
    assert b"X-Trailer" not in answers


async def test_head_is_answered_with_the_length_of_its_echo_and_no_body() -> None:
    head, body = split(await exchange(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert length_of(head) > 0
    assert body == b""


async def test_a_client_that_waits_for_100_gets_it_before_its_body() -> None:
    async with connected() as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hi")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert json.loads(await reader.readexactly(length_of(head)))["body"] == "hi"


async def test_a_client_that_leaves_in_the_middle_of_its_body_leaves_no_error_behind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with connected() as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"half")
    assert caplog.records == []


async def test_requests_on_one_connection_are_answered_one_after_the_other() -> None:
    one = b"GET /one HTTP/1.1\r\nHost: x\r\n\r\n"
    answers = await exchange(one, one.replace(b"one", b"two").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert answers.index(b'"/one"') < answers.index(b'"/two"')


async def test_a_superseded_key_gets_401_in_the_form_that_clients_parse() -> None:
    request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Api-Key: %b\r\n\r\n" % DEAD_KEY
    head, body = split(await exchange(request))
    assert head.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    assert {name: type(value) for name, value in json.loads(body).items()} == {"message": str, "code": int}


async def test_any_other_key_is_good() -> None:
    assert (await echo_of(b"GET / HTTP/1.1\r\nHost: x\r\nX-Api-Key: whatever\r\n\r\n"))["region"] == "eu"
