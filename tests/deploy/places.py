"""Where the files of `deploy/` are, and how tests read and run them."""

from __future__ import annotations

import re
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
RULES: Final = DEPLOY / "prometheus"
CHART: Final = DEPLOY / "helm" / "region-router"

PATIENCE_SECONDS: Final = 100.0
PAUSE_SECONDS: Final = 0.05


def read_yaml(file: Path) -> Any:
    return yaml.safe_load(file.read_text("utf-8"))


def rules(file: str) -> list[dict[str, Any]]:
    """Every rule of `recording.yaml` or `alerts.yaml`."""
    return [rule for group in read_yaml(RULES / file)["groups"] for rule in group["rules"]]


def headings(markdown: Path) -> dict[str, str]:
    """The sections of a page: what a link's fragment calls them, and their text up to the next heading."""
    parts = re.split(r"^#{1,6} (.+)$", markdown.read_text("utf-8"), flags=re.MULTILINE)
    return {_fragment(title): text for title, text in zip(parts[1::2], parts[2::2], strict=True)}


def run(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run to the end; both outputs are kept, whatever the exit code."""
    return subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
        **options,
    )


def until(holds: Callable[[], bool], process: subprocess.Popen[Any], what: str, log: Path | None = None) -> None:
    """Return when `holds`. Fails if `process` ends first, or it takes too long."""
    began = time.monotonic()
    while not holds():
        # The pause ends early if the process does: nothing will come of it then.
        with suppress(subprocess.TimeoutExpired):
            process.wait(PAUSE_SECONDS)
            pytest.fail(f"waiting for {what}, it ended with {process.returncode}: {log.read_text() if log else ''}")
        assert time.monotonic() < began + PATIENCE_SECONDS, f"waited for {what}"


def _fragment(title: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
