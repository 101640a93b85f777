"""The README's table of settings, made from the schema: whoever adds a setting describes it there, once."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING

from router.routing.table import Template
from router.settings.schema import Document
from router.settings.walk import Annotation, is_named, is_table, item_of, notation_of, settings_of, unwrap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.settings.notation import Table

_HEAD = "| setting | value | default | meaning |\n|---|---|---|---|\n"
_PLACEHOLDERS = {"services": "S", "regions": "R"}


def settings_table() -> str:
    """A Markdown table with one row for each setting, in the order of the schema."""
    return _HEAD + "".join(f"| {' | '.join(_escape(cell) for cell in row)} |\n" for row in _rows(Document, ""))


def _rows(table: type[Table], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for name, annotation in settings_of(table).items():
        place = f"{prefix}{name}"
        field = table.model_fields[name]
        inner = unwrap(item_of(annotation)) if item_of(annotation) is not None else unwrap(annotation)
        if not is_table(inner):
            yield f"`{place}`", _value(annotation), _default(field.default), field.description or ""
        elif is_named(annotation):
            yield from _rows(inner, f"{place}.{_PLACEHOLDERS[name]}.")
        else:
            yield from _rows(inner, f"{place}." if item_of(annotation) is None else f"{place}[].")


def _value(annotation: Annotation) -> str:
    item = item_of(annotation)
    if item is not None:
        return f"list of {_value(item)}"
    bare = unwrap(annotation)
    if isinstance(bare, type) and issubclass(bare, Enum):
        return ", ".join(f"`{member.value}`" for member in bare)
    return notation_of(annotation) or bare.__name__


def _default(value: object) -> str:
    if value is None or value == ():
        return "–"
    if isinstance(value, tuple) and type(value) is tuple:
        return ", ".join(_default(item) for item in value)
    return f"`{_text(value)}`"


def _text(value: object) -> str:
    if isinstance(value, Template):
        return value.text
    if isinstance(value, re.Pattern):
        return str(value.pattern)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|")
