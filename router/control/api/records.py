"""Operations on what is written down: backups, gateways, events, the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.control import gateways
from router.control.api import sent, shown
from router.control.api.operations import Answer, answer
from router.control.api.pages import cut, read_number
from router.control.api.pictures import audit_line, backup_data, event_data, forgotten_gateway, gateway_state
from router.control.audit import Act, record
from router.control.problems import ControlProblem, Declined, decline
from router.model.journal import DeliveryState
from router.model.losses import Ending
from router.model.placement import WorkspaceId
from router.model.region import RegionName
from router.model.transfer import TransferId

if TYPE_CHECKING:
    from router.control.api.calls import Call
    from router.control.ports import ControlTransaction


async def who_am_i(call: Call) -> Answer | Declined:
    """Who the token says you are."""
    return answer(shown.Me(name=call.principal.name, scopes=sorted(call.principal.scopes)))


async def list_backups(call: Call) -> Answer | Declined:
    """The copies that transfers left at their sources."""
    query = call.asked(sent.BackupQuery)

    def work(tx: ControlTransaction) -> Answer:
        found = tx.backups(
            workspace=None if query.workspace is None else WorkspaceId(query.workspace.lower()),
            region=None if query.region is None else RegionName(query.region),
            state=query.state,
            after=None if query.after is None else TransferId(query.after),
            limit=query.limit + 1,
        )
        page, cursor = cut(found, query.limit, lambda backup: backup.transfer)
        return answer(shown.Backups(items=[backup_data(backup) for backup in page], next=cursor))

    return await call.read(work)


async def list_gateways(call: Call) -> Answer | Declined:
    """The registered gateways, whom a transfer waits for."""

    def work(tx: ControlTransaction) -> Answer:
        found = gateways.list_gateways(tx, call.site.directory)
        return answer(shown.Gateways(items=[gateway_state(one) for one in found], head=tx.head()))

    return await call.read(work)


async def forget_gateway(call: Call) -> Answer | Declined:
    """Take the registration of a dead gateway away, after it was watched for some seconds."""
    site, incarnation = call.site, call.path["incarnation"]
    watched = await gateways.watch_gateway(site.store, site.locks, site.clock, site.directory, incarnation)

    def work(tx: ControlTransaction, act: Act) -> Answer | Declined:
        # Only here, behind the look for an answer that was given already: a repeated call finds the row gone.
        if isinstance(watched, Declined):
            return watched
        done = gateways.forget_gateway(tx, act, site.directory, watched)
        return done if isinstance(done, Declined) else answer(forgotten_gateway(done))

    outcome = await call.change(work)
    if isinstance(watched, gateways.Sighting) and watched.ending is Ending.DEAD and isinstance(outcome, Answer):
        site.locks.discard(incarnation)
    return outcome


async def list_events(call: Call) -> Answer | Declined:
    """Events with their deliveries, the oldest first."""
    query = call.asked(sent.EventQuery)
    after = read_number(query.after)
    if isinstance(after, Declined):
        return after

    def work(tx: ControlTransaction) -> Answer:
        found = tx.events(
            workspace=None if query.workspace is None else WorkspaceId(query.workspace.lower()),
            kind=query.type,
            undelivered=query.undelivered == "true",
            after=after or 0,
            limit=query.limit + 1,
        )
        page, cursor = cut(found, query.limit, lambda event: str(event.number))
        deliveries = tx.deliveries([event.number for event in page])
        items = [event_data(event, [one for one in deliveries if one.event == event.number]) for event in page]
        return answer(shown.Events(items=items, next=cursor))

    return await call.read(work)


async def get_event(call: Call) -> Answer | Declined:
    """One event with its deliveries."""
    return await call.read(lambda tx: _event(tx, call.path["event"]))


async def resend_event(call: Call) -> Answer | Declined:
    """Send an event once more: with a whole day to be tried, ahead of what is pending behind it."""
    wanted = call.sent(sent.Resend).destination
    name = call.path["event"]

    def work(tx: ControlTransaction, act: Act) -> Answer | Declined:
        found = tx.event(name)
        if found is None:
            return _no_event(name)
        if wanted is not None and wanted not in call.site.options.destinations:
            return decline(ControlProblem.NO_DESTINATION, f"No destination is called {wanted!r}.")
        pending = {one.destination for one in tx.deliveries([found.number]) if one.state is DeliveryState.PENDING}
        destinations = [one for one in call.site.options.destinations if one == (wanted or one) and one not in pending]
        if not destinations:
            return decline(ControlProblem.NOT_ENDED, f"Event {name} is on its way already, or nobody is told of any.")
        for destination in destinations:
            tx.revive(found.number, destination, now=act.now)
        record(tx, act, "event.resend", f"event:{name}", after={"destinations": destinations})
        return _event(tx, name)

    return await call.change(work)


async def list_audit(call: Call) -> Answer | Declined:
    """The audit log, the newest first."""
    query = call.asked(sent.AuditQuery)
    before = read_number(query.after)
    if isinstance(before, Declined):
        return before

    def work(tx: ControlTransaction) -> Answer:
        found = tx.audit(who=query.who, subject=query.subject, before=before, limit=query.limit + 1)
        page, cursor = cut(found, query.limit, lambda entry: str(entry.number))
        return answer(shown.AuditLog(items=[audit_line(entry) for entry in page], next=cursor))

    return await call.read(work)


def _event(tx: ControlTransaction, name: str) -> Answer | Declined:
    found = tx.event(name)
    if found is None:
        return _no_event(name)
    return answer(event_data(found, tx.deliveries([found.number])))


def _no_event(name: str) -> Declined:
    return decline(ControlProblem.NO_EVENT, f"There is no event {name}.")
