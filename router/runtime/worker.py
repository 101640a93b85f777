"""A worker: one of the gateway processes of a supervisor, which is the only one it listens to.

Theory. The listening sockets are the supervisor's, and so nobody is turned away while a worker is replaced: who
connects meanwhile waits. For the same reason a worker opens its doors only when it is ready, or when it is clear that
it will not soon be. Signals that are meant for the whole program reach every process of it, in whatever order; a worker
ignores them, and does what it is told by its channel. When that ends its supervisor is gone, and it drains.

The law of the room: a worker decides nothing about its own life, and tells what it counted before it ends.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from router.directory.evaluator import forget_dead
from router.directory.store import StoreError
from router.runtime.channel import open_channel
from router.runtime.descriptors import fit
from router.runtime.listeners import Doors
from router.runtime.rooms import opened_doors, rooms
from router.runtime.serve import run
from router.runtime.source import Source
from router.settings.problems import ConfigError
from router.telemetry.logs import set_up_logging
from router.telemetry.merging import report

if TYPE_CHECKING:
    from router.runtime.channel import Channel, Message
    from router.runtime.rooms import Rooms

READY_SECONDS: Final = 2.0
"""How long a worker that is not ready keeps its doors shut: a directory that is gone must not keep all waiting."""

REPORT_SECONDS: Final = 1.0
"""Between two reports that nobody asked for: what was counted since the last is lost with a process that is killed."""

NOT_STARTED: Final = 2
"""The exit code of a worker that can't use what it was given."""

_LOOK_SECONDS: Final = 0.02

_log = logging.getLogger(__name__)


def main() -> None:
    """Run the worker whose channel is the descriptor that the one argument names."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    run(_work(socket.socket(fileno=int(sys.argv[1]))))


async def _work(sock: socket.socket) -> None:
    channel = await open_channel(sock)
    try:
        hello = await channel.receive()
        if hello is not None:
            await _serve(channel, hello)
    except ConfigError as error:
        for problem in error.problems:
            _log.error("configuration: %s", problem)
        sys.exit(NOT_STARTED)
    except OSError as error:
        _log.error("the worker cannot go on: %s", error)
        sys.exit(NOT_STARTED)
    finally:
        await channel.close()


async def _serve(channel: Channel, hello: Message) -> None:
    set_up_logging(hello["log_level"])
    source = Source(Path(hello["path"]), os.environ)
    settings = fit(source.parse(hello["text"]))
    set_up_logging(hello["log_level"], settings.telemetry.form)
    doors = Doors(*(tuple(socket.socket(fileno=number) for number in hello[kind]) for kind in ("plain", "tls")))
    number = hello["number"]
    async with rooms(settings, f"{socket.gethostname()}/{number}") as inside:
        worker = Worker(number, inside, source, channel)
        listening = asyncio.create_task(worker.listen(), name="supervisor")
        reporting = asyncio.create_task(worker.go_on_reporting(), name="reports")
        try:
            await worker.wait_until_ready()
            await worker.bury()
            async with opened_doors(inside, doors, prefixed=settings.serving.proxy_protocol):
                await listening
        finally:
            for task in (listening, reporting):
                task.cancel()
            await asyncio.gather(listening, reporting, return_exceptions=True)
            worker.tell()


class Worker:
    """What a worker tells and is told. `number` tells it from its brothers."""

    def __init__(self, number: int, inside: Rooms, source: Source, channel: Channel) -> None:
        self._number = number
        self._inside = inside
        self._source = source
        self._channel = channel

    async def listen(self) -> None:
        """Do what the supervisor says, until it says to stop or is gone."""
        while (message := await self._channel.receive()) is not None:
            match message["is"]:
                case "report":
                    self.tell()
                case "adopt":
                    problems = await self._adopt(message["text"])
                    self._channel.send("adopted", problems=problems, round=message["round"])
                case "bury":
                    await self.bury()
                case _:
                    return

    async def go_on_reporting(self) -> None:
        """Report now and then, until it is cancelled. A supervisor that takes nothing gets nothing made for it."""
        while True:
            if self._channel.is_clear:
                self.tell()
            await asyncio.sleep(REPORT_SECONDS)

    async def wait_until_ready(self) -> None:
        """Return when it is ready, or when that takes too long."""
        for _ in range(round(READY_SECONDS / _LOOK_SECONDS)):
            if not self._inside.health.not_ready():
                break
            await asyncio.sleep(_LOOK_SECONDS)
        self.tell()

    def tell(self) -> None:
        """Report how it is and what it has counted."""
        families = report(self._inside.metrics.registry)
        self._channel.send("report", not_ready=self._inside.health.not_ready(), families=families)

    async def _adopt(self, text: str) -> list[str]:
        """Go on by another configuration, or say why not."""
        try:
            settings = await asyncio.to_thread(self._source.parse, text)
            self._inside.adopt(fit(settings))
        except ConfigError as error:
            return [f"worker {self._number}: {problem}" for problem in error.problems]
        except OSError as error:
            return [f"worker {self._number}: {error}"]
        except Exception:  # its clients must not lose it for that
            _log.exception("a configuration could not be taken over")
            return [f"worker {self._number}: it failed, and this is a bug of region-router"]
        return []

    async def bury(self) -> None:
        """A brother or a predecessor may have died: nothing shall wait for it."""
        try:
            await forget_dead(self._inside.store, self._inside.locks)
        except StoreError as error:
            # The barrier's evaluators find it out too, as soon as anything waits for it.
            _log.warning("dead registrations could not be forgotten: %s", error)


if __name__ == "__main__":
    main()
