"""API keys, by the SHA-256 of each: put, one whole row at a time, read and written a thousand at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.directory.postgres.workspaces import stored_workspaces
from router.directory.rows import Payload
from router.directory.rules import Refusals, Stored, StoredKey, key_conflicts, key_problems
from router.model.placement import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.directory.postgres.feed import Feed
    from router.directory.store import KeyDraft

_BATCH: Final = 1000


async def put_keys(feed: Feed, drafts: Sequence[KeyDraft]) -> int:
    """Put all of `drafts`, and return how many changed something. Raises `WriteRefusedError`."""
    refusals = Refusals()
    changed = 0
    for first in range(0, len(drafts), _BATCH):
        changed += await _put_batch(feed, first + 1, drafts[first : first + _BATCH], refusals)
    refusals.raise_any()
    return changed


async def _put_batch(feed: Feed, first: int, drafts: Sequence[KeyDraft], refusals: Refusals) -> int:
    malformed = [list(key_problems(draft)) for draft in drafts]
    sound = [draft for draft, problems in zip(drafts, malformed, strict=True) if not problems]
    rows = await feed.transaction.rows(
        "SELECT digest, workspace, region, superseded_by FROM api_key WHERE digest = ANY(%(digests)s::text[])",
        {"digests": sorted({draft.digest for draft in sound})},
    )
    stored = {digest: StoredKey(*columns) for digest, *columns in rows}
    named = [draft.workspace for draft in sound] + [key.workspace for key in stored.values()]
    workspaces = await stored_workspaces(feed.transaction, (name for name in named if name is not None))
    written: dict[str, tuple[StoredKey, int]] = {}
    changed = 0
    for ordinal, (draft, problems) in enumerate(zip(drafts, malformed, strict=True), start=first):
        before = stored.get(draft.digest, StoredKey())
        wanted = StoredKey(draft.workspace, draft.region, draft.superseded_by)
        if not problems and wanted == before:
            continue
        found = problems or list(key_conflicts(before, wanted, lambda name: workspaces.get(name, Stored())))
        for problem in found:
            refusals.add(ordinal, f"key: {problem}")
        if not found:
            stored[draft.digest] = wanted
            written[draft.digest] = (wanted, _feed(feed, draft))
            changed += 1
    await _write(feed, written)
    return changed


def _feed(feed: Feed, draft: KeyDraft) -> int:
    seq = feed.take_seq()
    superseded = draft.superseded_by is not None
    feed.write(seq, seq, Payload(Kind.KEY, draft.digest, draft.region, draft.workspace, superseded))
    return seq


async def _write(feed: Feed, written: dict[str, tuple[StoredKey, int]]) -> None:
    if not written:
        return
    await feed.transaction.run(
        "INSERT INTO api_key (digest, workspace, region, superseded_by, seq) SELECT * FROM unnest(%(digest)s::text[], "
        "%(workspace)s::text[], %(region)s::text[], %(superseded_by)s::text[], %(seq)s::bigint[]) "
        "ON CONFLICT (digest) DO UPDATE SET workspace = excluded.workspace, region = excluded.region, "
        "superseded_by = excluded.superseded_by, seq = excluded.seq",
        {
            "digest": list(written),
            "workspace": [key.workspace for key, _ in written.values()],
            "region": [key.region for key, _ in written.values()],
            "superseded_by": [key.superseded_by for key, _ in written.values()],
            "seq": [seq for _, seq in written.values()],
        },
    )
