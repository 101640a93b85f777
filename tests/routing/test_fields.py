"""Fields are cut out and never rebuilt; a nomination takes away only what is the peer's to take."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.routing.fields import (
    FORWARDED,
    HOP_BY_HOP,
    PROTECTED,
    Fields,
    answer_rules,
    request_rules,
    tokens,
)

REQUEST = request_rules("x-api-key")
ANSWER = answer_rules()


def kept(block: bytes) -> bytes:
    return REQUEST.take_apart(block).kept


class TestCutOut:
    """What is passed on stands as it came."""

    def test_names_keep_case_order_duplicates_and_blanks(self) -> None:
        block = b"X-A: 1\r\nx-b:2\r\nX-a:  3 \r\nX-A: 1\r\nX-C:\r\n"
        assert kept(block) == block

    def test_values_keep_every_byte(self) -> None:
        block = b"X-A: \x80\xff caf\xc3\xa9 \t!\r\nCookie: a=b; c=d\r\n"
        assert kept(block) == block

    def test_nothing_is_invented_for_an_empty_block(self) -> None:
        assert REQUEST.take_apart(b"") == Fields(b"", {})

    @pytest.mark.parametrize("name", sorted(HOP_BY_HOP | FORWARDED | {b"host"}))
    @pytest.mark.parametrize("place", ["first", "between", "last"])
    def test_what_is_removed_leaves_the_lines_around_it_alone(self, name: bytes, place: str) -> None:
        line = name.title() + b": x y\r\n"
        blocks = {"first": line + b"A: 1\r\nB: 2\r\n", "between": b"A: 1\r\n" + line + b"B: 2\r\n"}
        assert kept(blocks.get(place, b"A: 1\r\nB: 2\r\n" + line)) == b"A: 1\r\nB: 2\r\n"

    def test_neighbours_are_both_removed(self) -> None:
        assert kept(b"TE: a\r\nHost: b\r\nTE: c\r\nX: 1\r\nUpgrade: d\r\n") == b"X: 1\r\n"

    @pytest.mark.parametrize("line", [b"X-Host: a\r\n", b"Hosts: a\r\n", b"X: te: b\r\n", b"X: a, host: b\r\n"])
    def test_a_name_is_compared_as_a_whole(self, line: bytes) -> None:
        assert kept(line) == line

    @pytest.mark.parametrize("name", [b"Content-Length", b"Expect", b"Via", b"X-Api-Key"])
    def test_what_is_only_seen_is_passed_on(self, name: bytes) -> None:
        block = name + b": 7\r\n"
        assert REQUEST.take_apart(block) == Fields(block, {name.lower(): [b"7"]})

    def test_a_value_is_seen_without_the_blanks_around_it_and_in_its_case(self) -> None:
        assert REQUEST.take_apart(b"x-API-key: \t AbC d \t\r\n").seen == {b"x-api-key": [b"AbC d"]}

    def test_an_empty_value_is_seen(self) -> None:
        assert REQUEST.take_apart(b"Content-Length:\r\nHost: \r\n").seen == {b"content-length": [b""], b"host": [b""]}

    def test_each_of_several_is_seen_in_order(self) -> None:
        assert REQUEST.take_apart(b"Host: a\r\nX: 1\r\nhost: b\r\n").seen == {b"host": [b"a", b"b"]}

    @pytest.mark.parametrize("name", [b"Server", b"Date", b"Set-Cookie", b"Location", b"Content-Length", b"Via"])
    def test_an_answers_own_fields_are_passed_on(self, name: bytes) -> None:
        block = name + b": x\r\n"
        assert ANSWER.take_apart(block + block).kept == block + block

    @pytest.mark.parametrize("name", [b"X-Request-ID", b"X-Router-Region", b"X-Router-Region-URL", b"X-Router-Hint"])
    def test_no_region_speaks_in_the_routers_name(self, name: bytes) -> None:
        assert ANSWER.take_apart(name + b": x\r\n").kept == b""


class TestNomination:
    """What a `Connection` field names is removed, within limits."""

    def test_a_nominated_field_is_removed_wherever_it_stands(self) -> None:
        block = b"X-Hop: 1\r\nA: 1\r\nConnection: x-hop\r\nx-HOP: 2\r\nB: 2\r\n"
        assert kept(block) == b"A: 1\r\nB: 2\r\n"

    def test_several_connection_fields_nominate_together(self) -> None:
        block = b"Connection: a, close\r\nConnection: ,keep-alive,\tB\r\nA: 1\r\nB: 2\r\nC: 3\r\n"
        assert kept(block) == b"C: 3\r\n"

    @pytest.mark.parametrize("name", sorted(PROTECTED | {b"x-api-key"}))
    def test_no_nomination_takes_a_protected_field_away(self, name: bytes) -> None:
        line = b"" if name == b"host" else name.title() + b": v\r\n"
        assert kept(b"Connection: close, " + name + b"\r\n" + line) == line

    def test_a_key_of_another_name_is_protected_as_well(self) -> None:
        rules = request_rules("x-secret")
        assert rules.take_apart(b"Connection: X-Secret\r\nX-Secret: v\r\n").kept == b"X-Secret: v\r\n"

    def test_no_nomination_hides_a_field_from_the_rules(self) -> None:
        seen = REQUEST.take_apart(b"Connection: host, content-length\r\nHost: a\r\nContent-Length: 3\r\n").seen
        assert (seen[b"host"], seen[b"content-length"]) == ([b"a"], [b"3"])

    def test_a_nomination_in_an_answer_takes_no_cookie_away(self) -> None:
        block = b"Set-Cookie: a=b\r\nConnection: Set-Cookie, X-Hop\r\nX-Hop: 1\r\n"
        assert ANSWER.take_apart(block).kept == b"Set-Cookie: a=b\r\n"

    @pytest.mark.parametrize("nominated", [b".*", b"x-[ab]", b"(?i)x", b"x-a:", b"^x-a"])
    def test_a_nomination_is_a_name_and_no_pattern(self, nominated: bytes) -> None:
        assert kept(b"X-A: 1\r\nConnection: " + nominated + b"\r\n") == b"X-A: 1\r\n"

    def test_a_thousand_nominations_are_honoured(self) -> None:
        names = [b"x-%d" % number for number in range(1000)]
        block = b"Connection: " + b",".join(names) + b"\r\n" + b"".join(name + b": 1\r\n" for name in names[::7])
        assert kept(block + b"Y: 1\r\n") == b"Y: 1\r\n"


def test_tokens_are_the_members_of_all_lists_in_lower_case() -> None:
    assert tokens([b" A ,b", b"C\t"]) == {b"a", b"b", b"c"}


NAMES = st.sampled_from(
    [b"Host", b"host", b"TE", b"Connection", b"X-Hop", b"Cookie", b"X-Api-Key", b"x-a", b"X-A", b"Upgrade", b"Via"]
)
VALUES = st.sampled_from(
    [b"", b"1", b"close", b"x-hop", b"x-a, cookie", b"a: b", b"caf\xc3\xa9", b"host", b"\x80 \t\xff"]
)
LINES = st.lists(st.tuples(NAMES, st.sampled_from([b":", b": ", b":\t"]), VALUES, st.sampled_from([b"", b" "])))


@settings(deadline=None)
@given(LINES)
def test_what_is_kept_is_what_one_would_keep_line_by_line(lines: list[tuple[bytes, bytes, bytes, bytes]]) -> None:
    whole = [b"".join(line) + b"\r\n" for line in lines]
    nominated = tokens(value for name, _, value, _ in lines if name.lower() == b"connection")
    gone = HOP_BY_HOP | FORWARDED | {b"host"} | (nominated - PROTECTED - {b"x-api-key"})
    expected = b"".join(text for (name, *_), text in zip(lines, whole, strict=True) if name.lower() not in gone)
    assert kept(b"".join(whole)) == expected
