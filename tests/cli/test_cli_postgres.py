"""The whole program on a directory in PostgreSQL."""

from __future__ import annotations

import http.client
import threading
from contextlib import closing
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from router.directory.migrate import migrations
from tests.cli.conftest import W1, W2, Place
from tests.cli.test_cli_serve import EchoingRegion, serving, wait_until_ready
from tests.postgres_server import on_shared, url_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import Program


@pytest.fixture(scope="module")
def region() -> Iterator[str]:
    """An origin."""
    with ThreadingHTTPServer(("127.0.0.1", 0), EchoingRegion) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def database() -> Iterator[str]:
    """A database with nothing in it: its URL."""
    name = f"cli_{uuid4().hex[:12]}"
    on_shared(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
    yield url_of(name)
    on_shared(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def site(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Configured for that database; the program finds it by itself."""
    site = Place(tmp_path)
    site.configure('url = "sqlite:///directory.db"', f'url = "{database}"\nlisten_url = "{database}"')
    monkeypatch.setenv("REGION_ROUTER_CONFIG", str(site.config))
    return site


def test_a_first_day_from_an_empty_database_to_a_completed_transfer(program: Program, site: Place) -> None:
    assert program("check-config").code == 0
    assert program("migrate").out.splitlines() == [
        f"applied {one.version:04} {one.title}" for one in migrations("postgres")
    ]
    assert program("migrate").out == "nothing to do\n"
    rows = site.write("workspaces.csv", f"workspace,region,subdomain\n{W1},global,\n{W2},eu,acme\n")
    assert program("workspace", "import", rows, "--json").object["changed"] == 2
    assert program("key", "put", "--workspace", W2, stdin=b"a-key\n").code == 0
    assert program("directory", "open", "--json").object["opened"] is True
    started = program("transfer", "start", W2, "--to", "us", "--json").object
    assert started["state"] == "transferring"
    assert program("transfer", "list", "--json").object["id"] == started["id"]
    assert program("transfer", "complete", W2, "--json").object["state"] == "completed"
    assert program("workspace", "get", W2, "--json").object["region"] == "us"
    assert [found["workspace"] for found in program("workspace", "list", "--json").objects] == [W1, W2]
    resolved = program("resolve", f"https://clockify.me/api/v1/workspaces/{W2}/projects")
    assert (resolved.code, "us" in resolved.out) == (0, True)


def test_the_directory_is_shown_with_its_database_and_without_its_user(program: Program, site: Place) -> None:
    program("migrate")
    shown = program("directory", "show", "--json").object
    assert "file" not in shown
    assert "postgres@" not in shown["database"]


def test_a_database_that_was_not_migrated_is_one_line_with_the_mend(program: Program, site: Place) -> None:
    ran = program("workspace", "get", W1)
    assert ran.code == 2
    assert "has no directory in it: run `region-router migrate`" in ran.errors[0]


def test_another_directory_than_the_configured_one_is_refused(program: Program, site: Place) -> None:
    program("migrate")
    site.configure("[directory]", f'[directory]\nid = "{"f" * 32}"')
    ran = program("workspace", "list")
    assert ran.code == 2
    assert "directory.id names" in ran.errors[0]


def test_a_server_that_is_not_there_is_one_line_without_the_password(program: Program, place: Place) -> None:
    place.configure("sqlite:///directory.db", "postgresql://user:hush@127.0.0.1:1/router")
    ran = program("workspace", "list")
    assert ran.code == 2
    (error,) = ran.errors
    assert "cannot be reached: see that it runs and that directory.url is right" in error
    assert "hush" not in error


def test_a_gateway_routes_and_locks_by_it_and_leaves_nothing_behind(program: Program, site: Place, region: str) -> None:
    site.configure("https://euc1.internal:8443", region)
    program("migrate")
    program("workspace", "put", W2, "--region", "eu")
    program("directory", "open")
    with serving(site) as gateway:
        wait_until_ready(program, gateway)
        assert _get(gateway.listen) == 200
        assert program("transfer", "start", W2, "--to", "us", "--json").object["state"] == "transferring"
        assert _get(gateway.listen) == 423
        (listed,) = program("gateway", "list", "--json").objects
        assert listed["incarnation"]
        gateway.process.terminate()
        gateway.process.wait(30)
    assert program("gateway", "list", "--json").objects == []


def test_a_gateway_that_was_killed_holds_up_no_transfer_of_its_host(program: Program, site: Place) -> None:
    program("migrate")
    program("workspace", "put", W2, "--region", "eu")
    program("directory", "open")
    with serving(site) as gateway:
        wait_until_ready(program, gateway)
        gateway.process.kill()
        gateway.process.wait(30)
    assert program("transfer", "start", W2, "--to", "us", "--json").object["state"] == "transferring"


def _get(listen: str) -> int:
    with closing(http.client.HTTPConnection(listen, timeout=20)) as client:
        client.request("GET", f"/api/v1/workspaces/{W2}/projects", headers={"Host": "clockify.me"})
        answer = client.getresponse()
        answer.read()
        return answer.status
