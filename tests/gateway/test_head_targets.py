"""The target and the Host of a request's head: which bytes rule where it goes."""

from __future__ import annotations

import pytest

from router.gateway.heads import parse_authority
from router.model.problem import Problem
from tests.gateway.raw_heads import HOST, admitted, block, refused


@pytest.mark.parametrize(
    ("target", "path", "host", "authority"),
    [
        (b"http://app.clockify.me/x?y", b"/x?y", "app.clockify.me", b"app.clockify.me"),
        (b"https://app.clockify.me/x", b"/x", "app.clockify.me", b"app.clockify.me"),
        (b"HTTP://App.Clockify.me:8080/x", b"/x", "app.clockify.me", b"App.Clockify.me:8080"),
        (b"http://app.clockify.me", b"/", "app.clockify.me", b"app.clockify.me"),
        (b"http://app.clockify.me?x", b"/?x", "app.clockify.me", b"app.clockify.me"),
        (b"http://app.clockify.me//evil", b"//evil", "app.clockify.me", b"app.clockify.me"),
        (b"http://[::1]:80/x", b"/x", "[::1]", b"[::1]:80"),
    ],
)
def test_the_authority_of_an_absolute_form_wins_over_host(
    target: bytes, path: bytes, host: str, authority: bytes
) -> None:
    head = admitted(b"GET " + target + b" HTTP/1.1", b"Host: other.example").head
    assert (head.target, head.host, head.authority) == (path, host, authority)


@pytest.mark.parametrize("target", [b"http://h/x", b"/x"])
def test_no_host_is_passed_on_because_it_is_set_anew(target: bytes) -> None:
    assert admitted(b"GET " + target + b" HTTP/1.1", HOST, b"A: b").kept == b"A: b\r\n"


@pytest.mark.parametrize(
    "target",
    [
        b"ftp://clockify.me/x",
        b"x://clockify.me/x",
        b"http:/clockify.me/x",
        b"http:///x",
        b"http://u@clockify.me/x",
        b"http://u:p@clockify.me/x",
        b"http://clockify.me\\x/",
        b"http://clockify.me:x/",
        b"http://clockify.me:99999/",
        b"http://a%2eb/",
    ],
)
def test_only_http_and_https_urls_with_a_strict_host_are_taken(target: bytes) -> None:
    assert refused(block(b"GET " + target + b" HTTP/1.1", HOST)) is Problem.BAD_REQUEST


def test_an_absolute_form_does_not_excuse_a_bad_host() -> None:
    assert refused(block(b"GET http://clockify.me/ HTTP/1.1", b"Host: a b")) is Problem.BAD_REQUEST


def test_an_absolute_form_does_not_excuse_a_missing_host() -> None:
    assert refused(block(b"GET http://clockify.me/ HTTP/1.1")) is Problem.BAD_REQUEST


@pytest.mark.parametrize(
    "host",
    [
        b"u@a",
        b"u:p@a",
        b"a, b",
        b"a,b",
        b"a b",
        b"a/b",
        b"a b/..",
        b"a\\b",
        b"a..b",
        b".a",
        b"a...",
        b"-a",
        b"::1",
        b"[::1",
        b"::1]",
        b"[::1]x",
        b"[:::::]",
        b"[1::2::3]",
        b"[::1%25eth0]",
        b"[]",
        b"a:",
        b"a:b",
        b"a:-1",
        b"a:65536",
        b"a:080000",
        b"a:1:2",
        b":80",
        b"a?b",
        b"a#b",
        b"a%2eb",
        b"caf\xc3\xa9.example",
        b"a;b",
        b"*",
        b"*.clockify.me",
        b"http://a",
        b"a\tb",
        b"\ta",
        b"a." * 127 + b"aa",
    ],
)
def test_a_host_has_one_strict_form(host: bytes) -> None:
    assert refused(block(b"GET / HTTP/1.1", b"Host: " + host)) is Problem.BAD_REQUEST


@pytest.mark.parametrize(
    ("host", "routed"),
    [
        (b"clockify.me", "clockify.me"),
        (b"Clockify.ME", "clockify.me"),
        (b"clockify.me.", "clockify.me"),
        (b"clockify.me:8080", "clockify.me"),
        (b"Clockify.me.:65535", "clockify.me"),
        (b"127.0.0.1:80", "127.0.0.1"),
        (b"[::1]", "[::1]"),
        (b"[::1]:8080", "[::1]"),
        (b"[0:0:0:0:0:0:0:1]", "[::1]"),
        (b"[2001:DB8::A]", "[2001:db8::a]"),
        (b"[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
        (b"a_b.xn--caf-dma.example", "a_b.xn--caf-dma.example"),
        (b"", ""),
    ],
)
def test_a_host_is_routed_by_its_one_form(host: bytes, routed: str) -> None:
    head = admitted(b"GET / HTTP/1.1", b"Host: " + host).head
    assert (head.host, head.authority) == (routed, host)


def test_http_1_1_needs_a_host() -> None:
    assert refused(block(b"GET / HTTP/1.1")) is Problem.BAD_REQUEST


def test_http_1_0_may_have_none_and_is_then_for_no_host() -> None:
    assert admitted(b"GET / HTTP/1.0").head.host == ""


def test_http_1_0_may_not_have_two() -> None:
    assert refused(block(b"GET / HTTP/1.0", HOST, HOST)) is Problem.BAD_REQUEST


def test_a_host_of_kilobytes_is_not_even_looked_at() -> None:
    assert parse_authority(b"a" * 10_000) is None


@pytest.mark.parametrize(
    "target",
    [
        b"/",
        b"/?",
        b"/a?",
        b"/a%2Fb%7Ec%252ed%zz+;[]|//",
        b"//evil.example/x",
        b"/a/../b",
        b"/a\\b",
        b'/"<>^`{}',
        b"/a?b?c/../d",
        b"/a://b",
    ],
)
def test_a_target_is_every_byte_that_came(target: bytes) -> None:
    assert admitted(b"GET " + target + b" HTTP/1.1", HOST).head.target == target
