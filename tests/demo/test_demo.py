"""The demo as a user meets it: its tour and its answers."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
import tomllib
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import router.demo
from router.directory.ports import SystemClock
from router.directory.sqlite.store import SqliteStore
from router.directory.store import KeyDraft
from router.model.region import RegionName
from tests.demo.running import W, answer_on
from tests.programs import require_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.demo.running import Demo

MOVING = f"/api/v1/workspaces/{W}3ff/projects"
LARGE = 100_000_000
MEMORY = 16 * 1024
"""kB that the process may grow while the large body passes through."""

TWO_READINGS = [
    f"{W}302/../{W}303/projects",
    f"{W}302/%2e%2e/{W}303/projects",
    f"{W}302/.%2E/{W}303/projects",
    f"{W}302/..;/{W}303/projects",
    f"{W}302/..;a=b/{W}303/projects",
    f"{W}302\\..\\{W}303/projects",
    f"{W}302/..\\{W}303/projects",
    f"{W}302%2f..%2f{W}303/projects",
    f"{W}302/..%2f{W}303/projects",
    f"{W}302/..%5c{W}303/projects",
]


@pytest.mark.parametrize(
    ("workspace", "region"), [("301", "global"), ("302", "eu"), ("303", "us"), ("304", "uk"), ("305", "au")]
)
def test_a_workspace_in_the_path_is_answered_by_its_region(demo: Demo, workspace: str, region: str) -> None:
    answer = demo.get(f"/api/v1/workspaces/{W}{workspace}/projects")
    assert answer.status == 200
    assert answer.json["region"] == region
    assert answer.json["path"] == f"/api/v1/workspaces/{W}{workspace}/projects"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8080", "[::1]:8080", "clockify.me", "api.clockify.me"])
def test_the_api_is_served_under_every_name_that_a_user_may_try(demo: Demo, host: str) -> None:
    assert demo.get(f"/api/v1/workspaces/{W}302/projects", Host=host).json["region"] == "eu"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_reports_are_served_under_this_machines_names(demo: Demo, host: str) -> None:
    target = f"/report/v1/workspaces/{W}302/reports/summary"
    assert demo.get(target, Host=host).json["path"] == target


def test_reports_of_a_workspace_at_home_go_out_under_the_global_prefix(demo: Demo) -> None:
    answer = demo.get(f"/report/v1/workspaces/{W}301/reports/summary")
    assert (answer.json["region"], answer.json["path"]) == ("global", f"/v1/workspaces/{W}301/reports/summary")
    assert answer.json["headers"]["Host"] == "reports.api.clockify.me"


def test_a_subdomain_is_answered_by_the_region_of_its_workspace(demo: Demo) -> None:
    assert demo.get("/api/v1/user", Host="acme.clockify.me").json["region"] == "eu"


def test_a_key_decides_where_nothing_else_names_a_workspace(demo: Demo) -> None:
    assert demo.get("/api/v1/user", X_Api_Key="demo-key-eu").json["region"] == "eu"


def test_a_key_never_overrules_the_path(demo: Demo) -> None:
    answer = demo.get(f"/api/v1/workspaces/{W}303/projects", X_Api_Key="demo-key-eu")
    assert answer.json["region"] == "us"
    assert answer.json["headers"]["X-Api-Key"] == "demo-key-eu"


def test_the_list_of_workspaces_stays_at_home_and_knows_where_each_lives(demo: Demo) -> None:
    answer = demo.get("/api/v1/workspaces", X_Api_Key="demo-key-eu")
    assert (answer.json["region"], answer.json["path"]) == ("global", "/api/v1/workspaces")
    hosts = {"global": "clockify.me", "eu": "euc1.clockify.me", "us": "use2.clockify.me"}
    hosts |= {"uk": "euw2.clockify.me", "au": "apse2.clockify.me"}
    lives = {"301": "global", "302": "eu", "303": "us", "304": "uk", "305": "au", "3ff": "eu"}
    assert answer.json["workspaces"] == [
        {"id": f"{W}{id_}", "region": region, "url": f"https://{hosts[region]}/api/v1/workspaces/{W}{id_}"}
        for id_, region in lives.items()
    ]


@pytest.mark.parametrize("target", ["/api/v1/workspaces/", "/api/workspaces", "/api/v1/workspaces?roles=OWNER"])
def test_the_list_is_known_by_every_name_that_old_clients_have_for_it(demo: Demo, target: str) -> None:
    assert len(demo.get(target).json["workspaces"]) == 6


def test_the_literal_path_of_the_help_page_is_routed_like_any_other(demo: Demo) -> None:
    answer = demo.get("/api/v1/get/workspaces")
    assert (answer.status, answer.json["region"]) == (200, "global")
    assert answer.json["path"] == "/api/v1/get/workspaces"
    assert demo.get("/api/v1/get/workspaces", X_Api_Key="demo-key-eu").json["region"] == "eu"


def test_a_new_workspace_is_made_at_home(demo: Demo) -> None:
    answer = demo.ask("POST", "/api/v1/workspaces", X_Api_Key="demo-key-eu")
    assert (answer.json["region"], "workspaces" in answer.json) == ("global", False)


def test_head_is_answered_without_a_body(demo: Demo) -> None:
    answer = demo.ask("HEAD", f"/api/v1/workspaces/{W}302/projects")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


def test_a_workspace_that_is_being_moved_is_locked(demo: Demo) -> None:
    answer = demo.get(MOVING)
    assert answer.status == 423
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json["type"].endswith("/problems/workspace-locked")
    assert isinstance(answer.json["message"], str)
    assert isinstance(answer.json["code"], int)


def test_the_web_app_is_redirected_with_the_target_as_it_came(demo: Demo) -> None:
    answer = demo.get(f"/workspaces/{W}302/tracker?a=%2F", Host="app.clockify.me")
    assert answer.status == 307
    assert answer.headers["location"] == f"https://euc1.clockify.me/workspaces/{W}302/tracker?a=%2F"
    assert answer.headers["cache-control"] == "no-store"


def test_the_web_app_of_a_workspace_at_home_is_proxied(demo: Demo) -> None:
    answer = demo.get(f"/workspaces/{W}301/tracker?a=%2F", Host="app.clockify.me")
    assert answer.status == 200
    assert (answer.json["region"], answer.json["path"]) == ("global", f"/workspaces/{W}301/tracker?a=%2F")


@pytest.mark.parametrize("path", TWO_READINGS)
def test_a_path_with_two_readings_is_refused_and_reaches_no_region(demo: Demo, path: str) -> None:
    proxied, refused = demo.count("proxy"), demo.count("refuse")
    answer = demo.get(f"/api/v1/workspaces/{path}")
    assert answer.status == 400
    assert answer.json["type"].endswith("/problems/ambiguous-path")
    assert (demo.count("proxy"), demo.count("refuse")) == (proxied, refused + 1)


def test_a_foreign_host_is_misdirected(demo: Demo) -> None:
    assert demo.get(f"/api/v1/workspaces/{W}302/projects", Host="evil.example").status == 421


def test_the_demo_says_that_it_is_ready(demo: Demo) -> None:
    assert demo.ops("/readyz").status == 200


async def test_a_key_that_the_directory_knows_as_superseded_gets_401_from_its_region(demo: Demo) -> None:
    store = SqliteStore(demo.configuration.with_name("directory.db"), clock=SystemClock())
    digest = sha256(b"before-the-transfer").hexdigest()
    await store.put_keys([KeyDraft(digest, region=RegionName("eu"), superseded_by="a transfer")])
    await store.close()
    answer = demo.get("/api/v1/user", X_Api_Key="before-the-transfer")
    assert answer.status == 401
    assert (type(answer.json["message"]), type(answer.json["code"])) == (str, int)


def chunked_pieces(piece: bytes) -> Iterator[bytes]:
    frame = b"%x\r\n%b\r\n" % (len(piece), piece)
    for _ in range(LARGE // len(piece)):
        yield frame
    yield b"0\r\n\r\n"


def plain_pieces(piece: bytes) -> Iterator[bytes]:
    for _ in range(LARGE // len(piece)):
        yield piece


@pytest.mark.parametrize(
    ("framing", "pieces"),
    [(f"Content-Length: {LARGE}", plain_pieces), ("Transfer-Encoding: chunked", chunked_pieces)],
)
def test_a_body_of_100_mb_arrives_whole_and_is_never_held(
    demo: Demo, framing: str, pieces: Callable[[bytes], Iterator[bytes]]
) -> None:
    piece = os.urandom(250_000)
    demo.forget_peak()
    before = demo.memory("VmRSS")
    with demo.connected() as connection:
        head = f"POST /api/v1/workspaces/{W}303/files HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n"
        connection.sendall(head.encode())
        for one in pieces(piece):
            connection.sendall(one)
        answer = answer_on(connection, "POST")
    assert answer.json["region"] == "us"
    whole = sha256()
    for one in plain_pieces(piece):
        whole.update(one)
    assert answer.json["body"] == {"length": LARGE, "sha256": whole.hexdigest()}
    assert demo.memory("VmHWM") - before < MEMORY


def test_when_the_transfer_completes_the_same_url_answers_from_the_destination_within_a_second(own_demo: Demo) -> None:
    (pasted,) = (line for line in own_demo.commands if "transfer complete" in line)
    subprocess.run(shlex.split(pasted.partition(" && ")[0]), check=True, capture_output=True, timeout=30)
    deadline = time.monotonic() + 1
    answer = own_demo.get(MOVING)
    while answer.status == 423 and time.monotonic() < deadline:
        answer = own_demo.get(MOVING)
    assert answer.status == 200
    assert answer.json["region"] == "us"


def test_the_tour_pasted_into_a_shell_shows_what_it_says(own_demo: Demo) -> None:
    require_program("curl")
    script = "\n".join(own_demo.commands)
    shown = subprocess.run(["/bin/sh", "-c", script], check=True, capture_output=True, text=True, timeout=50).stdout
    seen = re.findall(r'HTTP/1\.1 (\d+) |{"region": "(\w+)"', shown)
    expected = ["eu", "eu", "eu", "us", "307", "global", "400", "421", "us", "423", "eu", "423", "us"]
    assert ["".join(one) for one in seen] == expected


def test_the_tour_fits_a_screen(demo: Demo) -> None:
    assert len(demo.lines) < 40


def test_its_configuration_is_the_shipped_table_with_this_machines_names_added() -> None:
    here = Path(router.demo.__file__).parent
    shipped = tomllib.loads((here.parents[1] / "deploy" / "clockify.toml").read_text("utf-8"))
    demonstrated = tomllib.loads((here / "demo.toml").read_text("utf-8"))
    own_names = {f"{host}{prefix}" for host in ("127.0.0.1", "localhost", "[::1]") for prefix in ("/api", "/report/v1")}
    for service in demonstrated["services"].values():
        service["match"] = [match for match in service["match"] if match not in own_names]
    for document in (shipped, demonstrated):
        for region in document["regions"].values():
            for place in (region, *region.get("services", {}).values()):
                place.pop("origin", None)
    assert {name: demonstrated[name] for name in ("identify", "policy", "services", "regions")} == {
        name: shipped[name] for name in ("identify", "policy", "services", "regions")
    }
