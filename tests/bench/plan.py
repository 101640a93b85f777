"""What is measured, for how long, on which cores: values that every other file of the bench takes.

The law of the room: one load for all contenders. Ids, headers, bodies, connections and the order of everything are
fixed, here or by what is fixed here, so that two runs differ by the machine alone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT: Final = Path(__file__).resolve().parents[2]
HERE: Final = Path(__file__).resolve().parent
BUILD: Final = ROOT / "build"
VENV: Final = BUILD / "bench-venv"
"""What only the bench needs from PyPI is installed here, apart from what the gateway is developed with."""

REGIONS: Final = ("global", "eu", "us", "uk", "au")
HOME: Final = REGIONS[0]

GET: Final = "get"
LOADS: Final = (GET, "post", "chunked")
SCENARIOS: Final = (*LOADS, "bulk", "idle", "cold")

JSON_BYTES: Final = 512
POST_BYTES: Final = 1024
CHUNKED_BYTES: Final = 10_240
MEBIBYTE: Final = 1 << 20


class BenchError(Exception):
    """Something that this run needs is not there, or a contender did not do its work. One line, with the mend."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured. `seconds` are per contender, load and round; `only` are contenders, empty for all."""

    seconds: int = 3
    rounds: int = 3
    only: tuple[str, ...] = ()
    scenarios: tuple[str, ...] = SCENARIOS
    workspaces: int = 100_000
    connections: int = 32
    bulk_mebibytes: int = 1024
    idle_connections: int = 5000
    cold_requests: int = 1000


@dataclass(frozen=True, slots=True)
class Cores:
    """`proxy` is for the contender alone; `load` for wrk, the origin and whatever else the bench runs."""

    proxy: int
    load: int


def read_plan(environment: Mapping[str, str], contenders: tuple[str, ...]) -> Plan:
    """The plan that `BENCH_SECONDS`, `BENCH_ROUNDS`, `BENCH_ONLY` and `BENCH_SCENARIOS` ask for.

    Raises `BenchError` with everything that is wrong.
    """
    problems: list[str] = []

    def number(name: str, default: int, most: int) -> int:
        text = environment.get(name, str(default))
        if text.isascii() and text.isdigit() and 1 <= int(text) <= most:
            return int(text)
        problems.append(f"{name} is {text!r}: write a whole number from 1 to {most}")
        return default

    def names(name: str, known: tuple[str, ...]) -> tuple[str, ...]:
        chosen = tuple(environment.get(name, "").replace(",", " ").split())
        problems.extend(f"{name} names {word!r}: known are {', '.join(known)}" for word in chosen if word not in known)
        return chosen

    plan = Plan(
        seconds=number("BENCH_SECONDS", Plan().seconds, 60),
        rounds=number("BENCH_ROUNDS", Plan().rounds, 20),
        only=names("BENCH_ONLY", contenders),
        scenarios=names("BENCH_SCENARIOS", SCENARIOS) or SCENARIOS,
    )
    if problems:
        raise BenchError("; ".join(problems))
    return plan


def read_cores() -> Cores:
    """The first two cores that this process may use. Raises `BenchError` if there is only one."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise BenchError("the bench needs two cores: one for the contender, one for the load")
    return Cores(proxy=cores[0], load=cores[1])


def workspaces(count: int) -> Iterator[tuple[str, str]]:
    """Workspace ids with their regions: the same in every run, in no order, spread evenly over the regions."""
    for number in range(count):
        yield blake2b(b"%d" % number, digest_size=12).hexdigest(), REGIONS[number % len(REGIONS)]


def fill(template: str, values: Mapping[str, object]) -> str:
    """A file of `configs/` with each `{{name}}` replaced. Raises `KeyError` for a name without a value."""
    pieces = (HERE / "configs" / template).read_text("utf-8").split("{{")
    filled = pieces[0]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        filled += f"{values[name]}{rest}"
    return filled
