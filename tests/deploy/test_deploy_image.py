"""The Dockerfile: hadolint accepts it, its commands make an image, and that runs as nobody on a read-only root."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import tomllib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.deploy import image
from tests.deploy.gateways import set_once
from tests.deploy.places import DEPLOY, ROOT, run
from tests.programs import require_tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.deploy.image import Stage

pytestmark = pytest.mark.timeout(600)

USER = 10001
INSTALLED = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Built once for all processes that the tests are spread over."""
    if os.geteuid() != 0:
        assert not os.environ.get("CI"), "only root can give commands a root directory of their own"
        pytest.skip("only root can give commands a root directory of their own")
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with (folder / "image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return image.build(folder / "image")


@pytest.fixture
def volumes(tmp_path: Path) -> Mapping[str, Path]:
    """A configuration to read, and a volume that belongs to the image's user."""
    config, state = tmp_path / "config", tmp_path / "state"
    config.mkdir()
    state.mkdir()
    os.chown(state, USER, USER)
    text = set_once(
        (DEPLOY / "clockify.toml").read_text("utf-8"),
        {
            'listen = ["127.0.0.1:8080"]': 'listen = ["127.0.0.1:0"]',
            'listen = ["127.0.0.1:9090"]': 'listen = ["127.0.0.1:0"]',
            'url = "sqlite:///directory.db"': 'url = "sqlite:////var/lib/region-router/directory.db"',
        },
    )
    (config / "router.toml").write_text(text, "utf-8")
    return {"/etc/region-router": config, "/var/lib/region-router": state}


def call(built: Stage, volumes: Mapping[str, Path], *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(*built.entering([*built.entry, *arguments], volumes=volumes))


@contextmanager
def running(built: Stage, volumes: Mapping[str, Path]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """What the image does by default, and the address of its ops listener."""
    command = built.entering([*built.entry, *built.command], volumes=volumes)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            seen = []
            for line in process.stderr:
                seen.append(line)
                if found := re.search(r"ops on (\S+)", line):
                    yield process, found[1]
                    return
            pytest.fail(f"it did not listen: {seen}")
        finally:
            process.kill()


def test_hadolint_accepts_the_dockerfile() -> None:
    done = run(require_tool("hadolint"), "--failure-threshold", "style", ROOT / "Dockerfile")
    assert done.returncode == 0, done.stdout


def test_the_image_holds_what_the_lock_pins_and_nothing_else(built: Stage) -> None:
    shown = run(*built.entering(["/opt/region-router/bin/python", "-c", INSTALLED])).stdout
    pinned = {
        one["name"]: one.get("version") for one in tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))["package"]
    }
    installed = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in json.loads(shown).items()}
    pinned["region-router"] = installed["region-router"]
    assert installed == {name: pinned[name] for name in installed}
    assert {"psycopg", "psycopg-binary", "uvloop"} <= set(installed)
    assert not {"pytest", "pip", "uv", "hypothesis"} & set(installed)


def test_its_hot_rooms_are_native(built: Stage) -> None:
    done = subprocess.run(built.entering(["region-router", "--version"]), check=True, capture_output=True, text=True)

    assert done.stdout.endswith("(compiled)\n")


def test_it_makes_and_opens_a_directory_on_its_volume(built: Stage, volumes: Mapping[str, Path]) -> None:
    for command in (["check-config"], ["migrate"], ["directory", "open"]):
        done = call(built, volumes, *command)
        assert done.returncode == 0, done.stderr
    assert (volumes["/var/lib/region-router"] / "directory.db").stat().st_uid == USER


def test_it_serves_as_a_user_without_any_privilege(built: Stage, volumes: Mapping[str, Path]) -> None:
    with running(built, volumes) as (process, ops):
        asked = [word.replace("127.0.0.1:9090", ops) for word in built.health]
        done = run(*built.entering(asked, volumes=volumes))
        assert (done.returncode, done.stdout) == (0, "healthy\n"), done.stderr
        status = dict(re.findall(r"^(\w+):\s+(.*)$", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE))
        assert status["Uid"].split() == [str(USER)] * 4
        assert int(status["CapEff"], 16) == 0


def test_it_ends_well_when_it_is_told_to(built: Stage, volumes: Mapping[str, Path]) -> None:
    with running(built, volumes) as (process, _):
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0


def test_nothing_of_its_root_can_be_written(built: Stage, volumes: Mapping[str, Path]) -> None:
    done = run(*built.entering(["/bin/sh", "-c", "touch /opt/x || touch /tmp/x || touch /etc/x"], volumes=volumes))
    assert done.stderr.count("Read-only file system") == 3
