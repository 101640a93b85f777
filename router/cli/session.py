"""What most commands begin with: the settings, and the directory that they name."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from router.directory.ports import SystemClock
from router.directory.sqlite.store import SqliteStore
from router.directory.store import StoreUnreadableError
from router.settings.load import load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from router.settings.values import Settings


def settings_of(config: Path) -> Settings:
    """The configuration at `config`, with the environment over it. Raises `ConfigError`."""
    return load(config, os.environ)


@contextlib.asynccontextmanager
async def directory(settings: Settings) -> AsyncIterator[SqliteStore]:
    """The directory of `settings`, closed behind the block. Raises `StoreError` if it is another than configured."""
    store = SqliteStore(settings.directory.file, clock=SystemClock())
    try:
        wanted = settings.directory.id
        if wanted is not None and (found := (await store.info()).directory_id) != wanted:
            raise StoreUnreadableError(
                f"{settings.directory.file}: is the directory {found}, and directory.id names {wanted}: "
                "correct directory.url or directory.id"
            )
        yield store
    finally:
        await store.close()
