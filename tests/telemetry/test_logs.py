"""The process's log: one line an event, on stderr."""

from __future__ import annotations

import json
import re
import subprocess
import sys

PROGRAM = """
import logging, sys
from router.telemetry.logs import Form, set_up_logging
set_up_logging(sys.argv[1], Form(sys.argv[2]))
log = logging.getLogger("router.gateway")
log.debug("quiet")
log.warning("upstream %s", "eu\\n2026-01-01T00:00:00.000Z ERROR router forged\\x1b[2J\\u2028")
"""


def run(level: str, form: str = "human", more: str = "") -> subprocess.CompletedProcess[str]:
    # A process of its own: the root logger of this one belongs to pytest.
    return subprocess.run(
        [sys.executable, "-c", PROGRAM + more, level, form], capture_output=True, text=True, check=False
    )


def test_an_event_is_one_line_whatever_its_text_says() -> None:
    ended = run("info")
    assert ended.stdout == ""
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING router\.gateway "
        r"upstream eu\\x0a2026-01-01T00:00:00\.000Z ERROR router forged\\x1b\[2J\\x2028\n",
        ended.stderr,
    )


def test_the_level_is_where_the_log_begins() -> None:
    assert "DEBUG router.gateway quiet\n" in run("debug").stderr
    assert run("error").stderr == ""


def test_a_level_that_there_is_not_is_refused() -> None:
    assert run("loud").returncode != 0


def test_an_event_is_one_object_a_line_where_that_is_asked_for() -> None:
    bug = "try:\n    1 / 0\nexcept ZeroDivisionError:\n    log.exception('a bug')\n"
    first, second = map(json.loads, run("info", "json", bug).stderr.splitlines())
    assert (first["level"], first["logger"]) == ("WARNING", "router.gateway")
    assert first["text"].startswith("upstream eu\n2026-01-01")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])
    assert second["text"] == "a bug"
    assert second["traceback"].endswith("ZeroDivisionError: division by zero")
