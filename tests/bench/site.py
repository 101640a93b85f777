"""The stage of one run: a folder, the file of workspaces, the origin behind every contender.

The origin is nginx on the core of the load: one listener a region, so that the answer tells where a request came out.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.plan import CHUNKED_BYTES, HOME, JSON_BYTES, POST_BYTES, REGIONS, BenchError, fill, workspaces
from tests.bench.processes import free_ports, running, wait_for_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.bench.plan import Cores, Plan


@dataclass(frozen=True, slots=True)
class Site:
    """Where the contenders' files are, and the port of 127.0.0.1 where each region's origin listens."""

    folder: Path
    plan: Plan
    cores: Cores
    origins: Mapping[str, int]

    @property
    def workspaces(self) -> Path:
        """One line a workspace: its id, a blank, its region."""
        return self.folder / "workspaces.txt"

    @property
    def load_script(self) -> Path:
        """What wrk runs."""
        return self.folder / "wrk.lua"

    @property
    def directory(self) -> Path:
        """The router's directory."""
        return self.folder / "directory.db"


def prepare(folder: Path, plan: Plan) -> None:
    """Make the folder anew, with what does not depend on any port."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    placed = tuple(workspaces(plan.workspaces))
    (folder / "workspaces.txt").write_text("".join(f"{workspace} {region}\n" for workspace, region in placed))
    rows = "".join(f"{workspace},{region}\n" for workspace, region in placed)
    (folder / "workspaces.csv").write_text(f"workspace,region\n{rows}")
    (folder / "wrk.lua").write_text(fill("wrk.lua", {"post_bytes": POST_BYTES}))
    (folder / "export").write_text(json_of(CHUNKED_BYTES))
    (folder / "made").write_text("{}")


def json_of(size: int) -> str:
    """A JSON object of exactly `size` bytes."""
    frame = '{"name":""}'
    return frame.replace('""', f'"{"x" * (size - len(frame))}"')


def origin_config(folder: Path, ports: Mapping[str, int]) -> str:
    """Nginx as the origin of every region."""
    values = {
        "folder": folder,
        "listens": " ".join(f"listen 127.0.0.1:{port} backlog=4096;" for port in ports.values()),
        "regions_by_port": " ".join(f"{port} {region};" for region, port in ports.items()),
        "json": json_of(JSON_BYTES),
    }
    return fill("origin.conf", values)


@contextlib.contextmanager
def origin(folder: Path, plan: Plan, cores: Cores) -> Iterator[Site]:
    """The origin of every region, until the block ends. Raises `BenchError` if nginx is not there or does not start."""
    nginx = find_program("nginx")
    if nginx is None:
        raise BenchError("nginx, the origin, is not installed: run `make bench` as root, or install it yourself")
    ports = dict(zip(REGIONS, free_ports(len(REGIONS)), strict=True))
    config = folder / "origin.conf"
    config.write_text(origin_config(folder, ports))
    log = folder / "origin.out"
    with running([str(nginx), "-c", str(config)], core=cores.load, log=log) as process:
        wait_for_port(ports[HOME], process, log)
        yield Site(folder, plan, cores, ports)


@contextlib.contextmanager
def bulk_origin(folder: Path, plan: Plan, cores: Cores) -> Iterator[Site]:
    """The origin that takes and gives the large bodies, the same one for every region, until the block ends."""
    [port] = free_ports(1)
    log = folder / "bulk-origin.out"
    command = [sys.executable, "-m", "tests.bench.bulk", "origin", str(port), str(plan.bulk_mebibytes)]
    with running(command, core=cores.load, log=log) as process:
        wait_for_port(port, process, log)
        yield Site(folder, plan, cores, dict.fromkeys(REGIONS, port))


def find_program(name: str) -> Path | None:
    """A program of the system's: also where users' PATH does not look, but daemons are installed."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    return Path(found) if found else None
