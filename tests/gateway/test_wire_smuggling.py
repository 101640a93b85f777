"""Smuggling on the wire: what two readers could frame in two ways is answered once, closed, and reaches no region."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.gateway.raw_heads import HOST, REQUEST_LINES, SMUGGLING, block
from tests.gateway.stage import IN_US, path, request

if TYPE_CHECKING:
    from tests.gateway.stage import Stage
    from tests.gateway.wire import Answer, Client

SMUGGLED = request("DELETE", path(IN_US, "smuggled"))
"""What an attacker would have a reader take for the next request."""

START = f"POST {path()} HTTP/1.1".encode()
OLD_START = f"POST {path()} HTTP/1.0".encode()
CHUNKED_HEAD = block(START, HOST, b"Transfer-Encoding: chunked")

HEADS = {
    **{f"field: {name}": block(START, HOST, line) for name, line in SMUGGLING.items()},
    **{f"first field: {name}": block(START, line, HOST) for name, line in SMUGGLING.items()},
    **{f"line: {name}": block(line, HOST) for name, line in REQUEST_LINES.items() if name != "nothing"},
    "1.0 with a transfer coding": block(OLD_START, HOST, b"Transfer-Encoding: chunked"),
    "1.0 with a transfer coding and a length": block(
        OLD_START, HOST, b"Transfer-Encoding: chunked", b"Content-Length: 5"
    ),
    "no Host": block(START),
    "a Host with a user": block(START, b"Host: clockify.me@evil.example"),
    "a Host that is a list": block(START, b"Host: clockify.me, evil.example"),
    "a Host with a path": block(START, b"Host: clockify.me/x"),
    "a Host with a blank": block(START, b"Host: clockify.me evil.example"),
    "an absolute target with a bad Host": block(b"GET http://clockify.me/ HTTP/1.1", b"Host: a b"),
    "an absolute target of another scheme": block(b"GET ftp://clockify.me/ HTTP/1.1", HOST),
    "lines that end with LF": b"POST / HTTP/1.1\nHost: clockify.me\nContent-Length: 0\n\n",
    "a blank line in front of the fields": block(START + b"\r\n ", HOST),
    "version 0.9": b"GET /\r\n\r\n",
    "the reply of another protocol": b"HTTP/1.1 200 OK\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}
VERSIONS = {
    version: block(f"POST {path()} HTTP/{version}".encode(), HOST) for version in ("0.9", "1.2", "2.0", "3.0", "9.9")
}
BODIES = {
    "a size with a blank behind": b"0 \r\n\r\n",
    "a size with a blank in front": b" 0\r\n\r\n",
    "a size with a tab": b"0\t\r\n\r\n",
    "a size with a sign": b"+0\r\n\r\n",
    "a negative size": b"-1\r\n\r\n",
    "a hexadecimal prefix": b"0x3\r\nabc\r\n0\r\n\r\n",
    "an underscore": b"1_0\r\n" + b"a" * 16 + b"\r\n0\r\n\r\n",
    "a size that overflows 64 bits": b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    "a size of zeros": b"0000000000000000\r\n\r\n",
    "no size": b"\r\nabc\r\n0\r\n\r\n",
    "a size that is a word": b"three\r\nabc\r\n0\r\n\r\n",
    "a size that ends with LF": b"3\nabc\r\n0\r\n\r\n",
    "a size that ends with CR": b"3\rabc\r\n0\r\n\r\n",
    "a chunk that ends with LF": b"3\r\nabc\n0\r\n\r\n",
    "a chunk that ends with another pair": b"3\r\nabcXX0\r\n\r\n",
    "a chunk that is longer than its size": b"3\r\nabcd\r\n0\r\n\r\n",
    "a last chunk that ends with LF": b"0\n\r\n",
    "trailers that end with LF": b"0\r\nX: y\n\r\n",
    "an end with LF": b"0\r\n\n",
    "an extension with LF": b"0;a\nb\r\n\r\n",
    "an extension with a NUL": b"0;a\x00\r\n\r\n",
    "an extension without end": b"0;" + b"a" * 2000 + b"\r\n\r\n",
    "a trailer that frames": b"0\r\nContent-Length: 5\r\n\r\n",
    "a trailer with a transfer coding": b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a trailer that routes": b"0\r\nHost: evil.example\r\n\r\n",
    "a trailer that authenticates": b"0\r\nX-Api-Key: another\r\n\r\n",
    "a trailer that tells an epoch": b"0\r\nX-Workspace-Epoch: 9\r\n\r\n",
    "a folded trailer": b"0\r\nX: a\r\n b\r\n\r\n",
    "a trailer with a blank in its name": b"0\r\nX : a\r\n\r\n",
    "a trailer without a name": b"0\r\n: a\r\n\r\n",
    "a trailer with a NUL": b"0\r\nX: a\x00b\r\n\r\n",
    "a trailer without end": b"0\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
}


async def refused(stage: Stage, client: Client) -> Answer:
    """The one answer, after which there is nothing but the connection's end, and no region knows of anything."""
    answer = await client.answer()
    assert answer.value(b"Connection") == b"close"
    assert await client.read_to_end() == (b"", "fin")
    assert not [seen.line for origin in stage.origins.values() for seen in origin.requests]
    return answer


@pytest.mark.parametrize("name", HEADS)
async def test_a_head_that_could_smuggle_is_400_and_nothing_behind_it_is_read(stage: Stage, name: str) -> None:
    client = await stage.client()
    await client.send(HEADS[name] + SMUGGLED)
    answer = await refused(stage, client)
    assert (answer.status, json.loads(answer.body)["code"]) == (400, 9400)


@pytest.mark.parametrize("name", HEADS)
async def test_a_second_segment_is_not_read_either(stage: Stage, name: str) -> None:
    client = await stage.client()
    await client.send(HEADS[name], SMUGGLED)
    assert (await refused(stage, client)).status == 400


@pytest.mark.parametrize("version", VERSIONS)
async def test_another_version_is_505_and_closed(stage: Stage, version: str) -> None:
    client = await stage.client()
    await client.send(VERSIONS[version] + SMUGGLED)
    answer = await refused(stage, client)
    assert answer.line.startswith(b"HTTP/1.1 505 ")


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_that_could_smuggle_is_400_and_nothing_of_it_is_sent(stage: Stage, name: str) -> None:
    client = await stage.client()
    await client.send(CHUNKED_HEAD + BODIES[name] + SMUGGLED)
    assert (await refused(stage, client)).status == 400


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_that_goes_wrong_later_never_becomes_whole_and_leaves_no_request_behind(
    stage: Stage, name: str
) -> None:
    client = await stage.client()
    await client.send(CHUNKED_HEAD + b"3\r\nabc\r\n")
    seen = await stage.eu.head()
    await client.send(BODIES[name] + SMUGGLED)
    answer = await client.answer()
    assert (answer.status, answer.value(b"Connection")) == (400, b"close")
    assert await client.read_to_end() == (b"", "fin")
    assert await seen.connection.ended() == "reset"
    assert not seen.whole
    assert [each.line for origin in stage.origins.values() for each in origin.requests] == [seen.line]


@pytest.mark.parametrize("protocol", ["h2c", "TLS/1.0", "IRC/6.9, websocket"])
async def test_what_comes_behind_a_declined_upgrade_is_never_the_body_of_another_request(
    stage: Stage, protocol: str
) -> None:
    client = await stage.client()
    upgrade = request("POST", path(), "Connection: Upgrade", f"Upgrade: {protocol}", body=SMUGGLED)
    await client.send(upgrade + b"nonsense\r\n\r\n")
    assert (await client.answer()).status == 200
    await client.read_to_end()
    assert [seen.body for seen in stage.eu.requests] == [SMUGGLED]
    assert not stage.us.requests
