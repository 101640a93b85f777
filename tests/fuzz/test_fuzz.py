"""Fuzz by hypothesis: whatever one end sends, in any segments, the other end sees what h11 sees, or nothing.

`make fuzz` does the same for longer, with a mutator of its own.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.gauntlet import gauntlet
from tests.fuzz.runs import ASKING, AnswerRun, RequestRun, dumped, loaded, request_run
from tests.fuzz.seeds import ANSWERS, REQUESTS, TOKENS
from tests.fuzz.strict_origin import STYLES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.fuzz.gauntlet import Gauntlet

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="each client has an address of its own in 127/8")

UNHURRIED: Final = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
STALLS: Final = 150

Change = tuple[float, int, bytes]
"""Where (a share of the length), how many bytes go, and what comes instead."""

CHANGES: Final = st.lists(
    st.tuples(
        st.floats(0, 1), st.sampled_from([0, 0, 0, 1, 2, 9]), st.one_of(st.sampled_from(TOKENS), st.binary(max_size=3))
    ),
    max_size=4,
)
CUTS: Final = st.lists(st.floats(0, 1), max_size=6)


def changed(data: bytes, changes: list[Change]) -> bytes:
    for share, size, token in changes:
        at = int(share * len(data))
        data = data[:at] + token + data[at + size :]
    return data


def cut(data: bytes, cuts: list[float]) -> tuple[bytes, ...]:
    places = sorted({0, len(data), *(int(share * len(data)) for share in cuts)})
    return tuple(data[start:end] for start, end in pairwise(places))


def streams(seeds: Sequence[bytes], most: int) -> st.SearchStrategy[tuple[bytes, ...]]:
    """Segments of one or a few of `seeds`, changed."""
    whole = st.lists(st.sampled_from(seeds), min_size=1, max_size=most).map(b"".join)
    return st.builds(cut, st.builds(changed, whole, CHANGES), CUTS)


@pytest.fixture(scope="module")
async def way(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gauntlet]:
    async with gauntlet(tmp_path_factory.mktemp("gauntlet")) as way:
        yield way


@UNHURRIED
@given(
    run=st.builds(
        RequestRun,
        streams(REQUESTS, 3),
        st.lists(st.sampled_from(list(STYLES)), min_size=1, max_size=2).map(tuple),
        st.sampled_from(["close", "reset"]),
    )
)
async def test_what_reaches_a_region_is_what_h11_reads_from_what_was_sent_or_nothing(
    way: Gauntlet, run: RequestRun
) -> None:
    assert await way.findings(run) == []


@UNHURRIED
@given(
    run=st.builds(
        AnswerRun, st.sampled_from(list(ASKING)), streams(ANSWERS, 2), st.sampled_from(["fin", "reset", "keep"])
    )
)
async def test_what_a_client_takes_for_an_answer_is_what_h11_reads_from_what_its_region_sent(
    way: Gauntlet, run: AnswerRun
) -> None:
    assert await way.findings(run) == []


async def test_a_client_that_stalls_anywhere_in_anything_is_ended_in_time(way: Gauntlet) -> None:
    chance = Random(20)
    assert await way.stalls([request_run(chance, "wait") for _ in range(STALLS)]) == []


@pytest.mark.parametrize(
    "run", [RequestRun((b"\xff\r\n", b"\0"), ("early",), "wait"), AnswerRun("HEAD", (b"x",), "keep")]
)
def test_a_kept_run_is_the_run_that_was_found(run: RequestRun | AnswerRun) -> None:
    assert loaded(dumped(run)) == run
