"""Descriptors: what a configuration may need is counted at the start, and told with the mend."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from router.runtime.descriptors import RESERVE, fit_into
from router.settings.load import load_text
from router.settings.problems import ConfigError
from tests.gateway.stage import configure
from tests.runtime.gateways import write_configuration

if TYPE_CHECKING:
    from pathlib import Path

    from router.settings.values import Settings

# home has one origin for both of its services, as each region has.
UPSTREAM = 3 * 10


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    text = configure({"global": 1, "eu": 2, "us": 3}, limits={"pool_size": 10})
    return load_text(text, {}, folder=tmp_path)


def wanting(settings: Settings, connections: int) -> Settings:
    return replace(settings, gateway=replace(settings.gateway, max_connections=connections))


def test_clients_may_have_what_is_left_beside_the_origins(settings: Settings) -> None:
    assert fit_into(settings, 5000).gateway.max_connections == 5000 - UPSTREAM - RESERVE


def test_without_a_limit_of_descriptors_there_is_none_of_clients(settings: Settings) -> None:
    assert fit_into(settings, None).gateway.max_connections is None


def test_little_room_is_a_warning_with_the_mend(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    fit_into(settings, 1024)
    (line,) = caplog.messages
    assert "1024 open files" in line
    assert f"to {1024 + UPSTREAM + RESERVE}, or lower gateway.limits.pool_size" in line


def test_as_many_as_fit_are_taken_as_they_were_configured(settings: Settings) -> None:
    assert fit_into(wanting(settings, 100), 100 + UPSTREAM + RESERVE).gateway.max_connections == 100


def test_one_more_than_fits_is_an_error_with_the_mend(settings: Settings) -> None:
    with pytest.raises(ConfigError) as error:
        fit_into(wanting(settings, 101), 100 + UPSTREAM + RESERVE)
    (problem,) = error.value.problems
    assert problem.path == "gateway.limits.max_connections"
    assert f"needs {101 + UPSTREAM + RESERVE} open files" in problem.text
    assert "LimitNOFILE=" in problem.mend


def test_a_process_that_may_not_open_enough_does_not_start(place: Path, ports: dict[str, int]) -> None:
    config = write_configuration(place, ports, limits={"max_connections": 1000})  # type: ignore[arg-type] # numbers
    serve = [sys.executable, "-m", "router", "serve", "--config", str(config)]
    command = ["sh", "-c", 'ulimit -n 600 && exec "$@"', "sh", *serve]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    *_, line = done.stderr.splitlines()
    assert done.returncode == 2
    assert line.startswith("error: gateway.limits.max_connections: needs ")
