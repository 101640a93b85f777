"""What compose makes of `deploy/compose.yaml`, and the commands in it."""

from __future__ import annotations

import copy
import json
import os
import shlex
from functools import cache
from typing import Any, Final

from tests.deploy.places import DEPLOY, run
from tests.programs import require_tool

COMPOSE: Final = DEPLOY / "compose.yaml"
REGIONS: Final = ("region-global", "region-eu", "region-us", "region-uk", "region-au")
GATEWAYS: Final = ("gateway-1", "gateway-2")


def composition() -> dict[str, Any]:
    """The whole file, everything resolved."""
    return copy.deepcopy(_composition())


def command_lines(service: dict[str, Any]) -> list[list[str]]:
    """The program's own commands that a service runs."""
    if "region-router" in str(service["command"]):
        return [shlex.split(line)[1:] for line in service["command"][0].splitlines() if line]
    return [service["command"]]


@cache
def _composition() -> dict[str, Any]:
    # Nothing that compose could find on the machine of whoever runs this.
    bare = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    done = run(require_tool("docker-compose"), "--file", COMPOSE, "config", "--format", "json", env=bare)
    assert done.returncode == 0, done.stderr
    assert "level=warning" not in done.stderr
    content = json.loads(done.stdout)
    assert isinstance(content, dict)
    return content
