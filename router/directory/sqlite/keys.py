"""API keys, by the SHA-256 of each: put, one whole row at a time.

The law of the room: a key names a workspace or a region. No problem's text repeats a digest: what was given in its
place may be the key itself.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from router.directory.rows import Payload
from router.directory.rules import Refusals, StoredKey, key_conflicts, key_problems
from router.directory.sqlite.workspaces import stored_workspace
from router.model.placement import Kind

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from router.directory.sqlite.feed import Feed
    from router.directory.store import KeyDraft


def put_keys(feed: Feed, drafts: Sequence[KeyDraft]) -> int:
    """Put all of `drafts`, and return how many changed something. Raises `WriteRefusedError`."""
    refusals = Refusals()
    changed = 0
    for ordinal, draft in enumerate(drafts, start=1):
        wanted = StoredKey(draft.workspace, draft.region, draft.superseded_by)
        problems = list(key_problems(draft))
        if not problems:
            stored = _stored(feed.connection, draft.digest)
            if wanted == stored:
                continue
            problems = list(key_conflicts(stored, wanted, partial(stored_workspace, feed.connection)))
        for problem in problems:
            refusals.add(ordinal, f"key: {problem}")
        if not problems:
            _write(feed, draft, wanted)
            changed += 1
    refusals.raise_any()
    return changed


def _stored(connection: sqlite3.Connection, digest: str) -> StoredKey:
    found = connection.execute(
        "SELECT workspace, region, superseded_by FROM api_key WHERE digest = ?", (digest,)
    ).fetchone()
    return StoredKey() if found is None else StoredKey(*found)


def _write(feed: Feed, draft: KeyDraft, wanted: StoredKey) -> None:
    seq = feed.take_seq()
    feed.connection.execute(
        "INSERT INTO api_key (digest, workspace, region, superseded_by, seq) "
        "VALUES (:digest, :workspace, :region, :superseded_by, :seq) ON CONFLICT (digest) DO UPDATE "
        "SET workspace = :workspace, region = :region, superseded_by = :superseded_by, seq = :seq",
        {"digest": draft.digest, "seq": seq, **wanted._asdict()},
    )
    superseded = draft.superseded_by is not None
    feed.write(seq, seq, Payload(Kind.KEY, draft.digest, draft.region, draft.workspace, superseded))
