"""What a request brings besides its path: its query, its body, its preconditions, its idempotency key.

The law of the room: a body is read to its end before its transaction begins, because a slow sender must not hold a lock
that everybody waits for. No message repeats a value: it may be a secret in the wrong place.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import tempfile
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar, cast

from pydantic import BaseModel, ValidationError

from router.control.api.calls import Conditions, Sheet
from router.control.api.operations import JSON, ROWS
from router.control.problems import ControlProblem, Declined, decline

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web

    from router.control.api.calls import Call

M = TypeVar("M", bound=BaseModel)

LARGEST_BODY: Final = 1 << 20
"""Bytes of a JSON body."""
LARGEST_SHEET: Final = 1 << 28
"""Bytes of a sheet of rows."""
_IN_MEMORY: Final = 1 << 23
"""Bytes of a sheet that are put aside in memory; what is longer goes to a temporary file."""

_KEY: Final = re.compile(r"[\x21-\x7e]{1,200}")
_SHOWN: Final = 20
"""Problems of one body or query that are told."""
_LONGEST_NAME: Final = 60
"""Characters of a member's name that are told: an unknown one is whatever was sent."""


@contextlib.asynccontextmanager
async def read_call(request: web.Request, call: Call) -> AsyncIterator[Call | Declined]:
    """`call` with all that the request brings, as long as the block lasts. Raises `ConnectionError`."""
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
        yield await _read(request, call, cast(IO[bytes], file))


async def _read(request: web.Request, call: Call, file: IO[bytes]) -> Call | Declined:
    operation = call.operation
    if operation.query is not None:
        query = _read_query(operation.query, list(request.query.items()))
        if isinstance(query, Declined):
            return query
        call = replace(call, query=query)
    content = b""
    if operation.takes_rows:
        sheet = await _put_aside(request, file)
        if isinstance(sheet, Declined):
            return sheet
        call, content = replace(call, sheet=sheet), sheet.digest.encode()
    if operation.body is not None:
        text = await _read_json(request)
        if isinstance(text, Declined):
            return text
        body = _read_model(operation.body, text)
        if isinstance(body, Declined):
            return body
        call, content = replace(call, body=body), text
    if operation.conditional:
        unwanted = request.headers.get("If-None-Match") if operation.method == "PUT" else None
        call = replace(call, conditions=Conditions(request.headers.get("If-Match"), unwanted))
    key = request.headers.get("Idempotency-Key")
    if key is None or operation.method != "POST":
        return call
    if not _KEY.fullmatch(key):
        return decline(ControlProblem.INVALID_REQUEST, "Idempotency-Key is not 1 to 200 visible ASCII characters.")
    return replace(call, idempotency=(key, _fingerprint(request, content)))


def _fingerprint(request: web.Request, content: bytes) -> str:
    target = request.path_qs.encode("utf-8", "surrogateescape")
    return hashlib.sha256(b"\0".join((request.method.encode(), target, content))).hexdigest()


async def _read_json(request: web.Request) -> bytes | Declined:
    if "Content-Encoding" in request.headers or request.content_type != JSON:
        return decline(ControlProblem.MEDIA_TYPE, f"Send {JSON}, without a content coding.")
    text = bytearray()
    async for piece in request.content.iter_any():
        text += piece
        if len(text) > LARGEST_BODY:
            return decline(ControlProblem.BODY_TOO_LARGE, f"It is larger than {LARGEST_BODY} bytes.")
    return bytes(text)


async def _put_aside(request: web.Request, file: IO[bytes]) -> Sheet | Declined:
    if "Content-Encoding" in request.headers or request.content_type not in ROWS:
        return decline(ControlProblem.MEDIA_TYPE, f"Send {' or '.join(ROWS)}, without a content coding.")
    digest, length = hashlib.sha256(), 0
    async for piece in request.content.iter_any():
        length += len(piece)
        if length > LARGEST_SHEET:
            return decline(ControlProblem.BODY_TOO_LARGE, f"It is larger than {LARGEST_SHEET} bytes.")
        digest.update(piece)
        file.write(piece)
    file.seek(0)
    return Sheet(file, request.content_type, digest.hexdigest())


def _read_model(model: type[M], text: bytes) -> M | Declined:
    try:
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        return _invalid(error, "body")


def _read_query(model: type[M], pairs: list[tuple[str, str]]) -> M | Declined:
    names = [name for name, _ in pairs]
    if len(names) != len(set(names)):
        return decline(ControlProblem.INVALID_REQUEST, "A parameter of the query stands twice.")
    try:
        return model.model_validate(dict(pairs))
    except ValidationError as error:
        return _invalid(error, "query")


def _invalid(error: ValidationError, what: str) -> Declined:
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    if any(problem["type"] == "json_invalid" for problem in problems):
        return decline(ControlProblem.MALFORMED, "The body is not valid JSON.")
    told: list[dict[str, Any]] = [
        {"place": ".".join(str(part)[:_LONGEST_NAME] for part in (what, *problem["loc"])), "detail": problem["msg"]}
        for problem in problems[:_SHOWN]
    ]
    detail = "; ".join(f"{one['place']}: {one['detail']}" for one in told)
    return decline(ControlProblem.INVALID_REQUEST, detail, errors=told)
