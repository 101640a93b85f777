"""The listener: hears of changes by NOTIFY and wakes the registration, which then renews at once.

Theory. Nothing rests on it: a renewal is due every `poll_interval` anyway, and what a notification says is not read. So
whatever goes wrong here costs time and nothing else; it is told once, and tried again.

A connection can be dead without a sign of it, and a pooler in transaction mode takes LISTEN and delivers nothing. Both
look like silence. So silence is not believed: every `heartbeat` a *pulse* goes out as a writer's notification would,
through the store's own connections, to a channel that only this listener has, and it has to arrive here within another
`heartbeat`. If it does not, the connection is given up and a new one made. That also finds out a `listen_url` that
leads to another database than `url`.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
from typing import TYPE_CHECKING, Final

import psycopg

from router.directory.postgres.errors import from_psycopg
from router.directory.postgres.feed import CHANNEL
from router.directory.postgres.pool import connect
from router.directory.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from router.directory.ports import Clock
    from router.directory.postgres.pool import Link
    from router.directory.postgres.source import Source

_RETRY: Final = 1.0
_RETRY_MAX: Final = 60.0
"""Seconds between two attempts: it grows while they fail."""

_log = logging.getLogger(__name__)


class Listener:
    """Listens at `source` until it is cancelled. `wake` is called for each change that is heard of, and at the begin.

    `notify` sends a notification to a channel on another way than `source`; `heartbeat` is in seconds.
    """

    def __init__(
        self,
        source: Source,
        *,
        notify: Callable[[str], Awaitable[None]],
        wake: Callable[[], None],
        clock: Clock,
        heartbeat: float,
    ) -> None:
        self._source = source
        self._notify = notify
        self._wake = wake
        self._clock = clock
        self._heartbeat = heartbeat
        self._pulses = f"{CHANNEL}_{secrets.token_hex(8)}"
        self._failures = 0
        self.listening = False
        """Whether the last pulse has arrived, so that changes are heard of."""

    async def run(self) -> None:
        """Never ends by itself, and of no error."""
        while True:
            try:
                await self._listen()
            except StoreError as error:
                self._note_failure(str(error))
            except Exception as error:  # a bug must not end the loop: nobody would listen any more
                _log.exception("the listener failed")
                self._note_failure(f"internal error: {error}")
            finally:
                self.listening = False
            await self._clock.sleep(min(_RETRY_MAX, _RETRY * 2.0 ** min(self._failures - 1, 16)))

    async def _listen(self) -> None:
        link = await connect(self._source)
        try:
            await link.execute(f"LISTEN {CHANNEL}; LISTEN {self._pulses}", None, self._heartbeat)
            while True:
                await self._prove(link)
                self._note_success()
                await self._hear(link, self._heartbeat, until_pulse=False)
        finally:
            await link.close()

    async def _prove(self, link: Link) -> None:
        """Send a pulse and wait for it. Raises `StoreError` if it does not arrive."""
        await self._notify(self._pulses)
        if not await self._hear(link, self._heartbeat, until_pulse=True):
            raise StoreError(
                f"{self._source.name}: a notification did not arrive within {self._heartbeat:g} s: "
                "name the primary itself, not a pooler, in directory.listen_url"
            )

    async def _hear(self, link: Link, seconds: float, *, until_pulse: bool) -> bool:
        """Wake for each change that is heard of in so many seconds, and return whether a pulse was."""
        try:
            async with contextlib.aclosing(link.connection.notifies(timeout=seconds)) as heard:
                async for notification in heard:
                    if notification.channel == CHANNEL:
                        self._wake()
                    elif until_pulse:
                        return True
        except psycopg.Error as error:
            raise from_psycopg(error, self._source) from error
        return False

    def _note_failure(self, error: str) -> None:
        self._failures += 1
        if self._failures == 1:
            _log.warning("changes of the directory are found by polling only: %s", error)

    def _note_success(self) -> None:
        if not self.listening:
            _log.info("changes of the directory are listened for")
            # Of what came before nothing was heard.
            self._wake()
        self._failures = 0
        self.listening = True
