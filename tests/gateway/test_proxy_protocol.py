"""The PROXY header's reader: what it takes, what it refuses, and that it never reads too far."""

from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from router.gateway.proxy_protocol import (
    LONGEST_BLOCK,
    LONGEST_LINE,
    BadHeaderError,
    Header,
    Whose,
    read_header,
)

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V4 = bytes([192, 0, 2, 1, 198, 51, 100, 1]) + struct.pack("!HH", 1025, 443)

ports = st.integers(0, 65535)
ipv4 = st.ip_addresses(v=4)
ipv6 = st.ip_addresses(v=6)


def block(command: int = 1, family: int = 0x11, content: bytes = V4, *, version: int = 2) -> bytes:
    return SIGNATURE + bytes([version << 4 | command, family]) + struct.pack("!H", len(content)) + content


def tlv(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + struct.pack("!H", len(value)) + value


def line(source: object, destination: object, source_port: int, destination_port: int, family: str) -> bytes:
    return f"PROXY {family} {source} {destination} {source_port} {destination_port}\r\n".encode()


extensions = st.lists(st.builds(tlv, st.integers(0, 0x1F), st.binary(max_size=40)), max_size=4).map(b"".join)
headers = st.one_of(
    st.builds(line, ipv4, ipv4, ports, ports, st.just("TCP4")),
    st.builds(line, ipv6, ipv6, ports, ports, st.just("TCP6")),
    st.just(b"PROXY UNKNOWN\r\n"),
    st.builds(
        lambda source, destination, extra: block(
            family=0x11, content=source.packed + destination.packed + b"\0" * 4 + extra
        ),
        ipv4,
        ipv4,
        extensions,
    ),
    st.builds(
        lambda source, destination, extra: block(
            family=0x21, content=source.packed + destination.packed + b"\0" * 4 + extra
        ),
        ipv6,
        ipv6,
        extensions,
    ),
    st.builds(lambda content: block(command=0, family=0, content=content), st.binary(max_size=64)),
)


# --- what it takes


@given(ipv4, ipv4, ports, ports)
def test_a_line_names_an_ipv4_client(source: IPv4Address, destination: IPv4Address, one: int, other: int) -> None:
    data = line(source, destination, one, other, "TCP4")
    assert read_header(data) == Header(len(data), Whose.NAMED, str(source))


@given(ipv6, ipv6, ports, ports)
def test_a_line_names_an_ipv6_client(source: IPv6Address, destination: IPv6Address, one: int, other: int) -> None:
    data = line(source, destination, one, other, "TCP6")
    assert read_header(data) == Header(len(data), Whose.NAMED, str(source))


@pytest.mark.parametrize(
    "data", [b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"]
)
def test_a_line_may_leave_its_client_unnamed(data: bytes) -> None:
    assert read_header(data) == Header(len(data), Whose.UNNAMED)


@given(ipv4, extensions)
def test_a_block_names_an_ipv4_client_whatever_else_it_tells(source: IPv4Address, extra: bytes) -> None:
    data = block(content=source.packed + V4[4:] + extra)
    assert read_header(data) == Header(len(data), Whose.NAMED, str(source))


@given(ipv6)
def test_a_block_names_an_ipv6_client(source: IPv6Address) -> None:
    data = block(family=0x21, content=source.packed + bytes(20))
    assert read_header(data) == Header(len(data), Whose.NAMED, str(source))


@pytest.mark.parametrize(("family", "content"), [(0x00, b""), (0x00, b"anything"), (0x31, bytes(216))])
def test_a_block_may_leave_its_client_unnamed(family: int, content: bytes) -> None:
    data = block(family=family, content=content)
    assert read_header(data) == Header(len(data), Whose.UNNAMED)


@given(st.integers(0, 255), st.binary(max_size=300))
def test_a_local_block_is_the_balancers_own_whatever_it_tells(family: int, content: bytes) -> None:
    data = block(command=0, family=family, content=content)
    assert read_header(data) == Header(len(data), Whose.OWN)


@pytest.mark.parametrize(("client", "secure"), [(0x00, False), (0x01, True), (0x05, True), (0x04, False)])
def test_a_block_tells_whether_its_client_speaks_tls(client: int, secure: bool) -> None:
    data = block(content=V4 + tlv(0x04, b"") + tlv(0x20, bytes([client, 0, 0, 0, 0]) + tlv(0x21, b"TLSv1.3")))
    header = read_header(data)
    assert header is not None
    assert header.secure is secure


def test_a_block_may_be_as_long_as_is_taken() -> None:
    data = block(content=V4 + tlv(0x04, bytes(LONGEST_BLOCK - 16 - len(V4) - 3)))
    assert len(data) == LONGEST_BLOCK
    assert read_header(data) == Header(len(data), Whose.NAMED, "192.0.2.1")


# --- what it refuses


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n",
        b"PROXY  TCP4 1.2.3.4 1.2.3.4 1 1\r\n",
        b"PROXY TCP5 1.2.3.4 1.2.3.4 1 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1 \r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
        b"PROXY TCP4 1.2.3.04 1.2.3.4 1 1\r\n",
        b"PROXY TCP4 1.2.3 1.2.3.4 1 1\r\n",
        b"PROXY TCP4 ::1 ::1 1 1\r\n",
        b"PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n",
        b"PROXY TCP6 [::1] ::1 1 1\r\n",
        b"PROXY \r\n",
        b"PROXY UNKNOWN\rGET",
        b"PROXY TCP4 \xb2.2.3.4",
        b"PROXY UNKNOWN " + b"x" * LONGEST_LINE,
        block(version=1),
        block(version=3),
        block(command=2),
        block(family=0x12),
        block(family=0x22),
        block(family=0x41),
        block(family=0x13),
        block(content=V4[:-1]),
        block(family=0x21, content=bytes(35)),
        block(family=0x31, content=bytes(215)),
        block(content=V4 + b"\x04"),
        block(content=V4 + tlv(0x04, b"abc")[:-1]),
        block(content=V4 + tlv(0x20, b"\x01\0\0\0")),
        SIGNATURE + b"\x21\x11" + struct.pack("!H", LONGEST_BLOCK),
        SIGNATURE[:-1] + b"\r",
    ],
)
def test_what_is_no_header_is_refused(data: bytes) -> None:
    with pytest.raises(BadHeaderError) as refusal:
        read_header(data)
    assert "\n" not in str(refusal.value)


@given(st.binary(max_size=200), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21"]))
def test_no_bytes_at_all_make_it_fail_otherwise(data: bytes, beginning: bytes) -> None:
    try:
        header = read_header(beginning + data)
    except BadHeaderError:
        return
    assert header is None or header.length <= len(beginning + data)


# --- and never too far


@given(headers, st.binary(max_size=50))
@example(b"PROXY UNKNOWN\r\n", b"\r\n")
def test_what_stands_behind_a_header_is_no_part_of_it(header: bytes, behind: bytes) -> None:
    found = read_header(header + behind)
    assert found is not None
    assert found.length == len(header)
    assert found == read_header(header)


@given(headers)
def test_every_beginning_of_a_header_waits_for_the_rest(header: bytes) -> None:
    assert all(read_header(header[:length]) is None for length in range(len(header)))


@given(st.binary(min_size=LONGEST_BLOCK, max_size=LONGEST_BLOCK + 8), st.sampled_from([b"", b"PROXY ", SIGNATURE]))
def test_nobody_is_waited_for_without_end(data: bytes, beginning: bytes) -> None:
    with contextlib.suppress(BadHeaderError):
        assert read_header(beginning + data) is not None
