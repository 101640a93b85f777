"""What goes wrong → the lines on stderr and the exit code. A table; every error is translated here and nowhere else.

A line is `error: where: what; mend: how`. Text that came from elsewhere cannot break it.
"""

from __future__ import annotations

import errno
import os
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import click

from router.directory.store import StoreError, WriteRefusedError
from router.model.flaw import Flaw
from router.settings.problems import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from router.control.problems import Declined

T = TypeVar("T")

NOT_DONE: Final = 2
BUG: Final = 1
INTERRUPTED: Final = 130

_PACKAGE: Final = Path(__file__).resolve().parents[1]
_LONGEST: Final = 600

_SYSTEM_MENDS: Final[Mapping[int, str]] = {
    errno.EADDRINUSE: "stop what listens there, or change gateway.listen or ops.listen",
    errno.EADDRNOTAVAIL: "name an address of this machine in gateway.listen and ops.listen",
    errno.EACCES: "let this user do that; ports below 1024 need a privilege",
    errno.ENOENT: "correct the path",
    errno.EISDIR: "name a file",
    errno.EEXIST: "remove what is there, or name another path",
    errno.ENOSPC: "free some space",
}


_MENDS: Final[Mapping[str, str]] = {
    "not-the-owner": "name the owner who asked for it in --requested-by",
    "plan-without-regions": "put the plan that it has, or name that plan in control.plans",
    "destination-not-accepting": "choose another region, or set its regions.R.accepting",
    "transfer-running": "wait until that has ended, or abort it",
    "member-has-account": "let them give up the account, or choose another region",
    "no-such-resource": "correct the name",
    "no-such-workspace": "put it first, or correct the id",
    "no-such-transfer": "see `region-router transfer list`",
    "no-such-gateway": "see `region-router gateway list`",
    "gateway-still-renews": "stop its process instead",
    "no-token": "write a valid token into --token-file, or set REGION_ROUTER_TOKEN",
    "no-scope": "take a token with that scope",
}
"""What a person at a terminal can do about a problem, where its detail does not say so."""


class CommandError(Exception):
    """A command cannot do what it was asked. One line each, all that was found; `more` were only counted."""

    def __init__(self, problems: Sequence[Flaw | str], *, more: int = 0) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(map(str, problems))
        self.more = more


class UnansweredError(CommandError):
    """Whoever was asked cannot be reached, or gave no whole answer."""


def declined(outcome: Declined) -> CommandError:
    """What the control plane does not do, and why: every reason, by its problem's name."""
    return refused((one.problem.spec.slug, one.detail) for one in outcome.objections)


def refused(reasons: Iterable[tuple[str, str]]) -> CommandError:
    """The same of problems' names and their details, from wherever they came."""
    return CommandError([line(slug, detail.rstrip("."), _MENDS.get(slug)) for slug, detail in reasons])


def line(place: str, text: str, mend: str | None) -> str:
    """As a `Flaw` is shown; with a mend if there is one."""
    return str(Flaw(place, text, mend)) if mend else f"{place}: {text}"


def tell(error: BaseException) -> tuple[tuple[str, ...], int]:
    """The lines for stderr, and the exit code."""
    match error:
        case KeyboardInterrupt() | click.Abort():
            return ("interrupted",), INTERRUPTED
        case CommandError(problems=problems, more=more):
            return _lines(problems, more), NOT_DONE
        case ConfigError(problems=problems):
            return _lines(map(str, problems)), NOT_DONE
        case WriteRefusedError():
            return _lines(refusals_by_place(error)), NOT_DONE
        case StoreError():
            return _lines([str(error)]), NOT_DONE
        case click.ClickException():
            return _lines([_usage(error)]), NOT_DONE
        case OSError():
            return _lines([_system(error)]), NOT_DONE
        case _:
            return _lines([_bug(error)]), BUG


def refusals_by_place(refused: WriteRefusedError, place_of: Callable[[int], str] = lambda _: "") -> tuple[str, ...]:
    """The problems of a refused change, each behind the place of its draft instead of that draft's number."""
    placed = [
        place_of(draft) + problem.removeprefix(f"draft {draft}, ")
        for problem, draft in zip(refused.problems, refused.drafts, strict=False)
    ]
    return (*placed, *refused.problems[len(placed) :])


def demand(value: T | Flaw) -> T:
    """The value of an argument. Raises `CommandError` for a flaw."""
    if isinstance(value, Flaw):
        raise CommandError([value])
    return value


def one_line(text: str) -> str:
    """`text` on one printable line, cut where it is long."""
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in " ".join(text.split()))
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _lines(problems: Iterable[str], more: int = 0) -> tuple[str, ...]:
    told = tuple(f"error: {one_line(problem)}" for problem in problems)
    return (*told, f"error: … and {more} more") if more else told


def _usage(error: click.ClickException) -> str:
    message = error.format_message().rstrip(".")
    path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx is not None else "region-router"
    return f"{message}; mend: see `{path} --help`"


def _system(error: OSError) -> str:
    number = error.errno or 0
    # asyncio says where it could not listen in the text only; everybody else names the file and leaves the text alone.
    what = os.strerror(number).lower() if number else str(error)
    said = error.strerror or ""
    where = str(error.filename) if error.filename is not None else said if said.lower() != what else ""
    mend = _SYSTEM_MENDS.get(number, "look at what the system says of it")
    return f"{where}: {what}; mend: {mend}" if where and where != what else f"{what}; mend: {mend}"


def _bug(error: BaseException) -> str:
    """Where it was raised, and not its text: that may hold whatever was being worked on."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_PACKAGE)]
    place = "".join(f" at {Path(frame.filename).relative_to(_PACKAGE)}:{frame.lineno}" for frame in ours[-1:])
    return f"unexpected {type(error).__name__}{place}; mend: this is a bug of region-router: report this line"
