"""Events reach their destinations: signed, in order, at least once, and are given up after a day."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from router.control.delivery import CLAIM, FIRST_PAUSE, GIVE_UP, LONGEST_PAUSE, POLL, Dispatcher
from router.control.secret_files import SecretFile
from router.control.webhooks import Destination, WebhookSender, sign, signing_keys
from router.model.journal import Delivery, DeliveryState
from tests.control.api_site import serving
from tests.control.control_sites import W1, W2, Stage
from tests.control.receiver import SECRET, Receiver, receiving
from tests.directory.manual_clock import settle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from router.control.ports import ControlStore

OTHER_SECRET = "whsec_" + "C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """What the destination `hook` leads to."""
    async with receiving() as one:
        yield one


@pytest.fixture
async def sender() -> AsyncIterator[WebhookSender]:
    sender = WebhookSender()
    yield sender
    await sender.close()


@pytest.fixture
def dispatcher(make: Callable[[ControlStore], Dispatcher], stage: Stage) -> Dispatcher:
    """The one of this process."""
    return make(stage.site.store)


@pytest.fixture
def make(
    stage: Stage, sender: WebhookSender, receiver: Receiver, tmp_path: Path
) -> Callable[[ControlStore], Dispatcher]:
    """Makes the dispatcher of a process with that store."""
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    destination = Destination("hook", receiver.url, SecretFile(secret))
    return lambda store: Dispatcher(store, sender, destination, stage.site.clock, random.Random(1))


async def deliveries(stage: Stage) -> list[Delivery]:
    events = await stage.do(lambda tx: tx.events(limit=1000))
    return list(await stage.do(lambda tx: tx.deliveries([event.number for event in events])))


async def drain(dispatcher: Dispatcher) -> None:
    """Attempt all that is due now."""
    while await dispatcher.deliver():
        pass


async def test_an_event_arrives_signed(stage: Stage, dispatcher: Dispatcher, receiver: Receiver) -> None:
    await stage.put()
    transfer = await stage.start()
    assert await dispatcher.deliver() == 1
    (got,) = receiver.got
    assert (got["type"], got["data"]["transfer"]) == ("transfer.started", transfer)
    (delivery,) = await deliveries(stage)
    assert (delivery.state, delivery.attempts, delivery.status) == (DeliveryState.DELIVERED, 1, 204)


async def test_what_was_delivered_is_not_sent_again(stage: Stage, dispatcher: Dispatcher, receiver: Receiver) -> None:
    await stage.put()
    await stage.start()
    await drain(dispatcher)
    stage.site.clock.jump(GIVE_UP)
    await drain(dispatcher)
    assert len(receiver.ids) == 1


async def test_a_workspace_s_events_arrive_in_order(stage: Stage, dispatcher: Dispatcher, receiver: Receiver) -> None:
    await stage.put()
    await stage.completed()
    await drain(dispatcher)
    assert receiver.types == ["transfer.started", "transfer.completed"]


@pytest.mark.parametrize("status", [302, 400, 410, 500, 503])
async def test_an_event_that_was_not_taken_comes_again_with_the_same_id(
    stage: Stage, dispatcher: Dispatcher, receiver: Receiver, status: int
) -> None:
    receiver.statuses = [status]
    await stage.put()
    await stage.start()
    await drain(dispatcher)
    assert receiver.got == []
    stage.site.clock.jump(2 * FIRST_PAUSE)
    await drain(dispatcher)
    assert len(receiver.ids) == 2
    assert len(set(receiver.ids)) == 1


async def test_an_event_that_waits_holds_up_its_workspace_and_no_other(
    stage: Stage, dispatcher: Dispatcher, receiver: Receiver
) -> None:
    receiver.statuses = [500]
    await stage.put()
    await stage.put(W2)
    await stage.completed(W1)
    await drain(dispatcher)
    await stage.start(W2)
    await drain(dispatcher)
    assert [one["data"]["workspace"] for one in receiver.got] == [W2]
    stage.site.clock.jump(2 * FIRST_PAUSE)
    await drain(dispatcher)
    assert [one["type"] for one in receiver.got if one["data"]["workspace"] == W1] == [
        "transfer.started",
        "transfer.completed",
    ]


async def test_pauses_double_up_to_an_hour(stage: Stage, dispatcher: Dispatcher, receiver: Receiver) -> None:
    receiver.statuses = [500] * 12
    await stage.put()
    await stage.start()
    pauses = []
    for _ in range(12):
        await drain(dispatcher)
        (delivery,) = await deliveries(stage)
        pauses.append(delivery.due_at - stage.now)
        stage.site.clock.jump(delivery.due_at - stage.now)
    for n, pause in enumerate(pauses):
        assert pause == pytest.approx(min(LONGEST_PAUSE, FIRST_PAUSE * 2**n), rel=0.2), n


async def test_an_event_is_dead_after_a_day_and_lets_those_behind_it_pass(
    stage: Stage, dispatcher: Dispatcher, receiver: Receiver
) -> None:
    await stage.put()
    await stage.completed()
    receiver.statuses = [500] * 1000
    started = stage.now
    while (await deliveries(stage))[0].state is DeliveryState.PENDING:
        stage.site.clock.jump(max(0.0, (await deliveries(stage))[0].due_at - stage.now))
        await dispatcher.deliver()
    assert GIVE_UP - 1.2 * LONGEST_PAUSE <= stage.now - started <= GIVE_UP
    receiver.statuses.clear()
    await drain(dispatcher)
    assert receiver.types == ["transfer.completed"]


async def test_a_dead_event_can_be_sent_once_more(stage: Stage, dispatcher: Dispatcher, receiver: Receiver) -> None:
    receiver.statuses = [500] * 2
    await stage.put()
    await stage.start()
    await drain(dispatcher)
    stage.site.clock.jump(GIVE_UP)
    await drain(dispatcher)
    (dead,) = await deliveries(stage)
    assert dead.state is DeliveryState.DEAD
    async with serving(stage.site) as api:
        (event,) = (await api.send("GET", "/events")).json["items"]
        reply = await api.send("POST", f"/events/{event['id']}/resend", {})
        assert reply.json["deliveries"][0]["state"] == "pending"
    await drain(dispatcher)
    assert receiver.types == ["transfer.started"]


async def test_a_destination_that_cannot_be_reached_is_tried_again(
    stage: Stage, sender: WebhookSender, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text(SECRET)
    async with receiving() as gone:
        url = gone.url
    destination = Destination("hook", url, SecretFile(tmp_path / "secret"))
    dispatcher = Dispatcher(stage.site.store, sender, destination, stage.site.clock, random.Random(1))
    await stage.put()
    await stage.start()
    await drain(dispatcher)
    (delivery,) = await deliveries(stage)
    assert (delivery.state, delivery.status) == (DeliveryState.PENDING, None)
    assert delivery.trouble is not None
    assert "ClientConnectorError" in delivery.trouble


async def test_without_a_secret_nothing_is_sent(
    stage: Stage, dispatcher: Dispatcher, receiver: Receiver, tmp_path: Path
) -> None:
    (tmp_path / "secret").unlink()
    await stage.put()
    await stage.start()
    await drain(dispatcher)
    (delivery,) = await deliveries(stage)
    assert (delivery.state, receiver.ids) == (DeliveryState.PENDING, [])
    assert "there is no whsec_ key" in (delivery.trouble or "")


# Several processes


async def test_two_processes_send_each_event_once(
    stage: Stage, make: Callable[[ControlStore], Dispatcher], receiver: Receiver
) -> None:
    first, second = make(stage.site.store), make(stage.site.connect())
    for n in range(30):
        await stage.put(type(W1)(f"{n:024x}"))
        await stage.start(type(W1)(f"{n:024x}"))
    for _ in range(10):
        await asyncio.gather(first.deliver(), second.deliver())
    assert len(receiver.ids) == 30
    assert len(set(receiver.ids)) == 30


async def test_what_a_process_took_and_never_settled_is_sent_when_its_claim_is_over(
    stage: Stage, dispatcher: Dispatcher, receiver: Receiver
) -> None:
    await stage.put()
    await stage.start()
    now = stage.now
    taken = await stage.do(lambda tx: tx.claim(("hook",), now=now, held_until=now + CLAIM, holder="died", limit=10))
    assert len(taken) == 1
    await drain(dispatcher)
    assert receiver.ids == []
    stage.site.clock.jump(CLAIM)
    await drain(dispatcher)
    assert receiver.types == ["transfer.started"]


async def test_a_process_that_stood_still_settles_nothing(stage: Stage, dispatcher: Dispatcher) -> None:
    await stage.put()
    await stage.start()
    now = stage.now
    (late,) = await stage.do(lambda tx: tx.claim(("hook",), now=now, held_until=now, holder="late", limit=10))
    await drain(dispatcher)
    failed = Delivery(late.event.number, "hook", DeliveryState.DEAD, 9, now)
    assert not await stage.do(lambda tx: tx.settle(late, failed))
    (delivery,) = await deliveries(stage)
    assert delivery.state is DeliveryState.DELIVERED


async def test_the_loop_looks_again_and_again(stage: Stage, dispatcher: Dispatcher, receiver: Receiver) -> None:
    running = asyncio.create_task(dispatcher.run())
    await settle()
    await stage.put()
    await stage.start()
    try:
        async with asyncio.timeout(20):
            while not receiver.got:
                await stage.site.clock.advance(POLL)
                await stage.do(lambda tx: tx.head())
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert receiver.types == ["transfer.started"]


# Signatures


def test_while_a_secret_is_replaced_both_keys_sign() -> None:
    keys = signing_keys(f"{OTHER_SECRET}\n{SECRET}\n".encode())
    assert len(sign(keys, "evt_1", 1, "{}").split()) == 2


@pytest.mark.parametrize("text", [b"", b" ", b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b"whsec_MfKQ", b"whsec_*", None])
def test_what_is_no_key_signs_nothing(text: bytes | None) -> None:
    with pytest.raises(ValueError, match="key"):
        signing_keys(text)
