"""A proxy of `deploy/` as it is shipped, in front of two real gateways, in front of the demo's regions."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.bench.processes import free_ports
from tests.certificates import write_authority, write_identity
from tests.demo.running import running_demo
from tests.deploy.gateways import gateway_beside
from tests.deploy.places import until
from tests.programs import require_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.deploy.gateways import Addresses, Gateway

HOST = "api.clockify.me"


@dataclass(frozen=True)
class Setting:
    """What a proxy is configured for: where it listens, its certificate, and the gateways behind it."""

    folder: Path
    port: int
    cert: Path
    key: Path
    gateways: tuple[Addresses, Addresses]


@dataclass(frozen=True)
class Answer:
    version: str
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        content = json.loads(self.body)
        assert isinstance(content, dict)
        return content


@dataclass(frozen=True)
class Front:
    """A running proxy, and the gateway processes behind it."""

    setting: Setting
    gateways: tuple[Gateway, Gateway]

    def ask(self, target: str, *options: str, stdin: bytes = b"") -> Answer:
        """By curl, over TLS, with HTTP/2 unless an option says otherwise."""
        body = self.setting.folder / "body"
        port = self.setting.port
        command = [
            require_program("curl"),
            "--silent",
            "--show-error",
            "--path-as-is",
            "--http2",
            "--max-time",
            "30",
            "--cacert",
            str(self.setting.folder / "ca.pem"),
            "--resolve",
            f"{HOST}:{port}:127.0.0.1",
            "--dump-header",
            "-",
            "--output",
            str(body),
            *options,
            f"https://{HOST}:{port}{target}",
        ]  # fmt: skip - a command reads as one
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=50, check=False)
        assert done.returncode == 0, done.stderr.decode()
        # The last block: interim answers come before it.
        block = done.stdout.decode().strip().split("\r\n\r\n")[-1].splitlines()
        _, version, status = re.split(r"HTTP/(\S+) (\d+)", block[0])[:3]
        fields = (line.partition(":") for line in block[1:])
        headers = {name.lower(): value.strip() for name, _, value in fields}
        return Answer(version, int(status), headers, body.read_bytes())

    def requests(self, decision: str) -> float:
        """How many requests the gateways decided so."""
        shown = "".join(gateway.metrics() for gateway in self.gateways)
        lines = re.findall(rf'^router_requests_total{{.*decision="{decision}".*}} (\S+)$', shown, re.MULTILINE)
        return sum(float(value) for value in lines)


@contextmanager
def running_front(folder: Path, command: Callable[[Setting], list[str | Path]]) -> Iterator[Front]:
    """`command` writes the proxy's configuration and says how it is started."""
    with ExitStack() as stack:
        demo = stack.enter_context(running_demo(folder))
        trusting = 'trusted_proxies = ["127.0.0.1/32"]'
        first, second = (
            stack.enter_context(gateway_beside(demo.configuration, f"behind-{number}", settings=trusting))
            for number in (1, 2)
        )
        write_authority(folder / "ca.pem")
        write_identity(folder / "tls.crt", folder / "tls.key", HOST)
        [port] = free_ports(1)
        setting = Setting(folder, port, folder / "tls.crt", folder / "tls.key", (first.at, second.at))
        log = stack.enter_context((folder / "proxy.log").open("wb"))
        proxy = stack.enter_context(subprocess.Popen(command(setting), stdout=log, stderr=subprocess.STDOUT))
        stack.callback(proxy.kill)
        until(lambda: _listens(port), proxy, "the proxy to listen", folder / "proxy.log")
        yield Front(setting, (first, second))


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
