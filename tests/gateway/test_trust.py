"""Who the client is: the right-most address that no trusted proxy has, and nothing that anybody else can make up."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.gateway.trust import NOBODY, UNKNOWN, Peer, Trust, read_claims, read_node, rightmost_untrusted

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"), ip_network("192.0.2.7"))
TRUST = Trust(PROXIES, forwarded=False)

INSIDE = st.ip_addresses(v=4, network="10.0.0.0/8").map(str) | st.ip_addresses(v=6, network="fd00::/8").map(str)
OUTSIDE = st.ip_addresses().filter(lambda address: getattr(address, "ipv4_mapped", None) is None).map(str)
STRANGERS = OUTSIDE.filter(lambda address: not TRUST.trusts(address))
ENTRIES = st.lists(st.text(max_size=20) | OUTSIDE | INSIDE, max_size=5)


def head(*fields: str) -> bytes:
    return "".join(f"{line}\r\n" for line in ("GET / HTTP/1.1", "Host: a", *fields, "")).encode("latin-1")


@pytest.mark.parametrize(
    ("peer", "entries", "client"),
    [
        ("198.51.100.1", [], "198.51.100.1"),
        ("198.51.100.1", ["203.0.113.9"], "198.51.100.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["6.6.6.6", "203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["6.6.6.6", "203.0.113.9", "10.1.1.1", "192.0.2.7"], "203.0.113.9"),
        ("10.0.0.1", ["10.0.0.3", "10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["203.0.113.9:4711"], "203.0.113.9"),
        ("10.0.0.1", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("fd00::1", ["2001:DB8:0::1"], "2001:db8::1"),
        ("10.0.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["6.6.6.6", "unknown"], "10.0.0.1"),
        ("10.0.0.1", ["6.6.6.6", "unknown", "10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["6.6.6.6", ""], "10.0.0.1"),
    ],
)
def test_the_client_is_the_right_most_address_that_is_not_trusted(peer: str, entries: list[str], client: str) -> None:
    assert rightmost_untrusted(peer, entries, TRUST.trusts) == client


@given(peer=STRANGERS, entries=ENTRIES)
def test_a_stranger_is_the_client_whatever_it_claims(peer: str, entries: list[str]) -> None:
    assert rightmost_untrusted(peer, entries, TRUST.trusts) == peer


@given(forged=ENTRIES, client=STRANGERS, proxies=st.lists(INSIDE, max_size=4), peer=INSIDE)
def test_nothing_that_the_client_writes_changes_who_it_is(
    forged: list[str], client: str, proxies: list[str], peer: str
) -> None:
    assert rightmost_untrusted(peer, [*forged, client, *proxies], TRUST.trusts) == str(ip_address(client))


@given(text=st.text(max_size=60))
def test_what_is_read_as_an_address_is_one(text: str) -> None:
    node = read_node(text)
    assert node is None or str(ip_address(node)) == node


@pytest.mark.parametrize("text", ["", "unknown", "_hidden", "1.2.3", "01.2.3.4", "1.2.3.4:", "[1.2", "fe80::1%eth0"])
def test_what_is_no_address_is_none(text: str) -> None:
    assert read_node(text) is None


@pytest.mark.parametrize("address", ["::ffff:10.0.0.1", "10.0.0.1"])
def test_a_proxy_on_a_dual_stack_socket_is_the_same_proxy(address: str) -> None:
    peer = TRUST.peer(address, False)
    assert (peer.address, peer.trusted) == ("10.0.0.1", True)


def test_a_link_local_peer_keeps_its_zone_and_is_nobody_s_proxy() -> None:
    peer = TRUST.peer("fe80::1%lo", False)
    assert (peer.address, peer.trusted) == ("fe80::1%lo", False)


def test_a_peer_without_an_address_is_never_trusted() -> None:
    everybody = Trust((ip_network("0.0.0.0/0"), ip_network("::/0")), forwarded=False)
    assert everybody.peer(UNKNOWN, False)._replace(lines=b"") == NOBODY


def test_the_fields_of_a_peer_that_claims_nothing_are_made_once() -> None:
    assert TRUST.peer("198.51.100.1", True) is TRUST.peer("198.51.100.1", True)
    assert TRUST.peer("198.51.100.1", True).lines == b"X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-Proto: https\r\n"


@pytest.mark.parametrize("proto", ["gopher", "https, http", "", "http s"])
def test_a_scheme_that_is_none_is_not_claimed(proto: str) -> None:
    assert read_claims(head(f"X-Forwarded-Proto: {proto}")).proto is None


@pytest.mark.parametrize("host", ["", "a b", "a, b", "u@a", "a/b", 'a"b'])
def test_a_host_that_is_none_is_not_claimed(host: str) -> None:
    assert read_claims(head(f"X-Forwarded-Host: {host}")).host is None


@pytest.mark.parametrize("name", ["X-Forwarded-Proto", "X-Forwarded-Host"])
def test_what_is_claimed_twice_is_not_claimed(name: str) -> None:
    claims = read_claims(head(f"{name}: https", f"{name}: http"))
    assert (claims.proto, claims.host) == (None, None)


def test_several_lists_are_one() -> None:
    claims = read_claims(head("x-forwarded-FOR: a, b \t", "X-Forwarded-For:", "X-Forwarded-For: c"))
    assert claims.forwarded_for == b"a, b, c"


def test_the_address_of_a_request_is_read_from_its_head() -> None:
    block = head("X-Forwarded-For: 6.6.6.6, 203.0.113.9")
    assert TRUST.client_address(TRUST.peer("10.0.0.1", False), block) == "203.0.113.9"
    assert TRUST.client_address(TRUST.peer("198.51.100.1", False), block) == "198.51.100.1"
    assert Trust((), forwarded=False).client_address(Peer("10.0.0.1", False, False, b""), block) == "10.0.0.1"
