"""Problems of a configuration: one line each, with the place and the mend, all of them at once.

The law of the room: nothing is complained about twice. What is found later at or under a place that has a problem of
shape already (or at the list it stands in) is only an echo of it and is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from router.model.flaw import quote_odd

if TYPE_CHECKING:
    from collections.abc import Sequence

Place: TypeAlias = tuple[str | int, ...]
"""Where in the document: `("policy", "routes", 0, "method")`."""


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One line for the person who mends it: where, what is wrong, what to write instead."""

    path: str
    text: str
    mend: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}; mend: {self.mend}"


class ConfigError(Exception):
    """The configuration cannot be used. `problems` are all that were found, in the order of their places."""

    def __init__(self, problems: Sequence[ConfigProblem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


def show_place(place: Place) -> str:
    """`services.api.match[1]`; a key that TOML would want in quotes is in quotes."""
    shown = ""
    for part in place:
        if isinstance(part, int):
            shown += f"[{part}]"
        else:
            shown += ("." if shown else "") + quote_odd(part)
    return shown


@dataclass(slots=True)
class Findings:
    """Collects problems and warnings by place. `names` says where a value came from if not from the file itself."""

    names: dict[Place, str] = field(default_factory=dict)
    _problems: list[tuple[Place, ConfigProblem]] = field(default_factory=list)
    _warnings: list[tuple[Place, ConfigProblem]] = field(default_factory=list)
    _broken: list[Place] = field(default_factory=list)

    def shape(self, place: Place, text: str, mend: str) -> None:
        """What stands at `place` is not of the right shape: nothing more can be said of it."""
        self.problem(place, text, mend)
        self.mark(place)

    def mark(self, place: Place) -> None:
        """Nothing more is to be said of `place`: its problem is told elsewhere."""
        self._broken.append(place)

    def echoes(self, place: Place) -> bool:
        """Whether what is wrong with `place` has been told already."""
        return any(
            place[: len(broken)] == broken or (isinstance(broken[-1], int) and place == broken[:-1])
            for broken in self._broken
        )

    def problem(self, place: Place, text: str, mend: str) -> None:
        """What stands at `place` does not go with the rest."""
        if not self.echoes(place):
            self._problems.append((place, ConfigProblem(self._name(place), text, mend)))

    def warn(self, place: Place, text: str, mend: str) -> None:
        """What stands at `place` works, and may not be what was meant."""
        self._warnings.append((place, ConfigProblem(self._name(place), text, mend)))

    @property
    def problems(self) -> tuple[ConfigProblem, ...]:
        """All problems, the order of the document's places, without repetition."""
        return _in_order(self._problems)

    @property
    def warnings(self) -> tuple[ConfigProblem, ...]:
        """All warnings, likewise."""
        return _in_order(self._warnings)

    def _name(self, place: Place) -> str:
        for length in range(len(place), 0, -1):
            name = self.names.get(place[:length])
            if name is not None:
                behind = show_place(place[length:])
                return name + (f".{behind}" if behind and not behind.startswith("[") else behind)
        return show_place(place)


def _in_order(found: list[tuple[Place, ConfigProblem]]) -> tuple[ConfigProblem, ...]:
    ordered = sorted(found, key=lambda item: [_rank(part) for part in item[0]])
    return tuple(dict.fromkeys(problem for _, problem in ordered))


def _rank(part: str | int) -> tuple[str, int]:
    return (part, 0) if isinstance(part, str) else ("", part)
