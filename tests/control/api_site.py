"""A control API that listens, as a process runs it, and a client of it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import ClientSession, web

from router.control.access import Access, Scope, Token
from router.control.api.application import ControlApi
from router.control.api.calls import Site
from router.directory.hostlock import FileHostLocks
from router.directory.options import DirectoryOptions
from router.telemetry.ops import ops_runner
from tests.control.control_sites import OPTIONS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from multidict import CIMultiDictProxy

    from router.control.options import ControlOptions
    from router.directory.hostlock import HostLocks
    from tests.control.control_sites import ControlSite

READER, BACKEND, JOB, ADMIN = "reader-token", "backend-token", "job-token", "admin-token"
EXPIRED = "expired-token"
SCOPES = {
    READER: Scope.READ,
    BACKEND: Scope.WORKSPACES,
    JOB: Scope.TRANSFERS,
    ADMIN: Scope.ADMIN,
    EXPIRED: Scope.ADMIN,
}
QUICK = DirectoryOptions(poll_interval=0.01, renewal_timeout=0.05)
"""Whoever doubts that a gateway lives need not watch it for long."""


def hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def tokens(now: float) -> tuple[Token, ...]:
    """One for each scope, and one that has expired."""
    return tuple(
        Token(secret.removesuffix("-token"), frozenset({scope}), hashed(secret))
        if secret != EXPIRED
        else Token("expired", frozenset({scope}), hashed(secret), expires_at=now)
        for secret, scope in SCOPES.items()
    )


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: CIMultiDictProxy[str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def problem(self) -> str:
        """The slug of the problem it is."""
        assert self.headers["Content-Type"] == "application/problem+json", self
        body = self.json
        assert body["status"] == self.status
        return str(body["type"]).rpartition("/")[2]


class Client:
    """Sends requests, with a token if it has one."""

    def __init__(self, session: ClientSession, base: str, token: str | None = ADMIN) -> None:
        self.session = session
        self.base = base
        self.token = token

    def with_token(self, token: str | None) -> Client:
        return Client(self.session, self.base, token)

    async def send(
        self, method: str, path: str, body: object = None, *, data: bytes | None = None, **fields: str
    ) -> Reply:
        """`path` is behind `/control/v1`, unless it starts with `/control`. Fields have `_` for `-`."""
        headers = {name.replace("_", "-"): text for name, text in fields.items()}
        if self.token is not None:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        if body is not None:
            data = json.dumps(body).encode()
        if data is not None:
            headers.setdefault("Content-Type", "application/json")
        url = self.base + (path if path.startswith("/control") else f"/control/v1{path}")
        content = None if data is None else io.BytesIO(data)
        async with self.session.request(method, url, data=content, headers=headers) as answer:
            return Reply(answer.status, answer.headers, await answer.text())


@contextlib.asynccontextmanager
async def serving(
    site: ControlSite,
    options: ControlOptions = OPTIONS,
    access: Access | None = None,
    directory: DirectoryOptions = QUICK,
    locks: HostLocks | None = None,
) -> AsyncIterator[Client]:
    """The API on a port that the kernel chooses, and a client with the token for everything."""
    access = access or Access(tokens(site.clock.wall()))
    locks = locks or FileHostLocks(Path("/nowhere"))
    application = web.Application()
    application.add_routes(ControlApi(Site(site.store, access, options, site.clock, directory, locks)).routes())
    runner = ops_runner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        async with ClientSession() as session:
            yield Client(session, f"http://{host}:{port}")
    finally:
        await runner.cleanup()
