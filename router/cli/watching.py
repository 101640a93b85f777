"""`transfer watch`: a transfer followed until it has ended, on a live bar for people, as lines for everybody else."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from router.cli.desk import desk
from router.cli.errors import UnansweredError, one_line
from router.cli.options import config_option, json_option
from router.cli.output import print_json, say
from router.directory.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from router.cli.desk import Desk, Fields

FAILED: Final = 1
"""The exit code where the transfer failed."""
PATIENCE: Final = 300.0
"""Seconds for which nobody need answer: a watch of hours outlives a restart of whoever is asked."""

_ENDED: Final = frozenset({"completed", "failed"})


class Screen(Protocol):
    """Shows a transfer each time it was looked at."""

    def show(self, fields: Fields) -> None:
        """What it is now."""


@click.command()
@click.argument("transfer", metavar="TRANSFER")
@config_option
@click.option(
    "--every", type=click.FloatRange(0.1, 3600), default=1.0, show_default=True, help="Seconds between two looks."
)
@json_option
def watch(transfer: str, config: Path, every: float, as_json: bool) -> None:
    """Follow a transfer until it has ended.

    Shows its state and percent, whom the barrier waits for, and the time left until its deadline; on no terminal, a
    line for each change. TRANSFER is its id, or its workspace's. Exits with 1 if it failed.
    """
    with _screen(as_json=as_json) as screen:
        ended = asyncio.run(_watch(config, transfer.strip().lower(), every, screen))
    if ended["state"] == "failed":
        click.get_current_context().exit(FAILED)


async def _watch(config: Path, name: str, every: float, screen: Screen) -> Fields:
    async with desk(config) as at:
        fields = await at.show(name)
        while True:
            screen.show(fields)
            if fields["state"] in _ENDED:
                return fields
            await asyncio.sleep(every)
            # By its own id: its workspace names another transfer once this one has ended and the next has begun.
            fields = await _look(at, fields["id"], every)


async def _look(at: Desk, transfer: str, every: float) -> Fields:
    loop = asyncio.get_running_loop()
    give_up = loop.time() + PATIENCE
    told = False
    while True:
        try:
            return await at.show(transfer)
        except (StoreError, UnansweredError) as error:
            if loop.time() >= give_up:
                raise
            if not told:
                say(f"warning: {one_line(str(error))}; asking again")
            told = True
            await asyncio.sleep(every)


@contextlib.contextmanager
def _screen(*, as_json: bool) -> Iterator[Screen]:
    if as_json or not sys.stdout.isatty():
        yield Lines(as_json=as_json)
        return
    columns = (
        TextColumn("{task.fields[transfer]}  {task.fields[state]}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[left]}"),
    )
    with Progress(*columns, console=Console()) as progress:
        yield Bar(progress)


class Lines:
    """Each change on one line."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._shown: Fields | None = None

    def show(self, fields: Fields) -> None:
        """See `Screen`."""
        told = {name: value for name, value in fields.items() if name not in {"obstacles", "waits_for", "changed"}}
        told["waits_for"] = [one["incarnation"] for one in fields["waits_for"]]
        if told == self._shown:
            return
        self._shown = told
        if self._as_json:
            print_json(fields)
            return
        words = [fields["id"], fields["state"], f"{fields['percent']} %", time_left(fields), *summary(fields)]
        click.echo("  ".join(filter(None, words)))


class Bar:
    """A live bar, and below it whom it waits for or what the job says."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=100, transfer="", state="", left="")
        self._said: tuple[str, ...] = ()

    def show(self, fields: Fields) -> None:
        """See `Screen`."""
        said = summary(fields)
        if said != self._said:
            for line in said:
                self._progress.console.print(Text(line))
            self._said = said
        percent = 100 if fields["state"] == "completed" else fields["percent"]
        self._progress.update(
            self._task, completed=percent, transfer=fields["id"], state=fields["state"], left=time_left(fields)
        )
        self._progress.refresh()


def summary(fields: Fields) -> tuple[str, ...]:
    """Whom it waits for, what its job says, or why it failed."""
    waits_for = tuple(
        f"waits for gateway {one['gateway']} on host {one['host']} ({one['incarnation']})"
        for one in fields["waits_for"]
    )
    note = () if fields["note"] is None else (one_line(fields["note"]),)
    reason = () if fields["reason"] is None else (one_line(fields["reason"]),)
    return waits_for + note + reason


def time_left(fields: Fields, now: datetime | None = None) -> str:
    """Until its deadline, `3:59:59 left`; nothing once it has ended."""
    if fields["state"] in _ENDED:
        return ""
    left = datetime.fromisoformat(fields["deadline"]) - (now or datetime.now(UTC))
    seconds = max(0, int(left.total_seconds()))
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02} left"
