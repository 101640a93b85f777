"""The change feed inside a transaction: its one row, `seq`, the changes, and the history that they belong to.

The law of the room: a writer enters here first. Who changes facts takes the row alone and holds it to the commit, so
nobody sees a `seq` before all lower ones are committed, and it may count in memory and write all changes at the end.
Who adds to the lists of transfers takes it together with others of its kind, so that no transfer starts or becomes
`transferring` beside it. The row comes first and every other lock behind it; so nobody waits in a circle.

Entering compares the history that the server is on with the one recorded beside the generation. Another one means that
this is a promoted standby or a copy: it may lack what was acknowledged, and registrations too. So whoever finds that
begins another generation before anything else, and no lock barrier holds before the longest lease is over.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from router.directory.postgres.errors import RESTORE
from router.directory.rows import CHANGE_COLUMNS, TRANSFER_COLUMNS, Payload, fact
from router.directory.store import DirectoryInfo, StoreUnreadableError
from router.model.placement import Change

if TYPE_CHECKING:
    from router.directory.postgres.session import Transaction

CHANNEL: Final = "region_router"
"""Of the notifications that go with every change."""

PRUNED_PER_CHANGE: Final = 2
"""More than one, so that a feed that has grown too long shrinks again; few, so that no writer pays for all of it."""

SKEW: Final = 60.0
"""Seconds that the clocks of two machines may differ: a quarantine begins by one and ends by another."""

_BATCH: Final = 5000
"""Changes written with one statement."""

MOVED: Final = "(h.system <> feed.system OR h.timeline <> feed.timeline) IS TRUE"
"""Whether the history `h` is another one than that of the generation. What may not be asked here is no other one."""

_UNRECORDED: Final = "feed.system IS NULL AND h.system IS NOT NULL OR feed.timeline IS NULL AND h.timeline IS NOT NULL"

_FEED: Final = f"SELECT generation, head, floor, {MOVED}, {_UNRECORDED} FROM feed, history() h"  # noqa: S608 - constants only

_CHANGES: Final = (
    f"SELECT c.seq, {CHANGE_COLUMNS}, {TRANSFER_COLUMNS} "  # noqa: S608 - constants only
    "FROM change c LEFT JOIN transfer t ON t.id = c.transfer"
)

CHANGES_BEHIND: Final = f"{_CHANGES} WHERE c.seq > %(seq)s ORDER BY c.seq LIMIT %(limit)s"


class Sharing(StrEnum):
    """With whom the feed's row is held."""

    ALONE = "FOR UPDATE OF feed"
    TOGETHER = "FOR SHARE OF feed"
    FREE = ""
    """Not held at all: what is done touches neither facts nor lists."""


class MovedError(Exception):
    """The server is on another history, and this transaction does not hold the row alone: only such a one may act."""


class Standing(NamedTuple):
    """How a reader stands: the generation of its server's history, `None` if that has moved; and whether commits wait
    for standbys there, so that what is visible may not be confirmed.
    """

    generation: int | None
    waits: bool


class Clockwork(NamedTuple):
    """What a rotation needs to know: seconds since 1970 here, and the longest lease of any gateway, in seconds."""

    now: float
    longest_lease: float


class Feed:
    """The feed as one write transaction sees it. The newest `keep` changes are kept."""

    def __init__(self, transaction: Transaction, *, generation: int, head: int, floor: int, keep: int) -> None:
        self.transaction = transaction
        self.generation = generation
        self._head = head
        self._floor = floor
        self._keep = keep
        self._changes: list[tuple[int, int, Payload]] = []
        self._news = False

    def take_seq(self) -> int:
        """The next `seq`, and room for it: the oldest changes beyond those to keep go, a few at a time."""
        self._floor = max(self._floor, min(self._floor + PRUNED_PER_CHANGE, self._head + 2 - self._keep))
        self._head += 1
        return self._head

    def write(self, seq: int, number: int, payload: Payload) -> None:
        """Note the change taken as `seq`: the fact is `payload` from now on, in its version `number`."""
        self._changes.append((seq, number, payload))

    def tell(self) -> None:
        """Wake those who listen, though no fact has changed."""
        self._news = True

    async def flush(self) -> None:
        """Write what was noted. To be called last in the transaction, behind the rows that the changes name."""
        if self._changes:
            for first in range(0, len(self._changes), _BATCH):
                await self._insert(self._changes[first : first + _BATCH])
            self._changes.clear()
            await self.transaction.run(
                "UPDATE feed SET head = %(head)s, floor = %(floor)s", {"head": self._head, "floor": self._floor}
            )
            await self.transaction.run("DELETE FROM change WHERE seq < %(floor)s", {"floor": self._floor})
            self._news = True
        if self._news:
            await self.transaction.run(f"NOTIFY {CHANNEL}")
            self._news = False

    async def _insert(self, changes: list[tuple[int, int, Payload]]) -> None:
        kept = [change for change in changes if change[0] >= self._floor]
        payloads = [payload for _, _, payload in kept]
        await self.transaction.run(
            "INSERT INTO change (seq, number, kind, name, region, workspace, superseded, transfer) "
            "SELECT * FROM unnest(%(seq)s::bigint[], %(number)s::bigint[], %(kind)s::text[], %(name)s::text[], "
            "%(region)s::text[], %(workspace)s::text[], %(superseded)s::boolean[], %(transfer)s::text[])",
            {
                "seq": [seq for seq, _, _ in kept],
                "number": [number for _, number, _ in kept],
                "kind": [payload.kind.value for payload in payloads],
                "name": [payload.name for payload in payloads],
                "region": [payload.region for payload in payloads],
                "workspace": [payload.workspace for payload in payloads],
                "superseded": [payload.superseded for payload in payloads],
                "transfer": [payload.transfer for payload in payloads],
            },
        )


async def enter(transaction: Transaction, sharing: Sharing, clockwork: Clockwork, *, keep: int) -> Feed:
    """The feed for this transaction, of the generation that belongs to the server's history.

    Raises `MovedError` where that has moved and the row is not held alone, `StoreUnreadableError` without a feed.
    """
    row = await transaction.row(f"{_FEED} {sharing.value}")
    if row is None:
        raise lost(transaction)
    generation, head, floor, moved, unrecorded = row
    if moved and sharing is not Sharing.ALONE:
        raise MovedError
    if moved:
        generation = await rotate(transaction, clockwork, skew=SKEW)
    if moved or (unrecorded and sharing is Sharing.ALONE):
        await _record_history(transaction)
    transaction.generation = generation
    feed = Feed(transaction, generation=generation, head=head, floor=floor, keep=keep)
    if moved:
        feed.tell()
    return feed


async def rotate(transaction: Transaction, clockwork: Clockwork, *, skew: float = 0.0) -> int:
    """Begin another generation, later than any of a copy, and its quarantine. The row is held alone."""
    row = await transaction.row(
        "UPDATE feed SET generation = greatest(generation + 1, %(milliseconds)s), "
        "quarantine_until = greatest(quarantine_until, %(now)s + greatest(%(lease)s, "
        "(SELECT max(lease) FROM registration))) RETURNING generation",
        {
            "milliseconds": milliseconds(clockwork.now),
            "now": clockwork.now + skew,
            "lease": clockwork.longest_lease,
        },
    )
    if row is None:
        raise lost(transaction)
    transaction.generation = int(row[0])
    return transaction.generation


async def info_of(transaction: Transaction) -> DirectoryInfo:
    """The feed's row, and the schema it stands in."""
    row = await transaction.row(
        "SELECT directory_id, generation, opened, quarantine_until, head, floor, "
        "(SELECT max(version) FROM schema_version) FROM feed"
    )
    if row is None:
        raise lost(transaction)
    return DirectoryInfo(*row)


async def generation_of(transaction: Transaction) -> int | None:
    """The generation that belongs to the history the server is on; `None` if that has moved."""
    row = await transaction.row(f"SELECT generation, {MOVED} FROM feed, history() h")  # noqa: S608 - constants only
    return None if row is None or row[1] else int(row[0])


async def standing_of(transaction: Transaction) -> Standing:
    """How a reader in this transaction stands."""
    row = await transaction.row(
        f"SELECT generation, {MOVED}, current_setting('synchronous_standby_names') <> '' FROM feed, history() h"  # noqa: S608 - constants only
    )
    if row is None:
        raise lost(transaction)
    generation, moved, waits = row
    return Standing(None if moved else generation, waits)


def changes_of(rows: list[tuple[Any, ...]], generation: int) -> tuple[Change, ...]:
    """The changes of rows: `seq`, then what `fact` reads."""
    return tuple(Change(row[0], fact(row[1:], generation)) for row in rows)


def lost(transaction: Transaction) -> StoreUnreadableError:
    """The feed's row is not there."""
    return StoreUnreadableError(f"{transaction.source.name}: has lost its feed: {RESTORE}")


def milliseconds(now: float) -> int:
    """A generation: later than any of a copy made earlier, even where that copy counted on by itself."""
    return int(now * 1000)


async def _record_history(transaction: Transaction) -> None:
    """Note the history that the generation belongs to. What may not be asked here leaves what was known."""
    await transaction.run(
        "UPDATE feed SET system = coalesce(h.system, feed.system), timeline = coalesce(h.timeline, feed.timeline) "
        "FROM history() h"
    )
