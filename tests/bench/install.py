"""Getting what the bench compares with: wheels into an environment of its own, and as root the system's packages.

    python -m tests.bench.install

What cannot be had is no failure here: the bench's table says what is missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import Final

from tests.bench.contenders import CONTENDERS
from tests.bench.plan import HERE, VENV
from tests.bench.site import find_program

PACKAGES: Final = ("wrk", "nginx", "libnginx-mod-http-lua")
"""Debian's names."""

_SECONDS: Final = 600


def install_wheels() -> list[str]:
    """Bring what `requirements.txt` pins into the bench's environment, each by itself. What failed, a line each."""
    python = VENV / "bin" / "python"
    if not python.exists():
        said = _run([sys.executable, "-m", "venv", str(VENV)])
        if said is not None:
            return [f"{VENV} cannot be made: {said}"]
    stamp = VENV / "requirements.txt"
    wanted = (HERE / "requirements.txt").read_text("utf-8")
    if stamp.exists() and stamp.read_text("utf-8") == wanted:
        return []
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    pins = [line for line in wanted.splitlines() if line and not line.startswith("#")]
    problems = [f"{pin} cannot be installed: {said}" for pin in pins if (said := _run([*pip, pin])) is not None]
    if not problems:
        stamp.write_text(wanted, "utf-8")
    return problems


def install_packages() -> list[str]:
    """Bring wrk and nginx from Debian, if they are not there and this may be done. What failed, a line each."""
    lua = next(contender for contender in CONTENDERS if contender.name == "nginx-lua")
    missing = [name for name in PACKAGES[:2] if find_program(name) is None]
    if lua.find() is None:
        missing.append(PACKAGES[2])
    if not missing:
        return []
    command = f"apt-get install --no-install-recommends {' '.join(missing)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return [f"not installed: {', '.join(missing)}; as root on Debian: {command}"]
    for step in ("apt-get update -qq", command.replace("install", "install -qq -y")):
        said = _run(step.split())
        if said is not None:
            return [f"{step} failed: {said}"]
    return []


def _run(command: list[str]) -> str | None:
    """`None` if it went well, else the last line of what it said."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        env=environment,
        check=False,
    )
    if done.returncode == 0:
        return None
    lines = (done.stderr.strip() or done.stdout.strip() or f"it ended with {done.returncode}").splitlines()
    return lines[-1]


if __name__ == "__main__":
    for problem in (*install_wheels(), *install_packages()):
        print(f"bench: {problem}", file=sys.stderr)
