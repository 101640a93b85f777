"""The desk elsewhere: what a command wants, asked of a control API.

The law of the room: nothing is decided here either. The API judges and does; this finds out what a name means, waits
for a moment as the desk of this machine does, and shows what came back under the same names.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from router.cli.api_client import api_client
from router.cli.errors import refused
from router.cli.shown import gateway_fields, reported_fields
from router.control.api.imports import FORMS
from router.control.transfers import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from router.cli.api_client import ApiClient, Reply
    from router.cli.desk import Elsewhere, Fields
    from router.cli.rows import Rows

_PAGE: Final = 500
_PIECE: Final = 1 << 16
"""Bytes of an upload at a time."""
_LOOK: Final = 0.2
"""Seconds between two looks at a transfer that is locking."""


@contextlib.asynccontextmanager
async def api_desk(elsewhere: Elsewhere) -> AsyncIterator[ApiDesk]:
    """The desk of the control API at a URL. Raises `CommandError`, `OSError`."""
    async with api_client(elsewhere) as client:
        yield ApiDesk(client)


class ApiDesk:
    """See `router.cli.desk.Desk`."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    # --- workspaces and keys

    async def put_workspace(self, texts: Mapping[str, str | None]) -> Fields:
        """See `Desk`. What is left out is filled in from what is there, and nobody may come between."""
        path = _path("workspaces", (texts["workspace"] or "").strip().lower())
        wanted = {name: text.strip() for name, text in texts.items() if text and name != "workspace"}
        before = await self._client.ask("GET", path, absent_is="no-such-workspace")
        if before.value is not None:
            kept = {name: before.value[name] for name in ("subdomain", "plan", "owner")}
            wanted = {**{name: text for name, text in kept.items() if text is not None}, **wanted}
        condition = {"If-None-Match": "*"} if before.value is None else {"If-Match": before.tag or ""}
        put = await self._client.ask("PUT", path, body=wanted, fields=condition)
        return {**put.value, "changed": put.value != before.value}

    async def get_workspace(self, workspace: str) -> Fields:
        """See `Desk`."""
        fields: Fields = (await self._client.ask("GET", _path("workspaces", workspace.strip().lower()))).value
        return fields

    async def list_workspaces(self, region: str | None, limit: int | None) -> AsyncIterator[Fields]:
        """See `Desk`."""
        async for fields in self._items("/workspaces", {} if region is None else {"region": region}, limit):
            yield fields

    async def delete_workspace(self, workspace: str) -> Fields:
        """See `Desk`."""
        wanted = workspace.strip().lower()
        await self._client.ask("DELETE", _path("workspaces", wanted))
        return {"workspace": wanted, "deleted": True}

    async def import_workspaces(self, rows: Rows, progress: Callable[[int, int], None]) -> Fields:
        """See `Desk`."""
        content_type = next(name for name, form in FORMS.items() if form is rows.form)

        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(rows.content), _PIECE):
                piece = rows.content[start : start + _PIECE]
                yield piece
                progress(start + len(piece), len(rows.content))

        fields: Fields = (await self._client.upload("/imports", pieces(), content_type, rows.name)).value
        return fields

    async def put_key(self, digest: str, workspace: str | None, region: str | None) -> Fields:
        """See `Desk`."""
        path = _path("keys", digest)
        before = await self._client.ask("GET", path, absent_is="no-such-key")
        named = {"region": region} if workspace is None else {"workspace": workspace.strip().lower()}
        put = (await self._client.ask("PUT", path, body=named)).value
        return {
            "digest": digest,
            "workspace": put["workspace"],
            "region": put["region"],
            "changed": put != before.value,
        }

    # --- transfers

    async def preview(self, workspace: str, destination: str, requested_by: str) -> Fields:
        """See `Desk`."""
        fields: Fields = (await self._start(workspace, destination, requested_by, {"preview": "true"})).value
        return fields

    async def start(self, workspace: str, destination: str, requested_by: str, duration: float | None) -> Fields:
        """See `Desk`. `duration` is this API's own."""
        if duration is not None:
            raise refused([("invalid-request", "A control API starts every transfer with its own deadline.")])
        report = (await self._start(workspace, destination, requested_by, {})).value
        return reported_fields(await self._settle(report), changed=True)

    async def show(self, transfer: str) -> Fields:
        """See `Desk`."""
        return reported_fields(await self._find(transfer, ended=True), changed=False)

    async def list_transfers(self, workspace: str | None, *, running: bool) -> Sequence[Fields]:
        """See `Desk`."""
        query = {} if workspace is None else {"workspace": workspace.strip().lower()}
        if running:
            query["running"] = "true"
        return [reported_fields(report, changed=False) async for report in self._items("/transfers", query, None)]

    async def complete(self, transfer: str) -> Fields:
        """See `Desk`."""
        found = await self._find(transfer)
        return await self._step(await self._settle(found), "complete")

    async def fail(self, transfer: str, reason: str) -> Fields:
        """See `Desk`."""
        return await self._step(await self._find(transfer), "fail", {"reason": reason})

    async def abort(self, transfer: str) -> Fields:
        """See `Desk`."""
        return await self._step(await self._find(transfer), "abort")

    # --- gateways

    async def list_gateways(self) -> Sequence[Fields]:
        """See `Desk`."""
        listed = (await self._client.ask("GET", "/gateways")).value
        return [gateway_fields(state) for state in listed["items"]]

    async def forget_gateway(self, incarnation: str) -> Fields:
        """See `Desk`."""
        fields: Fields = (await self._client.ask("POST", _path("gateways", incarnation, "forget"))).value
        return fields

    async def _start(self, workspace: str, destination: str, requested_by: str, query: Mapping[str, str]) -> Reply:
        path = _path("workspaces", workspace.strip().lower(), "transfers")
        body = {"destination": destination, "requested_by": requested_by}
        key = {"Idempotency-Key": secrets.token_hex(16)}
        return await self._client.ask("POST", path, query=query, body=body, fields=key)

    async def _find(self, name: str, *, ended: bool = False) -> Any:
        """The transfer of that id, or the running one of that workspace; with `ended` else its last."""
        by_id = await self._client.ask("GET", _path("transfers", name), absent_is="no-such-transfer")
        if by_id.value is not None:
            return by_id.value
        query = {"workspace": name, "limit": "1"}
        for more in ({"running": "true"}, {}) if ended else ({"running": "true"},):
            listed = (await self._client.ask("GET", "/transfers", query={**query, **more})).value["items"]
            if listed:
                return listed[0]
        raise refused([("no-such-transfer", f"{name!r} names no transfer, and no workspace in transfer.")])

    async def _settle(self, report: dict[str, Any]) -> dict[str, Any]:
        """Look again until it is no longer `locking`, or patience ends."""
        try:
            async with asyncio.timeout(PATIENCE):
                while report["state"] == "locking":
                    await asyncio.sleep(_LOOK)
                    report = (await self._client.ask("GET", _path("transfers", report["id"]))).value
        except TimeoutError:
            pass
        return report

    async def _step(self, found: dict[str, Any], step: str, body: Mapping[str, Any] | None = None) -> Fields:
        done = await self._client.ask("POST", _path("transfers", found["id"], step), body=body)
        return reported_fields(done.value, changed=done.value["state"] != found["state"])

    async def _items(self, path: str, query: Mapping[str, str], limit: int | None) -> AsyncIterator[Fields]:
        """The items of a list, page by page, at most `limit`."""
        left, after = limit, None
        while left is None or left > 0:
            size = _PAGE if left is None else min(_PAGE, left)
            asked = {**query, "limit": str(size)} | ({} if after is None else {"after": after})
            page = (await self._client.ask("GET", path, query=asked)).value
            for item in page["items"]:
                yield item
            after = page["next"]
            if after is None:
                return
            left = None if left is None else left - len(page["items"])


def _path(*names: str) -> str:
    return "".join(f"/{quote(name, safe='')}" for name in names)
