"""One view of the path: no backend may read another path, and so another workspace, than the router did.

Theory. Backends decode percent escapes, remove dot segments, merge slashes, strip `;params` and take a backslash for a
slash, each in its own way and order. The router can't know which, and it forwards the target byte for byte. So it
refuses every path on which two of those readers could disagree about the part that names the workspace:

- anywhere in the path, a dot segment (it could climb from behind the id to in front of it) and `%00` (it could end the
  path early), because these change what stands before them;
- up to the end of the segment that holds the id, whatever a reader could decode, merge or strip, because it changes
  where the id is or what it is. Behind the id such bytes change nothing that was decided, and pass as they came.

Escapes are decoded once. A backend that decodes twice and removes dot segments only then can still climb from behind
the id, by `%252e%252e`; that is its own hole, and refusing every `%25` behind an id would break honest clients.

The query is never inspected.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

_SUSPECT: Final = re.compile(rb"[%\\;]|//|/\.")
"""A path without any of these has one view. Nearly all have, so everything else is behind this one search."""

_DOT_SEGMENT: Final = re.compile(rb"(?:\A|[/\\])\.\.?(?:[/\\;]|\Z)")
"""Looked for in the path decoded once, where `%2f` and `%5c` have become separators and `%3b` has become `;`."""

_TWO_READINGS: Final = re.compile(
    rb"""(?ix) // | [;\\] | %(?: 2f | 5c | 3b | 25                                   # delimiters, the escape itself
      | 2d | 2e | 5f | 7e | 3[0-9] | 4[1-9a-f] | 5[0-9a] | 6[1-9a-f] | 7[0-9a] )     # unreserved: need no escape"""
)


def is_suspect(path: bytes) -> bool:
    """Whether `path` (raw, without the query) needs the other two questions at all."""
    return _SUSPECT.search(path) is not None


def climbs(path: bytes) -> bool:
    """Whether some reader finds a dot segment or the end of a string inside `path` (raw, without the query)."""
    return b"%00" in path or _DOT_SEGMENT.search(unquote_to_bytes(path)) is not None


def reads_two_ways(path: bytes, end: int) -> bool:
    """Whether some reader could see something else in `path[:end]` than its bytes."""
    return _TWO_READINGS.search(path, 0, end) is not None
