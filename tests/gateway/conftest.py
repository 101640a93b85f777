"""Stages, in whatever setting a test asks for."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tests.gateway.stage import Stage, staged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


class Launch(Protocol):
    """Starts a stage; the keywords are those of `staged`."""

    async def __call__(self, **settings: Any) -> Stage: ...


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where there is such a place: a disk that takes seconds for one commit is not what is tested here."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


@pytest.fixture
async def launch(folder: Path) -> AsyncIterator[Launch]:
    async with contextlib.AsyncExitStack() as stack:

        async def start(**settings: Any) -> Stage:
            return await stack.enter_async_context(staged(folder, **settings))

        yield start


@pytest.fixture
async def stage(launch: Launch) -> Stage:
    """A stage with the defaults."""
    return await launch()
