"""The table of commands: loaded lazily, whole, and the same as what the commands say of themselves."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest

from router import __version__
from router.cli.commands import COMMANDS, TableGroup, root

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from router.cli.commands import Entry
    from tests.cli.conftest import Program


def every_command(table: Mapping[str, Entry] = COMMANDS, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, entry in table.items():
        yield (*path, name)
        yield from every_command(entry.commands, (*path, name))


def load(path: tuple[str, ...]) -> tuple[click.Command, Entry]:
    command: click.Command = root()
    entry = None
    for name in path:
        assert isinstance(command, TableGroup)
        entry = command.table[name]
        loaded = command.get_command(click.Context(command), name)
        assert loaded is not None
        command = loaded
    assert entry is not None
    return command, entry


def test_help_loads_nothing_that_only_other_commands_need() -> None:
    script = (
        "import sys; from router.cli.entry import run; run(['--help']); "
        "heavy = {'aiohttp', 'pydantic', 'rich', 'httptools', 'sqlite3', 'asyncio', 'prometheus_client'}; "
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_a_health_check_loads_nothing_that_only_other_commands_need() -> None:
    script = (
        "import sys; from router.cli.entry import run; run(['healthcheck', '--help']); "
        "print(sorted({'aiohttp', 'pydantic', 'rich', 'asyncio'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


@pytest.mark.parametrize("path", list(every_command()), ids=" ".join)
def test_a_commands_help_begins_with_the_line_of_the_table(path: tuple[str, ...]) -> None:
    command, entry = load(path)
    assert (command.help or "").partition("\n")[0] == entry.help


@pytest.mark.parametrize("path", list(every_command()), ids=" ".join)
def test_every_command_has_help(path: tuple[str, ...], program: Program) -> None:
    ran = program(*path, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"Usage: region-router {' '.join(path)} ")


def test_help_shows_every_command(program: Program) -> None:
    out = program("--help").out
    assert all(f"\n  {name} " in out and entry.help in out for name, entry in COMMANDS.items())


def test_the_module_is_the_program_too() -> None:
    done = subprocess.run([sys.executable, "-m", "router", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"region-router, version {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "Missing command; mend: see `region-router --help`"),
        (("nonsense",), "No such command 'nonsense'; mend: see `region-router --help`"),
        (("workspace", "nonsense"), "No such command 'nonsense'; mend: see `region-router workspace --help`"),
        (("workspace", "get"), "Missing argument 'WORKSPACE'; mend: see `region-router workspace get --help`"),
        (
            ("transfer", "start", "x", "--to"),
            "Option '--to' requires an argument; mend: see `region-router transfer --help`",
        ),
        (("demo", "--port", "70000"), "Invalid value for '--port': 70000 is not in the range 0<=x<=65535; mend: "),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(
    program: Program, arguments: tuple[str, ...], line: str
) -> None:
    ran = program(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert [error[: len(line)] for error in ran.errors] == [line]
