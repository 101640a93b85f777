"""A process that is killed at any statement of what it does with a directory.

Each line on its standard input is one run, `WHAT PLACE N ...`: a fork of it does WHAT on the directory in PLACE, a file
or a URL, and is killed (SIGKILL) when it comes to its N-th moment: before a statement, and of PostgreSQL also behind
one, when the server has done it and has been heard. It then says on its standard output whether it was.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from router.control.audit import Act
from router.control.delivery import Dispatcher
from router.control.lifecycle import Lifecycle
from router.control.secret_files import SecretFile
from router.control.webhooks import Destination, WebhookSender
from router.directory.ports import SystemClock
from router.directory.postgres.control import PostgresControlStore
from router.directory.postgres.options import PostgresOptions
from router.directory.postgres.pool import Link
from router.directory.postgres.store import PostgresStore
from router.directory.sqlite import file
from router.directory.sqlite.control import SqliteControlStore
from router.model.transfer import TransferId
from tests.control.control_sites import OPTIONS

if TYPE_CHECKING:
    import sqlite3

    import psycopg

    from router.runtime.directories import ClosableStore


class Killer:
    """Counts statements from when it is armed."""

    def __init__(self) -> None:
        self.left = sys.maxsize

    def arm(self, statements: int) -> None:
        self.left = statements
        connect = file.connect

        def watched(path: Path, busy_timeout: float) -> sqlite3.Connection:
            connection = connect(path, busy_timeout)
            connection.set_trace_callback(self.trace)
            return connection

        file.connect = watched
        execute = Link.execute

        async def traced(
            link: Link, query: str, parameters: dict[str, Any] | None, limit: float
        ) -> psycopg.AsyncCursor[tuple[Any, ...]]:
            self.trace("")
            done = await execute(link, query, parameters, limit)
            self.trace("")
            return done

        Link.execute = traced  # type: ignore[method-assign,assignment]  # what is killed is the product, from outside

    def trace(self, _: str) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


async def complete(store: ClosableStore, transfer: str) -> None:
    act = Act("job", SystemClock().wall())
    await store.transact(lambda tx: Lifecycle(tx, act, OPTIONS).complete(TransferId(transfer)))


async def deliver(store: ClosableStore, url: str, secret: str) -> None:
    sender = WebhookSender()
    hook = Destination("hook", url, SecretFile(Path(secret)))
    await Dispatcher(store, sender, hook, SystemClock(), random.Random(1)).deliver()
    await sender.close()


def open_store(place: str) -> ClosableStore:
    if place.startswith("postgres"):
        return PostgresControlStore(PostgresStore(PostgresOptions(place), clock=SystemClock()), threads=2)
    return SqliteControlStore(Path(place))


async def do(what: str, place: str, arguments: list[str]) -> None:
    store = open_store(place)
    if what == "complete":
        await complete(store, *arguments)
    else:
        await deliver(store, *arguments)
    await store.close()


def main() -> None:
    for line in sys.stdin:
        what, place, statements, *arguments = line.split()
        child = os.fork()
        if child == 0:
            Killer().arm(int(statements))
            asyncio.run(do(what, place, arguments))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            print("killed" if os.WTERMSIG(status) == signal.SIGKILL else status, flush=True)
        else:
            print("done" if os.WEXITSTATUS(status) == 0 else status, flush=True)


if __name__ == "__main__":
    main()
