"""The contenders of one run, side by side on one core: started, checked, warmed, and dropped when they fail.

The law of the room: who fails is named with the reason and takes no further part; everybody else is measured on.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.bench.contenders import ops_port_file
from tests.bench.load import apply_load
from tests.bench.plan import CHUNKED_BYTES, JSON_BYTES, LOADS, POST_BYTES, REGIONS, BenchError, workspaces
from tests.bench.processes import START_SECONDS, free_ports, running, wait_for_port

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.bench.contenders import Contender
    from tests.bench.site import Site

MOST: Final = 0.99
"""The share of all workspaces that each of several workers knows when it is warm: which of them a request meets is
chance, and the last ones take long to meet all.
"""
_WARM_LEGS: Final = 12
_WARM_SECONDS: Final = 5
_ENTRIES: Final = re.compile(r"^router_cache_entries (\S+)$", re.MULTILINE)
_LOOK_SECONDS: Final = 0.05


class Runner(NamedTuple):
    """A contender that runs."""

    contender: Contender
    port: int
    pid: int


class Field:
    """Who still takes part, in the order of the table; `failed` says of the others why not."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.failed: dict[str, str] = {}
        self._runners: dict[str, Runner] = {}

    def __iter__(self) -> Iterator[Runner]:
        """Those that have not failed, at the time of the call."""
        return iter(tuple(self._runners.values()))

    def enter(self, runner: Runner) -> None:
        """One more takes part."""
        self._runners[runner.contender.name] = runner

    @contextlib.contextmanager
    def trying(self, name: str, doing: str) -> Iterator[None]:
        """Let the block's failure be that of the contender `name` alone."""
        try:
            yield
        except (BenchError, OSError, http.client.HTTPException, subprocess.TimeoutExpired) as error:
            self._runners.pop(name, None)
            self.failed[name] = f"{doing}: {error}"
            say(f"{name} FAILED, {self.failed[name]}")


def say(text: str) -> None:
    """Tell whoever waits what is going on."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def started(site: Site, contenders: Iterable[Contender]) -> Iterator[Field]:
    """All of `contenders` that can be started, until the block ends."""
    field = Field(site)
    with contextlib.ExitStack() as stack:
        for contender in contenders:
            with field.trying(contender.name, "start"):
                field.enter(_start(stack, site, contender))
        yield field


def _start(stack: contextlib.ExitStack, site: Site, contender: Contender) -> Runner:
    program = contender.find()
    assert program is not None
    [port] = free_ports(1)
    log = site.folder / f"{contender.name}.out"
    command = contender.configure(site, port, program)
    process = stack.enter_context(running(command, core=site.cores.proxy, log=log))
    wait_for_port(port, process, log)
    if contender.workers:
        _wait_until_ready(ops_port(site, port))
    return Runner(contender, port, process.pid)


def ops_port(site: Site, port: int) -> int:
    """Where the metrics of the router at `port` are."""
    return int(ops_port_file(site, port).read_text())


def _wait_until_ready(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            return
        time.sleep(_LOOK_SECONDS)
    raise BenchError(f"it was not ready within {START_SECONDS:g} s")


def check_loads(site: Site, runner: Runner) -> None:
    """See that what is to be measured is done: whole answers, from the workspace's region where it routes.

    Raises `BenchError`, `OSError`, `http.client.HTTPException`.
    """
    sizes = {"projects": JSON_BYTES, "export": CHUNKED_BYTES, "time-entries": JSON_BYTES}
    connection = http.client.HTTPConnection("127.0.0.1", runner.port, timeout=10)
    with contextlib.closing(connection):
        for workspace, region in workspaces(len(REGIONS)):
            for tail, size in sizes.items():
                body = b"x" * POST_BYTES if tail == "time-entries" else None
                path = f"/api/v1/workspaces/{workspace}/{tail}"
                connection.request("POST" if body else "GET", path, body, {"Host": "api.clockify.me"})
                answer = connection.getresponse()
                received = len(answer.read())
                if answer.status != 200 or received != size:
                    raise BenchError(f"{tail} was answered {answer.status} with {received} of {size} bytes")
                came_from = answer.getheader("X-Origin")
                if runner.contender.routes and came_from != region:
                    raise BenchError(f"a workspace of {region} was sent to {came_from}")


def warm(site: Site, runner: Runner) -> None:
    """Let it do for a while what is measured; a router until its caches have every workspace. Raises `BenchError`."""
    for kind in LOADS:
        apply_load(site, runner.port, kind, seconds=1, first=0)
    workers = runner.contender.workers
    if workers:
        first = 0
        wanted = site.plan.workspaces * (1.0 if workers == 1 else workers * MOST)
        for _ in range(_WARM_LEGS * workers):
            entries = cached_entries(ops_port(site, runner.port))
            say(f"{runner.contender.name}: {entries} workspaces are cached")
            if entries >= wanted:
                return
            first += apply_load(site, runner.port, "get", seconds=_WARM_SECONDS, first=first).requests
        raise BenchError(f"its cache is not warm after {_WARM_LEGS * workers * _WARM_SECONDS} s")


def cached_entries(port: int) -> int:
    """How many entries are in the cache of the router whose ops listener is at `port`. Raises `BenchError`."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        found = _ENTRIES.search(answer.read().decode("utf-8"))
    if found is None:
        raise BenchError("the router's metrics do not say how many entries are cached")
    return int(float(found[1]))
