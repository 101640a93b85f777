"""TLS to regions: verified or not at all, and under the same discipline of writing as without."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import pytest
import uvloop

from router.gateway.options import GatewayOptions
from router.gateway.pool import Pools
from router.gateway.sockets import prepare_upstream
from router.gateway.tls import client_context
from router.gateway.upstream_tls import TlsUpstream
from router.model import region as model
from router.model.region import Endpoint, PublicUrl, TlsFiles
from tests.certificates import REGION_NAME, region_context, wants_a_certificate, write_authority, write_identity
from tests.gateway.origin import Origin, ok
from tests.gateway.stage import GET, PATIENCE, path, request

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from router.gateway.upstream import Upstream, User
    from tests.gateway.conftest import Launch
    from tests.gateway.origin import OriginConnection, Turn
    from tests.gateway.stage import Stage

TRUST = '{ ca = "ca.pem" }'
IDENTIFY = '{ ca = "ca.pem", cert = "gw.pem", key = "gw.key" }'
PIECE = bytes(range(256)) * 4096
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


@pytest.fixture(autouse=True)
def ca(folder: Path) -> Path:
    """The authority that the tests' regions are certified by, and a certificate of the gateway's own."""
    write_identity(folder / "gw.pem", folder / "gw.key")
    return write_authority(folder / "ca.pem")


async def refused(stage: Stage, caplog: pytest.LogCaptureFixture) -> bool:
    """Whether a request is answered 502, for its region's TLS, and reached nobody."""
    answer = await stage.ask(GET)
    told = (answer.status, json.loads(answer.body)["code"])
    logged = [message for message in caplog.messages if message.endswith("tls_failed (region eu)")]
    return told == (502, 9502) and len(logged) == 1 and not stage.eu.requests


async def test_a_region_answers_and_its_connection_is_used_again(launch: Launch) -> None:
    stage = await launch(tls=TRUST, served_with=region_context())
    client = await stage.client()
    assert (await client.ask(GET)).body == b"eu"
    assert (await client.ask(GET)).body == b"eu"
    assert len(stage.eu.connections) == 1


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_region_may_speak_either_version(launch: Launch, version: ssl.TLSVersion) -> None:
    context = region_context()
    context.minimum_version = context.maximum_version = version
    stage = await launch(tls=TRUST, served_with=context)
    assert (await stage.ask(request("POST", path(), body=b"body"))).body == b"eu"
    assert stage.eu.requests[0].raw == b"body"


@pytest.mark.parametrize(
    ("tls", "name"), [(TRUST, REGION_NAME), ('{ ca = "ca.pem", server_name = "eu.internal" }', "eu.internal")]
)
async def test_the_region_is_named_and_verified_by_the_configured_name(launch: Launch, tls: str, name: str) -> None:
    named: list[str | None] = []
    context = region_context(name)
    context.sni_callback = lambda _, asked, __: named.append(asked)
    stage = await launch(tls=tls, served_with=context)
    assert (await stage.ask(GET)).status == 200
    assert named == [name]


async def test_a_certificate_of_another_authority_is_refused(
    launch: Launch, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_authority(folder / "ca.pem", "theirs")
    stage = await launch(tls=TRUST, served_with=region_context())
    assert await refused(stage, caplog)
    assert any("CERTIFICATE_VERIFY_FAILED" in message for message in caplog.messages)


async def test_a_certificate_that_only_the_system_could_know_is_refused(
    launch: Launch, caplog: pytest.LogCaptureFixture
) -> None:
    stage = await launch(tls="{}", served_with=region_context())
    assert await refused(stage, caplog)


async def test_a_certificate_for_another_name_is_refused(launch: Launch, caplog: pytest.LogCaptureFixture) -> None:
    stage = await launch(tls=TRUST, served_with=region_context("use2.clockify.me"))
    assert await refused(stage, caplog)


async def test_a_region_without_tls_is_refused(launch: Launch, caplog: pytest.LogCaptureFixture) -> None:
    stage = await launch(tls=TRUST)
    stage.eu.discards = True
    stage.eu.take = lambda _: stage.eu.connections[-1].send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert await refused(stage, caplog)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_region_that_wants_a_certificate_gets_ours(launch: Launch, version: ssl.TLSVersion) -> None:
    context = wants_a_certificate(region_context())
    context.maximum_version = version
    stage = await launch(tls=IDENTIFY, served_with=context)
    assert (await stage.ask(GET)).status == 200
    shown = stage.eu.connections[0].transport.get_extra_info("peercert")
    assert ("DNS", "gateway.internal") in shown["subjectAltName"]


@contextlib.contextmanager
def by_hand(context: ssl.SSLContext, behind: bytes = b"") -> Iterator[int]:
    """The port of a region that takes one connection, whose records are made here: an alert goes out, as it does not
    from asyncio's own server, and what is said `behind` the handshake goes out together with its end.
    """
    received, encrypted = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(received, encrypted, server_side=True)

    def shaken() -> bool:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        if behind:
            tls.write(behind)
        return True

    def work() -> None:
        bare, _ = listener.accept()
        with bare, contextlib.suppress(OSError):
            over = False
            while data := bare.recv(65536):
                received.write(data)
                try:
                    over = over or shaken()
                finally:
                    bare.sendall(encrypted.read())

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as executor:
        worker = executor.submit(work)
        yield listener.getsockname()[1]
        worker.result()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_region_that_wants_a_certificate_and_gets_none_is_told_apart(
    launch: Launch, caplog: pytest.LogCaptureFixture, version: ssl.TLSVersion
) -> None:
    context = wants_a_certificate(region_context())
    context.maximum_version = version
    with by_hand(context) as port:
        stage = await launch(tls=TRUST, ports={"eu": port})
        assert await refused(stage, caplog)


async def test_a_region_that_leaves_in_the_handshake_without_a_word_has_refused_us(
    launch: Launch, caplog: pytest.LogCaptureFixture
) -> None:
    context = wants_a_certificate(region_context())
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    stage = await launch(tls=TRUST, served_with=context)
    assert await refused(stage, caplog)


async def test_http_1_1_is_what_is_negotiated(launch: Launch) -> None:
    stage = await launch(tls=TRUST, served_with=region_context(alpn=("h2", "http/1.1")))
    await stage.ask(GET)
    secured = stage.eu.connections[0].transport.get_extra_info("ssl_object")
    assert secured.selected_alpn_protocol() == "http/1.1"


async def test_a_region_that_negotiates_nothing_is_taken_to_speak_http_1_1(launch: Launch) -> None:
    stage = await launch(tls=TRUST, served_with=region_context(alpn=("h2",)))
    assert (await stage.ask(GET)).status == 200


async def test_a_handshake_that_is_never_answered_is_504(launch: Launch) -> None:
    stage = await launch(tls=TRUST, timeouts={"connect": 0.2})
    stage.eu.never_reads = True
    answer = await stage.ask(GET)
    assert (answer.status, json.loads(answer.body)["code"]) == (504, 9504)


async def test_a_connection_that_ends_in_the_handshake_is_502(launch: Launch) -> None:
    stage = await launch(tls=TRUST)
    stage.eu.closes_at_once = True
    assert (await stage.ask(GET)).status == 502


async def test_a_region_that_speaks_before_it_was_asked_is_not_asked(launch: Launch) -> None:
    context = region_context()
    # The region ends the handshake, and so can say something in the same breath.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with by_hand(context, behind=ok(b"evil")) as port:
        stage = await launch(tls=TRUST, ports={"eu": port}, timeouts={"first_byte": 0.5})
        answer = await stage.ask(GET)
        assert (answer.status, json.loads(answer.body)["code"]) == (502, 9502)


async def test_an_idle_connection_that_says_something_is_reset(launch: Launch) -> None:
    stage = await launch(tls=TRUST, served_with=region_context())
    client = await stage.client()
    await client.ask(GET)
    stage.eu.connections[0].send(ok(b"evil"))
    assert await stage.eu.connections[0].ended() == "reset"
    assert (await client.ask(GET)).body == b"eu"


async def test_an_idle_connection_that_the_region_closes_is_not_used_again(launch: Launch) -> None:
    stage = await launch(tls=TRUST, served_with=region_context())
    client = await stage.client()
    await client.ask(GET)
    stage.eu.connections[0].close()
    await stage.eu.connections[0].ended()
    assert (await client.ask(request("POST", path(), body=b"x"))).body == b"eu"
    assert len(stage.eu.connections) == 2


# --- how an answer ends


async def unfinished(stage: Stage, beginning: bytes) -> tuple[Any, OriginConnection]:
    async def begins(turn: Turn) -> None:
        turn.send(beginning)

    stage.eu.answers.append(begins)
    client = await stage.client()
    await client.send(GET)
    await client.receive_until(b"\r\nabc")
    return client, await stage.eu.connection()


async def test_a_close_notify_ends_an_answer_that_has_no_length(launch: Launch) -> None:
    stage = await launch(tls=TRUST, served_with=region_context())
    client, connection = await unfinished(stage, b"HTTP/1.1 200 OK\r\n\r\nabc")
    connection.send(b"def")
    connection.close()
    data, end = await client.read_to_end()
    assert (data, end) == (b"def", "fin")


async def test_a_bare_fin_that_anybody_could_have_sent_ends_no_answer(launch: Launch) -> None:
    stage = await launch(tls=TRUST, served_with=region_context())
    client, connection = await unfinished(stage, b"HTTP/1.1 200 OK\r\n\r\nabc")
    connection.transport.get_extra_info("socket").shutdown(socket.SHUT_WR)
    assert await client.read_to_end() == (b"", "reset")


async def test_a_close_notify_does_not_make_a_short_answer_whole(launch: Launch) -> None:
    stage = await launch(tls=TRUST, served_with=region_context())
    client, connection = await unfinished(stage, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    connection.close()
    assert (await client.read_to_end())[0] == b""


async def test_when_the_term_ends_an_upload_is_cut_by_a_reset(launch: Launch) -> None:
    stage = await launch(tls=TRUST, served_with=region_context())
    client = await stage.client()
    await client.send(request("POST", path(), "Content-Length: 1000") + b"first")
    seen = await stage.eu.head()
    await stage.eu.bell.until(lambda: seen.raw == b"first" or None)
    await stage.end_term()
    await client.send(b"never")
    assert (await client.answer()).status == 503
    assert await seen.connection.ended() == "reset"
    assert seen.raw == b"first"


# --- the connection for itself, on both loops


class CountingSocket(socket.socket):
    """Counts what the kernel has taken."""

    taken = 0

    def send(self, data: Any, flags: int = 0) -> int:
        sent = super().send(data, flags)
        self.taken += sent
        return sent


class Holder:
    """Uses a connection as long as it is allowed to."""

    def __init__(self) -> None:
        self.allowed = True
        self.asked = asyncio.Event()
        self.drained = asyncio.Event()

    def may_write(self) -> bool:
        self.asked.set()
        return self.allowed

    def answer_received(self, data: bytes) -> None:
        """Nothing is waited for."""

    def region_drained(self) -> None:
        self.drained.set()

    def region_finished(self) -> bool:
        return False

    def region_closed(self, clean: bool) -> None:
        """Its end is not waited for."""


class Homeless:
    """No pool."""

    def forget(self, upstream: Upstream) -> None:
        """It was never known."""


class Link:
    """A connection that was made by hand."""

    def __init__(self, origin: Origin, sock: CountingSocket, upstream: TlsUpstream) -> None:
        self.origin = origin
        self.sock = sock
        self.upstream = upstream


async def linked(context: ssl.SSLContext, *, served_with: ssl.SSLContext, reads: bool = True) -> Link:
    loop = asyncio.get_running_loop()
    origin = Origin("eu", served_with)
    origin.never_reads, origin.discards = not reads, True
    await origin.start()
    sock = CountingSocket()
    sock.setblocking(False)
    await loop.sock_connect(sock, ("127.0.0.1", origin.port))
    prepare_upstream(sock)
    where = model.Origin("https", "127.0.0.1", origin.port, REGION_NAME)
    upstream = TlsUpstream(where, Homeless(), loop, sock, context)
    await loop.create_connection(lambda: cast(asyncio.Protocol, upstream), sock=sock)
    return Link(origin, sock, upstream)


async def filled(ca: Path, user: User) -> Link:
    """A connection whose kernel takes no more."""
    link = await linked(client_context(TlsFiles(ca)), served_with=region_context(), reads=False)
    await link.upstream.secured()
    await link.origin.connection()
    link.upstream.attach(user)
    while not link.upstream.full:
        link.upstream.send(PIECE)
    return link


async def done(link: Link) -> None:
    link.upstream.abort()
    await link.origin.abandoned()
    await link.origin.stop()


async def lapses(ca: Path) -> None:
    user = Holder()
    link = await filled(ca, user)
    taken = link.sock.taken
    user.allowed = False
    link.origin.connections[0].transport.resume_reading()
    await user.asked.wait()
    link.upstream.send(PIECE)
    for _ in range(100):
        await asyncio.sleep(0)
    assert link.sock.taken == taken
    await done(link)


async def lives(ca: Path) -> None:
    user = Holder()
    link = await filled(ca, user)
    link.origin.connections[0].transport.resume_reading()
    await user.drained.wait()
    assert user.asked.is_set()
    assert not link.upstream.full
    await done(link)


async def is_cut(ca: Path) -> None:
    link = await linked(client_context(TlsFiles(ca)), served_with=region_context())
    await link.upstream.secured()
    connection = await link.origin.connection()
    taken = link.sock.taken
    link.upstream.abort()
    assert await connection.ended() == "reset"
    assert link.sock.taken == taken
    await done(link)


async def chooses_otherwise(ca: Path) -> None:
    context = client_context(TlsFiles(ca))
    context.set_alpn_protocols(["h2"])
    link = await linked(context, served_with=region_context(alpn=("h2",)))
    with pytest.raises(ssl.SSLError, match="h2 was chosen"):
        await link.upstream.secured()
    assert not link.upstream.usable
    await done(link)


def run(loop: str, main: Coroutine[Any, Any, None]) -> None:
    """Run `main` on a loop of its own, in a thread: the tests' loop stays as it is."""

    def work() -> None:
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            runner.run(asyncio.wait_for(main, PATIENCE))

    with ThreadPoolExecutor(1) as executor:
        executor.submit(work).result()


@pytest.mark.parametrize("loop", LOOPS)
def test_what_the_kernel_has_not_taken_is_not_sent_when_the_lease_has_lapsed(loop: str, ca: Path) -> None:
    run(loop, lapses(ca))


@pytest.mark.parametrize("loop", LOOPS)
def test_what_the_kernel_has_not_taken_goes_out_after_the_lease_was_asked_again(loop: str, ca: Path) -> None:
    run(loop, lives(ca))


@pytest.mark.parametrize("loop", LOOPS)
def test_a_cut_sends_no_close_notify(loop: str, ca: Path) -> None:
    run(loop, is_cut(ca))


@pytest.mark.parametrize("loop", LOOPS)
def test_a_region_that_chooses_another_protocol_is_refused(loop: str, ca: Path) -> None:
    run(loop, chooses_otherwise(ca))


async def test_connections_are_shared_only_if_name_and_certificates_are_the_same(ca: Path, folder: Path) -> None:
    pools = Pools(GatewayOptions(), asyncio.get_running_loop().time)

    def pool(name: str, files: TlsFiles) -> object:
        origin = model.Origin("https", "127.0.0.1", 443, name, files)
        return pools.of(Endpoint(origin, PublicUrl("https", name, name), b""))

    trusting, showing = TlsFiles(ca), TlsFiles(ca, folder / "gw.pem", folder / "gw.key")
    assert pool("a", trusting) is pool("a", trusting)
    assert len({pool("a", trusting), pool("b", trusting), pool("a", showing), pool("a", TlsFiles())}) == 4
    await pools.close()
