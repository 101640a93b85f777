"""The exchange's table: whole, and with an end that nothing leads out of."""

from __future__ import annotations

import pytest

from router.gateway.exchange_steps import STEPS
from router.gateway.exchange_table import TABLE, Event, State, Step

BEFORE_THE_ANSWER = {State.CONNECTING, State.UPLOADING, State.AWAITING, State.HELD}
IN_THE_ANSWER = {State.CROSSING, State.DOWNLOADING}

# Only a head that is held back asks the directory, and only a request that was sent whole has such a head.
ASKED = {Event.MOVED, Event.STAYED}
REROUTING = ASKED | {Event.DISOWNED, Event.KEY_REFUSED}

IMPOSSIBLE = {
    # No region's connection is there yet, and the client's input is held.
    State.CONNECTING: REROUTING
    | {
        Event.BODY_PIECE,
        Event.UPLOADED,
        Event.BODY_FAULT,
        Event.ANSWER_HEAD,
        Event.SWITCHED,
        Event.ANSWER_PIECE,
        Event.ANSWERED,
        Event.REGION_FAULT,
    },
    # A body's bytes come behind its head.
    State.UPLOADING: REROUTING | {Event.CONNECTED, Event.NOT_CONNECTED, Event.ANSWER_PIECE, Event.ANSWERED},
    # The upload is over; what the client sends on is kept for the next request.
    State.AWAITING: ASKED
    | {
        Event.CONNECTED,
        Event.NOT_CONNECTED,
        Event.BODY_PIECE,
        Event.UPLOADED,
        Event.BODY_FAULT,
        Event.ANSWER_PIECE,
        Event.ANSWERED,
    },
    # Its connection is paused, but its end may have come in the same read.
    State.HELD: {
        Event.ANSWER_PIECE,
        Event.CONNECTED,
        Event.NOT_CONNECTED,
        Event.BODY_PIECE,
        Event.UPLOADED,
        Event.BODY_FAULT,
        Event.ANSWER_HEAD,
        Event.SWITCHED,
        Event.DISOWNED,
        Event.KEY_REFUSED,
    },
    # There is one final head.
    State.CROSSING: REROUTING | {Event.CONNECTED, Event.NOT_CONNECTED, Event.ANSWER_HEAD, Event.SWITCHED},
    State.DOWNLOADING: REROUTING
    | {
        Event.CONNECTED,
        Event.NOT_CONNECTED,
        Event.BODY_PIECE,
        Event.UPLOADED,
        Event.BODY_FAULT,
        Event.ANSWER_HEAD,
        Event.SWITCHED,
    },
    State.OVER: set(),
}


@pytest.mark.parametrize("state", State)
def test_every_event_has_a_row_in_every_state(state: State) -> None:
    assert set(TABLE[state]) == set(Event)


@pytest.mark.parametrize("event", Event)
def test_what_comes_late_is_ignored(event: Event) -> None:
    assert TABLE[State.OVER][event] == (Step.IGNORE, State.OVER)


@pytest.mark.parametrize("state", State)
def test_what_cannot_be_is_listed_here(state: State) -> None:
    assert {event for event, (step, _) in TABLE[state].items() if step is Step.IMPOSSIBLE} == IMPOSSIBLE[state]


@pytest.mark.parametrize("state", State)
def test_what_cannot_be_ends_the_exchange(state: State) -> None:
    assert {after for step, after in TABLE[state].values() if step is Step.IMPOSSIBLE} <= {State.OVER}


@pytest.mark.parametrize("state", set(State) - {State.OVER})
def test_whatever_ends_it_leaves_nothing_open(state: State) -> None:
    endings = {
        Step.IMPOSSIBLE,
        Step.FINISH,
        Step.FINISH_EARLY,
        Step.OPEN_TUNNEL,
        Step.REFUSE_SWITCH,
        Step.DECIDE_AGAIN,
        Step.REROUTE,
        Step.RETRY_OR_FAIL,
        Step.FAIL,
        Step.CUT,
        Step.LEAVE,
    }
    for step, after in TABLE[state].values():
        assert (after is State.OVER) == (step in endings)


@pytest.mark.parametrize("state", BEFORE_THE_ANSWER)
def test_a_problem_is_answered_as_long_as_nothing_was_relayed(state: State) -> None:
    assert Step.CUT not in {step for step, _ in TABLE[state].values()}


@pytest.mark.parametrize("state", IN_THE_ANSWER)
def test_nothing_is_added_to_an_answer_that_has_begun(state: State) -> None:
    steps = {step for step, _ in TABLE[state].values()}
    assert not steps & {Step.FAIL, Step.RETRY_OR_FAIL, Step.DECIDE_AGAIN, Step.REROUTE}


@pytest.mark.parametrize("state", State)
def test_a_tunnel_begins_when_all_that_was_asked_has_been_sent(state: State) -> None:
    assert (TABLE[state][Event.SWITCHED][0] is Step.OPEN_TUNNEL) == (state is State.AWAITING)


@pytest.mark.parametrize("state", set(State) - {State.CONNECTING})
def test_only_what_was_not_sent_is_decided_again(state: State) -> None:
    assert Step.DECIDE_AGAIN not in {step for step, _ in TABLE[state].values()}


@pytest.mark.parametrize("state", {State.UPLOADING, State.CROSSING})
def test_an_open_upload_ends_with_its_term(state: State) -> None:
    assert TABLE[state][Event.TERM_ENDED][1] is State.OVER


@pytest.mark.parametrize("state", set(State) - {State.OVER})
def test_a_client_that_is_gone_ends_it_at_once(state: State) -> None:
    assert TABLE[state][Event.CLIENT_GONE] == (Step.LEAVE, State.OVER)


def test_every_step_is_a_method_of_the_exchange() -> None:
    assert set(STEPS) == set(Step)


@pytest.mark.parametrize("state", set(State) - {State.HELD})
def test_only_a_request_whose_answer_is_held_back_is_sent_elsewhere(state: State) -> None:
    assert Step.REROUTE not in {step for step, _ in TABLE[state].values()}


def test_nothing_of_an_answer_is_relayed_while_it_is_held_back() -> None:
    relayed = {event for event, (step, _) in TABLE[State.HELD].items() if step in {Step.RELAY_HEAD, Step.RELAY_HELD}}
    assert relayed == {Event.STAYED}
