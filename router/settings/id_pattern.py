"""The pattern of a workspace's id: a regular expression that is safe to put in a path.

Theory. An id is cut out of raw bytes and looked up, and the backend reads the same bytes. So a pattern is accepted only
if it provably matches nothing but unreserved characters (RFC 3986), which no backend decodes, splits or drops: it is
read token by token, and each set is tried on every character of Latin-1. Trying sample ids on the whole pattern instead
would prove nothing about `[^a]{24}`. And since clients choose the text, a group is repeated only if it has one length:
a pattern like `([a-z]+)*` takes exponential time to refuse a text that almost matches.
"""

from __future__ import annotations

import re
from typing import Final

from router.settings.grammar import GrammarError

_TOKEN: Final = re.compile(
    r"""(?P<set>\[(?:(?!--|~~)[A-Za-z0-9._~-]|\\[dw.~_-])+\]|\\[dw.~_-]|[A-Za-z0-9_~-])
      | (?P<open>\((?:\?:)?(?!\?))
      | (?P<close>\))
      | (?P<or>\|)
      | (?P<maybe>\?)
      | (?P<exactly>\{[0-9]{1,4}\})
      | (?P<between>[*+]|\{[0-9]{1,4},[0-9]{0,4}\})""",
    re.VERBOSE,
)
_UNRESERVED: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")
_FLAGS: Final = re.ASCII | re.IGNORECASE
_LONGEST: Final = 200
_MEND: Final = (
    'write characters, sets, groups and counts that match letters, digits and -._~ only, as in "[0-9a-f]{24}"'
)


def read_id_pattern(text: str) -> re.Pattern[str]:
    """Compile `text`, to be matched against a whole segment whatever its case. Raises `GrammarError`."""
    if len(text) > _LONGEST:
        raise GrammarError(f"the pattern is longer than {_LONGEST} characters", _MEND)
    varies = [False]
    group_varies = False
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise GrammarError(f"character {at + 1} of the pattern does not belong in an id's pattern", _MEND)
        kind = token.lastgroup
        if kind in {"exactly", "between"} and group_varies:
            raise GrammarError(
                "the pattern repeats a group whose length varies", "give what stands in the group one length"
            )
        if kind == "set":
            _check_set(token[0])
        elif kind == "open":
            varies.append(False)
        elif kind in {"or", "maybe", "between"}:
            varies[-1] = True
        group_varies = kind == "close" and len(varies) > 1 and varies.pop()
        varies[-1] |= group_varies
        at = token.end()
    return _compile_whole(text)


def _check_set(text: str) -> None:
    pattern = _compile(text)
    if any(pattern.fullmatch(chr(code)) and chr(code) not in _UNRESERVED for code in range(256)):
        raise GrammarError("the pattern could match characters that a path treats specially (such as / ? %)", _MEND)


def _compile_whole(text: str) -> re.Pattern[str]:
    pattern = _compile(text)
    if pattern.fullmatch("") is not None:
        raise GrammarError("the pattern matches the empty text", "ask for at least one character, as in [0-9a-f]{24}")
    return pattern


def _compile(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, _FLAGS)
    except (re.error, OverflowError) as error:
        raise GrammarError("the pattern is not a regular expression", _MEND) from error
