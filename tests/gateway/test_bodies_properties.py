"""However the bytes of a body are cut into reads: the same payload, the same bytes behind, the same verdict."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import h11
from hypothesis import example, given, settings
from hypothesis import strategies as st

from router.gateway.bodies import LAST_CHUNK, BadBodyError, Body, ChunkedBody, LengthBody, chunk

Outcome = tuple[bytes, bytes, bool] | None
"""Payload, bytes behind, whether the body is done; `None` if its framing is wrong."""

PIECES: Final = [
    *(b"0\r\n\r\n", b"3\r\nabc\r\n", b"a;x=y\r\n0123456789\r\n", b"0\r\nX: 1\r\n\r\n", b"0\r\n", b"\r\n", b"\n", b"\r"),
    *(
        b"1\r\n\r\r\n",
        b"2\r\n\r\n\r\n",
        b"3 \r\n",
        b"g\r\n",
        b"Host: a\r\n",
        b"X: 1\r\n",
        b"GET / HTTP/1.1\r\n",
        b"abc",
        b"1",
    ),
]
ROUGH: Final = st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=3)), max_size=8).map(b"".join)
CUTS: Final = st.lists(st.integers(0, 200), max_size=12)
EXTENSIONS: Final = st.sampled_from([b"", b";a", b";a=b", b';a="b"'])
SIZES: Final = st.sampled_from([b"%x", b"%X", b"0%x"])
TRAILERS: Final = st.lists(st.sampled_from([b"X-Sum: 1\r\n", b"etag: x\r\n", b"Y:\r\n"]), max_size=3).map(b"".join)


@st.composite
def chunked(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A valid chunked body, and its payload."""
    payload = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=6))
    sent = [draw(SIZES) % len(part) + draw(EXTENSIONS) + b"\r\n" + part + b"\r\n" for part in payload]
    return b"".join(sent) + b"0\r\n" + draw(TRAILERS) + b"\r\n", b"".join(payload)


def segments(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` in reads; a cut behind its end is none, two at one place are an empty read."""
    places = [0, *sorted(cut for cut in cuts if cut <= len(data)), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


def outcome(body: Body, reads: list[bytes]) -> Outcome:
    payload = b""
    behind = b""
    for read in reads:
        try:
            more, rest = body.feed(read)
        except BadBodyError:
            return None
        assert body.done or not rest
        payload += more
        behind += rest
    return payload, behind, body.done


@settings(deadline=None)
@given(chunked(), st.binary(max_size=10), CUTS)
def test_a_chunked_body_is_the_same_however_it_is_cut(
    body: tuple[bytes, bytes], behind: bytes, cuts: list[int]
) -> None:
    sent, payload = body
    assert outcome(ChunkedBody(), segments(sent + behind, cuts)) == (payload, behind, True)


@settings(deadline=None)
@given(st.integers(0, 50), st.binary(max_size=80), CUTS)
def test_a_body_of_a_length_is_the_same_however_it_is_cut(length: int, data: bytes, cuts: list[int]) -> None:
    expected = (data[:length], data[length:], len(data) >= length)
    assert outcome(LengthBody(length), segments(data, cuts)) == expected


@settings(max_examples=500, deadline=None)
@given(ROUGH, CUTS)
@example(b"3\r\nabc\rX", [8])
@example(b"3\r\nabcX", [7])
@example(b"0\r\nHost: a\r\n\r\n", [3, 7])
def test_the_verdict_on_any_bytes_does_not_depend_on_how_they_are_cut(data: bytes, cuts: list[int]) -> None:
    whole = outcome(ChunkedBody(), [data])
    byte_by_byte = outcome(ChunkedBody(), segments(data, list(range(len(data)))))
    assert outcome(ChunkedBody(), segments(data, cuts)) == whole == byte_by_byte


@settings(deadline=None)
@given(st.binary(max_size=200), CUTS)
def test_what_is_sent_out_is_read_back_as_the_same_payload(payload: bytes, cuts: list[int]) -> None:
    sent = b"".join(map(chunk, segments(payload, cuts))) + LAST_CHUNK
    assert outcome(ChunkedBody(), [sent]) == (payload, b"", True)


@settings(deadline=None)
@given(chunked(), CUTS)
def test_h11_reads_a_valid_chunked_body_as_we_do(body: tuple[bytes, bytes], cuts: list[int]) -> None:
    sent, payload = body
    assert read_by_h11(segments(sent, cuts)) == payload


@settings(max_examples=500, deadline=None)
@given(ROUGH)
def test_h11_reads_every_body_that_we_take_as_we_do(data: bytes) -> None:
    ours = outcome(ChunkedBody(), [data])
    if ours is not None and ours[2]:
        payload, behind, _ = ours
        assert read_by_h11([data[: len(data) - len(behind)]]) == payload


def read_by_h11(reads: list[bytes]) -> bytes:
    """The payload, of a body that is whole. Raises `h11.RemoteProtocolError` where h11 does not take it."""
    reader = h11.Connection(h11.SERVER)
    reader.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    payload = b""
    for read in reads:
        # No bytes would mean the end of the connection to h11.
        if read:
            reader.receive_data(read)
        event = reader.next_event()
        while event is not h11.NEED_DATA and not isinstance(event, h11.EndOfMessage):
            payload += bytes(event.data) if isinstance(event, h11.Data) else b""
            event = reader.next_event()
    assert reader.their_state is h11.DONE
    return payload
