"""From parsed TOML to a document: every problem of shape, and as much of the rest as can still be checked.

The law of the room: one wrong value must not hide the problems of the others. What is of the wrong shape is reported,
taken out (a wrong table is emptied, so that its name stays known), and what is left is a document that can be checked
as a whole. pydantic's words do not reach people: each kind of its errors has a row here.
"""

from __future__ import annotations

import copy
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pydantic import ValidationError

from router.model.flaw import did_you_mean
from router.settings.problems import Findings, Place, show_place
from router.settings.schema import Document
from router.settings.walk import is_table, settings_of, step, unwrap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

Data: TypeAlias = dict[str, Any]
"""What TOML can hold: tables, lists, text, numbers, booleans, dates."""

_TABLES: Final = frozenset({"model_type", "dict_type"})
_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "string_type": ("must be text", "write it in quotes"),
    "string_unicode": ("is not valid text", "write it in UTF-8"),
    "float_type": ("must be a number", "write it without quotes, as in 2.5"),
    "bool_type": ("must be true or false", "write it without quotes"),
    "int_type": ("must be a whole number", "write it without quotes and without a fraction, as in 256"),
    "finite_number": ("must be a finite number", "write it out, as in 2.5"),
    "tuple_type": ("must be a list", 'write it in brackets, as in ["…"]'),
    "too_short": ("must not be empty", "name at least one"),
    "greater_than": ("must be more than {gt:.0f}", "write a larger number"),
    "greater_than_equal": ("must be {ge:.0f} or more", "write a larger number"),
    "less_than_equal": ("must be {le:.0f} or less", "write a smaller number"),
    "enum": ("is not one of the values that are known", "write {expected}"),
    "grammar": ("{text}", "{mend}"),
}
_OTHER: Final = ("has a value that cannot be used", "see the table of settings")


def read_document(data: Data, findings: Findings) -> Document:
    """The document that `data` describes, without what `findings` is told about."""
    try:
        return Document.model_validate(data)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
    remaining = copy.deepcopy(data)
    for problem in problems:
        place = problem["loc"]
        findings.shape(place, *_say(problem))
        _take_out(remaining, place, empty=problem["type"] in _TABLES)
    return Document.model_validate(remaining)


def _say(problem: ErrorDetails) -> tuple[str, str]:
    place = problem["loc"]
    if problem["type"] == "extra_forbidden":
        return "there is no such setting", _mend_key(place)
    if problem["type"] in _TABLES:
        return "must be a table", f"write [{show_place(place)}] and its settings below"
    text, mend = _WORDS.get(problem["type"], _OTHER)
    values = problem.get("ctx", {})
    return text.format_map(values), mend.format_map(values)


def _mend_key(place: Place) -> str:
    annotation: Any = Document
    for part in place[:-1]:
        annotation = step(annotation, part)
    table = unwrap(annotation)
    known = list(settings_of(table)) if is_table(table) else []
    return did_you_mean(get_close_matches(str(place[-1]).lower(), known, n=2), known)


def _take_out(data: Data, place: Place, *, empty: bool) -> None:
    """Empty the table at `place`, or remove the value. An item takes its list along, to keep the others' numbers."""
    if isinstance(place[-1], int) and not empty:
        place = place[:-1]
    holder: Any = data
    for part in place[:-1]:
        try:
            holder = holder[part]
        except (KeyError, IndexError, TypeError):
            return  # something above has been taken out already
    if empty:
        holder[place[-1]] = {}
    elif isinstance(holder, dict):
        holder.pop(place[-1], None)
