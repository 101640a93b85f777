"""Programs that tests need: where they come from, and what happens without them."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final, NoReturn

import pytest

PACKAGES: Final = {
    "curl": "curl",
    "nginx": "nginx-light",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "slowhttptest": "slowhttptest",
    "strace": "strace",
    "systemd-analyze": "systemd",
    "taskset": "util-linux",
    "varnishtest": "varnish",
    "wrk": "wrk",
}
"""Debian's package for each program; `.ci/run` installs them."""


def require_program(name: str) -> str:
    """Where the program `name` is. Without it the test is skipped; in CI, where nothing may go unnoticed, it fails."""
    found = shutil.which(name)
    if found is None:
        _miss(f"{name} is not installed: apt-get install --no-install-recommends {PACKAGES[name]}")
    return found


def require_tool(name: str) -> Path:
    """Where the program `name` of the dependency group `deploy` is, beside the interpreter. Else as above."""
    # Not from PATH: another version elsewhere would be another test.
    found = Path(sys.executable).with_name(name)
    if not found.exists():
        _miss(f"{name} is not installed: make deploy-tools")
    return found


def _miss(reason: str) -> NoReturn:
    if os.environ.get("CI", "").lower() in {"", "0", "false"}:
        pytest.skip(reason)
    pytest.fail(reason)
