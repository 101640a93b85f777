"""Reading a region's answer: interim heads, the final head, the body, and what lies behind it.

The law of the room: a reader knows where an answer ends and whether it was whole, and nothing of clients. What a region
sends is judged as strictly as a request, because it is relayed under our name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.gateway.bodies import Body, UntilCloseBody, body_of
from router.gateway.heads import AnswerHead, AnswerHeads, BadAnswerError

if TYPE_CHECKING:
    from router.gateway.options import GatewayOptions

MAX_INTERIM: Final = 16
"""1xx answers accepted for one request."""

NO_HEAD: Final = AnswerHead(0, b"", b"", 0, persistent=False)
"""The head of an answer that has none yet."""


class AnswerReader:
    """One answer. `head` and `body` are real once `begun`; `spoken`: some byte has come; `excess`: bytes behind it.

    `switching`: its request has asked for a WebSocket, so that a 101 may be the final head.
    """

    __slots__ = (
        "_heads",
        "_interim",
        "_method",
        "_options",
        "_rest",
        "_switching",
        "begun",
        "body",
        "excess",
        "head",
        "spoken",
    )

    def __init__(self, method: str, heads: AnswerHeads, options: GatewayOptions, *, switching: bool) -> None:
        self.head = NO_HEAD
        self.body: Body = body_of(0)
        self.begun = False
        self.spoken = False
        self.excess = False
        self._method = method
        self._heads = heads
        self._options = options
        self._rest = b""
        self._interim = 0
        self._switching = switching

    @property
    def ends_with_connection(self) -> bool:
        """Whether only the end of the connection can end the answer."""
        return isinstance(self.body, UntilCloseBody)

    @property
    def persistent(self) -> bool:
        """Whether the connection is clean and may carry another answer."""
        return self.head.persistent and self.body.done and not self.excess

    def read_head(self, data: bytes) -> list[AnswerHead]:
        """The heads that are whole with `data`: interim ones (1xx), then the final one, with which the body begins.

        Raises `BadAnswerError`.
        """
        self.spoken = True
        rest = self._rest + data if self._rest else data
        heads = []
        while not self.begun:
            end = rest.find(b"\r\n\r\n")
            if max(end, len(rest) if end < 0 else 0) > self._options.upstream_max_head:
                raise BadAnswerError("head too large")
            if end < 0:
                break
            block = rest[: end + 4]
            rest = rest[end + 4 :]
            heads.append(self._take(block))
        self._rest = rest
        return heads

    def read_body(self, data: bytes) -> bytes:
        """The payload in `data`, which follows what came before. Raises `BadBodyError`."""
        payload, behind = self.body.feed(data)
        if behind:
            self.excess = True
        return payload

    def take_rest(self) -> bytes:
        """The bytes that came behind the final head, once."""
        rest, self._rest = self._rest, b""
        return rest

    def _take(self, block: bytes) -> AnswerHead:
        limit = self._options.upstream_max_fields
        heads = self._heads
        head = heads.parse_switching(block, limit) if self._switching else heads.parse(block, self._method, limit)
        if head.status >= 200 or head.status == 101:
            self.head = head
            self.body = body_of(head.body)
            self.begun = True
        else:
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise BadAnswerError("too many interim answers")
        return head
