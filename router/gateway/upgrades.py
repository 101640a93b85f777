"""Upgrades: which wish to speak something else on a connection is passed on, and what grants it (RFC 9110 §7.8).

The law of the room: a WebSocket may be asked for, and nothing else. Any other protocol, h2c above all, would carry
requests past the routing; its wish is taken out, the request goes on as an ordinary one, and what its client sends
behind it is never read as a request, because it may be meant in that other protocol. A 101 is passed on only if it
grants what was asked for: behind any other answer the region still reads requests.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from router.routing.fields import tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.routing.values import RequestHead

SWITCHES_TO_WEBSOCKET: Final = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
"""What the wish, and its grant, go out as: Upgrade is hop-by-hop, so it is ours to say, and to nominate."""

_WEBSOCKET: Final = frozenset({b"websocket"})


class Upgrade(Enum):
    """What becomes of a request's wish to upgrade."""

    NONE = auto()
    """It has none."""
    DECLINED = auto()
    WEBSOCKET = auto()
    """The region is asked."""


def judge_upgrade(head: RequestHead, seen: Mapping[bytes, list[bytes]], framing: int) -> Upgrade:
    """What becomes of the wish in `seen`, which has an Upgrade. `framing` is that of the request's body."""
    asked = (
        head.method == "GET"
        and head.minor == 1
        and framing == 0
        and tokens(seen[b"upgrade"]) == _WEBSOCKET
        and b"upgrade" in tokens(seen.get(b"connection", ()))
    )
    return Upgrade.WEBSOCKET if asked else Upgrade.DECLINED


def grants_websocket(seen: Mapping[bytes, list[bytes]]) -> bool:
    """Whether a 101 with `seen` leads to a WebSocket and nothing else: it has no body (RFC 9110 §15.2)."""
    framed = b"content-length" in seen or b"transfer-encoding" in seen
    named = b"upgrade" in tokens(seen.get(b"connection", ()))
    return named and not framed and tokens(seen.get(b"upgrade", ())) == _WEBSOCKET
