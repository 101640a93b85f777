"""A short soak: `make soak` is the same for longer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import pytest

from tests.soak.soak import soak

if TYPE_CHECKING:
    from pathlib import Path

SECONDS: Final = 5.0


@pytest.mark.skipif(sys.platform != "linux", reason="what a process holds is read from /proc")
async def test_nothing_is_left_when_the_crowd_has_gone(tmp_path: Path) -> None:
    report = await soak(tmp_path, SECONDS, seed=3)
    assert report.findings == []
