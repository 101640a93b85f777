"""Stages, in whatever setting a test asks for."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tests.gateway.stage import Stage, staged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Launch(Protocol):
    """Starts a stage; the keywords are those of `staged`."""

    async def __call__(self, **settings: Any) -> Stage: ...


@pytest.fixture
async def launch(tmp_path: Path) -> AsyncIterator[Launch]:
    async with contextlib.AsyncExitStack() as stack:

        async def start(**settings: Any) -> Stage:
            return await stack.enter_async_context(staged(tmp_path, **settings))

        yield start


@pytest.fixture
async def stage(launch: Launch) -> Stage:
    """A stage with the defaults."""
    return await launch()
