"""The control plane's rows of events and deliveries, of the audit log and of stored answers, in one transaction.

Which delivery is due is decided by one query: of each destination and workspace only the oldest pending event, and that
only while nobody holds it. So a workspace's events reach a destination in order, and an event that is tried again and
again holds up those behind it, until it is delivered or dead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.directory.control_rows import EVENT_FIELDS, EVENT_OF_DELIVERY, EVENTS, event_of
from router.model.journal import AuditEntry, Claim, Delivery, DeliveryState, Event, EventType, StoredAnswer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from router.directory.sqlite.feed import Feed
    from router.model.placement import WorkspaceId

_DUE: Final = (
    "d.state = 'pending' AND d.due_at <= ? AND d.held_until <= ? AND NOT EXISTS "
    "(SELECT 1 FROM delivery o WHERE o.destination = d.destination AND o.workspace = d.workspace "
    "AND o.state = 'pending' AND o.event < d.event)"
)


class SqliteJournalRows:
    """See `router.control.ports.JournalRows`. The feed is that of the one transaction this object lives in."""

    def __init__(self, feed: Feed) -> None:
        self._connection = feed.connection

    def append_event(
        self,
        event: str,
        kind: EventType,
        workspace: WorkspaceId,
        *,
        at: float,
        payload: str,
        destinations: Iterable[str],
    ) -> Event:
        """See the protocol."""
        row = self._connection.execute(
            "INSERT INTO event (id, type, workspace, occurred_at, payload) VALUES (?, ?, ?, ?, ?) "  # noqa: S608 - constants only
            f"RETURNING {EVENT_FIELDS}",
            (event, kind, workspace, at, payload),
        ).fetchone()
        appended = event_of(row)
        for destination in destinations:
            self._put_delivery(appended, destination, now=at)
        return appended

    def event(self, event: str) -> Event | None:
        """See the protocol."""
        row = self._connection.execute(f"{EVENTS} WHERE id = ?", (event,)).fetchone()
        return None if row is None else event_of(row)

    def events(
        self,
        *,
        workspace: WorkspaceId | None = None,
        kind: EventType | None = None,
        undelivered: bool = False,
        after: int = 0,
        limit: int,
    ) -> tuple[Event, ...]:
        """See the protocol."""
        rows = self._connection.execute(
            f"{EVENTS} WHERE number > :after AND (:workspace IS NULL OR workspace = :workspace) "  # noqa: S608 - constants only
            "AND (:kind IS NULL OR type = :kind) AND (NOT :undelivered OR EXISTS "
            "(SELECT 1 FROM delivery d WHERE d.event = event.number AND d.state <> 'delivered')) "
            "ORDER BY number LIMIT :limit",
            {"after": after, "workspace": workspace, "kind": kind, "undelivered": undelivered, "limit": limit},
        )
        return tuple(event_of(row) for row in rows)

    def deliveries(self, events: Collection[int]) -> tuple[Delivery, ...]:
        """See the protocol."""
        rows = self._connection.execute(
            "SELECT event, destination, state, attempts, due_at, first_attempt_at, ended_at, status, trouble "  # noqa: S608 - marks only
            f"FROM delivery WHERE event IN ({_marks(events)}) ORDER BY event, destination",
            tuple(events),
        )
        return tuple(
            Delivery(event, destination, DeliveryState(state), *rest) for event, destination, state, *rest in rows
        )

    def is_due(self, destinations: Collection[str], *, now: float) -> bool:
        """See the protocol."""
        row = self._connection.execute(
            f"SELECT 1 FROM delivery d WHERE d.destination IN ({_marks(destinations)}) AND {_DUE} LIMIT 1",  # noqa: S608 - marks only
            (*destinations, now, now),
        ).fetchone()
        return row is not None

    def claim(
        self, destinations: Collection[str], *, now: float, held_until: float, holder: str, limit: int
    ) -> tuple[Claim, ...]:
        """See the protocol."""
        due = self._connection.execute(
            f"SELECT d.destination, d.attempts, d.first_attempt_at, {EVENT_OF_DELIVERY} FROM delivery d "  # noqa: S608 - marks only
            f"JOIN event e ON e.number = d.event WHERE d.destination IN ({_marks(destinations)}) AND {_DUE} "
            "ORDER BY d.due_at, d.event LIMIT ?",
            (*destinations, now, now, limit),
        ).fetchall()
        claims = tuple(
            Claim(event_of(tuple(event)), destination, attempts, first_attempt_at, holder)
            for destination, attempts, first_attempt_at, *event in due
        )
        self._connection.executemany(
            "UPDATE delivery SET holder = ?, held_until = ? WHERE destination = ? AND event = ?",
            [(holder, held_until, claim.destination, claim.event.number) for claim in claims],
        )
        return claims

    def settle(self, claim: Claim, delivery: Delivery) -> bool:
        """See the protocol."""
        settled = self._connection.execute(
            "UPDATE delivery SET state = ?, attempts = ?, due_at = ?, first_attempt_at = ?, ended_at = ?, status = ?, "
            "trouble = ?, holder = NULL, held_until = 0 "
            "WHERE destination = ? AND event = ? AND holder = ? AND state = 'pending'",
            (
                delivery.state,
                delivery.attempts,
                delivery.due_at,
                delivery.first_attempt_at,
                delivery.ended_at,
                delivery.status,
                delivery.trouble,
                claim.destination,
                claim.event.number,
                claim.holder,
            ),
        )
        return settled.rowcount > 0

    def revive(self, event: int, destination: str, *, now: float) -> bool:
        """See the protocol."""
        row = self._connection.execute(f"{EVENTS} WHERE number = ?", (event,)).fetchone()
        return row is not None and self._put_delivery(event_of(row), destination, now=now)

    def strand(self, destinations: Collection[str], *, due_before: float, now: float, trouble: str) -> int:
        """See the protocol."""
        stranded = self._connection.execute(
            "UPDATE delivery SET state = 'dead', ended_at = ?, trouble = ?, holder = NULL, held_until = 0 "  # noqa: S608 - marks only
            f"WHERE state = 'pending' AND due_at < ? AND destination IN ({_marks(destinations)})",
            (now, trouble, due_before, *destinations),
        )
        return stranded.rowcount

    def delivery_counts(self) -> Mapping[tuple[str, DeliveryState], int]:
        """See the protocol."""
        rows = self._connection.execute(
            "SELECT destination, state, count(*) FROM delivery WHERE state <> 'delivered' GROUP BY destination, state"
        )
        return {(destination, DeliveryState(state)): count for destination, state, count in rows}

    def append_audit(
        self, *, at: float, who: str, action: str, subject: str, before: str | None, after: str | None
    ) -> None:
        """See the protocol."""
        self._connection.execute(
            "INSERT INTO audit (at, who, action, subject, before, after) VALUES (?, ?, ?, ?, ?, ?)",
            (at, who, action, subject, before, after),
        )

    def audit(
        self, *, who: str | None = None, subject: str | None = None, before: int | None = None, limit: int
    ) -> tuple[AuditEntry, ...]:
        """See the protocol."""
        rows = self._connection.execute(
            "SELECT number, at, who, action, subject, before, after FROM audit "
            "WHERE (:who IS NULL OR who = :who) AND (:subject IS NULL OR subject = :subject) "
            "AND (:before IS NULL OR number < :before) ORDER BY number DESC LIMIT :limit",
            {"who": who, "subject": subject, "before": before, "limit": limit},
        )
        return tuple(AuditEntry(*row) for row in rows)

    def stored_answer(self, who: str, key: str) -> StoredAnswer | None:
        """See the protocol."""
        row = self._connection.execute(
            "SELECT fingerprint, status, fields, body FROM stored_answer WHERE who = ? AND idempotency_key = ?",
            (who, key),
        ).fetchone()
        return None if row is None else StoredAnswer(*row)

    def store_answer(self, who: str, key: str, answer: StoredAnswer, *, now: float) -> None:
        """See the protocol."""
        self._connection.execute(
            "INSERT INTO stored_answer (who, idempotency_key, fingerprint, status, fields, body, stored_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (who, key, answer.fingerprint, answer.status, answer.fields, answer.body, now),
        )

    def forget_answers(self, before: float) -> int:
        """See the protocol."""
        return self._connection.execute("DELETE FROM stored_answer WHERE stored_at < ?", (before,)).rowcount

    def _put_delivery(self, event: Event, destination: str, *, now: float) -> bool:
        put = self._connection.execute(
            "INSERT INTO delivery (destination, event, workspace, state, attempts, due_at) "
            "VALUES (?, ?, ?, 'pending', 0, ?) ON CONFLICT (destination, event) DO UPDATE SET state = 'pending', "
            "attempts = 0, due_at = excluded.due_at, first_attempt_at = NULL, ended_at = NULL, status = NULL, "
            "trouble = NULL, holder = NULL, held_until = 0 WHERE state <> 'pending'",
            (destination, event.number, event.workspace, now),
        )
        return put.rowcount > 0


def _marks(values: Collection[object]) -> str:
    return ", ".join("?" for _ in values)
