"""The operators' pages: every command, setting, file, alert and target that they name exists."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from router.cli.commands import root
from router.settings.describe import settings_table
from tests.deploy.places import DEPLOY, ROOT, headings, rules

PAGES = [DEPLOY / "README.md", DEPLOY / "RUNBOOK.md", ROOT / ".github" / "SECURITY.md"]
SETTINGS = set(re.findall(r"^\| `([^`]+)` \|", settings_table(), re.MULTILINE))
TABLES = {setting.split(".")[0] for setting in SETTINGS}


@pytest.fixture(params=PAGES, ids=lambda page: page.name)
def page(request: pytest.FixtureRequest) -> Path:
    assert isinstance(request.param, Path)
    return request.param


def code(page: Path) -> list[str]:
    """What stands between backticks."""
    return re.findall(
        r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    )


def commands_in(page: Path) -> set[str]:
    """Lines of the program that a page tells people to type."""
    return set(re.findall(r"region-router ([a-z][^`\n#]*)", page.read_text("utf-8")))


def test_every_command_exists(page: Path) -> None:
    for line in commands_in(page):
        command: click.Command = root()
        context = click.Context(command)
        words = line.split()
        while isinstance(command, click.Group) and words:
            found = command.get_command(context, words.pop(0))
            assert found is not None, line
            command = found
        assert not isinstance(command, click.Group), line
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options, line


def test_every_setting_exists(page: Path) -> None:
    named = {text.partition(" ")[0] for text in code(page)}
    dotted = {text for text in named if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", text) and text.split(".")[0] in TABLES}
    whole = {setting.rpartition(".")[0] for setting in SETTINGS}
    assert dotted - SETTINGS - whole == set()


def test_every_file_exists(page: Path) -> None:
    named = {text for text in code(page) if re.fullmatch(r"[\w.-]+(/[\w.-]+)*(/|\.\w+)", text) and "/" in text}
    roots = (ROOT, DEPLOY, ROOT / "tests")
    assert [text for text in sorted(named) if not any((place / text).exists() for place in roots)] == []


def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_section_that_is_referred_to_exists(page: Path) -> None:
    everywhere = {title for other in (*PAGES, ROOT / "README.md") for title in headings(other)}
    named = re.findall(r"README's \*([^*]+)\*", page.read_text("utf-8"))
    missing = [title for title in named if not any(title.lower().replace(" ", "-") in one for one in everywhere)]
    assert missing == []


def test_every_target_exists(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = {text.removeprefix("make ") for text in code(page) if re.fullmatch(r"make [a-z-]+", text)}
    assert [target for target in sorted(targets) if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


def test_every_alert_that_an_entry_refers_to_exists() -> None:
    names = {rule["alert"] for rule in rules("alerts.yaml")}
    told = set(
        re.findall(r"\b((?:Router|Region|Directory|Transfer)[A-Z]\w+)", (DEPLOY / "RUNBOOK.md").read_text("utf-8"))
    )
    assert told <= names


def test_everything_that_is_shipped_is_listed() -> None:
    table = (DEPLOY / "README.md").read_text("utf-8").split("\n## ")[0]
    shipped = {place.name for place in DEPLOY.iterdir()} - {"README.md", "RUNBOOK.md"}
    assert [name for name in sorted(shipped) if f"`{name}" not in table] == []
