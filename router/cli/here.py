"""The desk of this machine: the control plane's own code, called on the directory that the configuration names.

The law of the room: nothing is decided here. What changes is written by `Tenants`, `Lifecycle` and `forget_gateway`,
each in one transaction with its event and its line in the audit log, where the user of this process is who did it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from router.cli.desk import this_user
from router.cli.errors import CommandError, declined, demand, refusals_by_place
from router.cli.session import directory, settings_of
from router.cli.shown import gateway_fields, transfer_fields
from router.control.api.pictures import forgotten_gateway, gateway_state, move_preview, workspace_state
from router.control.audit import Act
from router.control.drafts import read_draft, read_region, read_workspace
from router.control.gateways import forget_gateway, list_gateways, watch_gateway
from router.control.lifecycle import Wish, no_workspace
from router.control.problems import Declined
from router.control.sheets import read_sheet
from router.control.tenants import Tenants
from router.control.transfers import TransferService
from router.directory.ports import SystemClock
from router.directory.store import WriteRefusedError
from router.directory.watch import Watch
from router.model.losses import Ending
from router.model.region import RegionName
from router.runtime.directories import host_locks_of, open_control_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from router.cli.desk import Fields
    from router.cli.rows import Rows
    from router.control.ports import ControlStore, ControlTransaction
    from router.control.transfers import Outcome, TransferStatus
    from router.directory.store import WorkspaceRecord
    from router.model.placement import WorkspaceId
    from router.runtime.directories import MaintainedStore
    from router.settings.values import Settings

T = TypeVar("T")

_PAGE: Final = 1000


@contextlib.asynccontextmanager
async def directory_desk(config: Path) -> AsyncIterator[DirectoryDesk]:
    """The desk over the directory of the configuration at `config`. Raises `ConfigError`, `StoreError`."""
    settings = settings_of(config)
    async with directory(settings) as store:
        # `directory` has seen that it is the right one; without its id, which would be asked for at every opening.
        control = open_control_store(replace(settings.directory, id=None), SystemClock())
        try:
            yield DirectoryDesk(settings, store, control)
        finally:
            await control.close()


class DirectoryDesk:
    """See `router.cli.desk.Desk`."""

    def __init__(self, settings: Settings, store: MaintainedStore, control: ControlStore) -> None:
        self._settings = settings
        self._control = control
        self._options = settings.control.options
        self._clock = SystemClock()
        self._locks = host_locks_of(settings.directory)
        # With a prefix that no token's name can have.
        self._who = "cli:" + re.sub(r"[^A-Za-z0-9._@+-]", "-", this_user())
        self._service = TransferService(
            control,
            store,
            self._locks,
            self._clock,
            Watch(self._clock, settings.directory.options),
            options=self._options,
            who=self._who,
        )

    # --- workspaces and keys

    async def put_workspace(self, texts: Mapping[str, str | None]) -> Fields:
        """See `Desk`."""
        draft = read_draft(texts, self._settings.table)
        if isinstance(draft, tuple):
            raise CommandError(draft)
        put = await self._change(lambda tenants: tenants.amend_workspace(draft))
        return {**_workspace(put.record), "changed": put.changed}

    async def get_workspace(self, workspace: str) -> Fields:
        """See `Desk`."""
        wanted = self._workspace_id(workspace)
        found = await self._control.read(lambda tx: tx.workspace(wanted))
        if found is None:
            raise declined(no_workspace(wanted))
        return _workspace(found)

    async def list_workspaces(self, region: str | None, limit: int | None) -> AsyncIterator[Fields]:
        """See `Desk`."""
        wanted = None if region is None else demand(read_region(region, self._settings.table))
        after: WorkspaceId | None = None
        left = limit
        while left is None or left > 0:
            size = _PAGE if left is None else min(_PAGE, left)
            page = await self._page(wanted, after, size)
            for record in page:
                yield _workspace(record)
            if len(page) < size:
                return
            after = page[-1].placement.workspace
            left = None if left is None else left - size

    async def delete_workspace(self, workspace: str) -> Fields:
        """See `Desk`."""
        wanted = self._workspace_id(workspace)
        await self._change(lambda tenants: tenants.delete_workspace(wanted))
        return {"workspace": wanted, "deleted": True}

    async def import_workspaces(self, rows: Rows, progress: Callable[[int, int], None]) -> Fields:
        """See `Desk`."""
        sheet = await asyncio.to_thread(read_sheet, rows.text(), rows.form, self._settings.table)
        if sheet.flaws:
            raise CommandError([flaw.at(rows.name) for flaw in sheet.flaws], more=sheet.hidden)
        count = len(sheet.drafts)

        def told(done: int) -> None:
            progress(done, count)

        try:
            changed = await self._change(lambda tenants: tenants.import_workspaces(sheet.drafts, rows.digest, told))
        except WriteRefusedError as refused:
            problems = refusals_by_place(refused, lambda draft: f"{rows.name}, line {sheet.lines[draft - 1]}: ")
            raise CommandError(problems) from refused
        return {"rows": count, "changed": changed}

    async def put_key(self, digest: str, workspace: str | None, region: str | None) -> Fields:
        """See `Desk`."""
        named = None if workspace is None else self._workspace_id(workspace)
        of_region = None if region is None else demand(read_region(region, self._settings.table))
        before = await self._control.read(lambda tx: tx.key(digest))
        put = await self._change(lambda tenants: tenants.register_key(digest, workspace=named, region=of_region))
        return {"digest": digest, "workspace": put.workspace, "region": put.region, "changed": put != before}

    # --- transfers

    async def preview(self, workspace: str, destination: str, requested_by: str) -> Fields:
        """See `Desk`."""
        seen = await self._service.preview(self._wish(workspace, destination, requested_by))
        if isinstance(seen, Declined):
            raise declined(seen)
        return move_preview(seen).model_dump()

    async def start(self, workspace: str, destination: str, requested_by: str, duration: float | None) -> Fields:
        """See `Desk`."""
        wish = self._wish(workspace, destination, requested_by)
        return await self._transfer(self._service.start(wish, duration=duration))

    async def show(self, transfer: str) -> Fields:
        """See `Desk`."""
        return await self._transfer(self._service.show(transfer))

    async def list_transfers(self, workspace: str | None, *, running: bool) -> Sequence[Fields]:
        """See `Desk`."""
        wanted = None if workspace is None else self._workspace_id(workspace)
        statuses = await self._service.list(workspace=wanted, running=running)
        return [self._shown(status) for status in statuses]

    async def complete(self, transfer: str) -> Fields:
        """See `Desk`."""
        return await self._transfer(self._service.complete(transfer))

    async def fail(self, transfer: str, reason: str) -> Fields:
        """See `Desk`."""
        return await self._transfer(self._service.fail(transfer, reason=reason))

    async def abort(self, transfer: str) -> Fields:
        """See `Desk`."""
        return await self._transfer(self._service.abort(transfer))

    # --- gateways

    async def list_gateways(self) -> Sequence[Fields]:
        """See `Desk`."""
        options = self._settings.directory.options
        found = await self._control.read(lambda tx: list_gateways(tx, options))
        return [gateway_fields(gateway_state(status).model_dump()) for status in found]

    async def forget_gateway(self, incarnation: str) -> Fields:
        """See `Desk`."""
        options = self._settings.directory.options
        watched = await watch_gateway(self._control, self._locks, self._clock, options, incarnation)
        if isinstance(watched, Declined):
            raise declined(watched)
        act = self._act()
        gone = await self._control.transact(lambda tx: forget_gateway(tx, act, options, watched))
        if isinstance(gone, Declined):
            raise declined(gone)
        if gone.ending is Ending.DEAD:
            self._locks.discard(incarnation)
        return forgotten_gateway(gone).model_dump(mode="json")

    def _act(self) -> Act:
        return Act(self._who, self._clock.wall())

    def _workspace_id(self, text: str) -> WorkspaceId:
        return demand(read_workspace(text, self._settings.table))

    def _wish(self, workspace: str, destination: str, requested_by: str) -> Wish:
        return Wish(self._workspace_id(workspace), RegionName(destination), requested_by)

    async def _page(
        self, region: RegionName | None, after: WorkspaceId | None, limit: int
    ) -> tuple[WorkspaceRecord, ...]:
        return await self._control.read(lambda tx: tx.workspaces(region=region, after=after, limit=limit))

    async def _change(self, work: Callable[[Tenants], T | Declined]) -> T:
        act = self._act()

        def change(tx: ControlTransaction) -> T | Declined:
            return work(Tenants(tx, act, self._options))

        done = await self._control.transact(change)
        if isinstance(done, Declined):
            raise declined(done)
        return done

    async def _transfer(self, step: Awaitable[Outcome]) -> Fields:
        outcome = await step
        if isinstance(outcome, Declined):
            raise declined(outcome)
        return self._shown(outcome)

    def _shown(self, status: TransferStatus) -> Fields:
        return transfer_fields(status, self._clock.wall())


def _workspace(record: WorkspaceRecord) -> Fields:
    return workspace_state(record).model_dump()
