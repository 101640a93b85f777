"""Plain targets: one regular expression per host that reads what nearly every request looks like.

Theory. A plain target has one of the host's prefixes, at most one version, one template with a well-formed id in it,
and nothing that two readers could disagree about. All of that is known when a host is seen for the first time, so that
it is asked at once instead of one question after the other.

The law of the room: what a pattern finds, `router.routing.identify` finds without it. Where that can't be promised for
a configuration there is no pattern, and where it does not match nothing is said: then every question is asked.
"""

from __future__ import annotations

import re
from itertools import combinations
from typing import TYPE_CHECKING, Final

from router.routing.path import is_suspect

if TYPE_CHECKING:
    from collections.abc import Iterable

_ANY_TEXT: Final = frozenset({"*", "{workspace}"})
_VERSION: Final = re.compile(r"v[0-9]+")

_SEGMENT: Final = rb"[^%\\;?/.][^%\\;?/]*"
"""A segment that every reader takes for itself: not empty, nothing in it to decode or to strip, no dot in front."""


def compile_plain(prefixes: Iterable[bytes], templates: Iterable[str], workspace_id: bytes) -> re.Pattern[bytes] | None:
    """A pattern for whole targets: its first group is the prefix, its last one the id. `None` where it could differ.

    `prefixes` come longest first. `workspace_id` matches an id in any case, as bytes, without a group.
    """
    paths, texts = list(prefixes), list(templates)
    if not paths or not texts or any(map(is_suspect, paths)) or not _are_told_apart(texts):
        return None
    # Atomic, because the longest prefix rules, whatever a shorter one would lead to.
    prefix = rb"(?>(%b)(?=[/?]|\Z))" % b"|".join(map(re.escape, paths))
    ids = b"|".join(_template(text, workspace_id) for text in texts)
    return re.compile(rb"%b(?:/v[0-9]+)?(?:%b)(?:/%b)*/?(?:\?|\Z)" % (prefix, ids, _SEGMENT))


def _are_told_apart(templates: list[str]) -> bool:
    """Whether at most one of `templates` fits a path, with the same border behind its version for each reader."""
    segments = [text.split("/")[1:] for text in templates]
    return not any(first in _ANY_TEXT or _VERSION.fullmatch(first) for first, *_ in segments) and not any(
        share_a_path(one, other) for one, other in combinations(segments, 2)
    )


def share_a_path(one: list[str], other: list[str]) -> bool:
    """Whether some path begins with both templates, each given by its segments."""
    return all(left == right or {left, right} & _ANY_TEXT for left, right in zip(one, other, strict=False))


def _template(text: str, workspace_id: bytes) -> bytes:
    parts = [_part(segment, workspace_id) for segment in text.split("/")[1:]]
    return b"".join(b"/" + part for part in parts)


def _part(segment: str, workspace_id: bytes) -> bytes:
    if segment == "{workspace}":
        return rb"(%b)(?=[/?]|\Z)" % workspace_id
    return _SEGMENT if segment == "*" else re.escape(segment.encode("ascii"))
