"""The load: wrk with this bench's script, and what it says afterwards."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.bench.plan import BenchError
from tests.bench.processes import pinned
from tests.bench.site import find_program

if TYPE_CHECKING:
    from tests.bench.site import Site

_MARK: Final = "BENCH "
_REQUEST_SECONDS: Final = 10
_SPARE_SECONDS: Final = 30


class Load(NamedTuple):
    """One run of wrk. Latencies in milliseconds, as a client of a proxy at its limit sees them."""

    requests: int
    seconds: float
    p50: float
    p99: float


def read_summary(text: str) -> Load:
    """What the script's last line says. Raises `BenchError` if there is none, or an answer was missing or not 2xx."""
    line = next((line for line in text.splitlines() if line.startswith(_MARK)), None)
    if line is None:
        raise BenchError(f"wrk gave no summary: {text.strip()[-300:] or 'it said nothing'}")
    said = json.loads(line.removeprefix(_MARK))
    if said["not_ok"] or said["broken"]:
        raise BenchError(
            f"of {said['requests']} requests {said['not_ok']} got an error for an answer, and {said['broken']} none"
        )
    if not said["requests"]:
        raise BenchError("no request was answered")
    return Load(said["requests"], said["microseconds"] / 1e6, said["p50"] / 1000, said["p99"] / 1000)


def apply_load(site: Site, port: int, kind: str, *, seconds: int, first: int) -> Load:
    """Load what listens on `port` with requests of `kind`, the first one for workspace number `first` of the walk.

    Raises `BenchError`.
    """
    wrk = find_program("wrk")
    if wrk is None:
        raise BenchError("wrk, the load, is not installed: run `make bench` as root, or install it yourself")
    plan = site.plan
    options = ["-t1", f"-c{plan.connections}", f"-d{seconds}s", "--timeout", f"{_REQUEST_SECONDS}s"]
    walk = [kind, str(site.workspaces), str(plan.workspaces), str(first)]
    command = [str(wrk), *options, "-s", str(site.load_script), f"http://127.0.0.1:{port}/", "--", *walk]
    done = subprocess.run(
        pinned(site.cores.load, command), capture_output=True, text=True, timeout=seconds + _SPARE_SECONDS, check=False
    )
    return read_summary(done.stdout or done.stderr)
