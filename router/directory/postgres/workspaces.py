"""Workspaces: put, read, listed, deleted.

The law of the room: a placement's epoch grows when its region or its existence changes, and with every such change
goes a row of the feed. Plan and owner route nothing, so they change without either. A subdomain is an alias with a
version of its own: giving one up leaves a tombstone under the old label.

Drafts are judged one after the other, each by what those before it left, and read and written a thousand at a time: the
writer is alone, so what was read stays true until it is written. The transaction is rolled back as a whole if any of
them is refused, so all problems are found before anything is kept.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from router.directory.postgres.feed import info_of
from router.directory.postgres.lookups import storable
from router.directory.rows import TRANSFER_COLUMNS, Payload, record_of
from router.directory.rules import Refusals, Stored, in_transfer, workspace_problems
from router.directory.store import WriteRefusedError
from router.model.placement import Kind, WorkspaceId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from router.directory.postgres.feed import Feed
    from router.directory.postgres.session import Transaction
    from router.directory.store import WorkspaceDraft, WorkspaceRecord
    from router.model.region import RegionName

_BATCH: Final = 1000
"""Drafts read and written together; `progress` is told behind each."""

RECORDS: Final = (
    f"SELECT 'workspace', w.id, w.epoch, w.region, NULL, false, {TRANSFER_COLUMNS}, "  # noqa: S608 - constants only
    "s.label, w.plan, w.owner FROM workspace w "
    "LEFT JOIN transfer t ON t.id = w.transfer LEFT JOIN subdomain s ON s.workspace = w.id WHERE w.region IS NOT NULL"
)

_STORED: Final = (
    "SELECT w.id, w.region, s.label, w.plan, w.owner, w.epoch, w.transfer "
    "FROM workspace w LEFT JOIN subdomain s ON s.workspace = w.id WHERE w.id = ANY(%(ids)s::text[])"
)


async def put_workspaces(feed: Feed, drafts: Sequence[WorkspaceDraft], progress: Callable[[int], None] | None) -> int:
    """Put all of `drafts`, and return how many changed something. Raises `WriteRefusedError`."""
    refusals = Refusals()
    changed = 0
    for first in range(0, len(drafts), _BATCH):
        batch = drafts[first : first + _BATCH]
        desk = await _Desk.of(feed, batch)
        for ordinal, draft in enumerate(batch, start=first + 1):
            changed += desk.put(ordinal, draft, refusals)
        await desk.write()
        if progress is not None and first + len(batch) < len(drafts):
            progress(first + len(batch))
        # Much of this is computing: whoever shares the loop must get a turn.
        await asyncio.sleep(0)
    refusals.raise_any()
    if progress is not None:
        progress(len(drafts))
    return changed


async def get_workspace(transaction: Transaction, workspace: WorkspaceId) -> WorkspaceRecord | None:
    """The workspace, or `None`."""
    row = await transaction.row(f"{RECORDS} AND w.id = %(id)s", {"id": workspace})
    return None if row is None else record_of(row, (await info_of(transaction)).generation)


async def list_workspaces(
    transaction: Transaction, *, region: RegionName | None, after: WorkspaceId | None, limit: int
) -> tuple[WorkspaceRecord, ...]:
    """At most `limit` workspaces behind `after`, of `region` or of all."""
    generation = (await info_of(transaction)).generation
    rows = await transaction.rows(
        f"{RECORDS} AND w.id > %(after)s AND (%(region)s::text IS NULL OR w.region = %(region)s::text) "
        "ORDER BY w.id LIMIT %(limit)s",
        {"after": after or "", "region": region, "limit": limit},
    )
    return tuple(record_of(row, generation) for row in rows)


async def delete_workspace(feed: Feed, workspace: WorkspaceId) -> bool:
    """Leave tombstones of the workspace and of what names it. Raises `WriteRefusedError` while it is in transfer."""
    stored = (await stored_workspaces(feed.transaction, [workspace])).get(workspace, Stored())
    if stored.region is None:
        return False
    if stored.transfer is not None:
        raise WriteRefusedError([f"workspace {workspace!r}: {in_transfer(stored.transfer)}"])
    desk = _Desk(feed, {workspace: stored}, {})
    desk.change(workspace, stored, Stored(epoch=stored.epoch))
    await desk.write()
    for (digest,) in await feed.transaction.rows(
        "SELECT digest FROM api_key WHERE workspace = %(workspace)s ORDER BY digest", {"workspace": workspace}
    ):
        seq = feed.take_seq()
        await feed.transaction.run(
            "UPDATE api_key SET workspace = NULL, superseded_by = NULL, seq = %(seq)s WHERE digest = %(digest)s",
            {"seq": seq, "digest": digest},
        )
        feed.write(seq, seq, Payload(Kind.KEY, digest))
    return True


async def place(feed: Feed, seq: int, workspace: WorkspaceId, region: RegionName | None, transfer: str | None) -> None:
    """Change where an existing workspace lives, or what locks it: its epoch grows, and the change is fed as `seq`."""
    row = await feed.transaction.row(
        "UPDATE workspace SET region = %(region)s, transfer = %(transfer)s, epoch = epoch + 1 WHERE id = %(id)s "
        "RETURNING epoch",
        {"region": region, "transfer": transfer, "id": workspace},
    )
    if row is None:
        raise LookupError(f"workspace {workspace!r} is not in the directory")
    feed.write(seq, row[0], Payload(Kind.WORKSPACE, workspace, region, transfer=transfer))


async def stored_workspaces(transaction: Transaction, workspaces: Iterable[str]) -> dict[str, Stored]:
    """What is there of each, tombstones included."""
    wanted = sorted({workspace for workspace in workspaces if storable(workspace)})
    rows = await transaction.rows(_STORED, {"ids": wanted})
    return {id_: Stored(*columns) for id_, *columns in rows}


class _Desk:
    """A batch of workspaces as this transaction has left them so far, to be written all at once."""

    def __init__(self, feed: Feed, stored: dict[str, Stored], holders: dict[str, str | None]) -> None:
        self._feed = feed
        self._stored = stored
        self._holders = holders
        self._changed: dict[str, Stored] = {}
        self._aliases: dict[str, tuple[str | None, int]] = {}

    @classmethod
    async def of(cls, feed: Feed, drafts: Sequence[WorkspaceDraft]) -> _Desk:
        """What is there of all that `drafts` name."""
        stored = await stored_workspaces(feed.transaction, (draft.workspace for draft in drafts))
        labels = sorted({draft.subdomain for draft in drafts if draft.subdomain and storable(draft.subdomain)})
        rows = await feed.transaction.rows(
            "SELECT label, workspace FROM subdomain WHERE label = ANY(%(labels)s::text[])", {"labels": labels}
        )
        return cls(feed, stored, {label: workspace for label, workspace in rows})  # noqa: C416 - `dict` takes no rows of any length

    def put(self, ordinal: int, draft: WorkspaceDraft, refusals: Refusals) -> bool:
        """Judge one draft and, if nothing speaks against it, note it. Whether it changes anything."""
        stored = self._stored.get(draft.workspace, Stored())
        wanted = stored.with_draft(draft)
        if wanted == stored:
            return False
        problems = list(workspace_problems(draft, stored, wanted, self._holders.get))
        for problem in problems:
            refusals.add(ordinal, f"workspace {draft.workspace!r}: {problem}")
        if not problems:
            self.change(draft.workspace, stored, wanted)
        return not problems

    def change(self, workspace: WorkspaceId, stored: Stored, wanted: Stored) -> None:
        """Note what `workspace` has become, with the changes of the feed that this makes."""
        if wanted.region != stored.region:
            wanted = wanted._replace(epoch=stored.epoch + 1)
            seq = self._feed.take_seq()
            self._feed.write(seq, wanted.epoch, Payload(Kind.WORKSPACE, workspace, wanted.region))
        if wanted.subdomain != stored.subdomain:
            if stored.subdomain is not None:
                self._alias(stored.subdomain, None)
            if wanted.subdomain is not None:
                self._alias(wanted.subdomain, workspace)
        self._stored[workspace] = self._changed[workspace] = wanted

    async def write(self) -> None:
        """Write what was noted."""
        if self._changed:
            await self._write_workspaces()
        if self._aliases:
            await self._write_aliases()

    def _alias(self, label: str, workspace: WorkspaceId | None) -> None:
        seq = self._feed.take_seq()
        self._holders[label] = workspace
        self._aliases[label] = (workspace, seq)
        self._feed.write(seq, seq, Payload(Kind.SUBDOMAIN, label, workspace=workspace))

    async def _write_workspaces(self) -> None:
        rows = self._changed.values()
        await self._feed.transaction.run(
            "INSERT INTO workspace (id, region, epoch, plan, owner) SELECT * FROM unnest(%(id)s::text[], "
            "%(region)s::text[], %(epoch)s::bigint[], %(plan)s::text[], %(owner)s::text[]) ON CONFLICT (id) DO UPDATE "
            "SET region = excluded.region, epoch = excluded.epoch, plan = excluded.plan, owner = excluded.owner",
            {
                "id": list(self._changed),
                "region": [row.region for row in rows],
                "epoch": [row.epoch for row in rows],
                "plan": [row.plan for row in rows],
                "owner": [row.owner for row in rows],
            },
        )

    async def _write_aliases(self) -> None:
        # Taken off first: a workspace has one label at a time, and two of them may have changed places.
        await self._feed.transaction.run(
            "UPDATE subdomain SET workspace = NULL WHERE label = ANY(%(label)s::text[])", {"label": list(self._aliases)}
        )
        await self._feed.transaction.run(
            "INSERT INTO subdomain (label, workspace, seq) SELECT * FROM unnest(%(label)s::text[], "
            "%(workspace)s::text[], %(seq)s::bigint[]) ON CONFLICT (label) DO UPDATE "
            "SET workspace = excluded.workspace, seq = excluded.seq",
            {
                "label": list(self._aliases),
                "workspace": [workspace for workspace, _ in self._aliases.values()],
                "seq": [seq for _, seq in self._aliases.values()],
            },
        )
