"""`serve` and `healthcheck`: real processes; and `resolve` says what the gateway that serves then does."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.cli.conftest import W1, W2, W3

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.conftest import Place, Program


class Serving(NamedTuple):
    """A gateway process and where it listens."""

    process: subprocess.Popen[str]
    listen: str
    ops_listen: str


@contextmanager
def serving(place: Place, *options: str) -> Iterator[Serving]:
    place.configure('listen = ["127.0.0.1:8080"]', 'listen = ["127.0.0.1:0"]\ndrain_delay = 0.0')
    place.configure('listen = ["127.0.0.1:9090"]', 'listen = ["127.0.0.1:0"]')
    command = [sys.executable, "-m", "router", "serve", "--config", str(place.config), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            seen = []
            for line in process.stderr:
                seen.append(line)
                if found := re.search(r"listening on (\S+), ops on (\S+)", line):
                    yield Serving(process, found[1], found[2])
                    return
            pytest.fail(f"it did not listen: {seen}")
        finally:
            process.kill()


def wait_until_ready(program: Program, gateway: Serving) -> None:
    give_up = monotonic() + 20
    while program("healthcheck", "--url", f"http://{gateway.ops_listen}/readyz").code:
        assert monotonic() < give_up


class EchoingRegion(BaseHTTPRequestHandler):
    """Answers with the request line and the Host that reached it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps({"request_line": self.requestline, "host": self.headers["Host"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the base class names it
        """Quiet."""


@pytest.fixture(scope="module")
def region() -> Iterator[str]:
    """One origin that stands for all regions."""
    with ThreadingHTTPServer(("127.0.0.1", 0), EchoingRegion) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


# --- serve


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_serve_with_exit_code_0(program: Program, place: Place, number: signal.Signals) -> None:
    with serving(place) as gateway:
        assert program("healthcheck", "--url", f"http://{gateway.ops_listen}/livez").code == 0
        gateway.process.send_signal(number)
        assert gateway.process.wait(20) == 0


def test_serve_logs_the_warnings_of_its_configuration(place: Place) -> None:
    place.configure('listen = ["127.0.0.1:8080"]', 'listen = ["127.0.0.1:0"]')
    place.configure('listen = ["127.0.0.1:9090"]', 'listen = ["127.0.0.1:0"]')
    command = [sys.executable, "-m", "router", "serve", "--config", str(place.config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        process.kill()
    assert " WARNING router.cli.serving configuration: services.app.action: " in first


def test_serve_runs_without_a_directory(program: Program, place: Place) -> None:
    place.database.unlink()
    with serving(place) as gateway:
        assert program("healthcheck", "--url", f"http://{gateway.ops_listen}/livez").code == 0


@pytest.mark.parametrize("setting", ["127.0.0.1:8080", "127.0.0.1:9090"])
def test_an_address_in_use_is_one_line_and_exit_code_2(place: Place, setting: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        for other in ("127.0.0.1:8080", "127.0.0.1:9090"):
            place.configure(other, f"127.0.0.1:{port}" if other == setting else "127.0.0.1:0")
        command = [sys.executable, "-m", "router", "serve", "--config", str(place.config), "--log-level", "error"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert line.startswith("error: ")
    assert f"{port}" in line
    assert "in use; mend: stop what listens there, or change gateway.listen or ops.listen" in line


def test_a_broken_configuration_does_not_serve(place: Place) -> None:
    place.configure('home = "global"', 'home = "mars"')
    command = [sys.executable, "-m", "router", "serve", "--config", str(place.config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: policy.home: ")


# --- healthcheck


def test_a_ready_gateway_is_healthy(program: Program, populated: Place) -> None:
    with serving(populated) as gateway:
        wait_until_ready(program, gateway)
        ran = program("healthcheck", "--url", f"http://{gateway.ops_listen}/readyz")
    assert (ran.code, ran.out, ran.err) == (0, "healthy\n", "")


def test_a_gateway_that_is_not_ready_is_unhealthy_and_says_why(program: Program, place: Place) -> None:
    with serving(place) as gateway:
        ran = program("healthcheck", "--url", f"http://{gateway.ops_listen}/readyz")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("unhealthy: 503 ")
    assert "the directory is not opened" in ran.err


def test_nobody_there_is_unhealthy(program: Program) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    ran = program("healthcheck", "--url", f"http://127.0.0.1:{port}/livez")
    assert (ran.code, ran.err[:21]) == (1, "unhealthy: no answer ")


def test_somebody_who_never_answers_is_unhealthy(program: Program) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/livez"
        ran = program("healthcheck", "--url", url, "--timeout", "0.2")
    assert (ran.code, ran.err) == (1, "unhealthy: no answer (timed out)\n")


def test_a_proxy_of_the_environment_is_not_asked(
    program: Program, region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert program("healthcheck", "--url", region).code == 0


@pytest.mark.parametrize(
    "url", ["", "nonsense", "ftp://127.0.0.1/", "http://", "http://a:b/", "http://a/b c", "http://[/"]
)
def test_what_is_no_url_is_a_wrong_command_line(program: Program, url: str) -> None:
    ran = program("healthcheck", "--url", url)
    assert (ran.code, ran.errors) == (
        2,
        ["--url: is not an http or https URL; mend: write it like http://127.0.0.1:9090/readyz"],
    )


# --- resolve against the gateway itself

REQUESTS = [
    ("clockify.me", f"/api/v1/workspaces/{W1}/projects"),
    ("clockify.me", f"/api/v1/workspaces/{W2}/projects"),
    ("clockify.me", f"/api/workspaces/{W2}/"),
    ("clockify.me", f"/api/v1/workspaces/{W3}"),
    ("reports.api.clockify.me", f"/v1/workspaces/{W2}/reports"),
    ("reports.api.clockify.me", f"/v1/workspaces/{W1}/reports"),
    ("acme.clockify.me", "/api/v1/user"),
    ("app.clockify.me", f"/workspaces/{W2}/tracker"),
    ("app.clockify.me", f"/workspaces/{W1}/tracker"),
    ("acme.clockify.me", f"/api/v1/workspaces/{W1}"),
    ("clockify.me", f"/api/v1/workspaces/{W2}/%2e%2e/{W3}"),
    ("clockify.me", "/api/v1/user"),
    ("euc1.clockify.me", "/api/v1/user"),
    ("evil.example", "/api/v1/user"),
    ("api.clockify.me", "/other"),
]


def test_resolve_says_what_the_gateway_does(program: Program, populated: Place, region: str) -> None:
    text = populated.config.read_text("utf-8")
    populated.config.write_text(re.sub(r"https://[a-z0-9.]+\.internal:8443", region, text), "utf-8")
    program("transfer", "start", W3, "--to", "uk")
    with serving(populated) as gateway:
        wait_until_ready(program, gateway)
        with closing(http.client.HTTPConnection(gateway.listen, timeout=20)) as client:
            done = {(host, path): answered(client, host, path) for host, path in REQUESTS}
    said = {(host, path): resolved(program, host, path) for host, path in REQUESTS}
    assert said == done


def answered(client: http.client.HTTPConnection, host: str, path: str) -> dict[str, object]:
    client.request("GET", path, headers={"Host": host})
    answer = client.getresponse()
    body = answer.read()
    if answer.status == 200:
        loaded: dict[str, object] = json.loads(body)
        return loaded
    return {"status": answer.status, "location": answer.headers["Location"]}


def resolved(program: Program, host: str, path: str) -> dict[str, object]:
    said = program("resolve", f"http://{host}{path}", "--json").object
    names = ("request_line", "host") if said["decision"] == "proxy" else ("status", "location")
    return {name: said[name] for name in names}
