"""The tour: what a running demo prints, with commands to paste and what they show."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from router.demo.world import API_KEY, DESTINATION, EU, MOVING, OWNER, PLACED, SOURCE, SUBDOMAIN, US

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.model.region import RegionName
    from router.model.transfer import TransferId

_SHORT: Final = 3
"""Characters of an id that tell the demo's workspaces apart."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where everything of one demo is. `listen` and `ops_listen` are `host:port`, `origins` URLs.

    `epoch` is that of the moving workspace, now that every gateway has applied its lock; `token` the control API's.
    """

    listen: str
    ops_listen: str
    origins: Mapping[RegionName, str]
    configuration: Path
    transfer: TransferId
    epoch: int
    program: str
    token: str


def tour(stage: Stage) -> str:
    """The whole text."""
    base = f"http://{stage.listen}"
    of = {region: f"{base}/api/v1/workspaces/{workspace}" for region, workspace in PLACED.items()}
    moving = f"{base}/api/v1/workspaces/{MOVING}/projects"
    complete = f"{stage.program} transfer complete --config {shlex.quote(str(stage.configuration))} {stage.transfer}"
    source = stage.origins[SOURCE]
    past = f"{source}/api/v1/workspaces/{MOVING}/projects"
    control = f"http://{stage.ops_listen}/control/v1"
    wish = f'{{"destination": "{US}", "requested_by": "{OWNER}"}}'
    sent = f"-H 'Authorization: Bearer {stage.token}' -H 'Content-Type: application/json' -d '{wish}'"
    steps = (
        ("the path names the workspace: eu answers", f"curl -s {of[EU]}/projects"),
        ("so does its subdomain: eu", f"curl -s -H 'Host: {SUBDOMAIN}.clockify.me' {base}/api/v1/user"),
        ("an API key decides where nothing else does: eu", f"curl -s -H 'X-Api-Key: {API_KEY}' {base}/api/v1/user"),
        ("but never overrules the path: us", f"curl -s -H 'X-Api-Key: {API_KEY}' {of[US]}/projects"),
        (
            "browsers of the web app are redirected: 307 to euc1.clockify.me",
            f"curl -si -H 'Host: app.clockify.me' '{base}/workspaces/{PLACED[EU]}/tracker?a=%2F'",
        ),
        ("lists stay at home, which knows where each workspace lives: global", f"curl -s {base}/api/v1/workspaces"),
        (
            "a path that could be read two ways: 400, and no region sees it",
            f"curl -si --path-as-is {of[EU]}/../{PLACED[US]}/projects",
        ),
        ("a host that is not ours: 421", f"curl -si -H 'Host: evil.example' {of[EU]}/projects"),
        (
            "100 MB stream through in constant memory: us answers with their length and hash",
            f"head -c 100000000 /dev/zero | curl -s --data-binary @- {of[US]}/files",
        ),
        (f"locked while it moves from {SOURCE} to {DESTINATION}: 423 with Retry-After", f"curl -si {moving}"),
        (
            "the job closes it at its source before it copies: who goes past the gateway is refused at commit, 423",
            f"curl -sX PUT '{source}/fence/{MOVING}/{stage.transfer}?epoch={stage.epoch}' && curl -si {past}",
        ),
        (
            f"the move ends, and within a second the same URL answers from {DESTINATION}",
            f"{complete} && sleep 1 && curl -s {moving}",
        ),
        (
            "the control API says beforehand what a move would do",
            f"curl -s {sent} '{control}/workspaces/{PLACED[EU]}/transfers?preview=true'",
        ),
    )
    pasted = "\n".join(f"# {claim}\n{command}" for claim, command in steps)
    return f"{_scene(stage)}\n\nPaste into another terminal:\n\n{pasted}\n\nCtrl-C ends all of it.\n"


def program() -> str:
    """How this program was started, as a shell would have to be told again."""
    started = Path(sys.argv[0])
    if started.name == "region-router":
        return shlex.quote(str(started.absolute()))
    return f"{shlex.quote(sys.executable)} -m router"


def _scene(stage: Stage) -> str:
    regions = "  ".join(f"{region} {origin.removeprefix('http://')}" for region, origin in stage.origins.items())
    first, *others = (
        f"{workspace if n == 0 else '…' + workspace[-_SHORT:]} {region}"
        for n, (region, workspace) in enumerate(PLACED.items())
    )
    return f"""Region Router demo: five fake regions, a temporary directory and the gateway, in one process.

  gateway        http://{stage.listen}
  ops            http://{stage.ops_listen}/metrics  /readyz  /livez  /control/openapi.json (token {stage.token})
  regions        {regions}
  configuration  {stage.configuration} (the directory is beside it)
  workspaces     {"  ".join((first, *others))}  …{MOVING[-_SHORT:]} {SOURCE}, moving to {DESTINATION}
                 subdomain {SUBDOMAIN}: …{PLACED[SOURCE][-_SHORT:]}  API key {API_KEY}: eu"""
