"""Whatever goes wrong is one line with its mend, exit code 2, and never a traceback."""

from __future__ import annotations

import io
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from router.cli.entry import run
from router.cli.errors import tell
from tests.cli.conftest import W1

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Place, Program

COMMANDS_ON_A_DIRECTORY = [
    ("directory", "show"),
    ("directory", "open"),
    ("workspace", "list"),
    ("workspace", "put", W1, "--region", "eu"),
    ("key", "put", "--region", "eu"),
    ("transfer", "list"),
    ("transfer", "start", W1, "--to", "eu"),
    ("resolve", f"https://clockify.me/api/v1/workspaces/{W1}"),
]

any_command = pytest.mark.parametrize("command", COMMANDS_ON_A_DIRECTORY, ids=" ".join)


def the_one_error(program: Program, *command: str) -> str:
    ran = program(*command, stdin=b"a-key")
    assert (ran.code, ran.out) == (2, "")
    (line,) = ran.errors
    return line


@any_command
def test_a_missing_configuration(program: Program, tmp_path: Path, command: tuple[str, ...]) -> None:
    line = the_one_error(program, *command, "--config", str(tmp_path / "nowhere.toml"))
    assert line.endswith("cannot be read (No such file or directory); mend: name a readable TOML file")


@any_command
def test_a_missing_directory(program: Program, place: Place, command: tuple[str, ...]) -> None:
    place.database.unlink()
    assert "no such file: correct the path, or run `region-router migrate`" in the_one_error(program, *command)


@any_command
def test_a_missing_directory_is_not_made_in_passing(program: Program, place: Place, command: tuple[str, ...]) -> None:
    place.database.unlink()
    the_one_error(program, *command)
    assert not place.database.exists()


@any_command
def test_a_directory_that_is_no_database(program: Program, place: Place, command: tuple[str, ...]) -> None:
    place.database.write_bytes(b"nonsense" * 1000)
    assert "is not a SQLite database" in the_one_error(program, *command)


@any_command
def test_a_damaged_directory(program: Program, place: Place, command: tuple[str, ...]) -> None:
    content = place.database.read_bytes()
    place.database.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    assert "restore a backup, then run `region-router directory open --restored`" in the_one_error(program, *command)


@any_command
def test_another_programs_database(program: Program, place: Place, command: tuple[str, ...]) -> None:
    place.database.unlink()
    with closing(sqlite3.connect(place.database)) as connection:
        connection.execute("CREATE TABLE something (id)")
    assert "is another program's SQLite database" in the_one_error(program, *command)


@any_command
def test_another_directory_than_configured(program: Program, place: Place, command: tuple[str, ...]) -> None:
    place.configure('url = "sqlite:///directory.db"', f'url = "sqlite:///directory.db"\nid = "{"0" * 32}"')
    assert f"and directory.id names {'0' * 32}" in the_one_error(program, *command)


def test_a_directory_that_another_process_has_locked(program: Program, place: Place) -> None:
    with closing(sqlite3.connect(place.database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        line = the_one_error(program, "workspace", "put", W1, "--region", "eu")
    assert "is locked by another process: let that one finish, or stop it" in line


def test_all_problems_of_a_configuration_at_once(program: Program, place: Place) -> None:
    place.configure('home = "global"', 'home = "mars"')
    place.configure('action = "redirect"', 'action = "teleport"')
    ran = program("workspace", "list")
    assert ran.code == 2
    assert [line.partition(":")[0] for line in ran.errors] == ["policy.home", "services.app.action"]


class InterruptedInput(io.RawIOBase):
    """Somebody presses Ctrl-C while the program waits for input."""

    def readable(self) -> bool:
        return True

    def readinto(self, _: object) -> int:
        raise KeyboardInterrupt


def test_an_interrupt_is_one_line_and_exit_code_130(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(InterruptedInput())))
    assert run(["key", "put", "--region", "eu"]) == 130
    assert capsys.readouterr() == ("", "interrupted\n")


def test_a_bug_is_one_line_that_says_where_and_repeats_no_value() -> None:
    try:
        {}["a secret"]  # type: ignore[index]  # it fails: that is what it is for
    except KeyError as error:
        (line,), code = tell(error)
    assert code == 1
    assert line.startswith("error: unexpected KeyError; mend: ")


def test_a_reader_that_has_gone_is_quiet(place: Place, program: Program) -> None:
    rows = "".join(f"{n:024x},eu\n" for n in range(20_000))
    assert program("workspace", "import", place.write("many.csv", "workspace,region\n" + rows)).code == 0
    command = [sys.executable, "-m", "router", "workspace", "list", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == (b"", 141)


def test_a_full_disk_behind_stdout_is_one_line(populated: Place) -> None:
    command = [sys.executable, "-m", "router", "workspace", "list", "--config", str(populated.config)]
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "error: no space left on device; mend: free some space\n")


def test_a_closed_stdout_is_no_error(populated: Place) -> None:
    command = f"{sys.executable} -m router workspace list --config {populated.config} >&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_text_that_came_from_elsewhere_breaks_no_line(program: Program, place: Place) -> None:
    ran = program("workspace", "get", "a\nerror: forged\x1b[31m")
    assert len(ran.errors) == 1
    assert "\x1b" not in ran.err


def test_run_returns_zero_for_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    assert capsys.readouterr().err == ""
