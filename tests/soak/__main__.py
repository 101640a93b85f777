"""Soak for a while: `make soak`. `SOAK_SECONDS` (300) bounds it. One line at the end, and exit 1 on a finding."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import tempfile
from pathlib import Path

import uvloop

from tests.soak.soak import soak


def main() -> int:
    """Soak, report, and tell the exit code."""
    seconds = float(os.environ.get("SOAK_SECONDS") or 300)
    # The crowd needs the faster loop as much as the gateway does: it shall not be what limits the load.
    loop = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    with tempfile.TemporaryDirectory() as folder, loop as runner:
        report = runner.run(soak(Path(folder), seconds, seed=secrets.randbits(32)))
    print(*report.findings, report.line(), sep="\n")
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
