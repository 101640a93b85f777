"""Composing heads: the lines that are ours around the lines that are passed on.

The law of the room: what is passed on was cut out by `router.routing.fields` and stands here as it came. Whatever
ours could be mistaken for was removed there, so that each of our fields is the only one of its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.gateway.heads import CHUNKED
from router.gateway.responses import connection_line
from router.routing.table import Disclose

if TYPE_CHECKING:
    from router.gateway.heads import Admitted, AnswerHead
    from router.model.region import Endpoint, RegionName
    from router.routing.values import Proxy

_ALWAYS: Final = Disclose.ALWAYS
_ON_SUCCESS: Final = Disclose.SUCCESS


def region_lines(region: RegionName, endpoint: Endpoint) -> bytes:
    """The fields that tell a client where its workspace lives, and the base URL that it should move to."""
    url = f"{endpoint.public_url}{endpoint.path.decode('ascii')}"
    return f"X-Router-Region: {region}\r\nX-Router-Region-URL: {url}\r\n".encode("ascii")


def request_head(
    admitted: Admitted, proxy: Proxy, *, forwarded: bytes, forwarded_host: bytes, request_id: bytes, via: bytes
) -> bytes:
    """The head that goes out to a region, always as HTTP/1.1. `forwarded`: what it is told of the client, as lines."""
    head = admitted.head
    coding = b"Transfer-Encoding: chunked\r\n" if admitted.body == CHUNKED else b""
    epoch = b"" if proxy.epoch is None else b"X-Workspace-Epoch: %d\r\n" % proxy.epoch
    return b"%b %b HTTP/1.1\r\nHost: %b\r\n%b%b%bX-Forwarded-Host: %b\r\n%bX-Request-ID: %b\r\nVia: 1.%d %b\r\n\r\n" % (
        head.method.encode("ascii"),
        proxy.target,
        proxy.host,
        admitted.kept,
        coding,
        forwarded,
        forwarded_host,
        epoch,
        request_id,
        head.minor,
        via,
    )


def answer_head(answer: AnswerHead, *, minor: int, region: bytes, request_id: bytes, via: bytes, closes: bool) -> bytes:
    """The head that goes back to a client of HTTP/1.`minor`. `region` are `region_lines`, or nothing."""
    coding = b"Transfer-Encoding: chunked\r\n" if answer.body == CHUNKED and minor == 1 else b""
    return b"HTTP/1.1 %d %b\r\n%b%b%bX-Request-ID: %b\r\nVia: 1.1 %b\r\n%b\r\n" % (
        answer.status,
        answer.reason,
        answer.kept,
        coding,
        region,
        request_id,
        via,
        connection_line(minor, closes=closes),
    )


def discloses(policy: Disclose, status: int) -> bool:
    """Whether an answer of a region with `status` names it: who may read the workspace learns where it lives."""
    return (200 <= status < 300 and policy is _ON_SUCCESS) or policy is _ALWAYS
