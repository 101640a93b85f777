"""A directory of each kind, and a stage over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.control.api_site import serving
from tests.control.control_sites import PostgresControlSite, SqliteControlSite, Stage
from tests.directory.sites import PostgresSite

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.control.api_site import Client
    from tests.control.control_sites import ControlSite


@pytest.fixture(params=["sqlite", "postgres"])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ControlSite]:
    """A directory of each kind, freshly made."""
    site: ControlSite
    if request.param == "sqlite":
        site = SqliteControlSite(tmp_path / "directory.db")
    else:
        site = PostgresControlSite(await PostgresSite.make())
    yield site
    await site.close()


@pytest.fixture
def stage(site: ControlSite) -> Stage:
    """What people and jobs do with it."""
    return Stage(site)


@pytest.fixture
async def api(site: ControlSite) -> AsyncIterator[Client]:
    """A control API that listens, over that directory."""
    async with serving(site) as client:
        yield client
