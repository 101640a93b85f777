"""The directory's bench measures what it says, on small directories, and its table fits into the README."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.bench_directory.__main__ import bench
from tests.bench_directory.measure import ROOT
from tests.bench_directory.report import BEGIN, put_table, table

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.timeout(180)
async def test_both_stores_are_measured_and_shown(tmp_path: Path) -> None:
    report = await bench([100], 1000, tmp_path)
    assert [(one["store"], one["placements"]) for one in report["directories"]] == [
        ("SQLite", 100),
        ("PostgreSQL", 100),
    ]
    for one in report["directories"]:
        assert 0 < one["lookup_p50_ms"] <= one["lookup_p99_ms"]
        assert one["lookups_per_second"] > 0
        assert one["catch_up_s"] > 0
    assert report["memory"]["bytes_each"] > 0
    assert len(re.findall(r"(?m)^\| 100 \|", table(report))) == 2
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}old\n<!-- end -->\nafter\n", "utf-8")
    put_table(readme, table(report))
    assert readme.read_text("utf-8") == f"before\n{BEGIN}{table(report)}<!-- end -->\nafter\n"


def test_the_readme_has_a_place_for_it() -> None:
    assert BEGIN in (ROOT / "README.md").read_text("utf-8")
