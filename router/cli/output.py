"""How values are shown: for people as aligned text, for scripts as JSON with stable keys."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def print_json(data: Mapping[str, object]) -> None:
    """One object on one line, plain ASCII."""
    click.echo(json.dumps(data))


def print_fields(fields: Iterable[tuple[str, object]]) -> None:
    """`name  value`, one a line; what is `None` is a dash."""
    shown = [(name, _cell(value)) for name, value in fields]
    width = max(len(name) for name, _ in shown)
    for name, value in shown:
        click.echo(f"{name:<{width}}  {value}")


def print_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Aligned columns under `head`. All rows are held, to know how wide they are."""
    cells = [tuple(head), *(tuple(_cell(value) for value in row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def say(text: str) -> None:
    """Tell a person something that is no data."""
    click.echo(text, err=True)


def _cell(value: object) -> str:
    return "-" if value is None else "yes" if value is True else "no" if value is False else str(value)
