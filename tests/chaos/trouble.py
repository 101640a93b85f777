"""Trouble: what is done to gateways, to the database and to the ways between them.

The law of the room: each kind goes on by itself, at random times; at the end everything is as it was at the beginning,
so that what was begun can be ended. One gateway at least is neither killed nor stopped at any time.
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.chaos.plan import LAPSE

if TYPE_CHECKING:
    from random import Random

    from tests.chaos.fleet import Fleet
    from tests.directory.postgres.relay import Relay
    from tests.postgres_server import PostgresServer


@dataclass
class Done:
    """How often each was done."""

    kills: int = 0
    stops: int = 0
    restarts: int = 0
    cuts: int = 0


class Trouble:
    """All of it, until `end`. `job_relay` is the job's own way to the database."""

    def __init__(self, fleet: Fleet, server: PostgresServer, job_relay: Relay, chance: Random, *, stops: bool) -> None:
        self.done = Done()
        self._fleet = fleet
        self._server = server
        self._relays = [place.relay for place in fleet.places] + [job_relay]
        self._chance = chance
        self._stops = stops
        self._over = asyncio.Event()

    def end(self) -> None:
        """Begin nothing more."""
        self._over.set()

    async def make(self) -> None:
        """Make trouble, and return when all is well again."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._kill())
            group.create_task(self._cut())
            if self._stops:
                group.create_task(self._stop())
                group.create_task(self._restart())
                group.create_task(self._delay())

    async def _kill(self) -> None:
        while await self._pause(1.0, 4.0):
            place = self._chance.choice(self._fleet.places)
            if place.turn.locked():
                continue
            async with place.turn:
                await self._fleet.kill(place)
                self.done.kills += 1
                await asyncio.sleep(self._chance.uniform(0.0, 1.0))
                await self._fleet.start(place)

    async def _stop(self) -> None:
        while await self._pause(0.5, 3.0):
            place = self._chance.choice(self._fleet.places)
            if place.turn.locked():
                continue
            async with place.turn:
                place.send(signal.SIGSTOP)
                self.done.stops += 1
                beyond = self._chance.random() < 0.8
                await asyncio.sleep(
                    LAPSE + self._chance.uniform(0.1, 1.5) if beyond else self._chance.uniform(0, LAPSE)
                )
                place.send(signal.SIGCONT)

    async def _restart(self) -> None:
        while await self._pause(8.0, 16.0):
            how = self._chance.choice((signal.SIGINT, signal.SIGQUIT))
            await asyncio.to_thread(self._server.stop, how)
            self.done.restarts += 1
            beyond = self._chance.random() < 0.3
            await asyncio.sleep(self._chance.uniform(0.0, 2.0 * LAPSE if beyond else 0.5))
            await asyncio.to_thread(self._server.start)

    async def _cut(self) -> None:
        """Cut every connection on a way; sometimes it leads nowhere then, for a while that may outlast a lease."""
        while await self._pause(0.3, 2.0):
            relays = self._relays if self._chance.random() < 0.2 else [self._chance.choice(self._relays)]
            self.done.cuts += 1
            dark = self._chance.random() < 0.3
            for relay in relays:
                relay.swallows = dark
                await relay.cut()
            if dark:
                await asyncio.sleep(self._chance.uniform(0.2, 1.3 * LAPSE))
                for relay in relays:
                    relay.swallows = False
                    # What was swallowed is missing in the middle of a stream now, which TCP never does.
                    await relay.cut()

    async def _delay(self) -> None:
        while await self._pause(1.0, 4.0):
            relay = self._chance.choice(self._relays)
            relay.delay = self._chance.uniform(0.02, 0.4)
            await asyncio.sleep(self._chance.uniform(0.5, 3.0))
            relay.delay = 0.0

    async def _pause(self, least: float, most: float) -> bool:
        """Wait that long; `False` if it is over."""
        try:
            async with asyncio.timeout(self._chance.uniform(least, most)):
                await self._over.wait()
        except TimeoutError:
            return True
        return False
