"""`workspace import`: many workspaces from a file, all or none, in one transaction.

A file is judged by itself first, and only one without a flaw is offered to the directory, which judges every row by
what it holds. Either way every bad row is listed and nothing was changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from router.cli.errors import CommandError, refusals_by_place
from router.cli.options import config_option, json_option
from router.cli.output import print_json
from router.cli.rows import Form, Sheet, read_sheet
from router.cli.session import directory, settings_of
from router.directory.store import WriteRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from router.settings.values import Settings

_FORMS: Final = {".csv": Form.CSV, ".jsonl": Form.JSONL, ".ndjson": Form.JSONL}


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
    settings = settings_of(config)
    name = "standard input" if str(file) == "-" else str(file)
    with _opened(file) as text:
        sheet = read_sheet(text, _form(file, form), settings.table)
    if sheet.flaws:
        raise CommandError([flaw.at(name) for flaw in sheet.flaws], more=sheet.hidden)
    with _bar(len(sheet.drafts)) as progress:
        changed = asyncio.run(_put(settings, sheet, name, progress))
    if as_json:
        print_json({"rows": len(sheet.drafts), "changed": changed})
    else:
        click.echo(f"{len(sheet.drafts)} rows, {changed} of them changed something")


async def _put(settings: Settings, sheet: Sheet, name: str, progress: Callable[[int], None] | None) -> int:
    async with directory(settings) as store:
        try:
            return await store.put_workspaces(sheet.drafts, progress=progress)
        except WriteRefusedError as refused:
            problems = refusals_by_place(refused, lambda draft: f"{name}, line {sheet.lines[draft - 1]}: ")
            raise CommandError(problems) from refused


def _form(file: Path, form: str | None) -> Form:
    if form is not None:
        return Form(form)
    known = _FORMS.get(file.suffix.lower())
    if known is None:
        raise click.UsageError("The format of FILE cannot be told by its name: give --format")
    return known


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[TextIO]:
    # Without its mark, and with bytes that are no UTF-8 kept until the line they stand on is known.
    if str(file) == "-":
        yield io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", errors="surrogateescape", newline="")
        return
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
        yield text


@contextlib.contextmanager
def _bar(total: int) -> Iterator[Callable[[int], None] | None]:
    """Told how many are done, from any thread. `None` where nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("importing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("importing", total=total)
        yield lambda done: progress.update(task, completed=done)
