"""A small whole configuration, and what is said of a changed one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from router.settings.load import load_text
from router.settings.problems import ConfigError, ConfigProblem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BASE = """
[gateway]
listen = ["127.0.0.1:8080"]
[ops]
listen = ["127.0.0.1:9090"]
[directory]
url = "sqlite:///directory.db"
[identify]
subdomains = "*.clockify.me"
[policy]
home = "global"
[services.api]
match = ["clockify.me/api", "*.clockify.me/api"]
path = "/api"
[services.time-off]
match = ["pto.api.clockify.me/v1"]
path = "/pto/v1"
[regions.global]
origin = "http://127.0.0.1:9101"
public_url = "https://clockify.me"
services.time-off = { path = "/v1" }
[regions.eu]
label = "EU (Germany)"
origin = "https://euc1.internal:8443"
public_url = "https://euc1.clockify.me"
"""


class ProblemsOf(Protocol):
    """Loads a text and returns its problems."""

    def __call__(self, text: str, environ: Mapping[str, str] | None = None) -> tuple[ConfigProblem, ...]: ...


@pytest.fixture
def base() -> str:
    return BASE


@pytest.fixture
def problems_of(tmp_path: Path) -> ProblemsOf:
    def load_it(text: str, environ: Mapping[str, str] | None = None) -> tuple[ConfigProblem, ...]:
        try:
            load_text(text, environ or {}, folder=tmp_path)
        except ConfigError as error:
            return error.problems
        return ()

    return load_it
