"""Workspaces: put, read, listed, deleted.

The law of the room: a placement's epoch grows when its region or its existence changes, and with every such change
goes a row of the feed. Plan and owner route nothing, so they change without either. A subdomain is an alias with a
version of its own: giving one up leaves a tombstone under the old label. While a workspace is in transfer nothing of it
changes but by the transfer.

Drafts are judged one after the other, each by what those before it left: the transaction is rolled back as a whole if
any of them is refused, so all problems are found before anything is kept.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from router.directory.rows import TRANSFER_COLUMNS, Payload, record_of
from router.directory.rules import Refusals, Stored, in_transfer, workspace_problems
from router.directory.sqlite.feed import info_of
from router.directory.store import WriteRefusedError
from router.model.placement import Kind

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from router.directory.sqlite.feed import Feed
    from router.directory.store import WorkspaceDraft, WorkspaceRecord
    from router.model.placement import WorkspaceId
    from router.model.region import RegionName

_TOLD_EVERY: Final = 1000
"""Drafts between two calls of `progress`."""

RECORDS: Final = (
    f"SELECT 'workspace', w.id, w.epoch, w.region, NULL, 0, {TRANSFER_COLUMNS}, "  # noqa: S608 - constants only
    "s.label, w.plan, w.owner FROM workspace w "
    "LEFT JOIN transfer t ON t.id = w.transfer LEFT JOIN subdomain s ON s.workspace = w.id WHERE w.region IS NOT NULL"
)
"""Conditions go behind it; `record_of` reads its rows."""


def put_workspaces(feed: Feed, drafts: Sequence[WorkspaceDraft], progress: Callable[[int], None] | None) -> int:
    """Put all of `drafts`, and return how many changed something. Raises `WriteRefusedError`."""
    refusals = Refusals()
    changed = 0
    for ordinal, draft in enumerate(drafts, start=1):
        stored = stored_workspace(feed.connection, draft.workspace)
        wanted = stored.with_draft(draft)
        if wanted != stored:
            problems = list(workspace_problems(draft, stored, wanted, partial(_holder, feed.connection)))
            for problem in problems:
                refusals.add(ordinal, f"workspace {draft.workspace!r}: {problem}")
            if not problems:
                _write(feed, draft.workspace, stored, wanted)
                changed += 1
        if progress is not None and ordinal % _TOLD_EVERY == 0:
            progress(ordinal)
    refusals.raise_any()
    if progress is not None:
        progress(len(drafts))
    return changed


def get_workspace(connection: sqlite3.Connection, workspace: WorkspaceId) -> WorkspaceRecord | None:
    """The workspace, or `None`."""
    row = connection.execute(f"{RECORDS} AND w.id = ?", (workspace,)).fetchone()
    return None if row is None else record_of(row, info_of(connection).generation)


def list_workspaces(
    connection: sqlite3.Connection, *, region: RegionName | None, after: WorkspaceId | None, limit: int
) -> tuple[WorkspaceRecord, ...]:
    """At most `limit` workspaces behind `after`, of `region` or of all."""
    generation = info_of(connection).generation
    rows = connection.execute(
        f"{RECORDS} AND w.id > :after AND (:region IS NULL OR w.region = :region) ORDER BY w.id LIMIT :limit",
        {"after": after or "", "region": region, "limit": limit},
    )
    return tuple(record_of(row, generation) for row in rows)


def delete_workspace(feed: Feed, workspace: WorkspaceId) -> bool:
    """Leave tombstones of the workspace and of what names it. Raises `WriteRefusedError` while it is in transfer."""
    stored = stored_workspace(feed.connection, workspace)
    if stored.region is None:
        return False
    if stored.transfer is not None:
        raise WriteRefusedError([f"workspace {workspace!r}: {in_transfer(stored.transfer)}"])
    _write(feed, workspace, stored, Stored(epoch=stored.epoch))
    for (digest,) in feed.connection.execute("SELECT digest FROM api_key WHERE workspace = ?", (workspace,)).fetchall():
        seq = feed.take_seq()
        feed.connection.execute(
            "UPDATE api_key SET workspace = NULL, superseded_by = NULL, seq = ? WHERE digest = ?", (seq, digest)
        )
        feed.write(seq, seq, Payload(Kind.KEY, digest))
    return True


def place(feed: Feed, seq: int, workspace: WorkspaceId, region: RegionName | None, transfer: str | None) -> None:
    """Change where an existing workspace lives, or what locks it: its epoch grows, and the change is fed as `seq`."""
    (epoch,) = feed.connection.execute(
        "UPDATE workspace SET region = ?, transfer = ?, epoch = epoch + 1 WHERE id = ? RETURNING epoch",
        (region, transfer, workspace),
    ).fetchone()
    feed.write(seq, epoch, Payload(Kind.WORKSPACE, workspace, region, transfer=transfer))


def stored_workspace(connection: sqlite3.Connection, workspace: str) -> Stored:
    """What is there of a workspace, a tombstone included."""
    row = connection.execute(
        "SELECT w.region, s.label, w.plan, w.owner, w.epoch, w.transfer "
        "FROM workspace w LEFT JOIN subdomain s ON s.workspace = w.id WHERE w.id = ?",
        (workspace,),
    ).fetchone()
    return Stored() if row is None else Stored(*row)


def _holder(connection: sqlite3.Connection, label: str) -> str | None:
    found = connection.execute("SELECT workspace FROM subdomain WHERE label = ?", (label,)).fetchone()
    return None if found is None else found[0]


def _write(feed: Feed, workspace: WorkspaceId, stored: Stored, wanted: Stored) -> None:
    feed.connection.execute(
        "INSERT INTO workspace (id, epoch, plan, owner) VALUES (:id, 0, :plan, :owner) "
        "ON CONFLICT (id) DO UPDATE SET plan = :plan, owner = :owner",
        {"id": workspace, "plan": wanted.plan, "owner": wanted.owner},
    )
    if wanted.region != stored.region:
        place(feed, feed.take_seq(), workspace, wanted.region, None)
    if wanted.subdomain != stored.subdomain:
        if stored.subdomain is not None:
            _alias(feed, stored.subdomain, None)
        if wanted.subdomain is not None:
            _alias(feed, wanted.subdomain, workspace)


def _alias(feed: Feed, label: str, workspace: WorkspaceId | None) -> None:
    seq = feed.take_seq()
    feed.connection.execute(
        "INSERT INTO subdomain (label, workspace, seq) VALUES (:label, :workspace, :seq) "
        "ON CONFLICT (label) DO UPDATE SET workspace = :workspace, seq = :seq",
        {"label": label, "workspace": workspace, "seq": seq},
    )
    feed.write(seq, seq, Payload(Kind.SUBDOMAIN, label, workspace=workspace))
