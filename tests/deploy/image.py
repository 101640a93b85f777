"""What the Dockerfile says, done without an engine: its own commands, in a root directory of their own.

Theory. A stage is a directory that becomes the root of its commands (chroot in a mount namespace, so nothing outlives
them). What `python:3.11` would bring, this machine lends read-only: the system's programs and libraries, and a
Python in `/usr/local`, where the official image has its own. Everything else is empty, so a command that needs a file
that was not copied fails here as it would there. The finished image is entered as a runtime would: its own user, a
read-only root, one volume.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.deploy.places import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LENT: Final = (
    "/usr/bin",
    "/usr/sbin",
    "/usr/include",
    "/usr/lib",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/share",
    "/dev",
    "/proc",
    "/sys",
)
LINKED: Final = ("bin", "sbin", "lib", "lib64")
"""Debian's own links into /usr."""
ETC: Final = (
    "passwd",
    "group",
    "shadow",
    "login.defs",
    "default",
    "hosts",
    "resolv.conf",
    "nsswitch.conf",
    "ld.so.cache",
    "ssl",
    "pip.conf",
    "host.conf",
    "gai.conf",
    "alternatives",
)  # fmt: skip - a list of names
SECONDS: Final = 240


@dataclass(frozen=True)
class Step:
    """One instruction."""

    word: str
    text: str


@dataclass
class Stage:
    """A stage as far as it is built. `folder` is its root; `environ` what ENV has said."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)
    directory: str = "/"
    user: str = "0"
    entry: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)

    def run(self, command: str) -> None:
        """As RUN does: everything may be written."""
        words = self.entering(["/bin/sh", "-c", command], _caller(), writable=True)
        done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=SECONDS)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"

    def entering(
        self,
        command: Sequence[str],
        environ: Mapping[str, str] | None = None,
        *,
        writable: bool = False,
        volumes: Mapping[str, Path] | None = None,
    ) -> list[str]:
        """The words that run `command` in here. Not `writable`: the root is read-only, `volumes` are not."""
        root = shlex.quote(str(self.folder))
        lines = ["set -e", f"mount --bind {root} {root}"]
        if not writable:
            lines.append(f"mount -o remount,bind,ro {root}")
        for inside, outside, read_only in _mounts(volumes or {}):
            _inside(self, inside).mkdir(parents=True, exist_ok=True)
            at = shlex.quote(f"{self.folder}{inside}")
            lines.append(f"mount --rbind {shlex.quote(str(outside))} {at}")
            if read_only:
                lines.append(f"mount -o remount,bind,ro {at}")
        values = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin", "HOME": "/root"}
        values |= {**(environ or {}), **self.environ}
        # env -C, not -i alone: the working directory is one inside.
        inner = ["/usr/bin/env", "-i", "-C", self.directory, *(f"{k}={v}" for k, v in values.items()), *command]
        user = f"{self.user}:{self.user}"
        lines.append(f"exec chroot --userspec={user} --groups={self.user} {root} {shlex.join(inner)}")
        return ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", "\n".join(lines)]


def steps(dockerfile: str) -> list[Step]:
    """Comments left out, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", dockerfile, flags=re.MULTILINE)
    text = re.sub(r"\\\n\s*", "", text)
    lines = (line.strip() for line in text.splitlines() if line.strip())
    return [Step(word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def build(folder: Path) -> Stage:
    """Carry the Dockerfile out, in `folder`, unless that was done there already. The last stage."""
    done = folder / "done"
    stages: dict[str, Stage] = {}
    stage = Stage(folder)
    for number, step in enumerate(steps((ROOT / "Dockerfile").read_text("utf-8"))):
        if step.word == "FROM":
            base, _, name = step.text.partition(" AS ")
            assert re.fullmatch(r"python:3\.\d+(?:-slim)?-bookworm", base), f"what {base} brings is not known here"
            stage = stages[name] = Stage(folder / f"stage-{number}")
            if not done.exists():
                _lend(stage.folder)
                _install_python(stage)
        elif step.word in CHANGING:
            if not done.exists():
                CHANGING[step.word](step.text, stage, stages)
        else:
            _remember(step, stage)
    done.touch()
    return stage


def _remember(step: Step, stage: Stage) -> None:
    match step.word:
        case "ENV":
            path = stage.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin")
            pairs = (word.partition("=") for word in shlex.split(step.text.replace("$PATH", path)))
            stage.environ |= {name: value for name, _, value in pairs}
        case "WORKDIR":
            stage.directory = step.text
            _inside(stage, step.text).mkdir(parents=True, exist_ok=True)
        case "USER":
            stage.user = step.text
        case "ENTRYPOINT":
            stage.entry = json.loads(step.text)
        case "CMD":
            stage.command = json.loads(step.text)
        case "HEALTHCHECK":
            stage.health = json.loads(step.text.partition(" CMD ")[2])
        case "EXPOSE" | "STOPSIGNAL":
            pass
        case unknown:
            raise ValueError(f"{unknown} is not known here: teach it")


def _run(text: str, stage: Stage, _: Mapping[str, Stage]) -> None:
    stage.run(text)


def _copy(text: str, stage: Stage, stages: Mapping[str, Stage]) -> None:
    *sources, target = text.split()
    into = _inside(stage, str(Path(stage.directory) / target))
    if sources[0].startswith("--from="):
        [source] = sources[1:]
        shutil.copytree(_inside(stages[sources[0].removeprefix("--from=")], source), into, symlinks=True)
        return
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    for name in sources:
        assert name in allowed, f".dockerignore keeps {name} out"
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, into, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            into.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, into)


CHANGING: Final = {"RUN": _run, "COPY": _copy}
"""Instructions that change files. All others say how commands are run."""


def _lend(folder: Path) -> None:
    for place in (*LENT, "/usr/local", "/etc", "/tmp", "/root/.cache/uv", "/var/lib", sys.base_prefix):
        (folder / place[1:]).mkdir(parents=True, exist_ok=True)
    for name in LINKED:
        (folder / name).symlink_to(f"usr/{name}")
    for name in ETC:
        if (source := Path("/etc") / name).is_dir():
            shutil.copytree(source, folder / "etc" / name, symlinks=True)
        elif source.exists():
            shutil.copy2(source, folder / "etc" / name)
    for parent in (Path("root"), *Path(sys.base_prefix).relative_to("/").parents):
        (folder / parent).chmod(0o755)


def _install_python(stage: Stage) -> None:
    stage.run(f"{sys.base_prefix}/bin/python3 -m venv /usr/local")


def _mounts(volumes: Mapping[str, Path]) -> Iterator[tuple[str, Path, bool]]:
    """Where inside, what, and whether it is read-only."""
    for place in (*LENT, sys.base_prefix):
        if Path(place).exists():
            yield place, Path(place), place not in {"/dev", "/proc", "/sys"}
    # What was downloaded for the development environment is not downloaded again; its hashes are checked all the same.
    if (cache := Path.home() / ".cache" / "uv").exists():
        yield "/root/.cache/uv", cache, False
    for inside, outside in volumes.items():
        yield inside, outside, False


def _caller() -> dict[str, str]:
    """What the caller's environment says of where packages come from."""
    return {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_", "SSL_", "HTTPS_"))}


def _inside(stage: Stage, place: str) -> Path:
    return stage.folder / place.lstrip("/")
