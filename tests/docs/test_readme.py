"""The README is true: its tables are the code's, its rooms and commands exist, its decisions are what is decided."""

from __future__ import annotations

import re

import pytest

from tests.docs.readme_tables import README, ROOT, TABLES, shown

TEXT = README.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_table_that_repeats_code_says_what_the_code_says(name: str) -> None:
    assert shown(name, TEXT) == TABLES[name](), "run `make tables`"


def test_every_path_that_the_readme_names_exists() -> None:
    named = set(re.findall(r"`((?:router|tests|deploy)/[A-Za-z0-9_./-]*)`", TEXT))
    assert named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_every_room_is_on_the_map() -> None:
    rooms = {path.parent.name for path in (ROOT / "router").glob("*/__init__.py")}
    assert [room for room in sorted(rooms) if f"`router/{room}/" not in TEXT] == []


def test_every_make_target_that_the_readme_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"`make ([a-z-]+)`", TEXT))
    assert named
    assert [target for target in sorted(named) if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []
