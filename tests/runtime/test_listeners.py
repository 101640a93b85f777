"""Listeners: lists of TCP addresses and UNIX sockets, each opened alone or not at all."""

from __future__ import annotations

import asyncio
import errno
import socket
import stat
from typing import TYPE_CHECKING

import pytest

from router.runtime.listeners import opened, show
from router.settings.grammar import Address, SocketFile
from tests.gateway.origin import ok
from tests.gateway.stage import GET
from tests.gateway.wire import Client

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gateway.conftest import Launch
    from tests.gateway.origin import Turn

LOOPBACK = Address("127.0.0.1", 0)


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")


def port_of(sock: socket.socket) -> int:
    port = sock.getsockname()[1]
    assert isinstance(port, int)
    return port


def connect_to(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(str(path))
    return sock


# --- TCP


def test_an_address_that_somebody_listens_on_is_refused_by_name() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wanted = Address("127.0.0.1", port_of(taken))
        with pytest.raises(OSError, match="in use") as refusal, opened([LOOPBACK, wanted]):
            pass
    assert (refusal.value.errno, refusal.value.filename) == (errno.EADDRINUSE, str(wanted))


def test_an_address_that_somebody_shares_is_refused_to_several_processes_too() -> None:
    with opened([LOOPBACK], processes=2) as (theirs,):
        wanted = Address("127.0.0.1", port_of(theirs[0]))
        with pytest.raises(OSError, match="in use"), opened([wanted], processes=2):
            pass


def test_several_processes_have_a_socket_each_on_one_port() -> None:
    with opened([LOOPBACK], processes=3) as (sockets,):
        assert len({sock.fileno() for sock in sockets}) == 3
        assert len({sock.getsockname() for sock in sockets}) == 1


@needs_ipv6
def test_all_of_ipv4_and_all_of_ipv6_can_have_the_same_port() -> None:
    with opened([Address("0.0.0.0", 0)]) as ((v4,),), opened([Address("::", port_of(v4))]) as ((v6,),):
        assert show(v6) == f"[::]:{port_of(v4)}"


def test_a_name_that_does_not_resolve_is_refused_by_name() -> None:
    with pytest.raises(OSError) as refusal, opened([Address("nowhere.invalid", 0)]):
        pass
    assert (refusal.value.errno, refusal.value.filename) == (errno.EADDRNOTAVAIL, "nowhere.invalid:0")


# --- UNIX sockets


def test_a_sockets_file_has_the_rights_that_were_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    with opened([SocketFile(str(path), 0o640)]):
        assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_sockets_file_goes_with_its_listener(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    with opened([SocketFile(str(path), 0o660)]):
        assert path.is_socket()
    assert not path.exists()


def test_a_socket_that_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with opened([SocketFile(str(path), 0o660)]):
        connect_to(path).close()


def test_a_socket_that_somebody_listens_on_is_not_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    with opened([SocketFile(str(path), 0o660)]):
        with pytest.raises(OSError) as refusal, opened([SocketFile(str(path), 0o660)]):
            pass
        connect_to(path).close()
    assert (refusal.value.errno, refusal.value.filename) == (errno.EADDRINUSE, f"unix:{path}")


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    path.write_text("precious")
    with pytest.raises(OSError) as refusal, opened([SocketFile(str(path), 0o660)]):
        pass
    assert refusal.value.errno == errno.EEXIST
    assert path.read_text() == "precious"


def test_several_processes_share_the_socket_of_a_file(tmp_path: Path) -> None:
    with opened([SocketFile(str(tmp_path / "gateway.sock"), 0o660)], processes=2) as ((one, other),):
        assert one is other


# --- the gateway behind them


async def connected(path: Path) -> Client:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, str(path))
    return Client(sock)


async def silence(turn: Turn) -> None:
    """No answer at all."""


async def test_a_gateway_answers_on_every_listener_of_its_list(launch: Launch, folder: Path) -> None:
    path = folder / "gateway.sock"
    stage = await launch(listen=f'["127.0.0.1:0", "unix:{path}", "127.0.0.1:0"]')
    first, unix, last = stage.process.listen
    assert unix == f"unix:{path}"
    for address in (first, last):
        host, _, port = address.rpartition(":")
        client = await Client.connect((host, int(port)))
        stage.clients.append(client)
        assert (await client.ask(GET)).status == 200
    client = await connected(path)
    stage.clients.append(client)
    assert (await client.ask(GET)).status == 200


async def test_a_proxy_behind_a_unix_socket_is_believed_and_not_named(launch: Launch, folder: Path) -> None:
    path = folder / "gateway.sock"
    stage = await launch(listen=f'["unix:{path}"]')
    client = await connected(path)
    stage.clients.append(client)
    claims = b"X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n\r\n"
    assert (await client.ask(GET[:-2] + claims)).status == 200
    assert (await client.ask(GET)).status == 200
    told, untold = await stage.eu.request(0), await stage.eu.request(1)
    assert (told.values(b"X-Forwarded-For"), told.values(b"X-Forwarded-Proto")) == ([b"203.0.113.7"], [b"https"])
    assert (untold.values(b"X-Forwarded-For"), untold.values(b"X-Forwarded-Proto")) == ([b"unknown"], [b"http"])


async def test_a_connection_by_a_unix_socket_lives_through_the_sweeps(launch: Launch, folder: Path) -> None:
    path = folder / "gateway.sock"
    stage = await launch(listen=f'["unix:{path}"]')
    released = asyncio.Event()

    async def held(turn: Turn) -> None:
        await released.wait()
        turn.send(ok(b"late"))

    stage.eu.answers.append(held)
    client = await connected(path)
    stage.clients.append(client)
    await client.send(GET + GET)  # the second one is held, and a held connection is looked at
    await stage.eu.head()
    swept = stage.gateway.now
    await stage.until(lambda: stage.gateway.now > swept + 0.6)
    released.set()
    assert (await client.answer()).body == b"late"


async def test_a_client_that_leaves_a_unix_socket_while_it_is_held_is_noticed(launch: Launch, folder: Path) -> None:
    path = folder / "gateway.sock"
    stage = await launch(listen=f'["unix:{path}"]')
    stage.eu.answers.append(silence)
    client = await connected(path)
    await client.send(GET + GET)
    await stage.eu.head()
    client.close()
    await stage.until(lambda: not stage.gateway.connections)


async def test_one_connection_more_than_the_process_may_have_is_reset(launch: Launch) -> None:
    stage = await launch(limits={"max_connections": 2})
    kept = [await stage.client(), await stage.client()]
    for client in kept:
        assert (await client.ask(GET)).status == 200
    one_more = await stage.client()
    assert (await one_more.read_to_end()) == (b"", "reset")
    for client in kept:
        assert (await client.ask(GET)).status == 200
