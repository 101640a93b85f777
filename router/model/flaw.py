"""One thing that is wrong with what somebody wrote: where, what, and what to write instead.

The law of the room: a flaw is one line. Text that came from elsewhere is quoted, on plain ASCII, and cut where it is
long.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_SHOWN: Final = 60


class Flaw(NamedTuple):
    """One thing that is wrong: where, what, and what to do instead."""

    place: str
    text: str
    mend: str

    def at(self, place: str) -> Flaw:
        """The same, seen from further away: `line 7` of what `place` names."""
        return self._replace(place=f"{place}, {self.place}" if self.place else place)

    def __str__(self) -> str:
        return f"{self.place}: {self.text}; mend: {self.mend}" if self.place else f"{self.text}; mend: {self.mend}"


def quote(text: str) -> str:
    """`text` in quotes on one line of plain ASCII, cut where it is long."""
    return json.dumps(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")


def quote_odd(text: str) -> str:
    """`text` as it is if it is a word, else in quotes."""
    return text if _BARE.fullmatch(text) else quote(text)


def did_you_mean(matches: Sequence[str], known: Sequence[str]) -> str:
    """The mend for a name that is not known: the nearest ones, else all of them."""
    if matches:
        return f"did you mean {' or '.join(map(quote_odd, matches))}?"
    return f"known here: {', '.join(map(quote_odd, known))}" if known else "nothing can be set here"
