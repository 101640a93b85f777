"""What is a finding. Theory: smuggling lives in what two readers see differently, so a third one is asked.

h11 reads what a client sent and what reached the regions. Whatever reached them must be among what was sent: the same
requests in the same order, each with the same method, target and body; the fields of one are those that were sent,
without what a proxy removes. It may be less: the gateway is stricter than h11. The same holds for answers on their way
back: what a client takes for whole was whole, and it was the answer to its own request.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tests.strict_reader import ReadAnswer, ReadRequest, read_answers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


_OURS: Final = frozenset(
    {
        *(b"host", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-request-id"),
        *(b"x-workspace-epoch", b"connection", b"te", b"transfer-encoding", b"upgrade"),
    }
)
"""Set anew on the way to a region, whatever was sent."""

_KEPT: Final = frozenset(
    {b"authorization", b"content-length", b"content-type", b"cookie", b"x-addon-token", b"x-api-key", b"x-auth-token"}
)
"""What no nomination may remove."""

_NO_TRAILERS: Final = _KEPT | _OURS - {b"via"}

_OURS_BACK: Final = frozenset(
    {
        *(b"via", b"x-request-id", b"x-router-region", b"x-router-region-url", b"connection", b"transfer-encoding"),
        *(b"keep-alive", b"upgrade", b"date"),
    }
)

_OF_OURSELVES: Final = b"region-router.example/problems/"

_CUT: Final = re.compile(r"without sending complete|unexpectedly closed|ConnectionClosed")
_ABSOLUTE: Final = re.compile(rb"(?i:https?)://([^/?]*)(.*)", re.DOTALL)


def judge_requests(sent: Sequence[ReadRequest], arrived: Sequence[ReadRequest]) -> list[str]:
    """What is wrong with what `arrived` at the regions, in its order, if a client `sent` that."""
    left = iter(sent)
    for request in arrived:
        reasons: list[str] = []
        for candidate in left:
            reason = _difference(candidate, request)
            if reason is None:
                break
            reasons.append(reason)
        else:
            return [f"{request} reached a region; sent were {list(sent)}: {reasons or 'nothing more'}"]
    return []


def _difference(sent: ReadRequest, arrived: ReadRequest) -> str | None:
    target, authority = origin_form(sent)
    if (sent.method, target) != (arrived.method, arrived.target):
        return "another request line"
    if arrived.whole and not (sent.whole and sent.body == arrived.body):
        return "another body"
    if not sent.body.startswith(arrived.body):
        return "not the beginning of its body"
    if arrived.values(b"x-forwarded-host") != [authority]:
        return "another authority"
    fields = [pair for pair in arrived.fields if pair[0] not in _OURS]
    if not _is_part(fields, sent.fields):
        return "fields that were not sent"
    if [pair for pair in fields if pair[0] in _KEPT] != [pair for pair in sent.fields if pair[0] in _KEPT]:
        return "fields that were lost"
    if not _is_part(arrived.trailers, sent.trailers) or any(name in _NO_TRAILERS for name, _ in arrived.trailers):
        return "trailers that must not be there"
    return None


def origin_form(request: ReadRequest) -> tuple[bytes, bytes]:
    """The target and the authority as RFC 9112 §3.2 has them for a request to an origin."""
    absolute = _ABSOLUTE.fullmatch(request.target)
    if absolute is None:
        return request.target, b"".join(request.values(b"host"))
    path = absolute[2]
    return (path if path.startswith(b"/") else b"/" + path), absolute[1]


def _is_part(some: Iterable[object], whole: Iterable[object]) -> bool:
    """Whether `some` stand in `whole`, in their order."""
    rest = iter(whole)
    return all(one in rest for one in some)


def judge_told(told: bytes, methods: Sequence[bytes], bodies: Sequence[bytes], *, ended: bool) -> list[str]:
    """What is wrong with what a client was `told` that asked with `methods`.

    The regions' answers have their number in `X-Answer`, and `bodies` has the body of each number.
    """
    answers = _read_told(told, methods, ended=ended)
    if isinstance(answers, str):
        return [f"the client can't read {told!r}: {answers}"]
    if len(answers) > len(methods) + 1:
        return [f"{len(answers)} answers to {len(methods)} requests: {answers}"]
    last = -1
    for answer in answers:
        numbers = answer.values(b"x-answer")
        if not numbers:
            if answer.status == 200:
                return [f"{answer} is nobody's"]
            continue
        number = int(numbers[0])
        body = bodies[number]
        if number <= last or (answer.whole and answer.body not in {body, b""}) or not body.startswith(answer.body):
            return [f"{answer} is not the answer that was due"]
        last = number
    return []


def _read_told(told: bytes, methods: Sequence[bytes], *, ended: bool) -> list[ReadAnswer] | str:
    """The answers. A request that is refused for its head gets a body even if it was a HEAD: nobody knows, it ends."""
    refusal = ""
    for known in range(len(methods), -1, -1):
        reading = read_answers(told, methods[:known], ended=ended)
        if reading.refusal is None or _is_cut(reading.refusal):
            return reading.messages
        refusal = refusal or reading.refusal
    return refusal


def _is_cut(refusal: str) -> bool:
    """Whether h11 complains only of an end that came too early: that is how a client is meant to notice a cut."""
    return _CUT.search(refusal) is not None


def judge_answer(
    method: bytes, sent: bytes, told: bytes, *, sent_ended: bool, told_ended: bool
) -> tuple[list[str], ReadAnswer | None]:
    """What is wrong with what a client was `told` when its region `sent` that; and what it takes it for."""
    reading = read_answers(told, [method], ended=told_ended)
    if not reading.messages:
        return [], None
    answer = reading.messages[0]
    if reading.refusal is not None and not _is_cut(reading.refusal):
        return [f"the client can't read {told!r}: {reading.refusal}"], answer
    if len(reading.messages) > 1:
        return [f"more than one answer: {reading.messages}"], answer
    if answer.status in {502, 504} and (_OF_OURSELVES in answer.body or method == b"HEAD"):
        return [], answer
    messages = read_answers(sent, [method], ended=sent_ended).messages
    expected = messages[0] if messages else ReadAnswer()
    reason = _answer_difference(expected, answer)
    return ([f"{answer} was told; sent was {expected}: {reason}"] if reason is not None else []), answer


def _answer_difference(sent: ReadAnswer, told: ReadAnswer) -> str | None:
    if not _is_part(told.interim, sent.interim):
        return "other interim answers"
    if told.status == 0:
        return None
    if told.status != sent.status:
        return "another status"
    if told.whole and not sent.whole:
        return "it was not whole"
    if told.body != sent.body if told.whole else not sent.body.startswith(told.body):
        return "another body"
    fields = [pair for pair in told.fields if pair[0] not in _OURS_BACK]
    if not _is_part(fields, sent.fields):
        return "fields that were not sent"
    cookies = [sent.values(b"set-cookie"), told.values(b"set-cookie")]
    return "other cookies" if cookies[0] != cookies[1] else None
