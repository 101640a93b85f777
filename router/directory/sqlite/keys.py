"""API keys, by the SHA-256 of each: put, one whole row at a time.

The law of the room: a key names a workspace or a region. No problem's text repeats a digest: what was given in its
place may be the key itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from router.directory.sqlite.feed import Payload
from router.directory.sqlite.refusals import Refusals
from router.directory.sqlite.workspaces import in_transfer
from router.model.placement import Kind

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from router.directory.sqlite.feed import Feed
    from router.directory.store import KeyDraft

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class _Row(NamedTuple):
    workspace: str | None = None
    region: str | None = None
    superseded_by: str | None = None


def put_keys(feed: Feed, drafts: Sequence[KeyDraft]) -> int:
    """Put all of `drafts`, and return how many changed something. Raises `WriteRefusedError`."""
    refusals = Refusals()
    changed = 0
    for ordinal, draft in enumerate(drafts, start=1):
        wanted = _Row(draft.workspace, draft.region, draft.superseded_by)
        problems = list(_malformed(draft))
        if not problems:
            stored = _stored(feed.connection, draft.digest)
            if wanted == stored:
                continue
            problems = list(_forbidden(feed.connection, stored, wanted))
        for problem in problems:
            refusals.add(ordinal, f"key: {problem}")
        if not problems:
            _write(feed, draft, wanted)
            changed += 1
    refusals.raise_any()
    return changed


def _malformed(draft: KeyDraft) -> Iterator[str]:
    if not _DIGEST.fullmatch(draft.digest):
        yield "its digest is not a SHA-256 in lower-case hex"
    if (draft.workspace is None) == (draft.region is None):
        yield "it must name a workspace or a region, and not both"
    for name, text in (("region", draft.region), ("superseded_by", draft.superseded_by)):
        if text is not None and not (text and text.isprintable()):
            yield f"its {name} is empty or has unprintable characters"


def _forbidden(connection: sqlite3.Connection, stored: _Row, wanted: _Row) -> Iterator[str]:
    for workspace in sorted({row.workspace for row in (stored, wanted) if row.workspace is not None}):
        found = connection.execute("SELECT region, transfer FROM workspace WHERE id = ?", (workspace,)).fetchone()
        region, transfer = found or (None, None)
        if transfer is not None:
            yield f"workspace {workspace!r} {in_transfer(transfer)}"
        elif region is None:
            yield f"workspace {workspace!r} is not in the directory: put it first"


def _stored(connection: sqlite3.Connection, digest: str) -> _Row:
    found = connection.execute(
        "SELECT workspace, region, superseded_by FROM api_key WHERE digest = ?", (digest,)
    ).fetchone()
    return _Row() if found is None else _Row(*found)


def _write(feed: Feed, draft: KeyDraft, wanted: _Row) -> None:
    seq = feed.take_seq()
    feed.connection.execute(
        "INSERT INTO api_key (digest, workspace, region, superseded_by, seq) "
        "VALUES (:digest, :workspace, :region, :superseded_by, :seq) ON CONFLICT (digest) DO UPDATE "
        "SET workspace = :workspace, region = :region, superseded_by = :superseded_by, seq = :seq",
        {"digest": draft.digest, "seq": seq, **wanted._asdict()},
    )
    superseded = draft.superseded_by is not None
    feed.write(seq, seq, Payload(Kind.KEY, draft.digest, draft.region, draft.workspace, superseded))
