"""`.github/SECURITY.md`: every threat is answered, by tests that exist."""

from __future__ import annotations

import re
from functools import cache

import pytest

from tests.deploy.places import ROOT, read_yaml

TEXT = (ROOT / ".github" / "SECURITY.md").read_text("utf-8")
ROWS = re.findall(r"^\| \*\*([^*]+)\*\*: ([^|]+) \| ([^|]+) \| ([^|]+) \|$", TEXT, re.MULTILINE)
THREATS = [
    "Spoofed headers",
    "Request smuggling",
    "Path confusion",
    "Server-side request forgery",
    "Open redirect",
    "Enumeration",
    "Leak of credentials",
    "Control tokens",
    "Webhook destinations",
    "Exhaustion",
]
CASES = [(row[0], test) for row in ROWS for test in re.findall(r"`([^`]+\.py::[^`]+)`", row[3])]


@pytest.mark.parametrize("threat", THREATS)
def test_the_threat_has_its_row(threat: str) -> None:
    assert threat in [row[0] for row in ROWS]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_says_what_holds_and_which_tests_show_it(row: tuple[str, str, str, str]) -> None:
    _, threat, holds, tests = row
    assert len(threat.split()) > 4
    assert len(holds.split()) > 4
    assert re.fullmatch(r"`[^`]+\.py::[^`]+`(<br>`[^`]+\.py::[^`]+`)*", tests)


@pytest.mark.parametrize(("threat", "test"), CASES, ids=[test for _, test in CASES])
def test_a_test_that_is_named_exists(threat: str, test: str) -> None:
    file, *names = test.split("::")
    for name in names:
        assert re.search(rf"^\s*(?:async def|def|class) {name}\b", source(file), re.MULTILINE), threat


@cache
def source(file: str) -> str:
    return (ROOT / "tests" / file).read_text("utf-8")


def test_the_advisory_check_fails_no_build() -> None:
    jobs = read_yaml(ROOT / ".github" / "workflows" / "ci.yaml")["jobs"]
    assert jobs["audit"]["continue-on-error"] is True
    assert jobs["audit"]["steps"][-1] == {"run": "make audit"}
    assert "continue-on-error" not in jobs["check"]
