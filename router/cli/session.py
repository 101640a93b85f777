"""What most commands begin with: the settings, and the directory that they name."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from router.directory.ports import SystemClock
from router.directory.store import StoreUnreadableError
from router.runtime.directories import open_store
from router.settings.load import load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from router.runtime.directories import MaintainedStore
    from router.settings.values import Settings


def settings_of(config: Path) -> Settings:
    """The configuration at `config`, with the environment over it. Raises `ConfigError`."""
    return load(config, os.environ)


@contextlib.asynccontextmanager
async def directory(settings: Settings) -> AsyncIterator[MaintainedStore]:
    """The directory of `settings`, closed behind the block. Raises `StoreError` if it is another than configured."""
    wanted = settings.directory.id
    store = open_store(replace(settings.directory, id=None), SystemClock())
    try:
        if wanted is not None and (found := (await store.info()).directory_id) != wanted:
            raise StoreUnreadableError(
                f"{settings.directory.name}: is the directory {found}, and directory.id names {wanted}: "
                "correct directory.url or directory.id"
            )
        yield store
    finally:
        await store.close()
