"""The problems of one write, collected: all are told at once, and nothing of the write is kept."""

from __future__ import annotations

from typing import Final

from router.directory.store import WriteRefusedError

SHOWN: Final = 100
"""Problems told one by one; the rest is only counted."""


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
