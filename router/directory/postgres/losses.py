"""What transfers cannot know the end of: written with what causes it, in the same transaction.

The law of the room: a loss is on the list of every transfer that it may concern before that transfer can be
`transferring`. So rows are taken away here and nowhere else but by their own gateway, what is lost while no transfer
runs is kept for one that starts soon, and whoever writes here holds the feed's row with its like: no transfer starts
or becomes `transferring` in the middle of it, neither seeing it nor being seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.directory.rows import LOSSES_KEPT, RUNNING
from router.model.losses import Ending, Losses, LostGateway, UnansweredRequest
from router.model.placement import WorkspaceId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.directory.postgres.session import Transaction
    from router.model.transfer import TransferId


async def forget(
    transaction: Transaction, incarnation: str, *, ending: Ending, renewals: int | None, now: float
) -> bool:
    """Delete the row, if it is there and was not renewed meanwhile, and list its gateway.

    A renewal under way holds the row: this waits for its end, and then compares with what it has left.
    """
    row = await transaction.row(
        "DELETE FROM registration WHERE incarnation = %(incarnation)s "
        "AND (%(renewals)s::bigint IS NULL OR renewals = %(renewals)s::bigint) RETURNING gateway, host",
        {"incarnation": incarnation, "renewals": renewals},
    )
    if row is None:
        return False
    gateway, host = row
    await transaction.run(
        "WITH running AS (SELECT id FROM transfer "  # noqa: S608 - constants only
        f"WHERE {RUNNING}) "
        "INSERT INTO lost_gateway (transfer, incarnation, gateway, host, ending, at) "
        "SELECT id, %(incarnation)s, %(gateway)s, %(host)s, %(ending)s, %(now)s FROM "
        "(SELECT id FROM running UNION ALL SELECT NULL WHERE NOT EXISTS (SELECT FROM running)) listed "
        "ON CONFLICT DO NOTHING",
        {"incarnation": incarnation, "gateway": gateway, "host": host, "ending": ending.value, "now": now},
    )
    await transaction.run(
        "DELETE FROM lost_gateway WHERE transfer IS NULL AND at < %(since)s", {"since": now - LOSSES_KEPT}
    )
    return True


async def keep_unanswered(transaction: Transaction, requests: Sequence[UnansweredRequest], *, now: float) -> None:
    """Keep each in the running transfer of its workspace, or for one to come."""
    if not requests:
        return
    await transaction.run(
        "INSERT INTO unanswered_request (transfer, incarnation, request_id, workspace, region, ended_at, fault) "  # noqa: S608 - constants only
        "SELECT t.id, r.* FROM unnest(%(incarnation)s::text[], %(request_id)s::text[], %(workspace)s::text[], "
        "%(region)s::text[], %(ended_at)s::double precision[], %(fault)s::text[]) "
        "AS r (incarnation, request_id, workspace, region, ended_at, fault) "
        f"LEFT JOIN transfer t ON t.workspace = r.workspace AND t.{RUNNING} ON CONFLICT DO NOTHING",
        {
            "incarnation": [one.incarnation for one in requests],
            "request_id": [one.request_id for one in requests],
            "workspace": [one.workspace for one in requests],
            "region": [one.region for one in requests],
            "ended_at": [one.ended_at for one in requests],
            "fault": [one.fault for one in requests],
        },
    )
    await transaction.run(
        "DELETE FROM unanswered_request WHERE transfer IS NULL AND ended_at < %(since)s", {"since": now - LOSSES_KEPT}
    )


async def adopt(transaction: Transaction, transfer: TransferId, workspace: WorkspaceId, *, since: float) -> None:
    """Put what was lost since then on the list of a transfer that starts."""
    parameters = {"transfer": transfer, "workspace": workspace, "since": since}
    await transaction.run(
        "INSERT INTO lost_gateway (transfer, incarnation, gateway, host, ending, at) "
        "SELECT %(transfer)s, incarnation, gateway, host, ending, at FROM lost_gateway WHERE at >= %(since)s "
        "ON CONFLICT DO NOTHING",
        parameters,
    )
    await transaction.run(
        "INSERT INTO unanswered_request (transfer, incarnation, request_id, workspace, region, ended_at, fault) "
        "SELECT %(transfer)s, incarnation, request_id, workspace, region, ended_at, fault FROM unanswered_request "
        "WHERE workspace = %(workspace)s AND ended_at >= %(since)s ON CONFLICT DO NOTHING",
        parameters,
    )


async def losses(transaction: Transaction, transfer: TransferId) -> Losses:
    """The list of `transfer`."""
    gateways = await transaction.rows(
        "SELECT incarnation, gateway, host, ending, at FROM lost_gateway WHERE transfer = %(transfer)s "
        "ORDER BY at, incarnation",
        {"transfer": transfer},
    )
    requests = await transaction.rows(
        "SELECT request_id, workspace, region, incarnation, ended_at, fault FROM unanswered_request "
        "WHERE transfer = %(transfer)s ORDER BY ended_at, incarnation, request_id",
        {"transfer": transfer},
    )
    return Losses(
        tuple(LostGateway(name, gateway, host, Ending(ending), at) for name, gateway, host, ending, at in gateways),
        tuple(UnansweredRequest(name, WorkspaceId(workspace), *rest) for name, workspace, *rest in requests),
    )
