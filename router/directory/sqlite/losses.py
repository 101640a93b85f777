"""What transfers cannot know the end of: written with what causes it, in the same transaction.

The law of the room: a loss is on the list of every transfer that it may concern before that transfer can be
`transferring`. So rows are taken away here and nowhere else but by their own gateway, and what is lost while no
transfer runs is kept for one that starts soon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.directory.rows import LOSSES_KEPT, RUNNING
from router.model.losses import Ending, Losses, LostGateway, UnansweredRequest
from router.model.placement import WorkspaceId

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from router.model.transfer import TransferId


def forget(
    connection: sqlite3.Connection, incarnation: str, *, ending: Ending, renewals: int | None, now: float
) -> bool:
    """Delete the row, if it is there and was not renewed meanwhile, and list its gateway."""
    row = connection.execute(
        "DELETE FROM registration WHERE incarnation = :incarnation AND (:renewals IS NULL OR renewals = :renewals) "
        "RETURNING gateway, host",
        {"incarnation": incarnation, "renewals": renewals},
    ).fetchone()
    if row is None:
        return False
    running = connection.execute(f"SELECT id FROM transfer WHERE {RUNNING}").fetchall()  # noqa: S608 - constants only
    connection.executemany(
        "INSERT INTO lost_gateway (transfer, incarnation, gateway, host, ending, at) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING",
        [(transfer, incarnation, *row, ending, now) for (transfer,) in running or [(None,)]],
    )
    connection.execute("DELETE FROM lost_gateway WHERE transfer IS NULL AND at < ?", (now - LOSSES_KEPT,))
    return True


def keep_unanswered(connection: sqlite3.Connection, requests: Iterable[UnansweredRequest], *, now: float) -> None:
    """Keep each in the running transfer of its workspace, or for one to come."""
    rows = [
        (one.workspace, one.incarnation, one.request_id, one.workspace, one.region, one.ended_at, one.fault)
        for one in requests
    ]
    if not rows:
        return
    connection.executemany(
        "INSERT INTO unanswered_request "  # noqa: S608 - constants only
        "(transfer, incarnation, request_id, workspace, region, ended_at, fault) "
        f"VALUES ((SELECT id FROM transfer WHERE workspace = ? AND {RUNNING}), ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING",
        rows,
    )
    connection.execute("DELETE FROM unanswered_request WHERE transfer IS NULL AND ended_at < ?", (now - LOSSES_KEPT,))


def adopt(connection: sqlite3.Connection, transfer: TransferId, workspace: WorkspaceId, *, since: float) -> None:
    """Put what was lost since then on the list of a transfer that starts."""
    connection.execute(
        "INSERT INTO lost_gateway (transfer, incarnation, gateway, host, ending, at) "
        "SELECT ?, incarnation, gateway, host, ending, at FROM lost_gateway WHERE at >= ? ON CONFLICT DO NOTHING",
        (transfer, since),
    )
    connection.execute(
        "INSERT INTO unanswered_request (transfer, incarnation, request_id, workspace, region, ended_at, fault) "
        "SELECT ?, incarnation, request_id, workspace, region, ended_at, fault FROM unanswered_request "
        "WHERE workspace = ? AND ended_at >= ? ON CONFLICT DO NOTHING",
        (transfer, workspace, since),
    )


def losses(connection: sqlite3.Connection, transfer: TransferId) -> Losses:
    """The list of `transfer`."""
    gateways = connection.execute(
        "SELECT incarnation, gateway, host, ending, at FROM lost_gateway WHERE transfer = ? ORDER BY at, incarnation",
        (transfer,),
    )
    requests = connection.execute(
        "SELECT request_id, workspace, region, incarnation, ended_at, fault FROM unanswered_request "
        "WHERE transfer = ? ORDER BY ended_at, incarnation, request_id",
        (transfer,),
    )
    return Losses(
        tuple(LostGateway(name, gateway, host, Ending(ending), at) for name, gateway, host, ending, at in gateways),
        tuple(UnansweredRequest(name, WorkspaceId(workspace), *rest) for name, workspace, *rest in requests),
    )
