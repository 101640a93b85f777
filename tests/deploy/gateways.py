"""Gateway processes beside a demo's own: on its directory, in front of its regions, configured as a test wants them."""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.demo.running import answer_on
from tests.deploy.places import run, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.demo.running import Answer


class Addresses(NamedTuple):
    """Ports of one gateway."""

    listen: int
    ops: int


@dataclass(frozen=True)
class Gateway:
    """A running `serve`."""

    process: subprocess.Popen[str]
    at: Addresses

    def get(self, target: str, host: str = "127.0.0.1") -> Answer:
        return _get(self.at.listen, target, host)

    def metrics(self) -> str:
        return _get(self.at.ops, "/metrics", "ops").body.decode()


@contextmanager
def gateway_beside(demonstrated: Path, name: str, *options: str, settings: str = "") -> Iterator[Gateway]:
    """A gateway that is ready, by the demo's configuration at `demonstrated` with `settings` added to `[gateway]`."""
    command = serve_beside(demonstrated, name, *options, settings=settings)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            gateway = Gateway(process, addresses_of(process))
            wait_until_ready(gateway.at, process)
            yield gateway
        finally:
            # Workers go with whoever supervises them.
            process.terminate()
            try:
                process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()


def serve_beside(demonstrated: Path, name: str, *options: str, settings: str = "") -> list[str]:
    """The command of such a gateway."""
    text = re.sub(r'listen = \["127\.0\.0\.1:\d+"\]', 'listen = ["127.0.0.1:0"]', demonstrated.read_text("utf-8"))
    config = demonstrated.with_name(f"{name}.toml")
    config.write_text(set_once(text, {"[gateway]\n": f"[gateway]\n{settings}\n"}), "utf-8")
    return [sys.executable, "-m", "router", "serve", "--config", str(config), *options]


def addresses_of(process: subprocess.Popen[str]) -> Addresses:
    """Where a gateway says that it listens."""
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if found := re.search(r"listening on \S+:(\d+), ops on \S+:(\d+)", line):
            return Addresses(int(found[1]), int(found[2]))
    pytest.fail(f"the gateway did not listen: {seen}")


def wait_until_ready(at: Addresses, process: subprocess.Popen[str]) -> None:
    ready = (sys.executable, "-m", "router", "healthcheck", "--url", f"http://127.0.0.1:{at.ops}/readyz")
    until(lambda: run(*ready).returncode == 0, process, "a gateway to be ready")


def set_once(text: str, changes: dict[str, str]) -> str:
    """`text` with each of `changes` made, which has to fit exactly once: the rest is tested as it is shipped."""
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def _get(port: int, target: str, host: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.connect()
        # By hand: no client tidies the target up on its way.
        connection.send(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return answer_on(connection.sock, "GET")
    finally:
        connection.close()
