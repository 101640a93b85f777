"""The figures as a table for people, between its marks in the README."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.bench_directory.measure import Figures, Memory

BEGIN: Final = "<!-- bench-directory -->\n"
END: Final = "<!-- end -->"

_POWERS: Final = {10**3: "10³", 10**4: "10⁴", 10**5: "10⁵", 10**6: "10⁶", 10**7: "10⁷"}


class Report(TypedDict):
    """All of `build/bench-directory.json`."""

    directories: list[Figures]
    memory: Memory
    machine: dict[str, object]


def table(report: Report) -> str:
    """What the README shows."""
    return "\n".join(_lines(report)) + "\n"


def put_table(readme: Path, text: str) -> None:
    """Put `text` between the marks in `readme`."""
    before, begin, rest = readme.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{readme.name} has no {BEGIN.strip()} … {END}")
    readme.write_text(f"{before}{BEGIN}{text}{END}{after}", "utf-8")


def _lines(report: Report) -> Iterator[str]:
    yield "| placements | store | lookup p50 / p99 ms | lookups/s, 32 at once | a gap of 100 000 changes | on disk |"
    yield "|---|---|---|---|---|---|"
    for one in report["directories"]:
        placements = _POWERS.get(one["placements"], str(one["placements"]))
        yield (
            f"| {placements} | {one['store']} | {one['lookup_p50_ms']:.2f} / {one['lookup_p99_ms']:.2f} "
            f"| {one['lookups_per_second']:.0f} | {one['catch_up_s']:.1f} s | {one['size_mb']:.0f} MB |"
        )
    memory = report["memory"]
    cached = _POWERS.get(memory["cached"], str(memory["cached"]))
    yield ""
    yield (
        f"A gateway process with {cached} placements cached takes {memory['rss_mb']:.0f} MB, "
        f"{memory['bytes_each']:.0f} bytes for each."
    )
    machine = report["machine"]
    yield (
        f"Measured on {machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, {machine['date']}; "
        f"the load average before was {machine['load_average_before']}."
    )
