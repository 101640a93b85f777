"""Processes of the bench, each on its core, each ended by its own id whatever happens; and what /proc says of them."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench.plan import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

START_SECONDS: Final = 30.0
_END_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.05
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def pinned(core: int, command: Sequence[str]) -> list[str]:
    """`command`, on `core` alone. taskset becomes the command: the process keeps its id."""
    return ["taskset", "-c", str(core), *command]


@contextlib.contextmanager
def running(command: Sequence[str], *, core: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command as a process, its output appended to `log`, until the block ends."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            pinned(core, command), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when somebody listens on `port`. Raises `BenchError` if the process ends first, or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise BenchError(f"it ended with {process.returncode} before it listened: {_last_line(log)} (see {log})")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(_LOOK_SECONDS)
    raise BenchError(f"it did not listen within {START_SECONDS:g} s: {_last_line(log)} (see {log})")


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that the kernel says are free: for programs that cannot be told to let it choose."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        return [int(listener.getsockname()[1]) for listener in sockets]


def cpu_seconds(pid: int) -> float:
    """User and system time of the process, all its threads, and the processes below it that still run."""
    ticks = 0
    for member in _tree(pid):
        # Behind the name, which may hold blanks: field 14 and 15 of the line, 11 and 12 from there.
        fields = Path(f"/proc/{member}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS


def resident_bytes(pid: int) -> int:
    """What the process and those below it hold in memory now."""
    return sum(_status_kib(member, "VmRSS") for member in _tree(pid)) * 1024


def peak_bytes(pid: int) -> int:
    """The most that each of them held since the last `forget_peak`."""
    return sum(_status_kib(member, "VmHWM") for member in _tree(pid)) * 1024


def forget_peak(pid: int) -> None:
    """Let the peak start from what is held now."""
    for member in _tree(pid):
        Path(f"/proc/{member}/clear_refs").write_text("5")


def _tree(pid: int) -> list[int]:
    """The process and everything below it."""
    members = [pid]
    for member in members:
        for task in Path(f"/proc/{member}/task").iterdir():
            with contextlib.suppress(FileNotFoundError):
                members += map(int, (task / "children").read_text().split())
    return members


def _status_kib(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text("utf-8", "replace").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise BenchError(f"process {pid} has ended")


def _last_line(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
