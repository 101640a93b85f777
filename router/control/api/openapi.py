"""The OpenAPI 3.1 document, made of the catalogue of operations and the models, so that it cannot say anything else."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from pydantic.json_schema import models_json_schema

from router import __version__
from router.control.api.catalogue import OPERATIONS, parameters
from router.control.api.operations import JSON, PREFIX, ROWS, Operation
from router.control.api.shown import ProblemDocument

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import BaseModel

    from router.control.api.catalogue import Parameter
    from router.control.options import ControlOptions

PROBLEM: Final = "application/problem+json"

_REF: Final = "#/components/schemas/{model}"
_IF_MATCH: Final = "the ETag of the state that may be changed; any other is 412"
_IF_NONE_MATCH: Final = "`*`: make it only if it is not there"
_KEY: Final = "the answer to the first request with this key is given to all that repeat it, for a day"


def document(options: ControlOptions) -> dict[str, Any]:
    """The whole document."""
    names = parameters(options)
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(PREFIX + operation.path, {})[operation.method.lower()] = _operation(operation, names)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Region Router control API",
            "version": __version__,
            "description": "Workspaces, their regions and transfers. Problems are RFC 9457 documents.",
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _schemas() -> dict[str, Any]:
    sent = {model for one in OPERATIONS for model in (one.body,) if model is not None}
    answered = {model for one in OPERATIONS for model in one.answers.values() if model is not None} | {ProblemDocument}
    modes: list[tuple[type[BaseModel], Any]] = [
        *((model, "validation") for model in sorted(sent, key=_name)),
        *((model, "serialization") for model in sorted(answered, key=_name)),
    ]
    schemas: dict[str, Any] = models_json_schema(modes, ref_template=_REF)[1]["$defs"]
    return schemas


def _operation(operation: Operation, names: Mapping[str, Parameter]) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"Needs the scope `{operation.scope}`.",
        "parameters": [*_path(operation, names), *_query(operation), *_headers(operation)],
        "responses": {**dict(_answers(operation)), **dict(_problems(operation))},
    }
    if operation.body is not None:
        content = {JSON: {"schema": {"$ref": _REF.format(model=_name(operation.body))}}}
        shown["requestBody"] = {"required": True, "content": content}
    if operation.takes_rows:
        shown["requestBody"] = {"required": True, "content": {kind: {"schema": {}} for kind in ROWS}}
    return shown


def _path(operation: Operation, names: Mapping[str, Parameter]) -> Iterator[dict[str, Any]]:
    for name, (pattern, description, _) in names.items():
        if f"{{{name}}}" in operation.path:
            yield {
                "name": name,
                "in": "path",
                "required": True,
                "description": description,
                "schema": {"type": "string", "pattern": pattern},
            }


def _query(operation: Operation) -> Iterator[dict[str, Any]]:
    if operation.query is None:
        return
    # Without references: a parameter has its whole schema in place.
    schema = operation.query.model_json_schema(mode="validation")
    inlined = schema.get("$defs", {})
    for name, one in schema["properties"].items():
        shown = _in_place(one, inlined)
        description = shown.pop("description", None)
        shown.pop("title", None)
        yield {"name": name, "in": "query", "schema": shown, **({"description": description} if description else {})}


def _in_place(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """`schema` without references, and without null, which a query cannot say."""
    options = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    if len(options) == 1:
        rest = {key: value for key, value in schema.items() if key not in {"anyOf", "default"}}
        schema = {**options[0], **rest}
    if "$ref" in schema:
        return dict(definitions[schema["$ref"].rpartition("/")[2]])
    return dict(schema)


def _headers(operation: Operation) -> Iterator[dict[str, Any]]:
    if operation.conditional:
        yield _header("If-Match", _IF_MATCH)
    if operation.conditional and operation.method == "PUT":
        yield _header("If-None-Match", _IF_NONE_MATCH)
    if operation.method == "POST":
        yield _header("Idempotency-Key", _KEY, pattern=r"^[\x21-\x7e]{1,200}$")


def _header(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string", **schema}}


def _answers(operation: Operation) -> Iterator[tuple[str, dict[str, Any]]]:
    for status, model in operation.answers.items():
        shown: dict[str, Any] = {"description": HTTPStatus(status).phrase}
        if model is not None:
            shown["content"] = {JSON: {"schema": {"$ref": _REF.format(model=_name(model))}}}
        if operation.tagged and model is not None:
            shown["headers"] = {"ETag": {"schema": {"type": "string"}}}
        yield str(status), shown


def _problems(operation: Operation) -> Iterator[tuple[str, dict[str, Any]]]:
    by_status: dict[int, list[str]] = {}
    for problem in operation.all_problems:
        by_status.setdefault(problem.spec.status, []).append(f"`{problem.spec.slug}`: {problem.spec.message}")
    for status, lines in sorted(by_status.items()):
        content = {PROBLEM: {"schema": {"$ref": _REF.format(model=_name(ProblemDocument))}}}
        yield str(status), {"description": "\n".join(lines), "content": content}


def _name(model: type[BaseModel]) -> str:
    return model.__name__
