"""Trailers: relayed where the other side takes them, dropped where it has not said so, and never a second head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h11
import pytest

from tests.gateway.stage import GET, path, request

if TYPE_CHECKING:
    from tests.gateway.conftest import Launch
    from tests.gateway.stage import Stage

CHUNKED = "Transfer-Encoding: chunked"
TAKES = "TE: trailers"
TRAILERS = b"Server-Timing: db;dur=5\r\nX-Checksum: caf\xe9\r\nx-checksum:2 \r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nTrailer: X-Checksum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n%b\r\n"
FORBIDDEN = (
    b"Content-Length: 3",
    b"content_length: 3",
    b"Transfer-Encoding: chunked",
    b"Host: evil",
    b"Authorization: x",
    b"X-Api-Key: other",
    b"X_Api_Key: other",
    b"Cookie: a=b",
    b"Set-Cookie: a=b",
    b"Connection: close",
    b"X-Forwarded-For: 6.6.6.6",
    b"X-Workspace-Epoch: 999",
    b"X-Request-ID: other",
    b"X-Router-Region: other",
    b"Content-Type: text/html",
    b"Content-Type : text/html",
    b"no colon",
    b" folded: x",
)


@pytest.mark.parametrize("step", [1, 5, 1000])
async def test_a_request_s_trailers_reach_its_region_as_they_came(stage: Stage, step: int) -> None:
    client = await stage.client()
    raw = request("POST", path(), CHUNKED, "Trailer: X-Checksum") + b"3\r\nabc\r\n0\r\n" + TRAILERS + b"\r\n"
    await client.send(*(raw[at : at + step] for at in range(0, len(raw), step)))
    assert (await client.answer()).status == 200
    seen = await stage.eu.request()
    assert (seen.body, seen.trailers) == (b"abc", TRAILERS)
    assert seen.values(b"Trailer") == [b"X-Checksum"]


async def test_a_trailer_is_never_the_next_request_s_field(stage: Stage) -> None:
    client = await stage.client()
    chunks = b"3\r\nabc\r\n0\r\nX-One: 1\r\nX-Two: 2\r\n\r\n"
    await client.send(request("POST", path(), CHUNKED) + chunks + GET)
    assert [(await client.answer()).status for _ in range(2)] == [200, 200]
    second = await stage.eu.request(1)
    assert not second.values(b"X-One")
    assert not second.values(b"X-Two")


@pytest.mark.parametrize("trailer", FORBIDDEN)
async def test_a_request_s_trailer_that_means_something_elsewhere_is_refused(stage: Stage, trailer: bytes) -> None:
    answer = await stage.ask(request("POST", path(), CHUNKED) + b"0\r\nX-A: 1\r\n" + trailer + b"\r\n\r\n")
    assert answer.status == 400


async def test_the_configured_key_is_refused_as_a_trailer(launch: Launch) -> None:
    stage = await launch(identify='api_key_header = "My-Key"')
    answer = await stage.ask(request("POST", path(), CHUNKED) + b"0\r\nMy-Key: other\r\n\r\n")
    assert answer.status == 400


async def test_trailers_have_a_bound(stage: Stage) -> None:
    line = b"X-A: " + b"x" * 900 + b"\r\n"
    answer = await stage.ask(request("POST", path(), CHUNKED) + b"0\r\n" + line * 10 + b"\r\n")
    assert answer.status == 400


async def test_what_a_client_takes_is_said_to_the_region_with_its_nomination(stage: Stage) -> None:
    await stage.ask(request("GET", path(), TAKES, "Connection: TE"))
    seen = await stage.eu.request()
    assert (seen.values(b"TE"), seen.values(b"Connection")) == ([b"trailers"], [b"TE"])


@pytest.mark.parametrize("te", ["deflate", "trailers, deflate", "gzip;q=0.5", ""])
async def test_no_other_te_is_passed_on(stage: Stage, te: str) -> None:
    await stage.ask(request("GET", path(), f"TE: {te}"))
    seen = await stage.eu.request()
    assert (seen.values(b"TE"), seen.values(b"Connection")) == ([], [])


async def test_an_answer_s_trailers_reach_a_client_that_takes_them(stage: Stage) -> None:
    stage.eu.answers.append(ANSWER % TRAILERS)
    client = await stage.client()
    answer = await client.ask(request("GET", path(), TAKES))
    assert answer.raw == b"3\r\nabc\r\n0\r\n" + TRAILERS + b"\r\n"
    assert (await client.ask(GET)).body == b"eu"


@pytest.mark.parametrize("fields", [(), ("TE: deflate",)])
async def test_they_are_dropped_for_a_client_that_has_not_said_so(stage: Stage, fields: tuple[str, ...]) -> None:
    stage.eu.answers.append(ANSWER % TRAILERS)
    client = await stage.client()
    answer = await client.ask(request("GET", path(), *fields))
    assert answer.raw == b"3\r\nabc\r\n0\r\n\r\n"
    assert (await client.ask(GET)).body == b"eu"


async def test_a_1_0_client_has_no_place_for_them(stage: Stage) -> None:
    stage.eu.answers.append(ANSWER % TRAILERS)
    answer = await stage.ask(request("GET", path(), TAKES, version="1.0"))
    assert answer.body == b"abc"
    assert not (await stage.eu.request()).values(b"TE")


async def test_an_answer_s_trailers_may_come_byte_by_byte(stage: Stage) -> None:
    client = await stage.client()
    stage.eu.answers.append(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    await client.send(request("GET", path(), TAKES))
    await client.receive_until(b"\r\n\r\n")
    connection = await stage.eu.connection()
    for byte in b"0\r\n" + TRAILERS + b"\r\n":
        connection.send(bytes([byte]))
    assert await client.receive_until(b"\r\n\r\n") == b"0\r\n" + TRAILERS + b"\r\n"


@pytest.mark.parametrize("trailer", [b"Set-Cookie: a=b", b"Content-Length: 3", b"X-Router-Region: us", b"Location: /"])
@pytest.mark.parametrize("fields", [(), (TAKES,)])
async def test_an_answer_s_forbidden_trailer_cuts_the_answer(
    stage: Stage, trailer: bytes, fields: tuple[str, ...]
) -> None:
    stage.eu.answers.append(ANSWER % (trailer + b"\r\n"))
    client = await stage.client()
    await client.send(request("GET", path(), *fields))
    data, _ = await client.read_to_end()
    assert not data.endswith(b"0\r\n\r\n")
    assert trailer not in data
    assert await (await stage.eu.connection()).ended() == "reset"


async def test_what_is_relayed_is_what_a_strict_client_reads(stage: Stage) -> None:
    stage.eu.answers.append(ANSWER % b"X-Checksum: 1\r\n")
    client = await stage.client()
    await client.send(request("GET", path(), TAKES))
    reader = h11.Connection(h11.CLIENT)
    reader.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    reader.send(h11.EndOfMessage())
    reader.receive_data(await client.receive_until(b"X-Checksum: 1\r\n\r\n"))
    while not isinstance(event := reader.next_event(), h11.EndOfMessage):
        pass
    assert list(event.headers) == [(b"x-checksum", b"1")]
