"""A region, a directory and a folder for real gateway processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.gateway.conftest import folder, launch
from tests.gateway.origin import Origin
from tests.gateway.stage import furnish

__all__ = ["folder", "launch"]

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    """One origin that stands for all regions."""
    origin = Origin("region")
    await origin.start()
    yield origin
    await origin.stop()


@pytest.fixture
async def place(folder: Path) -> Path:
    """The folder, with a directory that is open."""
    await furnish(folder)
    return folder


@pytest.fixture
def ports(origin: Origin) -> dict[str, int]:
    return dict.fromkeys(("global", "eu", "us"), origin.port)
