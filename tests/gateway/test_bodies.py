"""Where a body ends, what is refused in its framing, and what goes out in the place of what came."""

from __future__ import annotations

import pytest

from router.gateway.bodies import (
    LAST_CHUNK,
    MAX_CHUNK_LINE,
    MAX_TRAILERS,
    BadBodyError,
    Body,
    ChunkedBody,
    LengthBody,
    UntilCloseBody,
    body_of,
    chunk,
)
from router.gateway.heads import CHUNKED, UNTIL_CLOSE


def fed(body: Body, *pieces: bytes) -> tuple[bytes, bytes, bool]:
    """Payload, the bytes behind, and whether the body is done, after `pieces` came as one read each."""
    payload = b""
    behind = b""
    for piece in pieces:
        more, behind = body.feed(piece)
        payload += more
    return payload, behind, body.done


class TestLength:
    """A body of a known number of bytes."""

    def test_an_empty_body_is_done_before_anything_came(self) -> None:
        assert LengthBody(0).done

    def test_an_empty_body_takes_nothing(self) -> None:
        assert fed(LengthBody(0), b"GET") == (b"", b"GET", True)

    @pytest.mark.parametrize(
        ("pieces", "outcome"),
        [
            ((b"ab",), (b"ab", b"", False)),
            ((b"abc",), (b"abc", b"", True)),
            ((b"abcGET",), (b"abc", b"GET", True)),
            ((b"a", b"b", b"c"), (b"abc", b"", True)),
            ((b"ab", b"cGET"), (b"abc", b"GET", True)),
            ((b"", b"abc"), (b"abc", b"", True)),
        ],
    )
    def test_it_ends_with_its_last_byte(self, pieces: tuple[bytes, ...], outcome: tuple[bytes, bytes, bool]) -> None:
        assert fed(LengthBody(3), *pieces) == outcome

    def test_what_is_still_to_come_can_be_asked(self) -> None:
        body = LengthBody(10)
        body.feed(b"abc")
        assert body.remaining == 7


class TestUntilClose:
    """A body that ends with its connection."""

    def test_every_byte_belongs_to_it(self) -> None:
        assert fed(UntilCloseBody(), b"a", b"0\r\n\r\n") == (b"a0\r\n\r\n", b"", False)


class TestChunked:
    """A body in the chunked coding."""

    @pytest.mark.parametrize(
        ("data", "outcome"),
        [
            (b"0\r\n\r\n", (b"", b"", True)),
            (b"0\r\n\r\nGET", (b"", b"GET", True)),
            (b"3\r\nabc\r\n0\r\n\r\n", (b"abc", b"", True)),
            (b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nGET", (b"abcde", b"GET", True)),
            (b"00a\r\n0123456789\r\n000\r\n\r\n", (b"0123456789", b"", True)),
            (b"A\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n", (b"\r\n\r\n\r\n\r\n\r\n", b"", True)),
            (b"3;a=b\r\nabc\r\n0;c\r\n\r\n", (b"abc", b"", True)),
            (b'3;a="x; \xe9\t"\r\nabc\r\n0\r\n\r\n', (b"abc", b"", True)),
            (b"0\r\nX-Sum: 1\r\nY:\r\n\r\nGET", (b"", b"GET", True)),
            (b"3\r\nabc", (b"abc", b"", False)),
            (b"3\r\nabc\r\n", (b"abc", b"", False)),
            (b"3\r\nabc\r\n0\r\n", (b"abc", b"", False)),
            (b"5\r\nabc", (b"abc", b"", False)),
            (b"5", (b"", b"", False)),
            (b"", (b"", b"", False)),
        ],
    )
    def test_the_payload_is_what_stands_between_the_framing(
        self, data: bytes, outcome: tuple[bytes, bytes, bool]
    ) -> None:
        assert fed(ChunkedBody(), data) == outcome

    def test_bytes_behind_a_finished_body_are_given_back_untouched(self) -> None:
        body = ChunkedBody()
        body.feed(LAST_CHUNK)
        assert body.feed(b"3\r\nabc") == (b"", b"3\r\nabc")

    @pytest.mark.parametrize(
        "data",
        [
            b"\r\nabc\r\n",
            b" 3\r\nabc\r\n",
            b"3 \r\nabc\r\n",
            b"3 ;a\r\nabc\r\n",
            b"\t3\r\nabc\r\n",
            b"+3\r\nabc\r\n",
            b"-3\r\nabc\r\n",
            b"0x3\r\nabc\r\n",
            b"3_0\r\nabc\r\n",
            b"g\r\nabc\r\n",
            b"3,3\r\nabc\r\n",
            b"\xb2\r\nab\r\n",
            b"1" * 16 + b"\r\n",
            b"0" * 16 + b"\r\n\r\n",
            b"3\nabc\r\n",
            b"3\r\r\nabc\r\n",
            b"3\rabc\r\n",
            b"3;a\nabc\r\n",
            b"3;\x00\r\nabc\r\n",
            b"3;\x7f\r\nabc\r\n",
            b"3;a\rb\r\nabc\r\n",
            b"3;" + b"a" * MAX_CHUNK_LINE + b"\r\nabc\r\n",
        ],
    )
    def test_a_chunks_size_has_one_form(self, data: bytes) -> None:
        with pytest.raises(BadBodyError):
            fed(ChunkedBody(), data)

    @pytest.mark.parametrize("data", [b"3\r\nabcd\r\n", b"3\r\nabc\n0\r\n", b"3\r\nabc0\r\n\r\n", b"3\r\nabc\r\r\n"])
    def test_a_chunk_is_exactly_as_long_as_it_says(self, data: bytes) -> None:
        with pytest.raises(BadBodyError):
            fed(ChunkedBody(), data)

    def test_a_wrong_byte_behind_a_chunk_is_noticed_at_once(self) -> None:
        with pytest.raises(BadBodyError):
            fed(ChunkedBody(), b"3\r\nabcX")

    @pytest.mark.parametrize(
        "name",
        [
            *(
                b"Content-Length",
                b"Transfer-Encoding",
                b"Host",
                b"Trailer",
                b"Connection",
                b"TE",
                b"Upgrade",
                b"Expect",
            ),
            *(b"Authorization", b"Cookie", b"Set-Cookie", b"X-Api-Key", b"X-Addon-Token", b"X-Auth-Token"),
            *(b"X-Forwarded-For", b"X-Forwarded-Host", b"Forwarded", b"X-Workspace-Epoch", b"Proxy-Authorization"),
            *(b"content-length", b"HOST"),
        ],
    )
    def test_no_trailer_frames_routes_or_authenticates(self, name: bytes) -> None:
        with pytest.raises(BadBodyError):
            fed(ChunkedBody(), b"0\r\nX: 1\r\n" + name + b": 1\r\n\r\n")

    @pytest.mark.parametrize(
        "line",
        [b"X", b"X : 1", b" X: 1", b": 1", b"X: a\x00", b"X: a\x7f", b"X: 1\nY: 2", b"X: 1\r\n folded", b"X\xe9: 1"],
    )
    def test_a_trailer_is_a_field_in_its_one_form(self, line: bytes) -> None:
        with pytest.raises(BadBodyError):
            fed(ChunkedBody(), b"0\r\n" + line + b"\r\n\r\n")

    @pytest.mark.parametrize("line", [b"ETag: x", b"Server-Timing: a;dur=1", b"Digest: x", b"Date: x", b"X-A: \xe9\t"])
    def test_a_harmless_trailer_is_let_be_and_dropped(self, line: bytes) -> None:
        assert fed(ChunkedBody(), b"3\r\nabc\r\n0\r\n" + line + b"\r\n\r\nGET") == (b"abc", b"GET", True)

    def test_trailers_are_bounded(self) -> None:
        line = b"X: " + b"a" * 1000 + b"\r\n"
        with pytest.raises(BadBodyError):
            fed(ChunkedBody(), b"0\r\n", *[line] * (MAX_TRAILERS // 1000 + 1))

    @pytest.mark.parametrize("start", [b"", b"3\r\nabc\r\n", b"0\r\n"], ids=["size", "next size", "trailer"])
    def test_a_line_that_never_ends_is_not_kept(self, start: bytes) -> None:
        with pytest.raises(BadBodyError):
            fed(ChunkedBody(), start, *[b"1;" + b"a" * 98] * 12)

    def test_a_line_of_the_greatest_length_is_taken(self) -> None:
        line = b"3;" + b"a" * (MAX_CHUNK_LINE - len(b"3;\r\n")) + b"\r\n"
        assert fed(ChunkedBody(), line, b"abc\r\n", LAST_CHUNK) == (b"abc", b"", True)


class TestGoingOut:
    """What is sent in the place of what came."""

    def test_one_read_becomes_one_chunk(self) -> None:
        payload, _ = ChunkedBody().feed(b"3;a=b\r\nabc\r\n1\r\nd\r\n2\r\nef")
        assert chunk(payload) == b"6\r\nabcdef\r\n"

    def test_no_payload_is_no_chunk_because_an_empty_one_would_be_the_last(self) -> None:
        assert chunk(b"") == b""


@pytest.mark.parametrize(
    ("framing", "kind"), [(CHUNKED, ChunkedBody), (UNTIL_CLOSE, UntilCloseBody), (0, LengthBody), (7, LengthBody)]
)
def test_the_framing_of_a_head_says_how_its_body_is_read(framing: int, kind: type) -> None:
    assert isinstance(body_of(framing), kind)
