"""One view of the path: which bytes could make a second one, and where they matter."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.routing.path import climbs, is_suspect, reads_two_ways

CLIMBING = [
    b"/a/..",
    b"/a/.",
    b"/./a",
    b"/a/../b",
    b"/a/..;/b",
    b"/a/..;x=y/b",
    b"/a/.;/b",
    b"/a/%2e%2e/b",
    b"/a/%2E./b",
    b"/a/.%2e",
    b"/a/%2e",
    b"/a/..%3bx/b",
    b"/a/..\\b",
    b"/a\\..\\b",
    b"/a\\..",
    b"/a/..%2fb",
    b"/a%2f..%2Fb",
    b"/a%5c..%5Cb",
    b"/a%2f%2e%2e",
    b"/a%00",
    b"/a%00.png/b",
]
NOT_CLIMBING = [
    b"/",
    b"/a/...",
    b"/a/..b/c",
    b"/a/b../c",
    b"/a/.b",
    b"/.well-known/x",
    b"/a/b;..",
    b"/a/b%2e%2e/c",
    b"/a/%252e%252e/b",
    b"/a/%2",
    b"/a/%zz",
    b"/a%2500",
    b"/a//b",
]
TWO_READINGS = [
    b"//a",
    b"/a//b",
    b"/a;x",
    b"/a\\b",
    b"/a%2fb",
    b"/a%2Fb",
    b"/a%5cb",
    b"/a%5Cb",
    b"/a%3bx",
    b"/a%3Bx",
    b"/a%25b",
    *(b"/a%%%02x" % byte for byte in b"azAZ09-._~"),
    *(b"/a%%%02X" % byte for byte in b"jJzZ-._~"),
]
ONE_READING = [
    b"/",
    b"/a/b.c/d~e/f_g-h",
    b"/a%20b",
    b"/a%C3%A9",
    b"/a%2Bb",
    b"/a%40b",
    b"/a%3Ab",
    b"/a%zz",
    b"/a%2",
    b"/a%",
    b"/a+b",
    b"/a|b",
    b"/a[b]",
    b"/a/./b",
    b"/a%60%5b%7b%2f"[:-3],
]


@pytest.mark.parametrize("path", CLIMBING)
def test_a_dot_segment_or_a_nul_that_some_reader_finds_is_found(path: bytes) -> None:
    assert climbs(path)


@pytest.mark.parametrize("path", NOT_CLIMBING)
def test_dots_that_are_no_segment_are_left_alone(path: bytes) -> None:
    assert not climbs(path)


@pytest.mark.parametrize("path", TWO_READINGS)
def test_what_a_reader_decodes_merges_or_strips_makes_two_readings(path: bytes) -> None:
    assert reads_two_ways(path, len(path))


@pytest.mark.parametrize("path", ONE_READING)
def test_what_every_reader_leaves_in_its_place_makes_one_reading(path: bytes) -> None:
    assert not reads_two_ways(path, len(path))


def test_two_readings_count_only_in_front_of_the_end() -> None:
    path = b"/workspaces/id/a%2fb"
    assert not reads_two_ways(path, len(b"/workspaces/id"))


@settings(deadline=None)
@given(st.lists(st.sampled_from([b"/", b".", b"%", b"2e", b"2F", b"5c", b"00", b";", b"\\", b"a", b"~"])).map(b"".join))
def test_a_path_that_is_not_suspect_needs_no_other_question(path: bytes) -> None:
    path = b"/" + path
    assert is_suspect(path) or not (climbs(path) or reads_two_ways(path, len(path)))


@pytest.mark.parametrize("path", [b"/", b"/api/v1/workspaces/64a687e29ae1f428e7ebe302/projects", b"/a.b/c~d/e_f-g"])
def test_an_ordinary_path_is_not_suspect(path: bytes) -> None:
    assert not is_suspect(path)
