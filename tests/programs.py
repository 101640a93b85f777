"""Programs that tests need and Python's registries do not have: where they come from, and what happens without them."""

from __future__ import annotations

import os
import shutil
from typing import Final

import pytest

PACKAGES: Final = {
    "curl": "curl",
    "nginx": "nginx-light",
    "slowhttptest": "slowhttptest",
    "taskset": "util-linux",
    "varnishtest": "varnish",
    "wrk": "wrk",
}
"""Debian's package for each program; `.ci/run` installs them."""


def require_program(name: str) -> str:
    """Where the program `name` is. Without it the test is skipped; in CI, where nothing may go unnoticed, it fails."""
    found = shutil.which(name)
    if found is not None:
        return found
    reason = f"{name} is not installed: apt-get install --no-install-recommends {PACKAGES[name]}"
    if os.environ.get("CI", "").lower() in {"", "0", "false"}:
        pytest.skip(reason)
    pytest.fail(reason)
