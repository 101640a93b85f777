"""Lists, a page at a time: the cursor is the key of the last item, as text that callers only hand back."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from router.control.problems import ControlProblem, Declined, decline
from router.model.region import RegionName
from router.model.tenant import Account, MemberId

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")


def cut(found: Sequence[T], limit: int, cursor: Callable[[T], str]) -> tuple[Sequence[T], str | None]:
    """The page of `limit` items, and its cursor: `found` was asked for one more, so that the last page is known."""
    if len(found) <= limit:
        return found, None
    return found[:limit], cursor(found[limit - 1])


def read_number(cursor: str | None) -> int | Declined | None:
    """The cursor of a list by number."""
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 18):
        return _bad_cursor()
    return int(cursor)


def read_account(cursor: str | None) -> Account | Declined | None:
    """The cursor of a list of accounts."""
    if cursor is None:
        return None
    member, slash, region = cursor.partition("/")
    return Account(MemberId(member), RegionName(region)) if slash else _bad_cursor()


def _bad_cursor() -> Declined:
    return decline(ControlProblem.INVALID_REQUEST, "query.after is not a cursor of this list.")
