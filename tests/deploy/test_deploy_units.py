"""The systemd units: systemd accepts them, they expose little, and the gateway can live within what they allow."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from router.settings.schema import Document
from tests.demo.running import W, running_demo
from tests.deploy.gateways import Gateway, addresses_of, serve_beside, wait_until_ready
from tests.deploy.places import DEPLOY, run
from tests.programs import require_program

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(300)

UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
PROGRAM = "/opt/region-router/bin/region-router"
OF_ROOT = {"fchown"}
"""SQLite gives its files to the database's owner, if it runs as root. The unit's user is not."""


@pytest.fixture(params=UNITS, ids=lambda unit: unit.name)
def unit(request: pytest.FixtureRequest) -> Path:
    assert isinstance(request.param, Path)
    return request.param


def values(unit: Path, name: str) -> list[str]:
    """All values of a setting, in order."""
    return re.findall(rf"^{name}=(.*)$", unit.read_text("utf-8"), re.MULTILINE)


def installed(unit: Path, folder: Path) -> Path:
    """The unit with a program that exists here."""
    copy = folder / unit.name
    copy.write_text(unit.read_text("utf-8").replace(PROGRAM, str(Path(sys.executable).with_name("region-router"))))
    return copy


def test_systemd_finds_nothing_wrong(unit: Path, tmp_path: Path) -> None:
    done = run(require_program("systemd-analyze"), "verify", installed(unit, tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


def test_its_exposure_is_low(unit: Path, tmp_path: Path) -> None:
    # A tenth of the scale: 2.0 of 10.
    done = run(
        require_program("systemd-analyze"), "security", "--offline=true", "--threshold=20", installed(unit, tmp_path)
    )
    assert done.returncode == 0, done.stdout


def test_it_is_started_with_a_command_that_exists(unit: Path) -> None:
    for command in (*values(unit, "ExecStartPre"), *values(unit, "ExecStart")):
        program, *arguments = shlex.split(command)
        assert program == PROGRAM
        done = run(sys.executable, "-m", "router", *arguments, "--help")
        assert done.returncode == 0, done.stderr


def test_it_is_stopped_no_sooner_than_its_drain_may_take(unit: Path) -> None:
    gateway = Document().gateway
    [timeout] = values(unit, "TimeoutStopSec")
    assert float(timeout) >= gateway.drain_delay + gateway.timeouts.shutdown + 10


def test_a_mistake_in_the_configuration_is_not_tried_again_and_again(unit: Path) -> None:
    assert values(unit, "RestartPreventExitStatus") == ["2"]


def test_a_gateway_calls_nothing_of_the_system_that_the_unit_forbids(unit: Path, tmp_path: Path) -> None:
    allowed = set[str]()
    for entry in values(unit, "SystemCallFilter"):
        if entry.startswith("~"):
            allowed -= set(calls_of(entry.removeprefix("~")))
        else:
            allowed |= set(calls_of(entry))
    assert calls_of_a_gateway(tmp_path) - OF_ROOT <= allowed


def calls_of(group: str) -> Iterator[str]:
    shown = run(require_program("systemd-analyze"), "syscall-filter", group)
    assert shown.returncode == 0, shown.stderr
    for line in shown.stdout.splitlines()[1:]:
        name = line.strip()
        if name.startswith("@"):
            yield from calls_of(name)
        elif name and not name.startswith("#"):
            yield name


def calls_of_a_gateway(folder: Path) -> set[str]:
    """What two workers and their supervisor call, from the start over a request to the end."""
    trace = folder / "trace"
    strace = [require_program("strace"), "--follow-forks", "--quiet=all", f"--output={trace}"]
    with running_demo(folder) as demo:
        command = serve_beside(demo.configuration, "traced", "--workers=2", settings="drain_delay = 0")
        with subprocess.Popen([*strace, *command], stderr=subprocess.PIPE, text=True) as process:
            try:
                gateway = Gateway(process, addresses_of(process))
                wait_until_ready(gateway.at, process)
                assert gateway.get(f"/api/v1/workspaces/{W}302/projects").status == 200
                # strace passes the signal on to nobody: its child is told.
                [child] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
                os.kill(int(child), signal.SIGTERM)
                process.communicate(timeout=60)
                assert process.returncode == 0
            finally:
                process.kill()
    return set(re.findall(r"^\d+ +([a-z0-9_]+)\(", trace.read_text("utf-8", "replace"), re.MULTILINE))
