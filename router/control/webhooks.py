"""Webhooks in the form of Standard Webhooks: what is signed, how, and what an attempt comes to.

The law of the room: events go to destinations of the configuration alone, so nobody who can reach the control API can
make this process connect anywhere. No redirect is followed, for the same reason. A secret is read from its file for
each attempt; while it is being replaced the file may hold several, and each signs.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import aiohttp

if TYPE_CHECKING:
    from router.control.secret_files import SecretFile
    from router.model.journal import Event

PREFIX: Final = b"whsec_"
TIMEOUT: Final = 15.0
"""Seconds for one attempt, from dialling to the head of the answer."""
_SHORTEST_KEY: Final = 24
_LONGEST_KEY: Final = 64
"""Bytes of a signing key, as Standard Webhooks has them."""
_CONNECTIONS: Final = 20


@dataclass(frozen=True, slots=True)
class Destination:
    """Who is told of events. `secret` holds `whsec_` keys, separated by blanks or lines."""

    name: str
    url: str
    secret: SecretFile


class Attempt(NamedTuple):
    """What became of one attempt: the status, or why there was none."""

    status: int | None
    trouble: str | None = None

    @property
    def delivered(self) -> bool:
        """Whether the destination has taken it."""
        return self.status is not None and 200 <= self.status < 300


def signing_keys(secret: bytes | None) -> tuple[bytes, ...]:
    """The keys in a secret's file. Raises `ValueError` where one is not well-formed, or none is there."""
    keys = tuple(_signing_key(text) for text in (secret or b"").split())
    if not keys:
        raise ValueError("there is no whsec_ key")
    return keys


def sign(keys: tuple[bytes, ...], event_id: str, timestamp: int, payload: str) -> str:
    """The `webhook-signature` of a message: one signature for each key."""
    message = f"{event_id}.{timestamp}.{payload}".encode()
    return " ".join(f"v1,{base64.b64encode(hmac.digest(key, message, hashlib.sha256)).decode('ascii')}" for key in keys)


class WebhookSender:
    """Sends events. To be closed."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT),
            auto_decompress=False,
        )

    async def send(self, destination: Destination, event: Event, *, now: float) -> Attempt:
        """Attempt it once, at `now` (seconds since 1970)."""
        try:
            keys = signing_keys(destination.secret.read())
        except ValueError as error:
            return Attempt(None, f"{destination.secret.path}: {error}")
        timestamp = int(now)
        fields = {
            "Content-Type": "application/json",
            "User-Agent": "region-router",
            "webhook-id": event.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(keys, event.id, timestamp, event.payload),
        }
        try:
            async with self._session.post(
                destination.url, data=event.payload.encode(), headers=fields, allow_redirects=False
            ) as answer:
                # The status is the answer; a body of any length is not read.
                answer.close()
                return Attempt(answer.status, None if 200 <= answer.status < 300 else f"status {answer.status}")
        except (aiohttp.ClientError, TimeoutError, OSError, UnicodeError) as error:
            return Attempt(None, _told(error))

    async def close(self) -> None:
        """Give back its connections."""
        await self._session.close()


def _signing_key(text: bytes) -> bytes:
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("a key is not base64") from error
    if not text.startswith(PREFIX) or not _SHORTEST_KEY <= len(key) <= _LONGEST_KEY:
        raise ValueError(f"a key is not whsec_ and {_SHORTEST_KEY} to {_LONGEST_KEY} bytes in base64")
    return key


def _told(error: Exception) -> str:
    """One short line: which kind of failure, and what the system says of it. The library's own texts may repeat a URL,
    in which a path or a query may be a secret, and whatever bytes were answered.
    """
    match error:
        case TimeoutError():
            reason = "no answer in time"
        case aiohttp.ClientResponseError():
            reason = "the answer is not HTTP that can be read"
        case aiohttp.InvalidURL():
            reason = "the URL cannot be used"
        case UnicodeError():
            reason = "the URL's host is no name"
        case _:
            reason = str(error)
    return f"{type(error).__name__}: {reason}"[:200]
