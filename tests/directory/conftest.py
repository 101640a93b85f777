"""A started rig of the cached directory, and the kinds of directory that must pass the contract suite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.directory.rig import Rig
from tests.directory.sites import PostgresSite, SqliteSite

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.directory.sites import MaintainedStore, Site


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """Registered, caught up, with an empty cache."""
    rig = Rig()
    await rig.start()
    yield rig
    await rig.spawner.close()


@pytest.fixture(params=["sqlite", "postgres"])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    """A directory of each kind, freshly made."""
    site: Site = SqliteSite(tmp_path / "directory.db") if request.param == "sqlite" else await PostgresSite.make()
    yield site
    await site.close()


@pytest.fixture
def store(site: Site) -> MaintainedStore:
    """A store of that directory."""
    return site.connect()
