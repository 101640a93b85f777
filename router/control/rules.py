"""May this workspace move there? The product's rules as a table, and what a move does, to be told beforehand.

The law of the room: pure. `RULES` is judged as a whole: whoever is refused learns every rule that is broken, the
weightiest first, and each has a problem type of its own. What is judged is read in the transaction that would start the
transfer, so nothing can come between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from router.control.problems import ControlProblem, Objection

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.control.options import ControlOptions
    from router.model.region import RegionName
    from router.model.tenant import Backup, MemberId
    from router.model.transfer import TransferId

ACCOUNTS_SHOWN: Final = 10
"""Members that stand in the way and are named; more are not even read."""


@dataclass(frozen=True, slots=True)
class Move:
    """A move that is asked for, and what its rules are judged by.

    - `requested_by`: who asks; `None` asks on the owner's behalf, as a list of possible regions does.
    - `in_the_way`: members with an account at the destination, `ACCOUNTS_SHOWN` of them at most.
    """

    destination: RegionName
    requested_by: str | None
    owner: str | None
    plan: str | None
    lives_in: RegionName
    running: TransferId | None
    in_the_way: tuple[MemberId, ...]


class Rule(NamedTuple):
    """One row: what is refused, when it is broken, and what is said of it."""

    problem: ControlProblem
    broken: Callable[[Move, ControlOptions], bool]
    detail: Callable[[Move, ControlOptions], str]


def _not_owner(move: Move, options: ControlOptions) -> bool:
    if move.requested_by is None or (move.owner is None and not options.requires_tenant_data):
        return False
    return move.requested_by != move.owner


def _not_in_plan(move: Move, options: ControlOptions) -> bool:
    if move.plan is None:
        return options.requires_tenant_data
    return move.plan not in options.plans


def _not_accepting(move: Move, options: ControlOptions) -> bool:
    offer = options.regions.get(move.destination)
    return offer is not None and move.destination != options.home and not offer.accepting


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        ControlProblem.NOT_OWNER,
        _not_owner,
        lambda move, _: (
            "The directory knows no owner of this workspace: put one."
            if move.owner is None
            else f"{move.requested_by!r} is not the owner of this workspace."
        ),
    ),
    Rule(
        ControlProblem.PLAN,
        _not_in_plan,
        lambda move, options: f"The plan is {move.plan or 'unknown'}; regions are part of {', '.join(options.plans)}.",
    ),
    Rule(
        ControlProblem.TO_HOME,
        lambda move, options: move.destination == options.home,
        lambda move, _: f"{move.destination!r} is the home region, and there is no way back to it.",
    ),
    Rule(
        ControlProblem.UNKNOWN_DESTINATION,
        lambda move, options: move.destination not in options.regions,
        lambda move, options: (
            f"There is no region {move.destination!r}; there are {', '.join(sorted(options.regions))}."
        ),
    ),
    Rule(
        ControlProblem.NOT_ACCEPTING,
        _not_accepting,
        lambda move, _: f"Region {move.destination!r} takes no workspaces right now.",
    ),
    Rule(
        ControlProblem.ALREADY_THERE,
        lambda move, _: move.lives_in == move.destination,
        lambda move, _: f"The workspace lives in {move.lives_in!r} already.",
    ),
    Rule(
        ControlProblem.ALREADY_RUNNING,
        lambda move, _: move.running is not None,
        lambda move, _: f"Transfer {move.running} of this workspace is running.",
    ),
    Rule(
        ControlProblem.MEMBER_HAS_ACCOUNT,
        lambda move, _: bool(move.in_the_way),
        lambda move, _: f"Members with an account in {move.destination!r}: {_listed(move.in_the_way)}.",
    ),
)


def judge(move: Move, options: ControlOptions) -> tuple[Objection, ...]:
    """Every rule that `move` breaks, in the order of the table."""
    return tuple(Objection(rule.problem, rule.detail(move, options)) for rule in RULES if rule.broken(move, options))


def effects(options: ControlOptions) -> tuple[str, ...]:
    """What a move does to those who use the workspace, one sentence each."""
    hours, days = options.transfer_duration / 3600, options.backup_lock / 86_400
    return (
        "Everybody is logged out of the workspace.",
        f"The workspace is locked until the move has ended, for {hours:g} hours at most.",
        "Add-ons are uninstalled.",
        "API keys are reissued: keys from before the move stop working.",
        f"The old region keeps a locked backup for {days:g} days, then deletes it.",
        f"There is no way back to {options.regions[options.home].label}.",
    )


def warnings(move: Move, backups: tuple[Backup, ...], options: ControlOptions) -> tuple[str, ...]:
    """What works and may not be what was meant. `backups` are the workspace's, of which some may have expired."""
    kept = any(one.expired_at is None and one.region == move.destination for one in backups)
    found = (
        [f"A locked backup of this workspace from an earlier move is still in {move.destination!r}."] if kept else []
    )
    found += [
        f"Service {service} redirects: who follows an old redirect reaches a region past any lock."
        for service in options.redirecting
    ]
    return tuple(found)


def _listed(members: tuple[MemberId, ...]) -> str:
    more = " and more" if len(members) >= ACCOUNTS_SHOWN else ""
    return ", ".join(members) + more
