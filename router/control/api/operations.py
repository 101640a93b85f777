"""What an operation of the control API is: one row of the catalogue, read by the listener and by the document alike."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from router.control.problems import ControlProblem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from pydantic import BaseModel

    from router.control.access import Scope
    from router.control.api.calls import Call
    from router.control.problems import Declined

PREFIX: Final = "/control/v1"
JSON: Final = "application/json"
ROWS: Final = ("application/x-ndjson", "text/csv")


class Answer(NamedTuple):
    """What is answered: the status, the JSON text (empty: no body), and header fields."""

    status: int
    body: str = ""
    fields: Mapping[str, str] = {}


def answer(model: BaseModel, status: int = 200, **fields: str) -> Answer:
    """`model` as an answer. Fields are named with `_` for `-`."""
    return Answer(status, model.model_dump_json(), {name.replace("_", "-"): text for name, text in fields.items()})


def tagged(model: BaseModel, status: int = 200, **fields: str) -> Answer:
    """`model` as an answer with its ETag."""
    plain = answer(model, status, **fields)
    return plain._replace(fields={**plain.fields, "ETag": tag_of(plain.body)})


def tag_of(body: str) -> str:
    """The strong tag of a representation."""
    return f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'


@dataclass(frozen=True, slots=True)
class Operation:
    """One row.

    - `path`: behind `PREFIX`, with `{names}` that `router.control.api.catalogue.PARAMETERS` describes.
    - `answers`: each status that means success, and what is answered with it; `None`: no body.
    - `problems`: what this operation may decline with, beside what follows from its other members.
    - `conditional`: it heeds If-Match (and a PUT If-None-Match); `tagged`: its answers have an ETag.
    - `body`: the model of what is sent; `takes_rows`: a sheet of rows is sent instead.
    """

    name: str
    method: str
    path: str
    summary: str
    scope: Scope
    handle: Callable[[Call], Awaitable[Answer | Declined]]
    answers: Mapping[int, type[BaseModel] | None]
    problems: tuple[ControlProblem, ...] = ()
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    conditional: bool = False
    tagged: bool = False
    takes_rows: bool = False

    @property
    def all_problems(self) -> tuple[ControlProblem, ...]:
        """Everything that it may be declined with, each once."""
        found = [
            ControlProblem.NO_TOKEN,
            ControlProblem.NO_SCOPE,
            ControlProblem.TOO_MANY_FAILURES,
            ControlProblem.DIRECTORY_UNAVAILABLE,
            ControlProblem.BUG,
            *self.problems,
        ]
        if "{" in self.path:
            found.append(ControlProblem.NO_RESOURCE)
        if self.query is not None or self.body is not None or self.method == "POST":
            found.append(ControlProblem.INVALID_REQUEST)
        if self.body is not None or self.takes_rows:
            found += [ControlProblem.MALFORMED, ControlProblem.BODY_TOO_LARGE, ControlProblem.MEDIA_TYPE]
        if self.conditional:
            found += [ControlProblem.STALE]
        if self.method == "POST":
            found.append(ControlProblem.KEY_REUSED)
        return tuple(dict.fromkeys(found))
