"""Header fields: which are seen, which are removed, which are ours. Cut out, never rebuilt.

Theory. A block of fields is lower-cased once; one regular expression finds the fields that the router must see or
remove; the slices between them go out as they came, so that names' case, order, duplicates and bytes ≥ 0x80 survive
for free. Hop-by-hop fields go first, then ours are set, so that a nomination in `Connection` can never delete what the
router or a backend relies on.

A block is everything behind the first line: fields, each ended by CRLF, without the empty line at its end. It has been
validated before (`router.gateway.heads`), so that here a line is a line.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Removed in both directions, nominated or not (RFC 9110 §7.6.1). Transfer-Encoding is set anew where it applies."""

FORWARDED: Final = frozenset(
    {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-workspace-epoch", b"x-request-id"}
)
"""Never accepted from outside in a request: the router says these things itself."""

PROTECTED: Final = frozenset(
    {
        b"age",
        b"authorization",
        b"cache-control",
        b"cdn-loop",
        b"content-length",
        b"content-type",
        b"cookie",
        b"date",
        b"expect",
        b"host",
        b"location",
        b"origin",
        b"retry-after",
        b"set-cookie",
        b"trailer",
        b"via",
        b"x-addon-token",
        b"x-api-key",
        b"x-auth-token",
    }
)
"""What a `Connection` field can never nominate away, whoever sends it."""

_SEEN_IN_REQUEST: Final = frozenset({b"cdn-loop", b"content-length", b"expect", b"host", b"via"})
_SET_IN_ANSWER: Final = frozenset({b"x-request-id", b"x-router-hint", b"x-router-region", b"x-router-region-url"})
_SEEN_IN_ANSWER: Final = frozenset({b"content-length"})


class Underscores(StrEnum):
    """What is done with a field whose name would mean something if `_` were read as `-`."""

    REFUSE = "refuse"
    DROP = "drop"


class Fields(NamedTuple):
    """A block, taken apart.

    - `kept`: the lines to pass on, as they came.
    - `seen`: lower-case name → raw values, for the names that the rules see or remove; blanks around are stripped.
    """

    kept: bytes
    seen: Mapping[bytes, list[bytes]]


class FieldRules:
    """Takes blocks apart by two sets of names: those that are only seen, and those that are removed too."""

    def __init__(self, *, seen: Iterable[bytes], removed: Iterable[bytes], protected: Iterable[bytes] = ()) -> None:
        self._removed = frozenset(removed)
        self._protected = PROTECTED | frozenset(protected)
        names = sorted(self._removed | frozenset(seen))
        self._known = self._protected | frozenset(names)
        self._found = re.compile(rb"(?:\A|\n)(" + b"|".join(map(re.escape, names)) + rb"):[ \t]*([^\r]*)\r")

    def take_apart(self, block: bytes) -> Fields:
        """What `block` holds. Nominated fields are removed as well, protected ones excepted."""
        lower = block.lower()
        seen: dict[bytes, list[bytes]] = {}
        slices = []
        kept_to = 0
        for match in self._found.finditer(lower):
            name = match[1]
            value_start, value_end = match.span(2)
            value = block[value_start:value_end].rstrip(b" \t")
            if name in seen:
                seen[name].append(value)
            else:
                seen[name] = [value]
            if name in self._removed:
                slices.append(block[kept_to : match.start(1)])
                kept_to = value_end + 2
        slices.append(block[kept_to:])
        kept = b"".join(slices)
        if b"connection" in seen:
            kept = self._remove_nominated(kept, seen[b"connection"])
        return Fields(kept, seen)

    def drop_shadows(self, block: bytes) -> bytes:
        """`block` without the fields that a backend which reads `_` as `-` (CGI, WSGI) would take for one of these.

        `Content_Length`, `X_Api_Key` or `X_Forwarded_For` pass as strangers here and mean something there.
        """
        return _UNDERSCORED.sub(lambda match: b"" if self._is_shadow(match[1].lower()) else match[0], block)

    def _is_shadow(self, name: bytes) -> bool:
        if name in self._known:
            return False  # an API key's own field may have such a name
        read = name.replace(b"_", b"-")
        return read in self._known or read.startswith(_OUR_PREFIXES)

    def _remove_nominated(self, kept: bytes, connection: list[bytes]) -> bytes:
        nominated = tokens(connection) - HOP_BY_HOP - self._protected - _OPTIONS
        if not nominated:
            return kept
        # Line by line, because a pattern of names that a peer chooses by the thousand takes longest to compile.
        lines = kept.splitlines(keepends=True)
        return b"".join(line for line in lines if line.partition(b":")[0].lower() not in nominated)


_OPTIONS: Final = frozenset({b"close", b"keep-alive", b""})
_HOP: Final = re.compile(rb"[ \t;]+")
_UNDERSCORED: Final = re.compile(rb"(?m)^([^:\n]*_[^:\n]*):[^\n]*\n")
_OUR_PREFIXES: Final = (b"x-forwarded-", b"x-router-", b"x-workspace-")


def tokens(values: Iterable[bytes]) -> frozenset[bytes]:
    """The members of a comma-separated list of tokens, lower-cased."""
    return frozenset(token.strip(b" \t") for token in b",".join(values).lower().split(b","))


def has_passed(hops: Iterable[bytes], own: bytes) -> bool:
    """Whether `own` (in lower case) is among those that Via (RFC 9110 §7.6.3) or CDN-Loop (RFC 8586) names."""
    return any(own in _HOP.split(entry) for entry in tokens(hops))


def request_rules(api_key_header: str) -> FieldRules:
    """The rules for a client's request. `api_key_header` is in lower case."""
    key = api_key_header.encode("ascii")
    # Host is removed because it is set anew, in the first line as RFC 9112 §3.2 advises.
    removed = HOP_BY_HOP | FORWARDED | {b"host"}
    return FieldRules(seen=_SEEN_IN_REQUEST | {key}, removed=removed, protected={key})


def forbidden_trailers(api_key_header: str) -> frozenset[bytes]:
    """What must not come behind a body, either way: it would frame, route or authenticate what was decided on already,
    or pass for what the router says itself (RFC 9110 §6.5.1).
    """
    ours = HOP_BY_HOP | FORWARDED | _SET_IN_ANSWER | {api_key_header.encode("ascii")}
    return ours | (PROTECTED - {b"date", b"age"})


def answer_rules() -> FieldRules:
    """The rules for a region's answer."""
    return FieldRules(seen=_SEEN_IN_ANSWER, removed=HOP_BY_HOP | _SET_IN_ANSWER)
