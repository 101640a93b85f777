"""Running the demo: everything it needs is started in order, and ended in the reverse order by Ctrl-C or SIGTERM.

The law of the room: nothing outlives the demo. Its folder is the first thing made and the last one removed, whatever
came in between, a signal in the middle of the start included.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from router.control.lifecycle import Wish
from router.control.problems import Declined
from router.control.transfers import TransferService
from router.demo.region import FakeRegion
from router.demo.tour import Stage, program, tour
from router.demo.world import DESTINATION, GLOBAL, MOVING, OWNER, REGIONS, Tenancy, configure, populate, superseded_keys
from router.directory.ports import SystemClock
from router.directory.sqlite.maintenance import migrate
from router.directory.sqlite.store import SqliteStore
from router.directory.store import StoreError
from router.directory.watch import Watch
from router.runtime.directories import host_locks_of, open_control_store
from router.runtime.process import running
from router.runtime.serve import run, stop_signal
from router.settings.problems import ConfigError, ConfigProblem
from router.telemetry.logs import set_up_logging

if TYPE_CHECKING:
    from router.directory.ports import Clock
    from router.model.transfer import TransferId
    from router.runtime.process import Running
    from router.settings.values import Settings

_START_SECONDS: Final = 15.0
"""What the start waits for takes a fraction of a second, or something is wrong."""
_LOOK_SECONDS: Final = 0.02
_ADDRESS_ERRORS: Final = frozenset({errno.EADDRINUSE, errno.EACCES})


def run_demo(*, port: int = 8080, ops_port: int = 9090) -> None:
    """Run the demo until Ctrl-C or SIGTERM. 0 lets the kernel choose a port; the tour that is printed names it.

    Raises `ConfigError` for ports that can't be used, `StoreError`, `OSError`.
    """
    set_up_logging("warning")
    run(_until_stopped(port, ops_port))


async def _until_stopped(port: int, ops_port: int) -> None:
    # From the first line on no signal ends the process before what was begun has been undone.
    with stop_signal() as stopped:
        stopping = asyncio.create_task(stopped.wait())
        serving = asyncio.create_task(_serve(port, ops_port))
        await asyncio.wait((stopping, serving), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


async def _serve(port: int, ops_port: int) -> None:
    clock = SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        # A command that still looks at the directory while it goes must not turn the end into an error.
        temporary = TemporaryDirectory(prefix="region-router-demo-", ignore_cleanup_errors=True)
        folder = Path(stack.enter_context(temporary))
        store = SqliteStore(folder / "directory.db", clock=clock)
        stack.push_async_callback(store.close)
        is_superseded = superseded_keys(store)
        tenancy = Tenancy(store)
        regions = (
            FakeRegion(name, is_superseded=is_superseded, workspaces=tenancy.workspaces if name == GLOBAL else None)
            for name in REGIONS
        )
        origins = {region.name: await stack.enter_async_context(region.listening()) for region in regions}
        token = secrets.token_hex(16)
        configuration, settings = configure(folder, origins, port=port, ops_port=ops_port, token=token)
        tenancy.learn(settings)
        # Blocks, while there is nobody yet who could be kept waiting.
        migrate(folder / "directory.db", clock=clock)
        await populate(store)
        await store.open_directory(restored=False)
        process = await _start_gateway(stack, settings, clock)
        # Only now: it is a running gateway that has to apply the lock.
        transfer = await _start_moving(store, settings, clock)
        epoch = await _epoch(store)
        stage = Stage(
            process.listen[0], process.ops_listen[0], origins, configuration, transfer, epoch, program(), token
        )
        print(tour(stage), flush=True)
        await asyncio.Event().wait()


async def _start_gateway(stack: contextlib.AsyncExitStack, settings: Settings, clock: Clock) -> Running:
    """Start it, and return once it is ready."""
    try:
        process = await stack.enter_async_context(running(settings))
    except OSError as error:
        problem = _taken_port(error, settings)
        if problem is None:
            raise
        raise ConfigError([problem]) from error
    try:
        async with asyncio.timeout(_START_SECONDS):
            while not process.directory.state.ready:
                await clock.sleep(_LOOK_SECONDS)
    except TimeoutError as error:
        why = process.directory.state.last_error or f"it took more than {_START_SECONDS:g} s"
        raise StoreError(f"the gateway does not become ready: {why}") from error
    return process


def _taken_port(error: OSError, settings: Settings) -> ConfigProblem | None:
    """Which option can mend it, if `error` is that a port can't be listened on."""
    for option, (address,) in (("--port", settings.listen), ("--ops-port", settings.ops_listen)):
        if error.errno in _ADDRESS_ERRORS and error.filename == str(address):
            text = f"{address}: {os.strerror(error.errno).lower()}"
            return ConfigProblem(option, text, "end what listens there, or give another port, 0 for any")
    return None


async def _start_moving(store: SqliteStore, settings: Settings, clock: Clock) -> TransferId:
    """Start the transfer, and return once every gateway has applied its lock."""
    control = open_control_store(settings.directory, clock)
    try:
        service = TransferService(
            control,
            store,
            host_locks_of(settings.directory),
            clock,
            Watch(clock, settings.directory.options),
            options=settings.control.options,
            who="demo",
            patience=_START_SECONDS,
        )
        outcome = await service.start(Wish(MOVING, DESTINATION, OWNER))
    finally:
        await control.close()
    if isinstance(outcome, Declined):
        raise StoreError("; ".join(objection.detail for objection in outcome.objections))
    if obstacles := outcome.obstacles(clock.wall()):
        raise StoreError("; ".join(obstacles))
    return outcome.transfer.id


async def _epoch(store: SqliteStore) -> int:
    record = await store.get_workspace(MOVING)
    assert record is not None
    return record.placement.epoch
