"""Listening sockets: opened before anything else is started, all or none, and closed last.

Theory. A socket that is bound and listens keeps who connects waiting, whether or not a process accepts. So the sockets
are opened by whoever starts the process that serves, which may die and be replaced without anybody being turned away.
Several processes get a socket each for every TCP address (`SO_REUSEPORT`): the kernel deals connections out evenly,
where processes that share one would race for it. They share the one of a UNIX socket, which has no such thing.

The law of the room: an address that somebody else has is an error, never shared by accident; a socket's file is never
open to more than it will be, and goes with its listener.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from router.gateway.sites import BACKLOG
from router.settings.grammar import SocketFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from router.settings.grammar import Address
    from router.settings.values import Settings


_SocketAddress: TypeAlias = "tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]"


class Doors(NamedTuple):
    """What one process's gateway listens on."""

    plain: tuple[socket.socket, ...]
    tls: tuple[socket.socket, ...]


@contextlib.contextmanager
def own_doors(settings: Settings) -> Iterator[Doors]:
    """The sockets of a gateway that is alone, until the block ends. Raises as `opened`."""
    with own_sockets(settings.listen) as plain, own_sockets(settings.serving.tls_listen) as tls:
        yield Doors(plain, tls)


@contextlib.contextmanager
def shared_doors(settings: Settings, processes: int) -> Iterator[tuple[Doors, ...]]:
    """The sockets of several gateways that share their addresses, until the block ends. Raises as `opened`."""
    with (
        opened(settings.listen, processes=processes) as plain,
        opened(settings.serving.tls_listen, processes=processes) as tls,
    ):
        yield tuple(
            Doors(tuple(group[number] for group in plain), tuple(group[number] for group in tls))
            for number in range(processes)
        )


@contextlib.contextmanager
def own_sockets(listeners: Iterable[Address | SocketFile]) -> Iterator[tuple[socket.socket, ...]]:
    """A socket for each listener and address, until the block ends. Raises as `opened`."""
    with opened(listeners) as groups:
        yield tuple(sock for (sock,) in groups)


@contextlib.contextmanager
def opened(
    listeners: Iterable[Address | SocketFile], *, processes: int = 1
) -> Iterator[tuple[tuple[socket.socket, ...], ...]]:
    """For each listener (for each of its addresses, where a name has several) the sockets of all `processes`, until
    the block ends. Raises `OSError` whose `filename` is the listener.
    """
    with contextlib.ExitStack() as stack:
        groups = []
        for listener in listeners:
            with _naming(listener):
                if isinstance(listener, SocketFile):
                    groups.append((stack.enter_context(_socket_file(listener)),) * processes)
                else:
                    groups += [_tcp(stack, *info, processes) for info in _addresses_of(listener)]
        yield tuple(groups)


def show(sock: socket.socket) -> str:
    """Where `sock` listens: `host:port`, IPv6 in brackets, or `unix:/path`."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{name}"
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@contextlib.contextmanager
def _naming(listener: Address | SocketFile) -> Iterator[None]:
    try:
        yield
    except socket.gaierror as error:
        raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL), str(listener)) from error
    except OSError as error:
        number = error.errno or errno.EIO
        raise OSError(number, os.strerror(number), str(listener)) from error


def _addresses_of(listener: Address) -> list[tuple[int, _SocketAddress]]:
    """Family and address, each once."""
    infos = socket.getaddrinfo(listener.host, listener.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, address) for family, _, _, _, address in infos))


def _tcp(
    stack: contextlib.ExitStack, family: int, address: _SocketAddress, processes: int
) -> tuple[socket.socket, ...]:
    if processes > 1:
        # Whoever listens there already may share its address too: found out by not sharing ours.
        with _bound(family, address, shared=False) as probe:
            probe.listen()
    first = stack.enter_context(_bound(family, address, shared=processes > 1))
    sockets = (
        first,
        *(stack.enter_context(_bound(family, first.getsockname(), shared=True)) for _ in range(processes - 1)),
    )
    # Not before all are bound: a port of the kernel's choice could be somebody else's in between.
    for sock in sockets:
        sock.listen(BACKLOG)
    return sockets


def _bound(family: int, address: _SocketAddress, *, shared: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # `[::]` is all of IPv6 and no more: who wants both lists both.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock


@contextlib.contextmanager
def _socket_file(listener: SocketFile) -> Iterator[socket.socket]:
    path = Path(listener.path)
    _remove_stale(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        before = os.umask(0o777)
        try:
            sock.bind(listener.path)
        finally:
            os.umask(before)
        made = path.lstat()
        try:
            path.chmod(listener.mode)
            sock.listen(BACKLOG)
            yield sock
        finally:
            _remove(path, made)


def _remove_stale(path: Path) -> None:
    """Remove the socket that a process which was killed has left. Raises `OSError` if it is anything else."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except BlockingIOError:
            pass  # somebody listens, whose queue is full
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), str(path))


def _remove(path: Path, made: os.stat_result) -> None:
    """Remove the file unless it is another one by now."""
    with contextlib.suppress(OSError):
        found = path.lstat()
        if (found.st_dev, found.st_ino) == (made.st_dev, made.st_ino):
            path.unlink()
