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

    from router.directory.postgres.control_bridge import Bridge
    from router.model.placement import WorkspaceId

_DUE: Final = (
    "d.destination = ANY(%(destinations)s::text[]) AND d.state = 'pending' AND d.due_at <= %(now)s "
    "AND d.held_until <= %(now)s AND NOT EXISTS (SELECT 1 FROM delivery o WHERE o.destination = d.destination "
    "AND o.workspace = d.workspace AND o.state = 'pending' AND o.event < d.event)"
)


class PostgresJournalRows:
    """See `router.control.ports.JournalRows`. The bridge is that of the one transaction this object lives in."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

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
        (row,) = self._bridge.rows(
            "INSERT INTO event (id, type, workspace, occurred_at, payload) "  # noqa: S608 - constants only
            f"VALUES (%(id)s, %(type)s, %(workspace)s, %(at)s, %(payload)s) RETURNING {EVENT_FIELDS}",
            id=event,
            type=kind.value,
            workspace=workspace,
            at=at,
            payload=payload,
        )
        appended = event_of(row)
        for destination in destinations:
            self._put_delivery(appended, destination, now=at)
        return appended

    def event(self, event: str) -> Event | None:
        """See the protocol."""
        row = self._bridge.row(f"{EVENTS} WHERE id = %(id)s", id=event)
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
        rows = self._bridge.rows(
            f"{EVENTS} WHERE number > %(after)s AND (%(workspace)s::text IS NULL OR workspace = %(workspace)s) "  # noqa: S608 - constants only
            "AND (%(kind)s::text IS NULL OR type = %(kind)s) AND (NOT %(undelivered)s OR EXISTS "
            "(SELECT 1 FROM delivery d WHERE d.event = event.number AND d.state <> 'delivered')) "
            "ORDER BY number LIMIT %(limit)s",
            after=after,
            workspace=workspace,
            kind=None if kind is None else kind.value,
            undelivered=undelivered,
            limit=limit,
        )
        return tuple(event_of(row) for row in rows)

    def deliveries(self, events: Collection[int]) -> tuple[Delivery, ...]:
        """See the protocol."""
        rows = self._bridge.rows(
            "SELECT event, destination, state, attempts, due_at, first_attempt_at, ended_at, status, trouble "
            "FROM delivery WHERE event = ANY(%(events)s::bigint[]) ORDER BY event, destination",
            events=list(events),
        )
        return tuple(
            Delivery(event, destination, DeliveryState(state), *rest) for event, destination, state, *rest in rows
        )

    def is_due(self, destinations: Collection[str], *, now: float) -> bool:
        """See the protocol."""
        row = self._bridge.row(
            f"SELECT 1 FROM delivery d WHERE {_DUE} LIMIT 1",  # noqa: S608 - constants only
            destinations=list(destinations),
            now=now,
        )
        return row is not None

    def claim(
        self, destinations: Collection[str], *, now: float, held_until: float, holder: str, limit: int
    ) -> tuple[Claim, ...]:
        """See the protocol."""
        due = self._bridge.rows(
            f"SELECT d.destination, d.attempts, d.first_attempt_at, {EVENT_OF_DELIVERY} FROM delivery d "  # noqa: S608 - constants only
            f"JOIN event e ON e.number = d.event WHERE {_DUE} ORDER BY d.due_at, d.event LIMIT %(limit)s",
            destinations=list(destinations),
            now=now,
            limit=limit,
        )
        claims = tuple(
            Claim(event_of(tuple(event)), destination, attempts, first_attempt_at, holder)
            for destination, attempts, first_attempt_at, *event in due
        )
        for claim in claims:
            self._bridge.run(
                "UPDATE delivery SET holder = %(holder)s, held_until = %(held_until)s "
                "WHERE destination = %(destination)s AND event = %(event)s",
                holder=holder,
                held_until=held_until,
                destination=claim.destination,
                event=claim.event.number,
            )
        return claims

    def settle(self, claim: Claim, delivery: Delivery) -> bool:
        """See the protocol."""
        settled = self._bridge.run(
            "UPDATE delivery SET state = %(state)s, attempts = %(attempts)s, due_at = %(due_at)s, "
            "first_attempt_at = %(first_attempt_at)s, ended_at = %(ended_at)s, status = %(status)s, "
            "trouble = %(trouble)s, holder = NULL, held_until = 0 WHERE destination = %(destination)s "
            "AND event = %(event)s AND holder = %(holder)s AND state = 'pending'",
            state=delivery.state.value,
            attempts=delivery.attempts,
            due_at=delivery.due_at,
            first_attempt_at=delivery.first_attempt_at,
            ended_at=delivery.ended_at,
            status=delivery.status,
            trouble=delivery.trouble,
            destination=claim.destination,
            event=claim.event.number,
            holder=claim.holder,
        )
        return settled > 0

    def revive(self, event: int, destination: str, *, now: float) -> bool:
        """See the protocol."""
        row = self._bridge.row(f"{EVENTS} WHERE number = %(number)s", number=event)
        return row is not None and self._put_delivery(event_of(row), destination, now=now)

    def strand(self, destinations: Collection[str], *, due_before: float, now: float, trouble: str) -> int:
        """See the protocol."""
        return self._bridge.run(
            "UPDATE delivery SET state = 'dead', ended_at = %(now)s, trouble = %(trouble)s, holder = NULL, "
            "held_until = 0 WHERE state = 'pending' AND due_at < %(due_before)s "
            "AND destination = ANY(%(destinations)s::text[])",
            destinations=list(destinations),
            due_before=due_before,
            now=now,
            trouble=trouble,
        )

    def delivery_counts(self) -> Mapping[tuple[str, DeliveryState], int]:
        """See the protocol."""
        rows = self._bridge.rows(
            "SELECT destination, state, count(*) FROM delivery WHERE state <> 'delivered' GROUP BY destination, state"
        )
        return {(destination, DeliveryState(state)): count for destination, state, count in rows}

    def append_audit(
        self, *, at: float, who: str, action: str, subject: str, before: str | None, after: str | None
    ) -> None:
        """See the protocol."""
        self._bridge.run(
            "INSERT INTO audit (at, who, action, subject, before, after) "
            "VALUES (%(at)s, %(who)s, %(action)s, %(subject)s, %(before)s, %(after)s)",
            at=at,
            who=who,
            action=action,
            subject=subject,
            before=before,
            after=after,
        )

    def audit(
        self, *, who: str | None = None, subject: str | None = None, before: int | None = None, limit: int
    ) -> tuple[AuditEntry, ...]:
        """See the protocol."""
        rows = self._bridge.rows(
            "SELECT number, at, who, action, subject, before, after FROM audit "
            "WHERE (%(who)s::text IS NULL OR who = %(who)s) "
            "AND (%(subject)s::text IS NULL OR subject = %(subject)s) "
            "AND (%(before)s::bigint IS NULL OR number < %(before)s) ORDER BY number DESC LIMIT %(limit)s",
            who=who,
            subject=subject,
            before=before,
            limit=limit,
        )
        return tuple(AuditEntry(*row) for row in rows)

    def stored_answer(self, who: str, key: str) -> StoredAnswer | None:
        """See the protocol."""
        row = self._bridge.row(
            "SELECT fingerprint, status, fields, body FROM stored_answer "
            "WHERE who = %(who)s AND idempotency_key = %(key)s",
            who=who,
            key=key,
        )
        return None if row is None else StoredAnswer(*row)

    def store_answer(self, who: str, key: str, answer: StoredAnswer, *, now: float) -> None:
        """See the protocol."""
        self._bridge.run(
            "INSERT INTO stored_answer (who, idempotency_key, fingerprint, status, fields, body, stored_at) "
            "VALUES (%(who)s, %(key)s, %(fingerprint)s, %(status)s, %(fields)s, %(body)s, %(now)s)",
            who=who,
            key=key,
            fingerprint=answer.fingerprint,
            status=answer.status,
            fields=answer.fields,
            body=answer.body,
            now=now,
        )

    def forget_answers(self, before: float) -> int:
        """See the protocol."""
        return self._bridge.run("DELETE FROM stored_answer WHERE stored_at < %(before)s", before=before)

    def _put_delivery(self, event: Event, destination: str, *, now: float) -> bool:
        put = self._bridge.run(
            "INSERT INTO delivery (destination, event, workspace, state, attempts, due_at) "
            "VALUES (%(destination)s, %(event)s, %(workspace)s, 'pending', 0, %(now)s) "
            "ON CONFLICT (destination, event) DO UPDATE SET state = 'pending', attempts = 0, "
            "due_at = excluded.due_at, first_attempt_at = NULL, ended_at = NULL, status = NULL, trouble = NULL, "
            "holder = NULL, held_until = 0 WHERE delivery.state <> 'pending'",
            destination=destination,
            event=event.number,
            workspace=event.workspace,
            now=now,
        )
        return put > 0
