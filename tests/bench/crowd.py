"""Many idle connections: each is opened, used once, and then kept.

    python -m tests.bench.crowd PORT CONNECTIONS WORKSPACE

Says `open` when all are there; at the end of its input it says how many still are, and ends.
"""

from __future__ import annotations

import http.client
import resource
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import socket

_SPARE_DESCRIPTORS: Final = 1000


def raise_descriptor_limit(needed: int) -> str | None:
    """Let this process and its children open `needed` connections. What forbids it, in one line, or `None`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = needed + _SPARE_DESCRIPTORS
    if hard != resource.RLIM_INFINITY and hard < wanted:
        return f"{needed} connections need a limit of {wanted} open files, and the most that may be set here is {hard}"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    return None


def join(port: int, workspace: str) -> socket.socket:
    """A connection that has had one answer, and is kept. Raises `OSError`, `http.client.HTTPException`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    path = f"/api/v1/workspaces/{workspace}/projects"
    connection.request("GET", path, headers={"Host": "api.clockify.me", "Accept": "application/json"})
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200 or connection.sock is None:
        raise OSError(
            f"the answer was {answer.status}, and the connection is {'kept' if connection.sock else 'closed'}"
        )
    kept: socket.socket = connection.sock
    return kept


def is_open(connection: socket.socket) -> bool:
    """Whether the other side has kept the connection, too."""
    connection.setblocking(False)
    try:
        return bool(connection.recv(1))
    except BlockingIOError:
        return True
    except OSError:
        return False


def main(port: int, count: int, workspace: str) -> None:
    """See the top of this file."""
    problem = raise_descriptor_limit(count)
    if problem is not None:
        sys.exit(problem)
    crowd = [join(port, workspace) for _ in range(count)]
    print("open", flush=True)
    sys.stdin.read()
    print(sum(map(is_open, crowd)), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
