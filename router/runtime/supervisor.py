"""The supervisor: gateway processes side by side, on the sockets of one, shown as one.

Theory. A Python process uses one core, so a machine is filled with several: each with its own registration, its own
cache and its own connections, sharing nothing but the address. What they would have to share is kept by a supervisor
that serves no client, and so has no reason to die with one: the listening sockets (`router.runtime.listeners`), the
configuration, and what they have counted (`router.telemetry.merging`). The reasons that a worker dies are not known
here. It is replaced: at once, and ever later while that does not help. Its brothers learn of it, and have what it left
in the directory forgotten at once.

The law of the room: one slot, one worker at a time. A worker that says nothing for too long is as good as dead, and is
made so; how long it has been silent is counted in looks, not in seconds, or a machine that was suspended would kill all
of them when it wakes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from typing import TYPE_CHECKING, Final

from router.runtime.channel import open_channel
from router.settings.problems import ConfigError, ConfigProblem

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from router.runtime.channel import Channel, Message
    from router.runtime.listeners import Doors
    from router.runtime.source import Configuration
    from router.telemetry.lifecycle import Lifecycle
    from router.telemetry.merging import Fleet

LOOK_SECONDS: Final = 1.0
SILENT_LOOKS: Final = 30
"""A worker reports at every look; one that has missed so many hangs."""

STEADY_SECONDS: Final = 30.0
"""A worker that lived so long did not die of what the one before it did."""
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds before a worker is replaced; who connects to its socket waits so long."""

START_LOOKS: Final = 5
"""A worker that has not reported after so many makes the whole not ready: its share of the clients waits for it."""

REFRESH_SECONDS: Final = 0.5
ADOPT_SECONDS: Final = 30.0
KILL_SECONDS: Final = 10.0
"""Beyond the drain's own limit."""

_log = logging.getLogger(__name__)


class Slot:
    """The place of one worker: its doors, and what is known of whoever is in it."""

    def __init__(self, number: int, doors: Doors) -> None:
        self.number = number
        self.doors = doors
        self.channel: Channel | None = None
        self.process: Process | None = None
        self.not_ready: tuple[str, ...] | None = None
        self.heard = asyncio.Event()
        self.adopted: asyncio.Future[list[str]] | None = None
        # Looks since its worker has started or reported, and since anybody in it has reported.
        self.silent = 0
        self.absent = 0
        self.failures = 0


class Supervisor:
    """Keeps a worker in every slot, from `running` to the end of its block."""

    def __init__(
        self,
        path: Path,
        present: Configuration,
        doors: Sequence[Doors],
        *,
        log_level: str,
        fleet: Fleet,
        lifecycle: Lifecycle,
    ) -> None:
        self._path = path
        self._present = present
        self._slots = [Slot(number, each) for number, each in enumerate(doors, start=1)]
        self._log_level = log_level
        self._fleet = fleet
        self._lifecycle = lifecycle
        self._draining = False
        self._ending = asyncio.Event()
        self._round = 0
        lifecycle.workers = 0

    # --- what is seen of it

    def not_ready(self) -> tuple[str, ...]:
        """See `router.telemetry.ops.Health`. A worker that is being replaced holds nobody up: its clients wait."""
        reasons = ["draining"] if self._draining else []
        for slot in self._slots:
            if slot.not_ready is not None:
                reasons += [f"worker {slot.number}: {reason}" for reason in slot.not_ready]
            elif slot.absent >= START_LOOKS or not slot.failures:
                reasons.append(f"worker {slot.number}: has not started")
        return tuple(reasons)

    def retire(self) -> None:
        """Go on, and say that it is not ready from now on."""
        self._draining = True

    async def refresh(self) -> None:
        """Have every worker report now, unless it takes too long."""
        waiting = []
        for slot in self._slots:
            if slot.channel is not None and slot.not_ready is not None:
                slot.heard.clear()
                slot.channel.send("report")
                waiting.append(asyncio.create_task(slot.heard.wait()))
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=REFRESH_SECONDS)
            for task in late:
                task.cancel()

    async def adopt(self, wanted: Configuration) -> None:
        """Have every worker go on by `wanted`, and start later ones by it; all or none.

        Raises `ConfigError` if one of them does not.
        """
        before, self._present = self._present, wanted
        problems = await self._spread(wanted)
        if problems:
            self._present = before
            # Brothers that go on by different ones would answer the same client differently.
            problems += [f"{problem}, nor go back to the one before" for problem in await self._spread(before)]
            mend = "mend what it says, then reload again"
            raise ConfigError([ConfigProblem("configuration", problem, mend) for problem in problems])

    async def _spread(self, configuration: Configuration) -> list[str]:
        """Have every worker go on by it; why some did not."""
        self._round += 1
        loop = asyncio.get_running_loop()
        answers = []
        for slot in self._slots:
            if slot.channel is not None:
                # One that is still starting does it as soon as it can: it was told of the one before.
                slot.adopted = loop.create_future()
                answers.append(slot.adopted)
                slot.channel.send("adopt", text=configuration.text, round=self._round)
        done, late = await asyncio.wait(answers, timeout=ADOPT_SECONDS) if answers else (set(), set())
        return [*(problem for answer in done for problem in answer.result()), *["a worker did not answer"] * len(late)]

    # --- its life

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Workers in every slot, until the block ends; then they drain, for as long as the configuration says."""
        keeping = [asyncio.create_task(self._keep(slot), name=f"worker {slot.number}") for slot in self._slots]
        looking = asyncio.create_task(self._look(), name="looking after workers")
        try:
            yield
        finally:
            self._draining = True
            self._ending.set()
            for slot in self._slots:
                for sock in (*slot.doors.plain, *slot.doors.tls):
                    # The workers have them too: who has connected is taken, and nobody after.
                    sock.close()
                if slot.channel is not None:
                    slot.channel.send("drain")
            _, late = await asyncio.wait(
                keeping, timeout=self._present.settings.gateway.shutdown_timeout + KILL_SECONDS
            )
            if late:
                self._kill_all()
                await asyncio.wait(late)
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def _keep(self, slot: Slot) -> None:
        """One worker after the other."""
        loop = asyncio.get_running_loop()
        while not self._ending.is_set():
            began = loop.time()
            try:
                code = await self._employ(slot)
            except Exception:  # the slot outlives whatever keeps a process from being started or listened to
                _log.exception("worker %d could not be kept", slot.number)
                code = await self._dismiss(slot)
            if self._ending.is_set():
                break
            slot.failures = 1 if loop.time() - began > STEADY_SECONDS else slot.failures + 1
            self._lifecycle.restarts += 1
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (slot.failures - 2)) if slot.failures > 1 else 0.0
            _log.error("worker %d ended with %s; it is replaced in %.1f s", slot.number, _ending(code), pause)
            self._bury(slot)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._ending.wait()

    async def _employ(self, slot: Slot) -> int:
        """Start a worker and listen to it until it has ended; its exit code."""
        ours, theirs = socket.socketpair()
        sockets = {"plain": slot.doors.plain, "tls": slot.doors.tls}
        numbers = {kind: [sock.fileno() for sock in each] for kind, each in sockets.items()}
        with theirs:
            process = slot.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "router.runtime.worker", str(theirs.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs.fileno(), *numbers["plain"], *numbers["tls"]],
            )
        channel = slot.channel = await open_channel(ours)
        channel.send(
            "hello",
            number=slot.number,
            path=str(self._path),
            text=self._present.text,
            log_level=self._log_level,
            **numbers,
        )
        if self._ending.is_set():
            channel.send("drain")
        slot.silent = 0
        while (message := await channel.receive()) is not None:
            self._hear(slot, message)
        slot.channel = None
        await channel.close()
        code = await self._reap(process)
        self._forget(slot)
        return code

    async def _reap(self, process: Process) -> int:
        """Wait for the end of a worker whose channel has ended."""
        try:
            async with asyncio.timeout(KILL_SECONDS):
                return await process.wait()
        except TimeoutError:
            process.kill()
            return await process.wait()

    async def _dismiss(self, slot: Slot) -> int:
        """End the worker in `slot`, if there is one, so that its successor is alone there; the exit code."""
        code = 1
        if slot.process is not None:
            with contextlib.suppress(ProcessLookupError):
                slot.process.kill()
            code = await slot.process.wait()
        if slot.channel is not None:
            await slot.channel.close()
        self._forget(slot)
        return code

    def _hear(self, slot: Slot, message: Message) -> None:
        match message["is"]:
            case "report":
                if slot.not_ready is None:
                    self._lifecycle.workers += 1
                slot.not_ready = tuple(message["not_ready"])
                slot.silent = slot.absent = 0
                slot.heard.set()
                self._fleet.heard(slot.number, message["families"])
            case "adopted" if message["round"] == self._round:
                # What is said of an earlier one comes too late.
                self._settle(slot, message["problems"])

    def _forget(self, slot: Slot) -> None:
        """The worker in `slot` is gone."""
        if slot.not_ready is not None:
            self._lifecycle.workers -= 1
        slot.process = slot.channel = slot.not_ready = None
        slot.heard.set()
        # Whoever comes next begins with the new one.
        self._settle(slot, [])
        self._fleet.bury(slot.number)

    def _settle(self, slot: Slot, problems: list[str]) -> None:
        if slot.adopted is not None and not slot.adopted.done():
            slot.adopted.set_result(problems)

    def _bury(self, dead: Slot) -> None:
        """Have what the worker in `dead` left in the directory forgotten, by any of its brothers or its successor."""
        for slot in self._slots:
            if slot is not dead and slot.channel is not None:
                slot.channel.send("bury")
                return

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for slot in self._slots:
                slot.silent += 1
                slot.absent += 1
                if slot.silent > SILENT_LOOKS and slot.process is not None:
                    _log.error("worker %d has said nothing for too long", slot.number)
                    slot.silent = 0
                    with contextlib.suppress(ProcessLookupError):
                        slot.process.kill()

    def _kill_all(self) -> None:
        for slot in self._slots:
            if slot.process is not None:
                _log.error("worker %d does not end", slot.number)
                with contextlib.suppress(ProcessLookupError):
                    slot.process.kill()


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
