"""`transfer watch` and `transfer preview` on the directory itself."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from router.cli.watching import Lines, summary, time_left
from router.directory.sqlite.control import SqliteControlStore
from router.directory.store import Newcomer
from router.model.journal import Progress
from router.model.transfer import TransferId
from tests.cli.conftest import W2

if TYPE_CHECKING:
    from router.directory.sqlite import SqliteStore
    from tests.cli.conftest import Place, Program

WATCH = [sys.executable, "-m", "router", "transfer", "watch", W2, "--every", "0.1"]


async def register(store: SqliteStore) -> None:
    await store.register(Newcomer("inc-1", "gateway-a", "host-a", 3600.0))


def report(place: Place, transfer: str, percent: int, note: str) -> None:
    """What the job says of itself."""

    async def put(_: SqliteStore) -> None:
        control = SqliteControlStore(place.database)
        progress = Progress(percent, note, 1.0)
        await control.transact(lambda tx: tx.put_progress(TransferId(transfer), progress))
        await control.close()

    place.ask(put)


def fields(**more: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {"id": "t1", "state": "transferring", "percent": 0, "note": None, "reason": None}
    return {**plain, "deadline": "2026-01-31T12:00:00Z", "obstacles": [], "waits_for": [], "changed": False, **more}


def test_every_change_is_one_json_line_until_the_end(program: Program, populated: Place) -> None:
    transfer = program("transfer", "start", W2, "--to", "us", "--json").object["id"]
    with subprocess.Popen([*WATCH, "--json"], stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        first = json.loads(watching.stdout.readline())
        report(populated, transfer, 40, "time entries")
        second = json.loads(watching.stdout.readline())
        assert program("transfer", "complete", W2).code == 0
        last = json.loads(watching.stdout.readline())
        assert (watching.wait(30), watching.stdout.read()) == (0, "")
    assert [one["state"] for one in (first, second, last)] == ["transferring", "transferring", "completed"]
    assert [(one["percent"], one["note"]) for one in (first, second)] == [(0, None), (40, "time entries")]


def test_a_terminal_shows_a_bar_whom_the_barrier_waits_for_and_the_time_left(
    program: Program, populated: Place
) -> None:
    populated.ask(register)
    program("transfer", "start", W2, "--to", "us")
    terminal, its_end = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(WATCH, stdout=its_end, stderr=its_end, env=environment) as watching:
        os.close(its_end)
        shown = b""
        while b" left" not in shown:
            shown += os.read(terminal, 65536)
        program("transfer", "fail", W2, "--reason", "disk full")
        # Linux ends a terminal that nobody writes to any more with an error.
        with contextlib.suppress(OSError):
            while piece := os.read(terminal, 65536):
                shown += piece
        os.close(terminal)
        assert watching.wait(30) == 1
    for word in (b"locking", b"waits for gateway gateway-a on host host-a (inc-1)", b"0 %", b"failed", b"disk full"):
        assert word in shown


def test_a_name_of_nothing_cannot_be_watched(program: Program, populated: Place) -> None:
    ran = program("transfer", "watch", "nothing")
    assert (ran.code, ran.errors[0].partition(":")[0]) == (2, "no-such-transfer")


def test_a_line_for_people_has_state_percent_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(as_json=False)
    lines.show(fields(percent=40, note="time entries", state="failed", reason="deadline"))
    lines.show(fields(percent=40, note="time entries", state="failed", reason="deadline"))
    assert capsys.readouterr().out == "t1  failed  40 %  time entries  deadline\n"


def test_a_note_cannot_break_its_line() -> None:
    assert summary(fields(note="one\n\x1b[31mtwo")) == ("one \\x1b[31mtwo",)


@pytest.mark.parametrize(
    ("now", "left"),
    [
        ("2026-01-31T08:00:01Z", "3:59:59 left"),
        ("2026-01-31T12:00:00Z", "0:00:00 left"),
        ("2027-01-01T00:00:00Z", "0:00:00 left"),
    ],
)
def test_the_time_left_is_never_negative(now: str, left: str) -> None:
    assert time_left(fields(), datetime.fromisoformat(now).astimezone(UTC)) == left


def test_a_preview_says_what_a_move_does_and_changes_nothing(program: Program, populated: Place) -> None:
    ran = program("transfer", "preview", W2, "--to", "us")
    assert (ran.code, ran.out.splitlines()[0]) == (0, "allowed")
    assert "  Add-ons are uninstalled." in ran.out
    assert ran.err.startswith("warning: Service app redirects: ")
    assert program("transfer", "list", "--json").out == ""


def test_a_preview_of_what_is_refused_has_every_reason(program: Program, populated: Place) -> None:
    program("workspace", "put", W2, "--region", "eu", "--owner", "the-owner", "--plan", "FREE")
    ran = program("transfer", "preview", W2, "--to", "eu", "--requested-by", "somebody", "--json")
    slugs = [one["type"].rpartition("/")[2] for one in ran.object["refusals"]]
    assert (ran.code, slugs) == (1, ["not-the-owner", "plan-without-regions", "already-there"])


def test_what_is_done_here_is_in_the_audit_log_under_this_users_name(program: Program, populated: Place) -> None:
    program("key", "put", "--workspace", W2, stdin=b"a-key")
    program("transfer", "start", W2, "--to", "us")
    program("transfer", "complete", W2)
    program("workspace", "delete", W2)

    async def lines(_: SqliteStore) -> list[tuple[str, str]]:
        control = SqliteControlStore(populated.database)
        found = await control.read(lambda tx: tx.audit(limit=100))
        await control.close()
        return [(line.who, line.action) for line in reversed(found)]

    audit = populated.ask(lines)
    assert all(who.startswith("cli:") for who, _ in audit)
    actions = ["workspace.put"] * 3 + ["key.put", "transfer.start", "transfer.complete", "workspace.delete"]
    assert [action for _, action in audit] == actions
