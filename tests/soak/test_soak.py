"""A short soak: `make soak` is the same for longer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.soak.soak import soak

if TYPE_CHECKING:
    from pathlib import Path

SECONDS: Final = 5.0


async def test_nothing_is_left_when_the_crowd_has_gone(tmp_path: Path) -> None:
    report = await soak(tmp_path, SECONDS, seed=3)
    assert report.findings == []
