"""The feed under writers that really run at the same time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from router.directory.store import Position, Renewal
from router.model.losses import UnansweredRequest
from router.model.placement import Entry, Kind
from tests.directory.feeds import W1, W2, draft, read_feed, register, renew, transfer_of
from tests.directory.postgres.gates import Gate, raw
from tests.postgres_server import url_of

if TYPE_CHECKING:
    from tests.directory.sites import PostgresSite


async def test_a_version_column_loses_the_row_of_a_slow_writer(database: PostgresSite) -> None:
    """Why the feed is not made so."""
    url = url_of(database.database)
    async with raw(url) as slow, raw(url) as fast, raw(url) as follower:
        await follower.execute("CREATE TABLE naive (name text, version bigserial)")
        await slow.execute("BEGIN")
        await slow.execute("INSERT INTO naive (name) VALUES ('slow')")
        await fast.execute("INSERT INTO naive (name) VALUES ('fast')")
        seen = await (await follower.execute("SELECT version, name FROM naive ORDER BY version")).fetchall()
        await slow.execute("COMMIT")
        last = seen[-1][0]
        seen += await (await follower.execute(f"SELECT version, name FROM naive WHERE version > {last}")).fetchall()
        assert [name for _, name in seen] == ["fast"]


async def test_the_feed_loses_no_row_of_a_slow_writer(database: PostgresSite) -> None:
    slow, fast, follower = database.connect(), database.connect(), database.connect()
    incarnation, start = await register(follower), await follower.position()
    async with raw(url_of(database.database)) as connection:
        gate = Gate(connection)
        await gate.close_for(W1)
        writing = [asyncio.create_task(slow.put_workspaces([draft(1)]))]
        await gate.until_waiting(1)
        writing.append(asyncio.create_task(fast.put_workspaces([draft(2)])))
        await gate.until_waiting(2)
        seen = list((await renew(follower, incarnation, start)).changes)
        await gate.open()
        await asyncio.gather(*writing)
    seen += (await renew(follower, incarnation, Position(start.generation, len(seen)))).changes
    assert [(change.seq, change.fact.entry.name) for change in seen] == [(1, W1), (2, W2)]


async def test_lookups_and_renewals_wait_for_no_writer(database: PostgresSite) -> None:
    store, gateway = database.connect(), database.connect()
    incarnation, start = await register(gateway), await gateway.position()
    async with raw(url_of(database.database)) as connection:
        gate = Gate(connection)
        await gate.close_for(W1)
        writing = asyncio.create_task(store.put_workspaces([draft(1)]))
        await gate.until_waiting(1)
        assert (await renew(gateway, incarnation, start)).head == 0
        assert (await gateway.lookup(draft_entry(1), primary=True)).seq == 0
        assert not writing.done()
        await gate.open()
        await writing


async def test_a_loss_told_while_a_transfer_starts_is_on_its_list(database: PostgresSite) -> None:
    store, gateway = database.connect(), database.connect()
    await store.put_workspaces([draft(1)])
    incarnation, start = await register(gateway), await gateway.position()
    lost = UnansweredRequest("r1", W1, "eu", incarnation, 900.0, "truncated")
    async with raw(url_of(database.database)) as connection:
        gate = Gate(connection)
        await gate.close_for(W1)
        starting = asyncio.create_task(store.start_transfer(transfer_of(W1), losses_since=0.0))
        await gate.until_waiting(1)
        telling = asyncio.create_task(gateway.renew(renewal_of(incarnation, start, lost)))
        await gate.until_waiting(2)
        await gate.open()
        transfer = await starting
        await telling
    assert (await store.losses(transfer.id)).requests == (lost,)


async def test_a_feed_of_many_changes_in_one_transaction_is_pruned_as_it_is_written(database: PostgresSite) -> None:
    store = database.connect(keep_changes=100)
    await store.put_workspaces([draft(number) for number in range(1, 12_001)])
    info = await store.info()
    assert (info.floor, info.head) == (11_901, 12_000)
    assert [change.seq for change in await read_feed(store, since=11_900)] == list(range(11_901, 12_001))


def draft_entry(number: int) -> Entry:
    return Entry(Kind.WORKSPACE, draft(number).workspace)


def renewal_of(incarnation: str, position: Position, *unanswered: UnansweredRequest) -> Renewal:
    return Renewal(incarnation, 0, position, unanswered=unanswered)
