"""The mutations by name: which property each breaks, and the schedules in which that is found."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.simulation import mutations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.simulation.mutations import Patch


@dataclass(frozen=True, slots=True)
class Swarm:
    """So many schedules of a theme, by the seeds from 0 on."""

    theme: str
    schedules: int


@dataclass(frozen=True, slots=True)
class Search:
    """So many states of a scenario."""

    scenario: str
    states: int


@dataclass(frozen=True, slots=True)
class Mutant:
    """A rule taken away. `breaks`: the properties of which one falls, each the first word of its violation."""

    name: str
    patches: Callable[[], list[Patch]]
    breaks: tuple[str, ...]
    hunt: Swarm | Search

    @contextmanager
    def applied(self) -> Iterator[None]:
        """While the block runs the product has this hole."""
        with ExitStack() as stack:
            for patch in self.patches():
                stack.enter_context(patch)
            yield


WRITE: Final = ("write",)
HARM: Final = ("write", "execution")

_ANSWERED_LATE: Final = "a renewal is executed before a lock and answered late, and the next ones may not arrive"
_STARTED_AGAIN: Final = "a gateway is started under the name of one that is stopped"
_TURN_BY_TURN: Final = "a lock comes while two requests are looked up, turn by turn"
_GOES_ON: Final = "a stopped gateway goes on when its row is gone"
_FROZEN: Final = "a gateway is frozen, and its region reads slowly"

MUTANTS: Final = (
    Mutant("trust stamped at the reply", mutations.trust_from_the_reply, WRITE, Search(_ANSWERED_LATE, 3000)),
    Mutant("separate poll and renewal", mutations.separate_poll_and_renewal, WRITE, Swarm("late answers", 2500)),
    Mutant("no term and no revoke", mutations.no_term_and_no_revoke, WRITE, Swarm("lease", 800)),
    Mutant("row taken over without proof", mutations.row_taken_over, WRITE, Search(_STARTED_AGAIN, 3000)),
    Mutant(
        "deciding on the awaited value",
        mutations.deciding_on_the_awaited_value,
        ("age",),
        Search(_TURN_BY_TURN, 1500),
    ),
    Mutant("applied before drain", mutations.applied_before_drain, HARM, Swarm("drain", 500)),
    Mutant(
        "drain only if the feed replaced the entry",
        mutations.drain_only_what_was_replaced,
        HARM,
        Swarm("cache", 1500),
    ),
    Mutant("not-found without epoch", mutations.absence_without_epoch, ("order", "write"), Swarm("absences", 1000)),
    Mutant("replica floor off", mutations.no_floor, ("floor", "write"), Swarm("cache", 400)),
    Mutant(
        "position read in the registration's snapshot",
        mutations.position_in_the_snapshot,
        WRITE,
        Search("a lock comes while a gateway starts", 3000),
    ),
    Mutant("flip without the transfer's id", mutations.flip_without_the_id, WRITE, Swarm("quarrels", 1200)),
    Mutant("gap unnoticed", mutations.gap_unnoticed, ("age", "write"), Swarm("feed", 2000)),
    Mutant("no generation, with loss", mutations.no_generation, WRITE, Swarm("failover", 1500)),
    Mutant(
        "buffered write behind the check",
        mutations.buffered_behind_the_check,
        WRITE,
        Search(_FROZEN, 1000),
    ),
    Mutant("renewal as upsert with no term", mutations.upsert_and_no_term, WRITE, Search(_GOES_ON, 2000)),
    Mutant("reused incarnation", mutations.reused_incarnation, WRITE, Search(_STARTED_AGAIN, 3000)),
    Mutant("region in a key's entry", mutations.region_in_a_keys_entry, HARM, Swarm("drain", 800)),
    Mutant("early unregister", mutations.early_unregister, ("execution",), Swarm("feed", 2000)),
    Mutant("sequential draining", mutations.sequential_draining, ("liveness",), Swarm("hung regions", 2000)),
    Mutant("one clock", mutations.one_clock, WRITE, Search(_FROZEN, 1500)),
    Mutant(
        "change under a lookup dropped",
        mutations.change_under_a_lookup_dropped,
        ("age",),
        Swarm("cache", 600),
    ),
    Mutant("silence not compared in the flip", mutations.silence_not_compared, WRITE, Swarm("lease", 2500)),
    Mutant("no quarantine, with loss", mutations.no_quarantine, WRITE, Swarm("failover", 2500)),
)
"""The first nineteen are rules of the protocol; the others are what else its proof rests upon."""
