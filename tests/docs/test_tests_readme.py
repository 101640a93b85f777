"""The tests' own page is true: every behaviour of forwarding has its tests, every test that it names exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from tests.docs.readme_tables import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TESTS: Final = ROOT / "tests"
TEXT: Final = (TESTS / "README.md").read_text(encoding="utf-8")
BEHAVIOURS: Final = 36
NOT_YET: Final[frozenset[int]] = frozenset()
"""Behaviours that no test holds yet: their rows say so."""


class Row(NamedTuple):
    """One row of the tables of behaviours."""

    number: int
    behaviour: str
    cell: str

    @property
    def tests(self) -> list[str]:
        return re.findall(r"`([^`]+\.py::[^`]+)`", self.cell)


ROWS: Final = [
    Row(int(number), behaviour, cell)
    for number, behaviour, cell in re.findall(r"^\| ([0-9]+) \| ([^|]*) \| ([^|]*) \|$", TEXT, re.MULTILINE)
]


def test_every_behaviour_has_one_row_and_they_stand_in_order() -> None:
    assert [row.number for row in ROWS] == list(range(1, BEHAVIOURS + 1))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.number))
def test_a_row_says_what_is_right_and_which_tests_hold_it(row: Row) -> None:
    assert len(row.behaviour.split()) > 4
    if row.number in NOT_YET:
        assert (row.cell, row.tests) == ("not yet", [])
    else:
        assert row.tests
        assert len(set(row.tests)) == len(row.tests)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.number))
def test_every_test_that_a_row_names_exists(row: Row) -> None:
    missing = []
    for test in row.tests:
        file, _, name = test.partition("::")
        if not (TESTS / file).is_file() or name not in names(TESTS / file):
            missing.append(test)
    assert missing == []


def test_every_room_has_its_line() -> None:
    rooms = {file.parent.relative_to(TESTS).parts[0] for file in TESTS.glob("*/**/test_*.py")}
    assert [room for room in sorted(rooms) if f"`{room}/`" not in TEXT] == []


@cache
def names(file: Path) -> frozenset[str]:
    """The tests in `file`, as `test_x` or `TestClass::test_x`."""
    return frozenset(_names(ast.parse(file.read_text(encoding="utf-8")).body))


def _names(body: list[ast.stmt], within: str = "") -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield within + node.name
        elif isinstance(node, ast.ClassDef):
            yield from _names(node.body, f"{within}{node.name}::")
