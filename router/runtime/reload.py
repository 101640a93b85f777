"""Reloading: another configuration for a process that goes on.

Theory. A new configuration is read and judged as a whole, beside the one that is in force, and either taken over in one
step or refused; there is no third state. Refused is what is wrong, what the process can't change (`router.runtime
.fixed`) and what can't be carried out; each with all its reasons in the log, and a metric. The one before goes on, and
is not asked for again until something has changed.

The law of the room: reading and judging happen beside the event loop, taking over on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from typing import TYPE_CHECKING, TypeAlias

from router.runtime.descriptors import fit
from router.runtime.fixed import refusals
from router.settings.problems import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from router.runtime.source import Configuration, Source
    from router.settings.values import Settings
    from router.telemetry.lifecycle import Lifecycle

Adopt: TypeAlias = "Callable[[Configuration], Awaitable[None]]"
"""Takes a configuration over. Raises `ConfigError` or `OSError` if that can't be done."""

_log = logging.getLogger(__name__)


class Reloading:
    """Reloads when it is asked to, and when one of the files has changed. `present` is what is in force."""

    def __init__(self, source: Source, present: Configuration, adopt: Adopt, lifecycle: Lifecycle) -> None:
        self.present = present
        self._source = source
        self._adopt = adopt
        self._lifecycle = lifecycle
        self._asked = asyncio.Event()
        self._watch = source.watch(present.settings.files)

    @property
    def settings(self) -> Settings:
        """What is in force."""
        return self.present.settings

    @contextlib.asynccontextmanager
    async def when_asked(self) -> AsyncIterator[None]:
        """Reload on SIGHUP and on changes, until the block ends. SIGHUP does nothing from then on."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._asked.set)
        running = loop.create_task(self._run(), name="reload")
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def _run(self) -> None:
        # What has changed between the first reading and the first look would not be noticed.
        if await self._has_news():
            self._asked.set()
        while True:
            interval = self.settings.serving.reload_interval
            try:
                async with asyncio.timeout(interval or None):
                    await self._asked.wait()
            except TimeoutError:
                if not self._watch.changed() or not await self._has_news():
                    continue
            self._asked.clear()
            if await self.reload() and await self._has_news():
                self._asked.set()

    async def reload(self) -> bool:
        """Take over what the files say now, or refuse it; which of the two."""
        try:
            wanted = await asyncio.to_thread(self._judge)
            await self._adopt(wanted)
        except ConfigError as error:
            return self._refuse(*map(str, error.problems))
        except OSError as error:
            return self._refuse(f"it cannot be carried out: {error}")
        except Exception:
            _log.exception("a configuration could not be taken over")
            return self._refuse("it failed, and this is a bug of region-router")
        self.present = wanted
        self._watch = self._source.watch(wanted.settings.files)
        self._lifecycle.took(wanted.digest)
        for warning in wanted.settings.warnings:
            _log.warning("configuration: %s", warning)
        _log.info("configuration %s is in force", wanted.digest)
        return True

    def _judge(self) -> Configuration:
        wanted = self._source.read()
        problems = refusals(self.settings, wanted.settings)
        if problems:
            raise ConfigError(problems)
        return wanted._replace(settings=fit(wanted.settings))

    async def _has_news(self) -> bool:
        """Whether content has changed, and not only its files. What can't be read is to be judged."""
        try:
            found = await asyncio.to_thread(self._source.glance, self.settings.files)
        except ConfigError:
            return True
        if found != self.present.digest:
            return True
        # Whoever put it back has nothing to mend any more.
        self._lifecycle.last_accepted = True
        return False

    def _refuse(self, *reasons: str) -> bool:
        self._lifecycle.refuse()
        for reason in reasons:
            _log.error("configuration refused, the one before goes on: %s", reason)
        return False
