"""The gateways of a run: real `serve` processes, each with a way of its own to the database, replaced when killed."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

from tests.chaos.plan import NO_DRAIN
from tests.chaos.writers import Process
from tests.runtime.gateways import GatewayProcess

if TYPE_CHECKING:
    import signal
    from pathlib import Path

    from tests.directory.postgres.relay import Relay

_PROGRAMS: Final = {"": "router", NO_DRAIN: "tests.chaos.broken_gateway"}
_REGISTERED: Final = re.compile(r" registered as ([0-9a-f]+)")
_BUG: Final = "Traceback"


class Place:
    """Where one gateway runs at a time. `turn` is held by whoever kills or stops it."""

    def __init__(self, number: int, config: Path, relay: Relay, broken: str) -> None:
        self.relay = relay
        self.turn = asyncio.Lock()
        self.lives: list[GatewayProcess] = []
        self._number = number
        self._config = config
        self._broken = broken

    @property
    def process(self) -> Process:
        """The present one."""
        return Process(self._number, len(self.lives) - 1)

    async def start(self) -> None:
        """Start another process, and return when it listens."""
        gateway = GatewayProcess(self._config, program=_PROGRAMS[self._broken])
        self.lives.append(gateway)
        await gateway.start()

    async def kill(self) -> None:
        await self.lives[-1].kill()

    def send(self, number: signal.Signals) -> None:
        self.lives[-1].send(number)


class Fleet:
    """All of them. `ports` is where clients reach those that run."""

    def __init__(self, places: list[Place]) -> None:
        self.places = places
        self.ports: dict[Process, int] = {}

    async def start(self, place: Place) -> None:
        await place.start()
        self.ports[place.process] = place.lives[-1].address.port

    async def kill(self, place: Place) -> None:
        del self.ports[place.process]
        await place.kill()

    async def stop_all(self) -> None:
        """End those that run as an operator does."""
        self.ports.clear()
        for code in await asyncio.gather(*(place.lives[-1].stop() for place in self.places)):
            assert code == 0, f"a gateway ended with {code}"

    async def kill_all(self) -> None:
        """Whatever still runs."""
        for place in self.places:
            if place.lives:
                await place.kill()

    def processes(self) -> dict[str, Process]:
        """Who has registered under which name, as the logs say."""
        return {
            found[1]: Process(number, life)
            for number, place in enumerate(self.places)
            for life, gateway in enumerate(place.lives)
            for line in gateway.log
            if (found := _REGISTERED.search(line))
        }

    def bugs(self) -> list[str]:
        """Logs in which a gateway tells of a bug of its own: the lines around the first one in each."""
        found = []
        for place in self.places:
            for gateway in place.lives:
                at = next((number for number, line in enumerate(gateway.log) if _BUG in line), None)
                if at is not None:
                    found.append("".join(gateway.log[max(0, at - 2) : at + 40]))
        return found
