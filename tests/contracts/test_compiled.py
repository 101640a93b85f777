"""The rooms that are compiled: the list names what there is, and each run of the tests runs on what it says."""

from __future__ import annotations

import ast
import importlib
import os
import tomllib
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
HOOK: Final = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
ROOMS: Final[list[str]] = HOOK["hooks"]["mypyc"]["include"]
COMPILED: Final = os.environ.get("COMPILED") == "1"


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_that_is_to_be_compiled_is_there(room: str) -> None:
    assert (ROOT / room).is_file()


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_native_exactly_where_the_run_says_so(room: str) -> None:
    module = importlib.import_module(room.removesuffix(".py").replace("/", "."))

    assert module.__file__ is not None
    assert module.__file__.endswith(".so") == COMPILED


@pytest.mark.parametrize("room", ROOMS)
def test_no_bound_of_a_slice_does_anything(room: str) -> None:
    """The compiler evaluates the bounds of a slice twice where it does not know the type that is sliced: bytes were
    sent twice through TLS by `view[write(view) :]`.
    """
    slices = [node for node in ast.walk(ast.parse((ROOT / room).read_text("utf-8"))) if isinstance(node, ast.Slice)]
    calls = [part for bounds in slices for part in ast.walk(bounds) if isinstance(part, ast.Call)]

    assert [ast.unparse(call) for call in calls if ast.unparse(call.func).split(".")[-1] not in {"len", "end"}] == []
