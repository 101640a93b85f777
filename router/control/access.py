"""Who may do what: bearer tokens with scopes, and a limit for those who guess.

Theory. A token is random text that only its holder knows; here only its SHA-256 is kept and compared, in constant time,
with every token there is, so that neither this process's memory nor its timing gives one away. Several may be valid at
once, so that one can be replaced without an outage. The holder vouches for what it says of its users, so scopes are few
and coarse.

The law of the room: nothing is said to somebody without a valid token, not even whether a path exists; no token is
logged or echoed. An address that failed too often is not listened to for a while, even with a valid token: else it
could go on guessing.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import math
from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from router.control.problems import ControlProblem, Declined, decline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.control.secret_files import SecretFile

LOOPBACK: Final = "loopback"
"""The name of whoever comes from this machine without a token, where that is allowed."""

FAILURES: Final = 10
"""Failed attempts that an address has at once."""
REFILL: Final = 6.0
"""Seconds until it has one more."""
_ADDRESSES: Final = 10_000


class Scope(StrEnum):
    """What a token is for. Each but `read` includes `read`; `admin` includes all."""

    READ = "read"
    WORKSPACES = "workspaces"
    TRANSFERS = "transfers"
    ADMIN = "admin"


INCLUDED: Final[Mapping[Scope, frozenset[Scope]]] = {
    Scope.READ: frozenset({Scope.READ}),
    Scope.WORKSPACES: frozenset({Scope.READ, Scope.WORKSPACES}),
    Scope.TRANSFERS: frozenset({Scope.READ, Scope.TRANSFERS}),
    Scope.ADMIN: frozenset(Scope),
}


@dataclass(frozen=True, slots=True)
class Token:
    """One token: its secret is known by its SHA-256 in hex, or stands in a file. `expires_at` is seconds since 1970."""

    name: str
    scopes: frozenset[Scope]
    digest: str | None = None
    file: SecretFile | None = None
    expires_at: float = math.inf

    def current_digest(self) -> str | None:
        """The SHA-256 in hex of the secret as it is now; `None` while its file has none."""
        if self.file is None:
            return self.digest
        secret = self.file.read()
        return None if secret is None else hashlib.sha256(secret).hexdigest()


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: the token's name, and what it may."""

    name: str
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        """Whether one of its scopes includes `scope`."""
        return any(scope in INCLUDED[held] for held in self.scopes)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request shows of itself. `same_machine`: it came over loopback, for a loopback host, from no browser."""

    authorization: str | None
    address: str
    same_machine: bool


class Access:
    """Knows the tokens. `open_to_loopback`: requests from this machine need none."""

    def __init__(self, tokens: tuple[Token, ...], *, open_to_loopback: bool = False) -> None:
        self._tokens = tokens
        self._open_to_loopback = open_to_loopback
        self._failures = Failures()

    def adopt(self, tokens: tuple[Token, ...], *, open_to_loopback: bool) -> None:
        """Know these from now on, and no others."""
        self._tokens = tokens
        self._open_to_loopback = open_to_loopback

    def admit(self, shown: Credentials, scope: Scope, *, now: float, pace: float) -> Principal | Declined:
        """Who it is, if it may do what needs `scope`. `now` is wall time, `pace` monotonic, both in seconds."""
        principal = self._identify(shown, now=now, pace=pace)
        if isinstance(principal, Principal) and not principal.may(scope):
            return decline(ControlProblem.NO_SCOPE, f"This needs the scope {scope}.")
        return principal

    def _identify(self, shown: Credentials, *, now: float, pace: float) -> Principal | Declined:
        if shown.authorization is None:
            if self._open_to_loopback and shown.same_machine:
                return Principal(LOOPBACK, frozenset({Scope.ADMIN}))
            return decline(ControlProblem.NO_TOKEN, "Send it as `Authorization: Bearer TOKEN`.")
        wait = self._failures.wait(shown.address, pace)
        if wait > 0:
            return decline(ControlProblem.TOO_MANY_FAILURES, f"Wait {math.ceil(wait)} s.", retry_after=math.ceil(wait))
        token = self._find(shown.authorization)
        if token is None or token.expires_at <= now:
            self._failures.note(shown.address, pace)
            return decline(ControlProblem.NO_TOKEN, "The token is not known." if token is None else "It has expired.")
        return Principal(token.name, token.scopes)

    def _find(self, authorization: str) -> Token | None:
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        digest = hashlib.sha256(secret.strip().encode("utf-8", "surrogateescape")).hexdigest()
        found = None
        for token in self._tokens:
            known = token.current_digest()
            # No way out of the loop: how long it takes says nothing of which token it was.
            if known is not None and hmac.compare_digest(known, digest):
                found = token
        return found


class Failures:
    """Failed attempts by address (IPv6: by its /64), each in a bucket that refills; old ones are forgotten."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, address: str, now: float) -> float:
        """Seconds until the address may try again; 0: now."""
        left = self._left(_network(address), now)
        return 0.0 if left >= 1 else (1 - left) * REFILL

    def note(self, address: str, now: float) -> None:
        """Count one more failure."""
        network = _network(address)
        self._buckets[network] = (self._left(network, now) - 1, now)
        self._buckets.move_to_end(network)
        while len(self._buckets) > _ADDRESSES:
            self._buckets.popitem(last=False)

    def _left(self, network: str, now: float) -> float:
        left, then = self._buckets.get(network, (float(FAILURES), now))
        return min(float(FAILURES), left + (now - then) / REFILL)


def _network(address: str) -> str:
    """IPv6 hosts have a whole /64 to come from."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(parsed) if parsed.version == 4 else str(ipaddress.ip_network((int(parsed), 64), strict=False))
