"""A fake region: answers whatever reaches it, and says what that was.

The law of the room: an echo tells the truth. Method, target, field names and values are shown as they came in, byte for
byte (each byte as the Latin-1 character of its number), and a body is never held: its text is kept while it is small,
of everything else only the length and the hash.

The region that knows all workspaces of a member, wherever they live, answers `GET /api/v1/workspaces` with a list of
them beside its echo: each with its region and URL.

It has a fence like a real one (`router.demo.fence`), which the job that moves a workspace closes and opens by
`PUT` and `DELETE /fence/{workspace}/{transfer}?epoch=N`. That is for the job alone: what came through a router is
answered like anything else.
"""

from __future__ import annotations

import contextlib
import json
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from aiohttp.http import HttpVersion11

from router.demo.fence import Fence

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aiohttp import StreamReader

    from router.model.region import RegionName

LARGEST_TEXT: Final = 65_536
"""Bytes of the largest body that is echoed as text."""

_CONNECTION: Final[dict[str, Any]] = {
    "access_log": None,
    "auto_decompress": False,
    "read_bufsize": 65_536,
    # Far above what a gateway lets through: whatever it forwards is answered, not refused here.
    "max_line_size": 1 << 20,
    "max_field_size": 1 << 20,
    "max_headers": 4096,
}
_SHUTDOWN_SECONDS: Final = 1.0
_WORKSPACE: Final = re.compile(r"/workspaces/([0-9A-Fa-f]{24})(?![^/?#])")
_FENCE: Final = re.compile(r"/fence/([0-9a-f]{24})/([^/?]+)\?epoch=([0-9]{1,18})")
_LIST: Final = re.compile(r"/api(?:/v1)?/workspaces/?(?:\?.*)?")
_EPOCH: Final = re.compile(r"[0-9]{1,18}")


class FakeRegion:
    """Answers every request, key or none, with 200 and a JSON object of what reached it.

    Only an API key that a transfer superseded gets 401: `is_superseded` is asked with the SHA-256 of the key in hex.
    What the fence refuses is refused when the request is whole, which is when a backend would commit it. `workspaces`
    lists all that its member has.
    """

    def __init__(
        self,
        name: RegionName,
        *,
        is_superseded: Callable[[str], Awaitable[bool]],
        workspaces: Callable[[], Awaitable[list[dict[str, str]]]] | None = None,
    ) -> None:
        self.name = name
        self._is_superseded = is_superseded
        self._workspaces = workspaces
        self._fence = Fence()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Listen on a port of 127.0.0.1 that the kernel chooses, until the block ends. Gives the origin's URL."""
        runner = web.ServerRunner(web.Server(self.answer, **_CONNECTION), shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            yield f"http://{host}:{port}"
        finally:
            await runner.cleanup()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to one request, once its body has come whole."""
        try:
            await _invite_body(request)
            body = await _describe_body(request.content)
        except ConnectionError:
            # Whoever sent it left in the middle: nobody reads this, and it is no error of the region's.
            return web.Response(status=400)
        if await self._has_dead_key(request):
            response = _json_answer(401, {"message": "This API key was reissued by a transfer", "code": 4003})
        else:
            response = self._move_fence(request) or self._commit(request, body, await self._listed(request))
        if "Transfer-Encoding" in request.headers or "Upgrade" in request.headers:
            # aiohttp may read trailers, or what follows an upgrade that was declined, into the next request's head:
            # the next echo would tell of fields that nobody sent with it.
            response.force_close()
        return response

    async def _listed(self, request: web.BaseRequest) -> dict[str, Any]:
        """What this region's answer has beside the echo."""
        if self._workspaces is None or request.method != "GET" or not _LIST.fullmatch(request.raw_path):
            return {}
        return {"workspaces": await self._workspaces()}

    def _commit(self, request: web.BaseRequest, body: str | dict[str, Any], more: dict[str, Any]) -> web.Response:
        """No await in here: between the fence and what it guards nothing may happen."""
        named = _WORKSPACE.search(request.raw_path)
        epoch = request.headers.get("X-Workspace-Epoch", "")
        known = int(epoch) if _EPOCH.fullmatch(epoch) else None
        refusal = None if named is None else self._fence.commit(named[1].lower(), known)
        if refusal is None:
            return _json_answer(200, {**self._echo(request, body), **more})
        status, message, code = refusal.value
        return _json_answer(status, {"message": message, "code": code, "region": self.name})

    def _move_fence(self, request: web.BaseRequest) -> web.Response | None:
        """The answer to the job, if it is the job that asks. A region in earnest has a listener of its own for that."""
        asked = _FENCE.fullmatch(request.raw_path)
        if asked is None or request.method not in {"PUT", "DELETE"} or "Via" in request.headers:
            return None
        workspace, transfer, epoch = asked[1], asked[2], int(asked[3])
        move = self._fence.close if request.method == "PUT" else self._fence.open
        done = move(workspace, transfer, epoch)
        return _json_answer(200 if done else 409, {"region": self.name, "workspace": workspace, "done": done})

    def _echo(self, request: web.BaseRequest, body: str | dict[str, Any]) -> dict[str, Any]:
        return {
            "region": self.name,
            "method": request.method,
            "path": request.raw_path.encode("utf-8", "surrogateescape").decode("latin-1"),
            "headers": _describe_fields(request.raw_headers),
            "body": body,
        }

    async def _has_dead_key(self, request: web.BaseRequest) -> bool:
        keys = [value for name, value in request.raw_headers if name.lower() == b"x-api-key"]
        return len(keys) == 1 and await self._is_superseded(sha256(keys[0]).hexdigest())


async def _invite_body(request: web.BaseRequest) -> None:
    """Say 100 to a client that waits for it: nothing below an application does."""
    if request.version >= HttpVersion11 and request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # Not a byte of the answer, which aiohttp would otherwise take for begun.
        request.writer.output_size = 0


async def _describe_body(content: StreamReader) -> str | dict[str, Any]:
    """A small text as it is; what is large or no UTF-8 as its length in bytes and its hash."""
    digest = sha256()
    length = 0
    kept = bytearray()
    async for piece in content.iter_any():
        digest.update(piece)
        length += len(piece)
        if length <= LARGEST_TEXT:
            kept += piece
    if length <= LARGEST_TEXT:
        with contextlib.suppress(UnicodeDecodeError):
            return kept.decode()
    return {"length": length, "sha256": digest.hexdigest()}


def _describe_fields(raw: tuple[tuple[bytes, bytes], ...]) -> dict[str, str | list[str]]:
    """Each name as it came, with its value, or with the list of its values if it came more than once."""
    fields: dict[str, list[str]] = {}
    for name, value in raw:
        fields.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}


def _json_answer(status: int, content: dict[str, Any]) -> web.Response:
    payload = json.dumps(content, ensure_ascii=False).encode() + b"\n"
    return web.Response(status=status, body=payload, headers={"Content-Type": "application/json"})
