"""What the compose file starts, without an engine: its commands on a real PostgreSQL, asked as its head says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from tests.deploy.composition import COMPOSE, GATEWAYS, REGIONS, command_lines, composition
from tests.deploy.gateways import Addresses, addresses_of, wait_until_ready
from tests.deploy.places import DEPLOY, read_yaml, run
from tests.postgres_server import on_shared, url_of
from tests.programs import require_program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)

SHOWN = re.findall(
    r"^#   curl -s 127\.0\.0\.1:(\d+)(\S+) +# by (\S+), from the region (\w+)$", COMPOSE.read_text(), re.M
)
"""Published port, target, gateway, region: what the head of the file tells people to try."""


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    services: dict[str, dict[str, Any]] = composition()["services"]
    return services


@pytest.fixture(scope="module")
def database() -> str:
    name = f"composed_{uuid4().hex}"
    on_shared(f"CREATE DATABASE {name}")
    return url_of(name)


@pytest.fixture(scope="module")
def composed(
    services: dict[str, dict[str, Any]], database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Addresses]]:
    """The addresses of the gateways, by the names of their services."""
    folder = tmp_path_factory.mktemp("composed")
    (folder / "url").write_text(database)
    with ExitStack() as stack:
        config = write_config(folder, [stack.enter_context(region(services[name])) for name in REGIONS])
        for words in command_lines(services["directory"]):
            here = [word.replace("/etc/region-router/", f"{DEPLOY}/compose/") for word in words]
            done = run(sys.executable, "-m", "router", *here, env=variables(services["directory"], folder, config))
            assert done.returncode == 0, done.stderr
        yield {name: stack.enter_context(gateway(services[name], folder, config)) for name in GATEWAYS}


def write_config(folder: Path, ports: list[int]) -> Path:
    """The shipped configuration, with the regions where they are here."""
    text = (DEPLOY / "compose" / "router.toml").read_text("utf-8")
    for name, port in zip(REGIONS, ports, strict=True):
        assert text.count(f"http://{name}:9100") == 1
        text = text.replace(f"http://{name}:9100", f"http://127.0.0.1:{port}")
    config = folder / "router.toml"
    config.write_text(text, "utf-8")
    return config


def variables(service: dict[str, Any], folder: Path, config: Path) -> dict[str, str]:
    """What the service is given, with the places and ports of this machine."""
    here = {
        "/run/secrets/directory-url": str(folder / "url"),
        "/var/lib/region-router/locks": str(folder / f"locks-{service.get('hostname')}"),
    }
    given = {name: here.get(value, value) for name, value in service["environment"].items()}
    return given | {
        "PATH": os.environ["PATH"],
        "REGION_ROUTER_CONFIG": str(config),
        "REGION_ROUTER__GATEWAY__LISTEN": "127.0.0.1:0",
        "REGION_ROUTER__OPS__LISTEN": "127.0.0.1:0",
    }


@contextmanager
def region(service: dict[str, Any]) -> Iterator[int]:
    script = DEPLOY / "compose" / "region.py"
    name = service["command"][0]
    with subprocess.Popen([sys.executable, script, name, "0"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"listens on (\d+)", process.stdout.readline())
            assert found is not None
            yield int(found[1])
        finally:
            process.kill()


@contextmanager
def gateway(service: dict[str, Any], folder: Path, config: Path) -> Iterator[Addresses]:
    command = [sys.executable, "-m", "router", *service["command"]]
    env = variables(service, folder, config)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as process:
        try:
            addresses = addresses_of(process)
            wait_until_ready(addresses, process)
            yield addresses
        finally:
            # Workers go with whoever supervises them.
            process.terminate()
            process.communicate(timeout=60)


def test_the_head_shows_every_gateway() -> None:
    published = {name: read_yaml(COMPOSE)["services"][name]["ports"][0].split(":")[1] for name in GATEWAYS}
    assert {name: port for port, _, name, _ in SHOWN} == published


@pytest.mark.parametrize(("port", "target", "name", "region"), SHOWN, ids=[shown[2] for shown in SHOWN])
def test_what_the_head_of_the_file_shows_is_so(
    composed: Mapping[str, Addresses], port: str, target: str, name: str, region: str
) -> None:
    command = [require_program("curl"), "-s", f"127.0.0.1:{composed[name].listen}{target}"]
    assert json.loads(run(*command).stdout)["region"] == region


def test_both_gateways_are_registered_with_one_directory(
    composed: Mapping[str, Addresses], services: dict[str, dict[str, Any]], database: str, tmp_path: Path
) -> None:
    (tmp_path / "url").write_text(database)
    config = DEPLOY / "compose" / "router.toml"
    env = variables(services["control"], tmp_path, config)
    done = run(sys.executable, "-m", "router", "gateway", "list", "--json", env=env)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= len(composed)
