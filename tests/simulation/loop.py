"""An event loop that the simulation drives: no time, no threads, no sockets of its own.

Theory. Everything that reaches a process (an answer of the directory, bytes of a client, a timer) is a *delivery*: it
only puts a callback into the ready queue. A *turn* then runs what was ready when it began, in order, just as asyncio
does between two looks at its selector; what these callbacks make ready waits for the next turn, and another delivery
may come first. So whatever order this loop can produce, a real one can.
"""

from __future__ import annotations

import asyncio
import heapq
from asyncio import events
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextvars import Context

TURNS_AT_MOST = 400
"""More than any work of a process takes until it waits again: beyond this it spins."""


class SpinningError(Exception):
    """A process does not come to rest."""


class SimulatedLoop(asyncio.AbstractEventLoop):
    """The loop of one process. Runs only in `turn`, `settle` and what these call."""

    def __init__(self) -> None:
        self.ready: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self.writers: dict[int, Callable[[], object]] = {}
        self.timers: list[tuple[float, int, asyncio.Future[None]]] = []
        self.failures: list[str] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self._order = count()

    # What the simulation does

    def deliver(self, callback: Callable[..., object], *args: Any) -> None:
        """Something has reached the process; it notices in its next turn."""
        self.ready.append((callback, args))

    def turn(self) -> None:
        """Run what is ready now."""
        ready = self.ready
        before = events._get_running_loop()
        events._set_running_loop(self)
        try:
            for _ in range(len(ready)):
                callback, args = ready.popleft()
                callback(*args)
        finally:
            events._set_running_loop(before)

    def settle(self) -> None:
        """Run until everybody waits for something. Raises `SpinningError`."""
        ready = self.ready
        before = events._get_running_loop()
        events._set_running_loop(self)
        try:
            for _ in range(TURNS_AT_MOST):
                if not ready:
                    return
                for _ in range(len(ready)):
                    callback, args = ready.popleft()
                    callback(*args)
        finally:
            events._set_running_loop(before)
        raise SpinningError

    def next_timer(self) -> float | None:
        """When the next sleeper wakes, by the clock that it sleeps by."""
        timers = self.timers
        while timers and timers[0][2].done():
            heapq.heappop(timers)
        return timers[0][0] if timers else None

    def fire_timers(self, now: float) -> None:
        """Wake everybody whose hour has come, in the order of the hours."""
        timers = self.timers
        while timers and timers[0][0] <= now:
            future = heapq.heappop(timers)[2]
            if not future.done():
                future.set_result(None)

    async def sleep_until(self, hour: float) -> None:
        """Wait for `fire_timers`."""
        future: asyncio.Future[None] = asyncio.Future(loop=self)
        heapq.heappush(self.timers, (hour, next(self._order), future))
        await future

    def end(self) -> None:
        """The process is no more. Whatever still waits is given up without a word."""
        before = events._get_running_loop()
        events._set_running_loop(self)
        try:
            for task in self.tasks:
                if not task.done():
                    task.get_coro().close()
        finally:
            events._set_running_loop(before)
            self.tasks.clear()
            self.ready.clear()
            self.timers.clear()
            self.writers.clear()

    # What asyncio and the code under test ask

    def call_soon(  # type: ignore[override]  # without the variadic types
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Any:
        """See asyncio. Nothing here uses contexts."""
        self.ready.append((callback, args))

    def create_future(self) -> asyncio.Future[Any]:
        """See asyncio."""
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]  # of coroutines only
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        """See asyncio."""
        task = asyncio.Task(coro, loop=self, name=name)
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # tasks of a process that is killed stay pending
        self.tasks.append(task)
        return task

    def add_writer(  # type: ignore[override]  # without the variadic types
        self, fd: Any, callback: Callable[..., object], *args: Any
    ) -> None:
        """See asyncio."""
        self.writers[fd] = callback

    def remove_writer(self, fd: Any) -> bool:
        """See asyncio."""
        return self.writers.pop(fd, None) is not None

    def get_debug(self) -> bool:
        """See asyncio."""
        return False

    def is_closed(self) -> bool:
        """See asyncio."""
        return False

    def is_running(self) -> bool:
        """See asyncio."""
        return True

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """See asyncio. A failure that nobody handles is a finding."""
        self.failures.append(f"{context.get('message')}: {context.get('exception')!r}")
