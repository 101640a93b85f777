"""What the directory's own rules forbid to write, judged by what is stored and told in one line each.

The law of the room: while a workspace is in transfer nothing of it changes but by the transfer. Drafts are judged one
after the other, each by what those before it left; all their problems are told at once, and nothing of the write is
kept. No text repeats a key's digest: what was given in its place may be the key itself. Pure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from router.directory.store import WriteRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from router.directory.store import KeyDraft, WorkspaceDraft
    from router.model.region import RegionName
    from router.model.transfer import Transfer

SHOWN: Final = 100
"""Problems told one by one; the rest is only counted."""

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class Refusals:
    """Collects problems in the order they are found."""

    def __init__(self) -> None:
        self._shown: list[str] = []
        self._drafts: list[int] = []
        self._count = 0

    def add(self, draft: int, problem: str) -> None:
        """Note one problem of the draft with that number."""
        self._count += 1
        if self._count <= SHOWN:
            self._shown.append(f"draft {draft}, {problem}")
            self._drafts.append(draft)

    def raise_any(self) -> None:
        """Raise `WriteRefusedError` if there was any problem; the transaction around this is then rolled back."""
        if not self._count:
            return
        hidden = self._count - len(self._shown)
        raise WriteRefusedError([*self._shown, f"and {hidden} more"] if hidden else self._shown, self._drafts)


class Stored(NamedTuple):
    """What is there of a workspace. Without a region: nothing, or a tombstone that goes on counting."""

    region: RegionName | None = None
    subdomain: str | None = None
    plan: str | None = None
    owner: str | None = None
    epoch: int = 0
    transfer: str | None = None

    def with_draft(self, draft: WorkspaceDraft) -> Stored:
        """What `draft` makes of it."""
        return self._replace(
            region=draft.region,
            subdomain=self.subdomain if draft.subdomain is None else draft.subdomain,
            plan=self.plan if draft.plan is None else draft.plan,
            owner=self.owner if draft.owner is None else draft.owner,
        )


class StoredKey(NamedTuple):
    """What is there of a key. All `None`: nothing, or a tombstone."""

    workspace: str | None = None
    region: str | None = None
    superseded_by: str | None = None


def workspace_problems(
    draft: WorkspaceDraft, stored: Stored, wanted: Stored, holder_of: Callable[[str], str | None]
) -> Iterator[str]:
    """Why `draft` may not make `wanted` of `stored`. `holder_of` says which workspace has a subdomain."""
    texts = {"workspace": draft.workspace, "region": draft.region, "subdomain": draft.subdomain}
    yield from (f"{name} is empty" for name, text in texts.items() if text == "")
    texts |= {"plan": draft.plan, "owner": draft.owner}
    yield from (f"{name} has unprintable characters" for name, text in texts.items() if text and not text.isprintable())
    if stored.transfer is not None:
        yield in_transfer(stored.transfer)
    if stored.region not in {None, wanted.region}:
        yield f"lives in {stored.region!r} already: only a transfer moves it to {wanted.region!r}"
    if wanted.subdomain and wanted.subdomain != stored.subdomain and wanted.subdomain.isprintable():
        yield from _subdomain_problems(wanted.subdomain, holder_of)


def key_problems(draft: KeyDraft) -> Iterator[str]:
    """Why `draft` could not route, whatever is stored."""
    if not _DIGEST.fullmatch(draft.digest):
        yield "its digest is not a SHA-256 in lower-case hex"
    if (draft.workspace is None) == (draft.region is None):
        yield "it must name a workspace or a region, and not both"
    for name, text in (("region", draft.region), ("superseded_by", draft.superseded_by)):
        if text is not None and not (text and text.isprintable()):
            yield f"its {name} is empty or has unprintable characters"


def key_conflicts(stored: StoredKey, wanted: StoredKey, workspace_of: Callable[[str], Stored]) -> Iterator[str]:
    """Why a key may not change from `stored` to `wanted`. `workspace_of` says what is stored of a workspace."""
    for workspace in sorted({row.workspace for row in (stored, wanted) if row.workspace is not None}):
        found = workspace_of(workspace)
        if found.transfer is not None:
            yield f"workspace {workspace!r} {in_transfer(found.transfer)}"
        elif found.region is None:
            yield f"workspace {workspace!r} is not in the directory: put it first"


def start_problems(transfer: Transfer, stored: Stored, *, known: bool) -> Iterator[str]:
    """Why `transfer` may not start from `stored`. `known`: there was a transfer of that id already."""
    if known:
        yield f"cannot be moved under the id {transfer.id}, which another transfer has: make a new one"
    if stored.region is None:
        yield "is not in the directory: put it first"
        return
    if stored.transfer is not None:
        yield in_transfer(stored.transfer)
    if stored.region == transfer.destination:
        yield f"lives in {stored.region!r} already"


def in_transfer(transfer: str) -> str:
    """Why nothing of a workspace that `transfer` locks may change."""
    return f"is in transfer ({transfer}): wait until that has ended, or abort it"


def _subdomain_problems(label: str, holder_of: Callable[[str], str | None]) -> Iterator[str]:
    if label != label.lower() or "." in label:
        yield f"subdomain {label!r} is not one label in lower case"
    holder = holder_of(label)
    if holder is not None:
        yield f"subdomain {label!r} belongs to workspace {holder!r}"
