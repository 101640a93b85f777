"""Alerts and recording rules: promtool accepts them, each alert is proved both ways, and each has its entry to read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.deploy.places import DEPLOY, RULES, headings, read_yaml, rules, run
from tests.programs import require_program

CASES = sorted((Path(__file__).parent / "rules").glob("*.yaml"))
ALERTS = rules("alerts.yaml")
NAMES = [alert["alert"] for alert in ALERTS]
ENTRY = ("**What it means.**", "**Look.**", "**Mend.**")
"""What somebody who was woken up needs, in this order."""


def cases_of(name: str) -> list[dict[str, Any]]:
    return [
        case
        for file in CASES
        for test in read_yaml(file)["tests"]
        for case in test.get("alert_rule_test", ())
        if case["alertname"] == name
    ]


@pytest.mark.parametrize("file", ["alerts.yaml", "recording.yaml"])
def test_promtool_accepts_the_rules(file: str) -> None:
    done = run(require_program("promtool"), "check", "rules", "--lint-fatal", RULES / file)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.name)
def test_the_alerts_do_what_their_cases_say(file: Path) -> None:
    done = run(require_program("promtool"), "test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_an_alert_has_a_case_in_which_it_fires(name: str) -> None:
    assert any(case["exp_alerts"] for case in cases_of(name))


@pytest.mark.parametrize("name", NAMES)
def test_an_alert_has_a_case_in_which_it_is_quiet(name: str) -> None:
    assert any(not case["exp_alerts"] for case in cases_of(name))


@pytest.mark.parametrize("alert", ALERTS, ids=NAMES)
def test_an_alert_says_how_urgent_it_is_and_what_it_saw(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["description"].endswith(".")


@pytest.mark.parametrize("alert", ALERTS, ids=NAMES)
def test_an_alert_leads_to_its_entry_in_the_runbook(alert: dict[str, Any]) -> None:
    page, _, fragment = alert["annotations"]["runbook_url"].partition("#")
    assert page == "https://region-router.example/runbook"
    assert fragment == alert["alert"].lower()
    assert fragment in headings(DEPLOY / "RUNBOOK.md")


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_says_what_it_means_where_to_look_and_what_mends_it(name: str) -> None:
    entry = headings(DEPLOY / "RUNBOOK.md")[name.lower()]
    places = [entry.index(part) for part in ENTRY]
    assert places == sorted(places)


def test_the_runbook_has_no_entry_for_an_alert_that_is_gone() -> None:
    entries = {title for title, text in headings(DEPLOY / "RUNBOOK.md").items() if ENTRY[0] in text}
    assert entries == {name.lower() for name in NAMES}
