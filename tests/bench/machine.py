"""What machine this is, with everything on it whose version the figures depend on."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sysconfig
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench.site import find_program

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.bench.contenders import Contender

_VERSION: Final = re.compile(r"\d+\.\d+(?:\.\d+)*")
_SECONDS: Final = 30


def describe(contenders: Iterable[Contender]) -> dict[str, object]:
    """The machine's name for people, and the versions of those contenders that are there."""
    versions = {"Python": f"{platform.python_version()} ({_build()})", "wrk": _said(find_program("wrk"), ("-v",))}
    described: set[Path] = set()
    for contender in contenders:
        program = contender.find()
        if program is not None and program not in described:
            described.add(program)
            versions[contender.name] = _said(program, contender.version)
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "kernel": platform.release(),
        "date": datetime.now(UTC).date().isoformat(),
        "load_average_before": round(os.getloadavg()[0], 2),
        "versions": versions,
    }


def _build() -> str:
    """Whether the interpreter was built with profile-guided optimisation: worth a tenth of the figures."""
    arguments = str(sysconfig.get_config_var("CONFIG_ARGS"))
    return "with PGO" if "--enable-optimizations" in arguments else "without PGO"


def _cpu() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE)
    return found[1] if found else platform.machine()


def _said(program: Path | None, arguments: tuple[str, ...]) -> str:
    """The first version number in what the program says of itself."""
    if program is None:
        return "missing"
    done = subprocess.run([str(program), *arguments], capture_output=True, text=True, timeout=_SECONDS, check=False)
    # A path in front of it may have a number, too.
    found = _VERSION.search((done.stdout + done.stderr).replace(str(program), ""))
    return found[0] if found else "unknown"
