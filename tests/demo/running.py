"""A demo in a process of its own, and how tests talk to it: raw bytes in, parsed answers out."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = [sys.executable, "-m", "router", "demo"]
W = "64a687e29ae1f428e7ebe"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        content = json.loads(self.body)
        assert isinstance(content, dict)
        return content


@dataclass(frozen=True)
class Demo:
    """A running demo. `folder` is the only place where it may put its temporary folder."""

    process: subprocess.Popen[str]
    folder: Path
    lines: tuple[str, ...]

    @property
    def port(self) -> int:
        return self._port_behind("gateway")

    @property
    def ops_port(self) -> int:
        return self._port_behind("ops")

    @property
    def configuration(self) -> Path:
        (path,) = self.folder.glob("*/router.toml")
        return path

    @property
    def commands(self) -> tuple[str, ...]:
        """What the tour says is to be pasted."""
        return tuple(line for at, line in enumerate(self.lines) if at and self.lines[at - 1].startswith("# "))

    def get(self, target: str, **fields: str) -> Answer:
        return self.ask("GET", target, **fields)

    def ask(self, method: str, target: str, **fields: str) -> Answer:
        """Send raw bytes: no client tidies the target up on its way."""
        with self.connected() as connection:
            lines = {"Host": f"127.0.0.1:{self.port}"} | {name.replace("_", "-"): text for name, text in fields.items()}
            head = "".join(f"{name}: {text}\r\n" for name, text in lines.items())
            connection.sendall(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode())
            return answer_on(connection, method)

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            yield connection

    def ops(self, target: str) -> Answer:
        with socket.create_connection(("127.0.0.1", self.ops_port), timeout=30) as connection:
            connection.sendall(f"GET {target} HTTP/1.1\r\nHost: ops\r\n\r\n".encode())
            return answer_on(connection, "GET")

    def count(self, decision: str) -> float:
        """How many requests were decided so."""
        return self._sum(rf'router_requests_total{{.*decision="{decision}".*}}')

    def in_flight(self) -> float:
        """How many requests are at a region."""
        return self._sum(r"router_requests_in_flight{.*}")

    def memory(self, name: str) -> int:
        """kB, as the kernel counts them under `name`."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
        assert found is not None
        return int(found[1])

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal, wait for the end. Gives the exit code and what was said on stderr."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=30)
        return self.process.returncode, said

    def _sum(self, metric: str) -> float:
        lines = re.findall(rf"^{metric} (\S+)$", self.ops("/metrics").body.decode(), re.MULTILINE)
        return sum(float(value) for value in lines)

    def _port_behind(self, word: str) -> int:
        (line,) = (line for line in self.lines if line.split()[:1] == [word])
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        assert found is not None
        return int(found[1])


def answer_on(connection: socket.socket, method: str) -> Answer:
    response = http.client.HTTPResponse(connection, method=method)
    response.begin()
    return Answer(response.status, {name.lower(): text for name, text in response.getheaders()}, response.read())


def spawn(folder: Path, *options: str, **environ: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder), **environ},
    )


@contextmanager
def running_demo(folder: Path, **environ: str) -> Iterator[Demo]:
    with spawn(folder, "--port", "0", "--ops-port", "0", **environ) as process:
        try:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line.rstrip("\n"))
                if line.startswith("Ctrl-C ends"):
                    break
            else:
                pytest.fail(f"the demo ended before its tour: {process.communicate()[1]}")
            yield Demo(process, folder, tuple(lines))
        finally:
            process.kill()
