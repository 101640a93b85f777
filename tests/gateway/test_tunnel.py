"""Tunnels on raw bytes: how one begins, what passes through it, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from router.gateway.frames import close_frame
from router.gateway.server import GatewayServer
from router.gateway.tunnel import GRACE_SECONDS
from tests.certificates import region_context, write_authority
from tests.gateway.stage import GET, IN_EU, Stage, path, request
from tests.gateway.test_wire_locks import applied

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tests.gateway.conftest import Launch
    from tests.gateway.origin import OriginConnection, Turn
    from tests.gateway.wire import Client

WISH = request(
    "GET",
    path(rest="updates"),
    "upgrade: WebSocket",
    "Connection: keep-alive, Upgrade",
    "Sec-WebSocket-KEY: dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-Version:13",
    "Sec-WebSocket-Protocol: a, b",
)
GRANT = (
    b"HTTP/1.1 101 Switching Protocols\r\n"
    b"upgrade: WebSocket\r\nX-First: 1\r\n"
    b"Sec-WebSocket-ACCEPT:s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nconnection: Upgrade\r\n\r\n"
)
PING = b"\x89\x85mask" + bytes(byte ^ key for byte, key in zip(b"hello", b"maskm", strict=True))
PONG = b"\x8a\x05hello"
HALF = b"\x82\x7e\x01\x00" + b"h" * 100
"""The first part of a frame of 256 bytes: 156 are still to come."""
REST = b"r" * 156
IDLE = 0.4
FLOOD = 64 * 1024 * 1024
STALL = 1.0
"""Seconds after which a side that takes nothing is taken to take no more."""


async def tunnel(stage: Stage) -> tuple[Client, OriginConnection]:
    """A tunnel that has begun, with both of its ends."""
    stage.eu.answers.append(GRANT)
    client = await stage.client()
    answer = await client.ask(WISH)
    assert answer.status == 101
    return client, stage.eu.requests[-1].connection


def behind(connection: OriginConnection) -> bytes:
    """What has come to the region behind the head."""
    return bytes(connection.received).partition(b"\r\n\r\n")[2]


async def arrived(connection: OriginConnection, data: bytes) -> None:
    """Return once exactly `data` has come to the region."""
    await connection.origin.bell.until(lambda: behind(connection) == data or None)


def unmasked(frame: bytes) -> bytes:
    """A short masked frame as it were without its mask."""
    assert frame[1] & 0x80
    mask, payload = frame[2:6], frame[6:]
    return bytes([frame[0], frame[1] & 0x7F]) + bytes(byte ^ key for byte, key in zip(payload, mask * 32, strict=False))


# --- the beginning


async def test_the_region_is_asked_for_a_websocket_with_the_client_s_own_fields(stage: Stage) -> None:
    await tunnel(stage)
    seen = stage.eu.requests[0]
    assert (seen.values(b"Upgrade"), seen.values(b"Connection")) == ([b"websocket"], [b"Upgrade"])
    lines = seen.head.split(b"\r\n")
    assert b"Sec-WebSocket-KEY: dGhlIHNhbXBsZSBub25jZQ==" in lines
    assert b"sec-websocket-Version:13" in lines
    assert b"Sec-WebSocket-Protocol: a, b" in lines
    assert seen.values(b"X-Workspace-Epoch") == [b"1"]


async def test_the_region_s_101_is_relayed_as_it_came(stage: Stage) -> None:
    stage.eu.answers.append(GRANT)
    answer = await stage.ask(WISH)
    lines = answer.head.split(b"\r\n")
    assert answer.line == b"HTTP/1.1 101 Switching Protocols"
    assert lines[1:3] == [b"X-First: 1", b"Sec-WebSocket-ACCEPT:s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]
    assert (answer.values(b"Upgrade"), answer.values(b"Connection")) == ([b"websocket"], [b"Upgrade"])
    assert len(answer.values(b"X-Request-ID")) == len(answer.values(b"Via")) == 1
    assert not answer.values(b"Content-Length") + answer.values(b"Transfer-Encoding")


async def test_frames_pass_both_ways_as_they_are(stage: Stage) -> None:
    client, connection = await tunnel(stage)
    await client.send(PING[:1], PING[1:3], PING[3:])
    await arrived(connection, PING)
    connection.send(PONG + HALF)
    assert await client.receive_exactly(len(PONG + HALF)) == PONG + HALF


async def test_bytes_that_are_no_frames_pass_too(stage: Stage) -> None:
    client, connection = await tunnel(stage)
    await client.send(b"\xff\xff\0not a frame at all")
    await arrived(connection, b"\xff\xff\0not a frame at all")


async def test_what_the_client_sends_too_early_waits_for_the_101(stage: Stage) -> None:
    async def grants_later(turn: Turn) -> None:
        await released.wait()
        turn.send(GRANT)

    released = asyncio.Event()
    stage.eu.answers.append(grants_later)
    client = await stage.client()
    await client.send(WISH + PING)
    seen = await stage.eu.request()
    assert (await stage.ask(GET)).status == 200
    assert behind(seen.connection) == b""
    released.set()
    assert (await client.answer()).status == 101
    await arrived(seen.connection, PING)


async def test_what_the_region_sends_with_its_101_arrives_behind_it(stage: Stage) -> None:
    stage.eu.answers.append(GRANT + PONG)
    client = await stage.client()
    assert (await client.ask(WISH)).status == 101
    assert await client.receive_exactly(len(PONG)) == PONG


async def test_hints_before_the_101_are_relayed(stage: Stage) -> None:
    stage.eu.answers.append(b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n" + GRANT)
    client = await stage.client()
    assert [(await client.ask(WISH)).status, (await client.answer()).status] == [103, 101]


async def test_a_region_that_refuses_answers_as_ever_and_the_connection_closes(stage: Stage) -> None:
    stage.eu.answers.append(b"HTTP/1.1 403 No\r\nContent-Length: 4\r\nX-Why: so\r\n\r\nnope")
    client = await stage.client()
    answer = await client.ask(WISH + PING)
    assert (answer.line, answer.body, answer.value(b"X-Why")) == (b"HTTP/1.1 403 No", b"nope", b"so")
    assert answer.value(b"Connection") == b"close"
    assert await client.read_to_end() == (b"", "fin")
    assert behind(stage.eu.connections[0]) == b""


async def test_a_locked_workspace_gets_no_tunnel(stage: Stage) -> None:
    await stage.start_transfer()
    answer = await stage.answered(423, WISH)
    assert answer.value(b"Connection") == b"close"


NO_GRANTS = {
    "another protocol": b"HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    "no protocol": b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\n\r\n",
    "not nominated": b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n",
    "a length": b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
    "chunks": b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.0": b"HTTP/1.0 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
}


@pytest.mark.parametrize("name", NO_GRANTS)
async def test_a_101_that_leads_elsewhere_is_502(stage: Stage, name: str) -> None:
    stage.eu.answers.append(NO_GRANTS[name])
    assert (await stage.ask(WISH)).status == 502
    assert await stage.eu.connections[0].ended() == "reset"


# --- what is declined

DECLINED = {
    "h2c": ("GET", "1.1", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQ"),
    "h2c and settings that are not nominated": ("GET", "1.1", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQ"),
    "another method": ("DELETE", "1.1", "Connection: Upgrade", "Upgrade: websocket"),
    "HTTP/1.0": ("GET", "1.0", "Connection: Upgrade, keep-alive", "Upgrade: websocket"),
    "one of two": ("GET", "1.1", "Connection: Upgrade", "Upgrade: websocket, h2c"),
    "not nominated": ("GET", "1.1", "Upgrade: websocket"),
}


@pytest.mark.parametrize("name", DECLINED)
async def test_any_other_upgrade_is_an_ordinary_request(stage: Stage, name: str) -> None:
    method, version, *fields = DECLINED[name]
    answer = await stage.ask(request(method, path(), *fields, version=version))
    assert (answer.status, answer.body) == (200, b"eu")
    seen = await stage.eu.request()
    assert not [value for field in (b"Upgrade", b"Connection", b"HTTP2-Settings") for value in seen.values(field)]


@pytest.mark.parametrize("name", DECLINED)
@pytest.mark.parametrize("apart", [False, True])
async def test_what_follows_a_declined_upgrade_is_never_a_request(stage: Stage, name: str, apart: bool) -> None:
    method, version, *fields = DECLINED[name]
    client = await stage.client()
    wish = request(method, path(), *fields, version=version)
    await (client.send(wish, GET) if apart else client.send(wish + GET))
    assert (await client.answer()).value(b"Connection") == b"close"
    assert await client.read_to_end() == (b"", "fin")
    assert len(stage.eu.requests) == 1


async def test_the_body_of_a_declined_upgrade_is_sent_and_what_follows_is_not(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request("POST", path(), "Connection: Upgrade", "Upgrade: h2c", body=b"body") + GET)
    assert (await client.answer()).status == 200
    assert await client.read_to_end() == (b"", "fin")
    assert [seen.body for seen in stage.eu.requests] == [b"body"]


async def test_a_101_to_a_declined_upgrade_is_502(stage: Stage) -> None:
    stage.eu.answers.append(GRANT)
    assert (await stage.ask(request("DELETE", path(), "Connection: Upgrade", "Upgrade: websocket"))).status == 502


# --- halves


async def test_a_client_that_has_ended_its_half_still_reads(stage: Stage) -> None:
    stage.eu.half_closes = True
    client, connection = await tunnel(stage)
    await client.send(PING)
    client.finish()
    assert await connection.ended() == "fin"
    assert behind(connection) == PING
    connection.send(PONG)
    connection.finish()
    assert await client.read_to_end() == (PONG, "fin")
    await stage.left()


async def test_a_region_that_has_ended_its_half_still_reads(stage: Stage) -> None:
    stage.eu.half_closes = True
    client, connection = await tunnel(stage)
    connection.send(PONG)
    connection.finish()
    assert await client.read_to_end() == (PONG, "fin")
    await client.send(PING)
    await arrived(connection, PING)
    client.finish()
    assert await connection.ended() == "fin"
    await stage.left()


async def test_the_last_bytes_arrive_though_both_halves_have_ended(stage: Stage) -> None:
    stage.eu.half_closes = True
    client, connection = await tunnel(stage)
    connection.transport.pause_reading()
    connection.finish()
    assert await client.read_to_end() == (b"", "fin")
    tail = b"t" * 300_000
    await client.send(tail)
    client.finish()
    await stage.until(lambda: stage.directory.ledger.in_flight == 1)
    connection.transport.resume_reading()
    assert await connection.ended() == "fin"
    assert behind(connection) == tail
    await stage.left()


async def test_a_region_that_never_reads_the_last_bytes_is_not_waited_for(stage: Stage) -> None:
    stage.eu.half_closes = True
    client, connection = await tunnel(stage)
    connection.transport.pause_reading()
    connection.finish()
    await client.read_to_end()
    await client.send(b"t" * 3000)
    client.finish()
    async with asyncio.timeout(2 * GRACE_SECONDS):
        await stage.in_flight(0)


async def test_a_region_behind_tls_is_given_a_moment_once_its_client_has_ended_its_half(
    launch: Launch, tmp_path: Path
) -> None:
    ca = write_authority(tmp_path / "ca.pem")
    stage = await launch(served_with=region_context(), tls=f'{{ ca = "{ca}" }}')
    client, connection = await tunnel(stage)
    await client.send(PING)
    await arrived(connection, PING)
    client.finish()
    connection.send(PONG)
    assert await client.receive_exactly(len(PONG)) == PONG
    assert await client.read_to_end() == (close_frame(1001), "fin")
    assert await connection.ended() == "reset"


# --- ends that come by themselves


async def test_a_client_that_is_reset_takes_the_region_s_connection_with_it(stage: Stage) -> None:
    client, connection = await tunnel(stage)
    client.reset()
    assert await connection.ended() == "reset"
    await stage.left()


async def test_a_region_that_is_reset_resets_its_client(stage: Stage) -> None:
    client, connection = await tunnel(stage)
    connection.send(PONG)
    assert await client.receive_exactly(len(PONG)) == PONG
    connection.reset()
    assert await client.read_to_end() == (b"", "reset")


async def test_a_region_that_is_reset_behind_its_close_frame_has_ended_well(stage: Stage) -> None:
    client, connection = await tunnel(stage)
    connection.send(close_frame(1000))
    assert await client.receive_exactly(4) == close_frame(1000)
    connection.reset()
    assert await client.read_to_end() == (b"", "fin")


async def test_a_region_that_is_gone_behind_its_half_ends_the_client_s(stage: Stage) -> None:
    client, connection = await tunnel(stage)
    connection.close()
    assert await client.read_to_end() == (b"", "fin")
    with contextlib.suppress(ConnectionError):
        while stage.gateway.connections:
            await client.send(PING, PING)
    await stage.left()


async def test_an_idle_tunnel_is_ended_at_both_sides_with_a_close_frame(launch: Launch) -> None:
    stage = await launch(timeouts={"tunnel_idle": IDLE})
    client, connection = await tunnel(stage)
    assert await client.read_to_end() == (close_frame(1001), "fin")
    await stage.eu.bell.until(lambda: len(behind(connection)) == 8 or None)
    assert unmasked(behind(connection)) == close_frame(1001)
    connection.close()
    await stage.left()


@pytest.mark.parametrize("side", ["client", "region"])
async def test_bytes_of_one_side_keep_a_tunnel_alive(launch: Launch, side: str) -> None:
    stage = await launch(timeouts={"tunnel_idle": IDLE})
    client, connection = await tunnel(stage)
    loop = asyncio.get_running_loop()
    began, sent = loop.time(), b""
    while loop.time() < began + 3 * IDLE:
        sent += b"\xff"
        if side == "client":
            await client.send(b"\xff")
            await arrived(connection, sent)
        else:
            connection.send(b"\xff")
            assert await client.receive_exactly(1) == b"\xff"
    assert await stage.ask(GET)
    assert connection.end is None


async def test_a_client_that_takes_nothing_is_cut(launch: Launch) -> None:
    stage = await launch(timeouts={"write_idle": IDLE})
    client, connection = await tunnel(stage)
    connection.send(b"\x82\x7f" + FLOOD.to_bytes(8, "big") + bytes(FLOOD))
    assert await connection.ended() == "reset"
    assert (await client.read_to_end())[1] == "reset"


async def test_a_region_that_takes_nothing_is_cut(launch: Launch) -> None:
    stage = await launch(timeouts={"upstream_idle": 2 * STALL})
    client, connection = await tunnel(stage)
    connection.transport.pause_reading()
    assert await client.send_until_blocked(bytes(65536), FLOOD, STALL) < FLOOD
    assert await client.read_to_end() == (close_frame(1001), "fin")
    await stage.in_flight(0)


async def test_a_tunnel_counts_as_in_flight_until_it_ends(stage: Stage) -> None:
    client, connection = await tunnel(stage)
    await stage.in_flight(1)
    assert await scraped(stage, 'router_requests_in_flight{region="eu"}') == 1
    client.reset()
    await connection.ended()
    await stage.in_flight(0)
    assert await scraped(stage, 'router_requests_in_flight{region="eu"}') == 0
    assert await scraped(stage, 'router_requests_total{code="101",decision="proxy",method="GET",region="eu"}') == 1


async def test_how_long_a_tunnel_lasts_is_no_request_s_duration(stage: Stage) -> None:
    client, _ = await tunnel(stage)
    client.reset()
    await stage.left()
    assert await scraped(stage, 'router_request_duration_seconds_count{decision="proxy",region="eu"}') == 0


async def scraped(stage: Stage, series: str) -> float:
    """The value of one series, as the ops listener shows it."""
    host, _, port = stage.process.ops_listen[0].rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    (value,) = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(series)]
    return float(value)


# --- locks and leases


async def test_a_lock_ends_a_tunnel_at_once_with_1012(stage: Stage) -> None:
    client, connection = await tunnel(stage)
    await client.send(PING)
    await arrived(connection, PING)
    transfer = await stage.start_transfer()
    assert await client.read_to_end() == (close_frame(1012), "fin")
    assert await connection.ended() == "reset"
    assert behind(connection) == PING
    await applied(stage, transfer)


async def test_a_lock_in_the_middle_of_a_frame_waits_for_its_end_and_writes_nothing_to_the_region(
    stage: Stage,
) -> None:
    client, connection = await tunnel(stage)
    connection.send(HALF)
    assert await client.receive_exactly(len(HALF)) == HALF
    transfer = await stage.start_transfer()
    await stage.answered(423)
    await client.send(PING, PING)
    assert connection.end is None
    assert (await stage.store.get_transfer(transfer.id)) == transfer
    connection.send(REST + PONG)
    assert await client.read_to_end() == (REST + close_frame(1012), "fin")
    assert await connection.ended() == "reset"
    assert behind(connection) == b""
    await applied(stage, transfer)


async def test_a_lock_does_not_wait_for_long_in_the_middle_of_a_frame(stage: Stage) -> None:
    client, connection = await tunnel(stage)
    connection.send(HALF)
    assert await client.receive_exactly(len(HALF)) == HALF
    transfer = await stage.start_transfer()
    async with asyncio.timeout(2 * GRACE_SECONDS):
        assert await client.read_to_end() == (b"", "reset")
    assert await connection.ended() == "reset"
    await applied(stage, transfer)


async def test_a_lock_adds_nothing_behind_the_region_s_own_close_frame(stage: Stage) -> None:
    client, connection = await tunnel(stage)
    connection.send(close_frame(1000))
    assert await client.receive_exactly(4) == close_frame(1000)
    await stage.start_transfer()
    assert await client.read_to_end() == (b"", "fin")


async def test_a_lock_drops_what_the_region_has_not_taken_yet(stage: Stage) -> None:
    client, connection = await tunnel(stage)
    connection.transport.pause_reading()
    await client.send_until_blocked(bytes(65536), FLOOD, STALL)
    taken = len(connection.received)
    await stage.start_transfer()
    assert await client.read_to_end() == (close_frame(1012), "fin")
    await stage.in_flight(0)
    connection.transport.resume_reading()
    assert await connection.ended() == "reset"
    # What the region's own kernel had taken is the region's.
    assert len(connection.received) - taken < 8 * 1024 * 1024


async def test_a_lock_while_the_region_is_asked_is_no_tunnel(launch: Launch) -> None:
    async def grants_later(turn: Turn) -> None:
        await released.wait()
        turn.send(GRANT)

    stage = await launch(timeouts={"lock_drain": 30})
    released = asyncio.Event()
    stage.eu.answers.append(grants_later)
    client = await stage.client()
    await client.send(WISH)
    await stage.eu.request()
    transfer = await stage.start_transfer()
    await stage.answered(423)
    released.set()
    assert (await client.answer()).status == 504
    assert await stage.eu.connections[0].ended() == "reset"
    await applied(stage, transfer)


async def test_the_end_of_a_term_ends_its_tunnels(stage: Stage) -> None:
    client, connection = await tunnel(stage)
    await stage.end_term()
    assert await client.read_to_end() == (close_frame(1012), "fin")
    assert await connection.ended() == "reset"
    assert behind(connection) == b""


async def test_the_end_of_a_term_while_the_region_is_asked_is_no_tunnel(stage: Stage) -> None:
    async def grants_later(turn: Turn) -> None:
        await released.wait()
        turn.send(GRANT)

    released = asyncio.Event()
    stage.eu.answers.append(grants_later)
    client = await stage.client()
    await client.send(WISH)
    await stage.eu.request()
    await stage.end_term()
    released.set()
    assert (await client.answer()).status == 503
    assert await stage.eu.connections[0].ended() == "reset"


async def test_a_tunnel_without_a_workspace_outlives_a_term(stage: Stage) -> None:
    stage.home.answers.append(GRANT)
    client = await stage.client()
    assert (await client.ask(WISH.replace(path(IN_EU, "updates").encode(), b"/api/v1/updates"))).status == 101
    await stage.end_term()
    await client.send(PING)
    await arrived(stage.home.connections[0], PING)


# --- the gateway's end


@contextlib.asynccontextmanager
async def shutting_down(stage: Stage) -> AsyncIterator[None]:
    """The gateway's end, as aiohttp's runner brings it about."""
    server = GatewayServer(stage.gateway, lambda: None)
    server.pre_shutdown()
    yield
    await server.shutdown(2 * GRACE_SECONDS)


async def test_a_drain_ends_a_tunnel_at_both_sides_with_1001(stage: Stage) -> None:
    client, connection = await tunnel(stage)
    async with shutting_down(stage):
        assert await client.read_to_end() == (close_frame(1001), "fin")
        await stage.eu.bell.until(lambda: len(behind(connection)) == 8 or None)
        assert unmasked(behind(connection)) == close_frame(1001)
        connection.close()


async def test_a_drain_waits_for_the_ends_of_both_frames(stage: Stage) -> None:
    client, connection = await tunnel(stage)
    connection.send(HALF)
    assert await client.receive_exactly(len(HALF)) == HALF
    await client.send(PING[:7])
    await arrived(connection, PING[:7])
    async with shutting_down(stage):
        connection.send(REST + PONG)
        assert await client.read_to_end() == (REST + close_frame(1001), "fin")
        await client.send(PING[7:] + PING)
        await stage.eu.bell.until(lambda: len(behind(connection)) == len(PING) + 8 or None)
        assert behind(connection)[: len(PING)] == PING
        assert unmasked(behind(connection)[len(PING) :]) == close_frame(1001)
        connection.close()


async def test_a_drain_does_not_wait_for_a_frame_that_never_ends(stage: Stage) -> None:
    client, connection = await tunnel(stage)
    connection.send(HALF)
    assert await client.receive_exactly(len(HALF)) == HALF
    async with shutting_down(stage):
        assert await client.read_to_end() == (b"", "reset")
        assert await connection.ended() == "reset"


async def test_a_tunnel_that_begins_while_the_gateway_ends_is_told_so(stage: Stage) -> None:
    stage.gateway.draining = True
    stage.eu.answers.append(GRANT)
    client = await stage.client()
    assert (await client.ask(WISH)).status == 101
    assert await client.read_to_end() == (close_frame(1001), "fin")


async def test_a_lock_during_a_drain_writes_nothing_more_to_the_region(stage: Stage) -> None:
    client, connection = await tunnel(stage)
    await client.send(PING[:7])
    await arrived(connection, PING[:7])
    async with shutting_down(stage):
        assert await client.read_to_end() == (close_frame(1001), "fin")
        await stage.start_transfer()
        assert await connection.ended() == "reset"
        assert behind(connection) == PING[:7]


# --- backpressure


async def test_a_region_that_does_not_read_stops_its_client(stage: Stage) -> None:
    client, connection = await tunnel(stage)
    connection.transport.pause_reading()
    piece = bytes(65536)
    sent = await client.send_until_blocked(piece, FLOOD, STALL)
    assert sent < FLOOD / 2
    connection.transport.resume_reading()
    assert await client.send_until_blocked(piece, 1 << 20, 5) == 1 << 20
    await stage.eu.bell.until(lambda: len(behind(connection)) == sent + (1 << 20) or None)


async def test_a_client_that_does_not_read_stops_its_region(stage: Stage) -> None:
    client, connection = await tunnel(stage)
    connection.transport.set_write_buffer_limits(high=0)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < FLOOD:
            connection.send(bytes(65536))
            sent += 65536
            async with asyncio.timeout(STALL):
                await stage.eu.bell.until(lambda: connection.writable or None)
    assert sent < FLOOD / 2
    received = 0

    def take(data: bytes) -> None:
        nonlocal received
        received += len(data)

    await client.receive_into(take, sent)
    assert received == sent


EVERY: tuple[Callable[[Stage], Awaitable[None]], ...] = (
    test_frames_pass_both_ways_as_they_are,
    test_what_the_client_sends_too_early_waits_for_the_101,
    test_a_client_that_has_ended_its_half_still_reads,
    test_a_region_that_has_ended_its_half_still_reads,
    test_the_last_bytes_arrive_though_both_halves_have_ended,
    test_a_client_that_is_reset_takes_the_region_s_connection_with_it,
    test_a_region_that_is_reset_resets_its_client,
    test_a_region_that_is_gone_behind_its_half_ends_the_client_s,
    test_a_lock_ends_a_tunnel_at_once_with_1012,
    test_a_lock_in_the_middle_of_a_frame_waits_for_its_end_and_writes_nothing_to_the_region,
    test_a_drain_ends_a_tunnel_at_both_sides_with_1001,
    test_a_region_that_does_not_read_stops_its_client,
    test_a_client_that_does_not_read_stops_its_region,
)
"""What a loop could spoil."""
