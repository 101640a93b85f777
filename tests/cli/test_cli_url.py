"""`--url`: the same commands, asked of a control API in another process."""

from __future__ import annotations

import hashlib
import http.server
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import pytest

from router.directory.ports import SystemClock
from router.directory.sqlite import migrate
from router.directory.store import Newcomer, Renewal
from tests.cli.conftest import W1, W2, W3, Place
from tests.cli.test_cli_serve import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from router.directory.sqlite import SqliteStore
    from tests.cli.conftest import Program, Ran

TOKEN, READER = "a-token-that-is-long-enough", "another-that-may-only-read"
OWNER = "5f8d0c2e7a1b4c3d9e6f7a80"
CONTROL = f"""
[[control.tokens]]
name = "operator"
hash = "{hashlib.sha256(TOKEN.encode()).hexdigest()}"
scopes = ["admin"]
[[control.tokens]]
name = "reader"
hash = "{hashlib.sha256(READER.encode()).hexdigest()}"
scopes = ["read"]
"""


class Site(NamedTuple):
    """A control process and its directory."""

    place: Place
    url: str


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """W1 at home, W2 in the EU with an owner and a plan; served by a process of its own."""
    place = Place(tmp_path)
    migrate(place.database, clock=SystemClock())
    place.write("token", TOKEN + "\n")
    place.configure("[directory]\n", "[directory]\npoll_interval = 0.02\nrenewal_timeout = 0.1\n")
    with place.config.open("a") as config:
        config.write(CONTROL)
    with serving(place) as process:
        yield Site(place, f"http://{process.ops_listen}")


@pytest.fixture
def remote(program: Program, site: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """The program with `--url`, away from any configuration."""
    monkeypatch.chdir("/")

    def run(*arguments: str, stdin: bytes = b"") -> Ran:
        return program("--url", site.url, "--token-file", str(site.place.folder / "token"), *arguments, stdin=stdin)

    for workspace, region in ((W1, "global"), (W2, "eu")):
        ran = run("workspace", "put", workspace, "--region", region, "--plan", "PRO", "--owner", OWNER)
        assert ran.code == 0, ran
    return run


async def register(store: SqliteStore) -> None:
    await store.register(Newcomer("inc-1", "gateway-a", "host-a", 3600.0))


async def apply_lock(store: SqliteStore) -> None:
    position = await store.position()
    await store.renew(Renewal("inc-1", position.seq, position))


def test_workspaces_are_put_shown_listed_and_deleted(remote: Callable[..., Ran]) -> None:
    put = remote("workspace", "put", W2.upper(), "--region", "eu", "--subdomain", "acme", "--json").object
    shown = remote("workspace", "get", W2, "--json").object
    assert put == {**shown, "changed": True}
    assert (shown["subdomain"], shown["plan"], shown["owner"]) == ("acme", "PRO", OWNER)
    assert remote("workspace", "put", W2, "--region", "eu", "--json").object["changed"] is False
    assert [one["workspace"] for one in remote("workspace", "list", "--json").objects] == [W1, W2]
    assert remote("workspace", "list", "--region", "eu", "--json").object["workspace"] == W2
    assert remote("workspace", "list", "--limit", "1", "--json").object["workspace"] == W1
    assert remote("workspace", "delete", W2, "--json").object == {"workspace": W2, "deleted": True}
    assert remote("workspace", "get", W2).errors == [
        f"no-such-workspace: Workspace {W2} is not in the directory; mend: put it first, or correct the id"
    ]


def test_an_import_is_all_or_none_and_tells_bad_rows_by_line(remote: Callable[..., Ran], site: Site) -> None:
    good = site.place.write("good.csv", f"workspace,region\n{W3},us\n{W1},global\n")
    assert remote("workspace", "import", good, "--json").object == {"rows": 2, "changed": 1}
    bad = site.place.write("bad.csv", f"workspace,region\n{W3},us\n{W1},mars\nxyz,eu\n")
    ran = remote("workspace", "import", bad)
    assert ran.code == 2
    assert [error.partition(": ")[0] for error in ran.errors] == [f"{bad}, line 3, region", f"{bad}, line 4, workspace"]


def test_a_key_is_registered_by_its_hash(remote: Callable[..., Ran]) -> None:
    digest = hashlib.sha256(b"a-key").hexdigest()
    put = remote("key", "put", "--workspace", W1, "--json", stdin=b"a-key\n").object
    assert put == {"digest": digest, "workspace": W1, "region": None, "changed": True}
    assert remote("key", "put", "--workspace", W1, "--json", stdin=b"a-key\n").object["changed"] is False


def test_a_transfer_from_its_preview_to_its_end(remote: Callable[..., Ran]) -> None:
    arguments = (W2, "--to", "us", "--requested-by", OWNER)
    seen = remote("transfer", "preview", *arguments, "--json").object
    assert (seen["allowed"], seen["refusals"]) == (True, [])
    started = remote("transfer", "start", *arguments, "--json").object
    assert (started["state"], started["changed"], started["source"]) == ("transferring", True, "eu")
    assert remote("transfer", "show", W2, "--json").object["id"] == started["id"]
    assert remote("transfer", "list", "--running", "--json").object["id"] == started["id"]
    completed = remote("transfer", "complete", W2, "--json").object
    again = remote("transfer", "complete", started["id"], "--json").object
    assert [(one["state"], one["changed"]) for one in (completed, again)] == [("completed", True), ("completed", False)]
    assert remote("workspace", "get", W2, "--json").object["region"] == "us"
    assert remote("transfer", "show", W2, "--json").object["state"] == "completed"
    watched = remote("transfer", "watch", W2, "--json")
    assert (watched.code, watched.object["state"]) == (0, "completed")


def test_every_reason_of_a_refused_start_is_one_line(remote: Callable[..., Ran]) -> None:
    remote("workspace", "put", W2, "--region", "eu", "--plan", "FREE")
    ran = remote("transfer", "start", W2, "--to", "global", "--requested-by", "somebody")
    assert ran.code == 2
    assert [error.partition(":")[0] for error in ran.errors] == ["not-the-owner", "plan-without-regions", "no-way-home"]
    assert ran.errors[0].endswith("; mend: name the owner who asked for it in --requested-by")


def test_a_preview_that_refuses_exits_with_1(remote: Callable[..., Ran]) -> None:
    ran = remote("transfer", "preview", W2, "--to", "global", "--requested-by", OWNER)
    assert (ran.code, ran.out.splitlines()[:2]) == (
        1,
        ["refused:", "  no-way-home: 'global' is the home region, and there is no way back to it."],
    )


def test_a_transfer_that_waits_says_for_whom_and_can_be_aborted_or_go_on(
    remote: Callable[..., Ran], site: Site
) -> None:
    site.place.ask(register)
    arguments = (W2, "--to", "us", "--requested-by", OWNER)
    started = remote("transfer", "start", *arguments, "--json").object
    assert [one["incarnation"] for one in started["waits_for"]] == ["inc-1"]
    assert remote("transfer", "complete", W2).errors[0].startswith("transfer-still-locking: ")
    assert remote("transfer", "abort", W2, "--json").object["reason"] == "aborted"
    remote("transfer", "start", *arguments)
    site.place.ask(apply_lock)
    failed = remote("transfer", "fail", W2, "--reason", "disk full", "--json").object
    assert (failed["state"], failed["reason"]) == ("failed", "disk full")
    watched = remote("transfer", "watch", failed["id"])
    assert watched.code == 1
    assert "disk full" in watched.out


def test_gateways_are_listed_and_forgotten(remote: Callable[..., Ran], site: Site) -> None:
    site.place.ask(register)
    (listed,) = (one for one in remote("gateway", "list", "--json").objects if one["gateway"] == "gateway-a")
    assert (listed["incarnation"], listed["gateway"], listed["lease"], listed["counts"]) == (
        "inc-1",
        "gateway-a",
        3600.0,
        True,
    )
    forgotten = remote("gateway", "forget", "inc-1", "--json")
    assert (forgotten.code, forgotten.object["ending"]) == (0, "forgotten")
    assert "may write until" in forgotten.err
    assert remote("gateway", "forget", "inc-1").errors == [
        "no-such-gateway: There is no registration 'inc-1'; mend: see `region-router gateway list`"
    ]


def test_the_audit_log_names_the_token(remote: Callable[..., Ran], site: Site) -> None:
    with closing(sqlite3.connect(site.place.database)) as connection:
        assert connection.execute("SELECT DISTINCT who FROM audit").fetchall() == [("operator",)]


# --- what goes wrong


@pytest.mark.parametrize("command", [("serve",), ("migrate",), ("directory", "show"), ("resolve", "https://a/")])
def test_what_works_on_this_machine_only_says_so(program: Program, command: tuple[str, ...]) -> None:
    ran = program("--url", "http://127.0.0.1:1", *command)
    assert (ran.code, len(ran.errors)) == (2, 1)
    assert "works on this machine and its configuration, not with --url" in ran.errors[0]


def test_nobody_there_is_one_line(program: Program) -> None:
    ran = program("--url", "http://127.0.0.1:1", "workspace", "list")
    assert (ran.code, len(ran.errors)) == (2, 1)
    assert "cannot be reached (" in ran.errors[0]
    assert ran.errors[0].endswith("mend: see that it serves the control API, and correct --url")


@pytest.mark.parametrize("url", ["127.0.0.1:9090", "ftp://x", "http://user@host", "https://x/?a=1", "http://"])
def test_what_is_no_url_is_one_line(program: Program, url: str) -> None:
    ran = program("--url", url, "workspace", "list")
    assert (ran.code, len(ran.errors)) == (2, 1)
    assert ran.errors[0].startswith("--url: is no URL of a control API")


def test_a_server_that_is_no_control_api_is_one_line(program: Program) -> None:
    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()

        def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the base class names it
            """Quiet."""

    with http.server.HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ran = program("--url", f"http://127.0.0.1:{server.server_port}", "workspace", "list")
        server.shutdown()
    assert (ran.code, len(ran.errors)) == (2, 1)
    assert "does not answer as a control API does (status 302); mend: correct --url" in ran.errors[0]


def test_tokens_come_from_a_file_or_the_environment_and_are_never_shown(
    program: Program, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = program("--url", site.url, "workspace", "list")
    monkeypatch.setenv("REGION_ROUTER_TOKEN", "no-such-token-" + TOKEN)
    wrong = program("--url", site.url, "workspace", "list")
    monkeypatch.setenv("REGION_ROUTER_TOKEN", READER)
    reading = program("--url", site.url + "/control/v1/", "workspace", "list")
    writing = program("--url", site.url, "workspace", "delete", W1)
    assert [ran.code for ran in (without, wrong, reading, writing)] == [2, 2, 0, 2]
    assert without.errors[0].startswith("no-token: Send it as")
    assert wrong.errors[0].startswith("no-token: The token is not known; mend: write a valid token into --token-file")
    assert writing.errors[0].startswith("no-scope: ")
    assert not any(
        secret in ran.out + ran.err for ran in (without, wrong, reading, writing) for secret in (TOKEN, READER)
    )


def test_a_file_without_a_token_is_one_line(program: Program, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    ran = program("--url", "http://127.0.0.1:1", "--token-file", str(tmp_path / "empty"), "workspace", "list")
    assert ran.errors == [f"{tmp_path / 'empty'}: holds no token; mend: write the token there, and nothing else"]


def test_a_token_does_not_travel_unencrypted_without_a_word(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGION_ROUTER_TOKEN", TOKEN)
    ran = program("--url", "http://control.invalid", "workspace", "list")
    assert ran.err.splitlines()[0] == "warning: the token travels unencrypted; mend: use https"


def test_a_deadline_of_one_s_own_is_for_the_directory_itself(remote: Callable[..., Ran]) -> None:
    ran = remote("transfer", "start", W2, "--to", "us", "--requested-by", OWNER, "--hours", "1")
    assert ran.errors == ["invalid-request: A control API starts every transfer with its own deadline"]
