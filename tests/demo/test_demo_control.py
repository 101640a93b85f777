"""The demo's control API: with the token that is printed, and without one from this machine."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

if TYPE_CHECKING:
    from tests.demo.running import Demo


def test_the_command_of_the_tour_says_what_a_move_would_do(demo: Demo) -> None:
    (command,) = [line for line in demo.commands if "preview=true" in line]
    assert "Authorization: Bearer " in command
    ran = subprocess.run(["bash", "-c", command], check=True, capture_output=True, timeout=30)
    preview: dict[str, Any] = json.loads(ran.stdout)
    assert (preview["allowed"], preview["refusals"]) == (True, [])
    assert any("add-ons" in effect.lower() for effect in preview["effects"])


def test_this_machine_needs_no_token(demo: Demo) -> None:
    with urlopen(f"http://127.0.0.1:{demo.ops_port}/control/v1/me", timeout=30) as answer:
        assert json.load(answer)["name"] == "loopback"
