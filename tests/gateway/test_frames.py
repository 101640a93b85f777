"""The frame counter: it finds the borders of frames in whatever pieces they come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.gateway.frames import FrameCounter, close_frame, masked_close_frame

LENGTHS = st.one_of(st.integers(0, 130), st.sampled_from([125, 126, 127, 65_535, 65_536, 70_000]))


def frame(opcode: int, payload: bytes, *, masked: bool, final: bool = True, size: int | None = None) -> bytes:
    """A frame; `size` forces a longer notation of its length than is needed."""
    length = len(payload)
    size = size if size is not None else 0 if length < 126 else 2 if length < 65_536 else 8
    short = {0: length, 2: 126, 8: 127}[size]
    head = bytes([(0x80 if final else 0) | opcode, (0x80 if masked else 0) | short])
    return head + (length.to_bytes(size, "big") if size else b"") + (b"mask" if masked else b"") + payload


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    opcode = draw(st.sampled_from([0x0, 0x1, 0x2, 0x8, 0x9, 0xA, 0x3, 0xF]))
    payload = bytes(draw(LENGTHS))
    sizes = [size for size in (0, 2, 8) if len(payload) < {0: 126, 2: 65_536, 8: 1 << 63}[size]]
    size = draw(st.sampled_from(sizes))
    return frame(opcode, payload, masked=draw(st.booleans()), final=draw(st.booleans()), size=size)


@st.composite
def pieces(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """`data` in any segmentation, empty pieces too."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def borders(stream: list[bytes]) -> set[int]:
    found = {0}
    for each in stream:
        found.add(max(found) + len(each))
    return found


@given(st.data(), st.lists(frames(), max_size=6))
def test_it_stands_on_a_border_exactly_between_two_frames(data: st.DataObject, stream: list[bytes]) -> None:
    counter, passed = FrameCounter(), 0
    for piece in data.draw(pieces(b"".join(stream))):
        counter.advance(piece)
        passed += len(piece)
        assert counter.at_border == (passed in borders(stream))


@given(st.data(), st.lists(frames(), min_size=1, max_size=6))
def test_it_stops_at_the_next_border_and_not_behind_it(data: st.DataObject, stream: list[bytes]) -> None:
    whole = b"".join(stream)
    start = data.draw(st.integers(0, len(whole)))
    counter = FrameCounter()
    counter.advance(whole[:start])
    passed = start
    for piece in data.draw(pieces(whole[start:])):
        passed += counter.advance_to_border(piece)
    assert passed == min(border for border in borders(stream) if border >= start)


@given(st.data(), st.lists(frames(), max_size=6))
def test_it_is_closed_as_soon_as_a_close_frame_has_passed_whole(data: st.DataObject, stream: list[bytes]) -> None:
    closes = [end for end, each in zip(sorted(borders(stream))[1:], stream, strict=True) if each[0] & 0x0F == 8]
    counter, passed = FrameCounter(), 0
    for piece in data.draw(pieces(b"".join(stream))):
        counter.advance(piece)
        passed += len(piece)
        assert counter.closed == any(end <= passed for end in closes)


@given(st.data(), st.binary(max_size=300))
def test_any_bytes_mean_the_same_in_any_pieces(data: st.DataObject, stream: bytes) -> None:
    whole, cut = FrameCounter(), FrameCounter()
    whole.advance(stream)
    for piece in data.draw(pieces(stream)):
        cut.advance(piece)
    assert (cut.at_border, cut.closed) == (whole.at_border, whole.closed)


@pytest.mark.parametrize("code", [1001, 1012])
def test_a_server_s_close_frame_holds_the_code_in_the_open(code: int) -> None:
    assert close_frame(code) == b"\x88\x02" + code.to_bytes(2, "big")


@pytest.mark.parametrize("code", [1001, 1012])
def test_a_client_s_close_frame_holds_the_code_under_its_mask(code: int) -> None:
    assert masked_close_frame(code, b"\0\0\0\0") == b"\x88\x82\0\0\0\0" + code.to_bytes(2, "big")
    head, payload = masked_close_frame(code, b"\x0f\xf0ab")[:6], masked_close_frame(code, b"\x0f\xf0ab")[6:]
    assert (head, payload[0] ^ 0x0F, payload[1] ^ 0xF0) == (b"\x88\x82\x0f\xf0ab", code >> 8, code & 0xFF)


@pytest.mark.parametrize("made", [close_frame(1012), masked_close_frame(1012, b"mask")])
def test_our_own_close_frames_are_whole(made: bytes) -> None:
    counter = FrameCounter()
    counter.advance(made)
    assert counter.at_border
    assert counter.closed
