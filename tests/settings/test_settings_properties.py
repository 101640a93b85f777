"""No document and no environment, however strange, ends in anything but settings or a list of problems."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from router.settings.load import load_text
from router.settings.problems import ConfigError
from router.settings.schema import Document
from router.settings.walk import is_table, item_of, settings_of, unwrap

if TYPE_CHECKING:
    from router.settings.notation import Table

FOLDER = Path(__file__).parent
SHIPPED = (FOLDER.parents[1] / "deploy" / "clockify.toml").read_text()
Toml: TypeAlias = Any  # what TOML can hold


def words(table: type[Table]) -> set[str]:
    """Every key of the schema."""
    found: set[str] = set()
    for name, annotation in settings_of(table).items():
        item = item_of(annotation)
        inner = unwrap(annotation if item is None else item)
        found |= {name} | (words(inner) if is_table(inner) else set())
    return found


KEYS = st.sampled_from([*sorted(words(Document)), "api", "eu", "global"]) | st.text(max_size=5)
SAMPLES = """global eu api redirect https://a.b http://127.0.0.1:8080 clockify.me/api * *.a.b /v1 sqlite:///d.db
127.0.0.1:8080 /workspaces/{workspace} [a-f]{3} POST conftest.py"""
TEXTS = st.sampled_from(SAMPLES.split()) | st.text(max_size=8)
SCALARS = TEXTS | st.integers() | st.integers(-(10**40), 10**40) | st.floats() | st.booleans()
VALUES: st.SearchStrategy[Toml] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)


def shaped(table: type[Table]) -> st.SearchStrategy[dict[str, Toml]]:
    """A document that has the schema's tables, and anything in them."""
    members: dict[str, st.SearchStrategy[Toml]] = {}
    for name, annotation in settings_of(table).items():
        item = item_of(annotation)
        inner = unwrap(annotation if item is None else item)
        if not is_table(inner):
            members[name] = SCALARS | st.lists(TEXTS, max_size=3)
        elif item is None:
            members[name] = shaped(inner) | SCALARS
        else:
            names = st.sampled_from(["api", "app", "eu", "global", "A b"])
            members[name] = st.dictionaries(names, shaped(inner), max_size=3) | st.lists(shaped(inner), max_size=2)
    return st.fixed_dictionaries({}, optional=members)


def write(value: Toml) -> str:
    """`value` as an inline TOML value."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{write(str(key))} = {write(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(write(item) for item in value) + "]"
    if isinstance(value, float):
        return str(value)
    return json.dumps(value).replace("\x7f", "\\u007f")


def load_it(text: str, environ: dict[str, str]) -> None:
    try:
        load_text(text, environ, folder=FOLDER)
    except ConfigError as error:
        assert error.problems
        for problem in error.problems:
            assert str(problem).isprintable()
            assert problem.path
            assert problem.text
            assert problem.mend


def document(data: dict[str, Toml]) -> str:
    return "".join(f"{write(key)} = {write(value)}\n" for key, value in data.items())


@given(st.dictionaries(KEYS, VALUES, max_size=6) | shaped(Document))
@settings(deadline=None, max_examples=400)
def test_any_document_ends_in_settings_or_problems(data: dict[str, Toml]) -> None:
    load_it(document(data), {})


@given(st.text())
@settings(deadline=None)
def test_any_text_ends_in_settings_or_problems(text: str) -> None:
    load_it(text, {})


@given(st.integers(0, len(SHIPPED)), st.integers(0, 30), st.text(max_size=5))
@settings(deadline=None, max_examples=200)
def test_the_shipped_file_with_a_hole_ends_in_settings_or_problems(start: int, length: int, text: str) -> None:
    load_it(SHIPPED[:start] + text + SHIPPED[start + length :], {})


PARTS = st.lists(KEYS | st.sampled_from(["url_file", "home_file"]), min_size=1, max_size=5)
ENVIRON_VALUES = (
    TEXTS | VALUES.map(write) | VALUES.map(json.dumps) | st.sampled_from(['[{"\\ud800": 1}]', '["\\ud800"]'])
)


@given(st.dictionaries(PARTS.map(lambda parts: "REGION_ROUTER__" + "__".join(parts)), ENVIRON_VALUES, max_size=4))
@settings(deadline=None, max_examples=300)
def test_any_environment_ends_in_settings_or_problems(environ: dict[str, str]) -> None:
    load_it(SHIPPED, environ)


@given(ENVIRON_VALUES)
@settings(deadline=None, max_examples=100)
def test_any_value_of_a_list_ends_in_settings_or_problems(value: str) -> None:
    load_it(SHIPPED, {"REGION_ROUTER__POLICY__ROUTES": value, "REGION_ROUTER__IDENTIFY__PATHS": value})
