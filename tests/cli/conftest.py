"""A configured place with a real directory, and the program run in this process on it."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import pytest

from router.cli.entry import run
from router.directory.ports import SystemClock
from router.directory.sqlite import SqliteStore, migrate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SHIPPED = Path(__file__).resolve().parents[2] / "deploy" / "clockify.toml"
W1, W2, W3 = (f"64a687e29ae1f428e7ebe30{n}" for n in (1, 2, 3))


class Ran(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def object(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        loaded = json.loads(self.out)
        assert isinstance(loaded, dict)
        return loaded

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The JSON lines on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def errors(self) -> list[str]:
        """The lines on stderr, each of which has to be an error."""
        lines = self.err.splitlines()
        assert all(line.startswith("error: ") for line in lines), self.err
        return [line.removeprefix("error: ") for line in lines]


class Program(Protocol):
    """Runs the program with these arguments."""

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Ran: ...


class Place:
    """A folder with a configuration and, once it is made, a directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "router.toml"
        self.database = folder / "directory.db"
        self.config.write_text(SHIPPED.read_text("utf-8"), "utf-8")

    def configure(self, before: str, after: str) -> None:
        """Change the configuration."""
        text = self.config.read_text("utf-8")
        assert before in text
        self.config.write_text(text.replace(before, after), "utf-8")

    def write(self, name: str, content: str | bytes) -> str:
        """Write a file, and return its path."""
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def ask(self, question: Callable[[SqliteStore], Awaitable[object]]) -> Any:
        """What the directory itself answers."""

        async def ask_store() -> object:
            store = SqliteStore(self.database, clock=SystemClock())
            try:
                return await question(store)
            finally:
                await store.close()

        return asyncio.run(ask_store())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Configured with the shipped table, an empty directory made but not opened; the program finds it by itself."""
    place = Place(tmp_path)
    migrate(place.database, clock=SystemClock())
    monkeypatch.setenv("REGION_ROUTER_CONFIG", str(place.config))
    return place


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Program:
    """The whole program, without the cost of a process."""

    def run_it(*arguments: str, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = run(arguments)
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return run_it


@pytest.fixture
def populated(place: Place, program: Program) -> Place:
    """W1 at home, W2 in the EU with the subdomain `acme`, W3 in the US; opened."""
    for workspace, region, *more in ((W1, "global"), (W2, "eu", "--subdomain", "acme"), (W3, "us")):
        assert program("workspace", "put", workspace, "--region", region, *more).code == 0
    assert program("directory", "open").code == 0
    return place
