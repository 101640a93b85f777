"""`workspace import`: many workspaces from a file, all or none, in one transaction.

A file is judged by itself first, and only one without a flaw is offered to the directory, which judges every row by
what it holds. Either way every bad row is listed and nothing was changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from router.cli.desk import desk
from router.cli.options import config_option, json_option
from router.cli.output import print_json
from router.cli.rows import read_rows
from router.control.sheets import Form

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from router.cli.desk import Fields
    from router.cli.rows import Rows


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@config_option
@click.option(
    "--format",
    "form",
    type=click.Choice([form.value for form in Form]),
    help="How FILE is written, where its name does not end with .csv or .jsonl.",
)
@json_option
def import_(file: Path, config: Path, form: str | None, as_json: bool) -> None:
    """Put many workspaces from a file, all or none.

    FILE is CSV with a header or JSON lines, `-` for stdin. Its columns: workspace and region, and if you like
    subdomain, plan and owner; what is empty is left as it is. Every bad row is listed with its line.
    """
    rows = read_rows(file, form)
    with _bar() as progress:
        done = asyncio.run(_import(config, rows, progress))
    if as_json:
        print_json(done)
    else:
        click.echo(f"{done['rows']} rows, {done['changed']} of them changed something")


async def _import(config: Path, rows: Rows, progress: Callable[[int, int], None]) -> Fields:
    async with desk(config) as at:
        return await at.import_workspaces(rows, progress)


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """Told how much is done and of how much, from any thread. Shows nothing where nobody watches."""
    if not sys.stderr.isatty():
        yield lambda done, of: None
        return
    columns = (TextColumn("importing"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("importing", total=None)
        yield lambda done, of: progress.update(task, completed=done, total=of)
