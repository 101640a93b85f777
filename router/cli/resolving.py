"""`resolve`: one request on its walk, without a gateway and without a region.

The steps are the gateway's own functions (`router.gateway.handler` has them in the same order), on the bytes that a
client would send; only the directory is read itself instead of through a cache, by the same join. Nothing is sent, and
nothing is written.

    1 admit  →  2 identify  →  3 locate  →  4 decide  →  5 act: what would go out, or what would be answered
"""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import click

from router.cli import explaining
from router.cli.options import config_option, json_option
from router.cli.output import print_json
from router.cli.session import directory, settings_of
from router.directory.locate import NOTHING, Missing, asks, join
from router.gateway import compose
from router.gateway.cors import is_preflight
from router.gateway.heads import Refusal, admit
from router.model.problem import Problem
from router.routing.decide import decide
from router.routing.fields import has_passed, request_rules
from router.routing.identify import identify
from router.routing.values import Locked, Proxy, Redirect, Refuse, Source

if TYPE_CHECKING:
    from pathlib import Path

    from router.directory.store import LookupStore
    from router.gateway.heads import Admitted
    from router.model.placement import Entry, Fact
    from router.routing.table import RoutingTable
    from router.routing.values import Decision, Located, Target
    from router.settings.values import Settings

_STEPS: Final = ("admit", "identify", "locate", "decide", "act")

_URL: Final = re.compile(r"(?i:https?)://([^/?#]+)([^#]*)", re.DOTALL)
_FIELD: Final = re.compile(r"([^:\s]+):[ \t]*([^\r\n]*)")
_METHOD: Final = re.compile(r"[!-~]+")
_LINE_ENDS: Final = re.compile(r"[\r\n]")


@dataclass(slots=True)
class Walk:
    """What is told of the request: each step in words, and where it ended."""

    steps: list[tuple[str, str]] = field(default_factory=list)
    result: dict[str, object] = field(default_factory=dict)

    def tell(self, step: str, text: str) -> None:
        """One line of a step."""
        self.steps.append((step, text))


@click.command()
@click.argument("url")
@config_option
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header field; repeatable.")
@click.option("-X", "--request", "method", default="GET", show_default=True, help="The method.")
@json_option
def resolve(url: str, config: Path, *, headers: tuple[str, ...], method: str, as_json: bool) -> None:
    """Explain what would happen to a request, step by step.

    URL as you would give it to curl. Asks the directory, sends nothing, and repeats no credential and no query.
    """
    block = request_block(url, headers, method)
    walk = asyncio.run(_walk(block, settings_of(config)))
    if as_json:
        steps = [{"step": step, "text": text} for step, text in walk.steps]
        print_json({**_NO_RESULT, **walk.result, "steps": steps})
        return
    last = ""
    for step, text in walk.steps:
        label = "" if step == last else f"{_STEPS.index(step) + 1} {step}"
        click.echo(f"{label:<10}  {text}")
        last = step


def request_block(url: str, headers: tuple[str, ...], method: str) -> bytes:
    """The head that a client would send, byte for byte. Raises `click.UsageError` for what no client could."""
    found = _URL.fullmatch(url)
    if found is None or _LINE_ENDS.search(url):
        raise click.UsageError("URL is not an http or https URL")
    authority, target = found.groups()
    if "@" in authority:
        raise click.UsageError("URL names a user: leave that out, or give it as a header")
    if not _METHOD.fullmatch(method):
        raise click.UsageError("The method has a blank or a control character")
    lines = [f"{method} {target if target.startswith('/') else '/' + target} HTTP/1.1"]
    fields = [_FIELD.fullmatch(header) for header in headers]
    if None in fields:
        raise click.UsageError(f"Header {fields.index(None) + 1} is not of the form 'Name: value'")
    if not any(name.lower() == "host" for name, _ in (match.groups() for match in fields if match)):
        lines.append(f"Host: {authority}")
    return b"".join(os.fsencode(line) + b"\r\n" for line in (*lines, *headers, ""))


async def _walk(block: bytes, settings: Settings) -> Walk:
    walk = Walk()
    table = settings.table
    # 1
    admitted = admit(block, request_rules(table.api_key_header), table.api_key_header.encode("ascii"), settings.gateway)
    if isinstance(admitted, Refusal):
        walk.tell("admit", f"refuse: {admitted.detail}")
        _act(walk, Refuse(admitted.problem))
        return walk
    walk.tell("admit", explaining.explain_admitted(admitted))
    via = f"region-router-{table.policy.home}".encode("ascii")
    if has_passed(admitted.via, via):
        walk.tell("admit", "refuse: it has passed through this gateway already (Via, CDN-Loop)")
        _act(walk, Refuse(Problem.LOOP_DETECTED))
        return walk
    if admitted.head.target == b"*":
        walk.result = {"decision": "answer", "status": 204}
        walk.tell("act", "answers 204 itself: the question is about this gateway")
        return walk
    # 2
    target = identify(admitted.head, table)
    if isinstance(target, Refuse):
        why = explaining.explain_unidentified(admitted.head, target.problem, table)
        walk.tell("identify", f"refuse: {why}")
        _act(walk, target)
        return walk
    walk.tell("identify", explaining.explain_target(target, table))
    await _locate_and_decide(walk, admitted, target, settings)
    return walk


async def _locate_and_decide(walk: Walk, admitted: Admitted, target: Target, settings: Settings) -> None:
    table = settings.table
    # 3
    located = await _locate(target, settings)
    if located is None:
        walk.tell("locate", "the directory is not opened; mend: put its workspaces, then run `directory open`")
        _act(walk, Refuse(Problem.DIRECTORY_UNAVAILABLE))
        return
    walk.tell("locate", explaining.explain_located(target, located))
    # 4
    preflight = is_preflight(admitted.head.method, admitted.block)
    decision = decide(admitted.head, target, located, table, may_redirect=not preflight)
    walk.tell("decide", explaining.explain_decision(target, located, decision, table))
    # 5
    placement = located.placement
    walk.result = {
        "service": target.service.name,
        "workspace": placement.workspace if placement is not None else target.workspace,
        "epoch": placement.epoch if placement is not None else None,
    }
    if preflight and isinstance(decision, Locked) and settings.gateway.cors is not None:
        walk.result |= {"decision": "locked", "region": decision.region, "status": 204}
        walk.tell("act", "answers 204 itself, as [cors] says: a browser asks whether it may send the request")
        return
    _act(walk, decision)
    if isinstance(decision, Proxy):
        _act_proxy(walk, admitted, decision, table)


async def _locate(target: Target, settings: Settings) -> Located | None:
    """What the directory knows of `target` now; `None`: it is not opened. Raises `StoreError`."""
    if not asks(target):
        return NOTHING.located
    async with directory(settings) as store:
        facts: dict[Entry, Fact] = {}
        while isinstance(found := join(target, facts.get, Source.MISS), Missing):
            for entry in found.entries:
                if not await _look_up(store, entry, facts):
                    return None
        return found.located


async def _look_up(store: LookupStore, entry: Entry, facts: dict[Entry, Fact]) -> bool:
    answer = await store.lookup(entry, primary=True)
    facts[entry] = answer.fact
    return answer.opened


def _act(walk: Walk, decision: Decision) -> None:
    result = walk.result
    match decision:
        case Proxy(region=region):
            result |= {"decision": "proxy", "region": region}
        case Redirect(region=region, location=location):
            shown = explaining.hide_query(location)
            result |= {"decision": "redirect", "region": region, "status": 307, "location": shown}
            walk.tell("act", f"answers 307, Location: {shown}")
        case Locked(region=region):
            result |= {"decision": "locked", "region": region}
            _act_problem(walk, Problem.WORKSPACE_LOCKED)
        case Refuse(problem=problem):
            result |= {"decision": "refuse"}
            _act_problem(walk, problem)


def _act_problem(walk: Walk, problem: Problem) -> None:
    spec = problem.spec
    walk.result |= {"status": spec.status, "problem": spec.slug, "code": spec.code}
    walk.tell("act", f"answers {spec.status} {spec.slug} (code {spec.code}): {spec.message}")


def _act_proxy(walk: Walk, admitted: Admitted, proxy: Proxy, table: RoutingTable) -> None:
    """The first lines of what would go out; behind them are the client's own, which may hold credentials."""
    via = f"region-router-{table.policy.home}".encode("ascii")
    head = compose.request_head(admitted, proxy, forwarded=b"", forwarded_host=b"", request_id=b"-", via=via)
    request_line, host, *_ = head.split(b"\r\n")
    shown = explaining.hide_query(request_line.removesuffix(b" HTTP/1.1")) + " HTTP/1.1"
    origin = str(proxy.endpoint.origin)
    host_text = host.removeprefix(b"Host: ").decode("ascii")
    walk.result |= {"origin": origin, "request_line": shown, "host": host_text}
    walk.tell("act", f"connects to {origin}")
    walk.tell("act", f"sends {shown}")
    walk.tell("act", f"with Host: {host_text}")


_NO_RESULT: Final = dict.fromkeys(
    (
        "decision",
        "region",
        "service",
        "workspace",
        "epoch",
        "origin",
        "request_line",
        "host",
        "location",
        "status",
        "problem",
        "code",
    )
)
"""The keys of the JSON object, which are always there."""
