"""schemathesis sends what the document allows, and what it does not: no error of ours, nothing that is undocumented."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from router.control.access import Access, Scope, Token
from router.control.api.catalogue import OPERATIONS
from router.directory.store import KeyDraft
from tests.control.api_site import ADMIN, hashed, serving
from tests.control.control_sites import ANN, KEY, W1, W2, W3, SqliteControlSite, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from schemathesis.schemas import BaseSchema

    from router.control.api.operations import Operation

TOKEN = Token("everything", frozenset({Scope.ADMIN}), hashed(ADMIN))
KNOWN = {"workspace": W1, "member": ANN, "digest": KEY}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
"""Named here: by default it also asks that whatever the document allows is accepted, as no rule of the product does."""
SETTINGS = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)


class Served:
    """A control API on a thread of its own: schemathesis is synchronous."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self.base = ""

    def __enter__(self) -> str:
        self._thread.start()
        assert self._ready.wait(30)
        return self.base

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        site = SqliteControlSite(self._path)
        stage = Stage(site)
        await stage.put(W1)
        await stage.put(W2, region="eu")  # type: ignore[arg-type]  # a region's name is text
        await stage.join(ANN)
        await stage.tenants(lambda all_: all_.put_key(KeyDraft(KEY, workspace=W2)))
        await stage.put(W3)
        await stage.completed(W3)
        async with serving(site, access=Access((TOKEN,))) as client:
            self.base = client.base
            self._ready.set()
            await self._stopped.wait()
        await site.close()


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BaseSchema]:
    with Served(tmp_path_factory.mktemp("schema") / "directory.db") as base:
        yield schemathesis.openapi.from_url(
            f"{base}/control/openapi.json", headers={"Authorization": f"Bearer {ADMIN}"}
        )


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["allowed", "not-allowed"])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_no_answer_is_an_error_of_ours_or_undocumented(
    schema: BaseSchema, operation: Operation, mode: GenerationMode
) -> None:
    described = schema[f"/control/v1{operation.path}"][operation.method]

    @given(case=described.as_strategy(generation_mode=mode), known=st.booleans())
    @SETTINGS
    def send(case: schemathesis.Case[Any], known: bool) -> None:
        if known:
            # Else it would hardly ever meet anything that is there.
            case.path_parameters = {name: KNOWN.get(name, value) for name, value in case.path_parameters.items()}
        case.call_and_validate(headers={"Authorization": f"Bearer {ADMIN}"}, checks=CHECKS)

    send()
