"""Each small language of the configuration reads a text into the one form in which it is compared."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.model.region import PublicUrl
from router.settings import grammar
from router.settings.grammar import Address, GrammarError, Match, OriginUrl
from router.settings.id_pattern import read_id_pattern


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("clockify.me", Match("clockify.me", b"")),
        ("clockify.me/", Match("clockify.me", b"")),
        ("clockify.me/api", Match("clockify.me", b"/api")),
        ("clockify.me/api/", Match("clockify.me", b"/api")),
        ("Clockify.ME./Api", Match("clockify.me", b"/Api")),
        ("*.clockify.me/report/v1", Match("*.clockify.me", b"/report/v1")),
        ("*/api", Match("*", b"/api")),
        ("*", Match("*", b"")),
        ("[::1]/api", Match("[::1]", b"/api")),
        ("[0:0:0:0:0:0:0:1]", Match("[::1]", b"")),
        ("127.0.0.1/api", Match("127.0.0.1", b"/api")),
    ],
)
def test_a_match_is_read_as_it_is_compared(text: str, match: Match) -> None:
    assert grammar.read_match(text) == match


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*clockify.me",
        "*.*.me",
        "*.",
        "a..b",
        "-a.b",
        "a b",
        "a@b",
        "a,b",
        "a\\b",
        "::1",
        "[::1",
        "[::1%eth0]",
        "[]",
        "1.2.3.4.5",
        "256.1.1.1",
        "*.127.0.0.1",
        "a:80",
        "a/b;c",
        "a/b*",
        "a/./b",
        "a/\\",
        "a/\u00e9",
        "a" * 254,
        "a/b\n",
    ],
)
def test_a_match_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(GrammarError):
        grammar.read_match(text)


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("http://127.0.0.1", OriginUrl("http", "127.0.0.1", 80)),
        ("HTTPS://Euc1.Internal", OriginUrl("https", "euc1.internal", 443)),
        ("https://euc1.internal:8443", OriginUrl("https", "euc1.internal", 8443)),
        ("http://[::1]:9101", OriginUrl("http", "::1", 9101)),
    ],
)
def test_an_origin_has_its_port_filled_in(text: str, origin: OriginUrl) -> None:
    assert grammar.read_origin(text) == origin


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://Clockify.me", PublicUrl("https", "clockify.me", "clockify.me")),
        ("https://clockify.me:443", PublicUrl("https", "clockify.me", "clockify.me")),
        ("http://clockify.me:443", PublicUrl("http", "clockify.me:443", "clockify.me")),
        ("http://[::1]:8080", PublicUrl("http", "[::1]:8080", "[::1]")),
    ],
)
def test_a_public_url_is_what_a_host_field_says(text: str, url: PublicUrl) -> None:
    assert grammar.read_public_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "//a",
        "http:/a",
        "http://",
        "http://:80",
        "http://a:b",
        "http://a:65536",
        "http://a\\b",
        "http://a/",
        "http://a?",
        "x://a",
        "http://a b",
    ],
)
def test_a_url_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(GrammarError):
        grammar.read_origin(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
        ("[::]:0", Address("::", 0)),
        ("localhost:1", Address("localhost", 1)),
    ],
)
def test_a_listener_has_no_brackets_and_shows_them(text: str, address: Address) -> None:
    assert grammar.read_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "file"), [("sqlite:///directory.db", "directory.db"), ("sqlite:////var/lib/d.db", "/var/lib/d.db")]
)
def test_a_directory_is_relative_with_three_slashes_and_absolute_with_four(text: str, file: str) -> None:
    assert grammar.read_sqlite_url(text).file == file
    assert str(grammar.read_sqlite_url(text)) == text


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("[0-9a-f]{24}", "64a687e29ae1f428e7ebe302"),
        (r"\d+", "123"),
        ("ws_[a-z0-9-]{1,20}", "ws_acme-1"),
        (r"(?:[0-9a-f]{4}-){3}[0-9a-f]{4}", "0000-1111-2222-3333"),
        ("([0-9]{2})+", "1234"),
        ("a|bc?", "b"),
        ("[0-9A-F]{2}", "af"),
    ],
)
def test_an_id_pattern_matches_lower_case_whatever_its_own(pattern: str, text: str) -> None:
    assert read_id_pattern(pattern).fullmatch(text)


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        ".{24}",
        "[^x]{24}",
        r"\S+",
        r"\W",
        r"[\W]",
        "[+-9]",
        "[ -~]",
        "a/b",
        "a%",
        r"a\?",
        "^a$",
        "a*",
        "(a+)+",
        "(a|a){20}",
        "(?:a?){20}",
        "((a+)b)*",
        "(?=a)a",
        r"(a)\1",
        "(?P<x>a)",
        "(?i)a",
        "[a",
        "(a",
        "a)",
        "a**",
        "{2}",
        "[a--]",
        "\u0131",
        "a" * 201,
    ],
)
def test_an_id_pattern_that_could_harm_is_refused(pattern: str) -> None:
    with pytest.raises(GrammarError):
        read_id_pattern(pattern)


PIECES = st.sampled_from(
    [
        "[0-9a-f]",
        "[a-z.-]",
        "[^a]",
        "[!-~]",
        "a",
        "/",
        "%",
        ".",
        r"\d",
        r"\w",
        r"\W",
        r"\.",
        "(",
        "(?:",
        ")",
        "|",
        "?",
        "+",
        "*",
        "{2}",
        "{1,3}",
        "{2,}",
    ]
)


@given(st.lists(PIECES, max_size=8).map("".join), st.text("a0f/%?.-\n\u00e9\u212a", min_size=1, max_size=6))
def test_an_accepted_id_pattern_matches_unreserved_characters_only(pattern: str, text: str) -> None:
    try:
        compiled = read_id_pattern(pattern)
    except GrammarError:
        return
    assert compiled.fullmatch(text) is None or re.fullmatch(r"[A-Za-z0-9._~-]+", text)


@given(st.text(max_size=40))
def test_no_text_makes_a_reader_fail_otherwise(text: str) -> None:
    for read in (
        grammar.read_match,
        grammar.read_origin,
        grammar.read_public_url,
        grammar.read_address,
        grammar.read_path,
        grammar.read_suffix,
        grammar.read_sqlite_url,
        grammar.read_template,
        grammar.read_id_template,
        grammar.read_header_name,
        grammar.read_method,
        grammar.read_server_name,
        grammar.read_text,
        grammar.read_file_name,
        read_id_pattern,
    ):
        try:
            read(text)
        except GrammarError as error:
            assert str(error).isprintable()
