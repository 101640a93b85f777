"""One run: everything is started, troubled, brought to rest and ended, and then the regions' books are read.

The law of the room: real processes, a real database, ports from the kernel; whatever was started is ended by whoever
started it. A move that does not end when all is well again is a finding, like anything else that is not as it should.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Final

from router.directory.hostlock import FileHostLocks
from router.directory.ports import SystemClock
from router.directory.postgres.maintenance import migrate
from router.directory.postgres.options import PostgresOptions
from router.directory.postgres.store import PostgresStore
from router.directory.store import WorkspaceDraft
from tests.chaos.fleet import Fleet, Place
from tests.chaos.history import Verdict, judge
from tests.chaos.job import Job
from tests.chaos.plan import GATEWAYS, WRITERS, configure
from tests.chaos.records import read_books
from tests.chaos.regions import region_processes
from tests.chaos.trouble import Done, Trouble
from tests.chaos.writers import CREATED, Promises, Writer
from tests.directory.postgres.relay import Relay
from tests.postgres_server import PostgresServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from router.model.region import RegionName
    from tests.chaos.plan import Plan, Run
    from tests.chaos.regions import Backend

DATABASE: Final = "postgres"
ENDING: Final = 30.0
"""Seconds in which every move ends once all is well again."""


@dataclass
class Report:
    """How a run went. `findings` is empty if all is well."""

    run: Run
    transfers: int
    promises: Promises
    done: Done
    verdict: Verdict
    findings: list[str]

    @property
    def requests(self) -> int:
        return self.promises.told.total()

    def line(self) -> str:
        """All of it in one line."""
        told = ", ".join(f"{number} × {status or 'nothing'}" for status, number in self.promises.told.most_common(5))
        done, verdict = self.done, self.verdict
        return (
            f"run {self.run.name}: {self.run.seconds:.0f} s, {self.transfers} transfers, {self.requests} requests "
            f"({told}), {done.kills} kills, {done.stops} stops, {done.restarts} restarts, {done.cuts} cuts; "
            f"{verdict.executed} executed, {verdict.fenced} fenced, {verdict.violations} violations, "
            f"{verdict.lost} lost, {verdict.duplicated} duplicated"
        )


class _Site:
    """What stands around a run."""

    def __init__(self, server: PostgresServer, relays: list[Relay], backends: Mapping[RegionName, Backend]) -> None:
        self.server = server
        self.relays = relays
        self.backends = backends


async def chaos(plan: Plan, run: Run, folder: Path) -> Report:
    """One run of `plan`, with its files in `folder`."""
    seed = f"{plan.seed}-{run.name}"
    async with _site(run, folder, seed) as site:
        clock = SystemClock()
        job_relay = site.relays[-1]
        store = PostgresStore(PostgresOptions(job_relay.url(DATABASE), pool_size=4, pool_wait=1.0), clock=clock)
        job = Job(
            store, FileHostLocks(folder / "locks"), clock, site.backends, Random(f"{seed}-job"), fences=run.fences
        )
        await store.put_workspaces(
            WorkspaceDraft(workspace, history.stays[0].region) for workspace, history in job.histories.items()
        )
        await store.open_directory(restored=False)
        fleet = Fleet([_place(number, folder, site, plan) for number in range(GATEWAYS)])
        trouble = Trouble(fleet, site.server, job_relay, Random(f"{seed}-trouble"), stops=run.stops)
        promises = Promises()
        try:
            for place in fleet.places:
                await fleet.start(place)
            findings = await _strain(run, fleet, job, trouble, promises, seed)
            findings += await _misplaced(store, job)
            await fleet.stop_all()
        finally:
            await fleet.kill_all()
            await store.close()
    books = {name: read_books(backend.database) for name, backend in site.backends.items()}
    verdict = judge(books, job.histories, promises.acknowledged, fleet.processes())
    report = Report(run, job.transfers, promises, trouble.done, verdict, [*verdict.findings, *findings, *fleet.bugs()])
    if not (job.transfers and promises.told[CREATED] and trouble.done.kills and (trouble.done.stops or not run.stops)):
        report.findings.append(f"hardly anything happened: {report.line()}")
    return report


async def _strain(run: Run, fleet: Fleet, job: Job, trouble: Trouble, promises: Promises, seed: str) -> list[str]:
    """Write, move and trouble for as long as the run takes; what did not end afterwards."""
    names = count()
    writers = [
        asyncio.create_task(Writer(fleet.ports, promises, Random(f"{seed}-writer-{number}"), names).write())
        for number in range(WRITERS)
    ]
    troubling, working = asyncio.create_task(trouble.make()), asyncio.create_task(job.work())
    tasks = [troubling, working, *writers]
    try:
        done, _ = await asyncio.wait(tasks, timeout=run.seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()  # none ends by itself, so this raises
        trouble.end()
        await troubling
        job.stop()
        await asyncio.wait([working], timeout=ENDING)
        if not working.done():
            return [
                f"some moves did not end within {ENDING:.0f} s: {[place.lives[-1].log[-5:] for place in fleet.places]}"
            ]
        working.result()
        return []
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _misplaced(store: PostgresStore, job: Job) -> list[str]:
    """Workspaces that do not live where the job was told that they do."""
    findings = []
    for workspace, history in job.histories.items():
        record = await store.get_workspace(workspace)
        if record is None or record.placement.region != history.stays[-1].region:
            findings.append(f"{workspace} should live in {history.stays[-1].region}: {record}")
    return findings


def _place(number: int, folder: Path, site: _Site, plan: Plan) -> Place:
    config = folder / f"gateway-{number}.toml"
    relay = site.relays[number]
    origins = {name: backend.port for name, backend in site.backends.items()}
    config.write_text(configure(relay.url(DATABASE), origins), "utf-8")
    return Place(number, config, relay, plan.broken)


@contextlib.asynccontextmanager
async def _site(run: Run, folder: Path, seed: str) -> AsyncIterator[_Site]:
    """The database with a directory, a way to it for each gateway and for the job, and the regions."""
    async with contextlib.AsyncExitStack() as stack:
        server = await asyncio.to_thread(PostgresServer(max_connections="150").initialize().start)
        stack.callback(server.remove)
        await migrate(PostgresOptions(server.url(DATABASE)), clock=SystemClock())
        socket = server.folder / ".s.PGSQL.5432"
        relays = [await stack.enter_async_context(Relay(socket).running()) for _ in range(GATEWAYS + 1)]
        backends = await stack.enter_async_context(region_processes(folder, fences=run.fences, seed=seed))
        yield _Site(server, relays, backends)
