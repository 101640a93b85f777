"""Runs: what one client or one region sends in one turn of the gauntlet, how chance makes it, and how it is kept."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.fuzz.mutation import cut, mutated
from tests.fuzz.seeds import ANSWERS, REQUESTS
from tests.fuzz.strict_origin import STYLES
from tests.gateway.stage import GET, path, request

if TYPE_CHECKING:
    from random import Random

ASKING: Final = {
    "GET": GET,
    "HEAD": request("HEAD"),
    "POST": request("POST", path(), body=b"some"),
    "GET 1.0": request("GET", path(), version="1.0"),
}
"""What fuzzed answers answer."""


@dataclass(frozen=True)
class RequestRun:
    """What a client sends, how the regions answer, and how it leaves: `close`, `reset`, or `wait` for the end."""

    segments: tuple[bytes, ...]
    styles: tuple[str, ...] = ("length",)
    ending: str = "close"


@dataclass(frozen=True)
class AnswerRun:
    """A sound request out of `ASKING`, and what its region sends; its `ending` is `fin`, `reset` or `keep`."""

    asking: str
    segments: tuple[bytes, ...]
    ending: str = "fin"


Run = RequestRun | AnswerRun


def dumped(run: Run) -> str:
    """`run` as text to keep."""
    fields = asdict(run) | {"segments": [segment.decode("latin-1") for segment in run.segments]}
    return json.dumps({"kind": type(run).__name__} | fields, indent=1)


def loaded(text: str) -> Run:
    """What `dumped` made a text of."""
    fields: dict[str, Any] = json.loads(text)
    segments = tuple(segment.encode("latin-1") for segment in fields["segments"])
    if fields["kind"] == "AnswerRun":
        return AnswerRun(fields["asking"], segments, fields["ending"])
    return RequestRun(segments, tuple(fields["styles"]), fields["ending"])


def request_run(chance: Random, ending: str | None = None) -> RequestRun:
    """A run of mutated requests."""
    styles = tuple(chance.choice(list(STYLES)) for _ in range(chance.randint(1, 3)))
    ending = ending or chance.choice(("close", "close", "reset"))
    return RequestRun(cut(mutated(REQUESTS, chance), chance), styles, ending)


def answer_run(chance: Random) -> AnswerRun:
    """A run of a mutated answer."""
    asking = chance.choice(list(ASKING))
    return AnswerRun(asking, cut(mutated(ANSWERS, chance), chance), chance.choice(("fin", "reset", "keep")))
