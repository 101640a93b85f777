"""The catalogue of what the control API answers when it does not do what it was asked, as a table (RFC 9457).

The law of the room: one row a problem; `type` slugs and codes are a contract with callers and never change their
meaning. Codes lie in 9600 … 9699, beside those of the gateway. A rule of the product has a row of its own, so that a
caller can tell what to mend without reading prose.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from router.model.problem import TYPE_BASE, Spec

if TYPE_CHECKING:
    from collections.abc import Mapping


class ControlProblem(Enum):
    """Every refusal of the control API."""

    INVALID_REQUEST = Spec("invalid-request", 422, 9600, "Invalid request", "The request is not what this asks for.")
    MALFORMED = Spec("malformed-request", 400, 9601, "Malformed request", "The request's body cannot be read.")
    NO_TOKEN = Spec("no-token", 401, 9602, "No valid token", "This needs a bearer token that is known and not expired.")
    NO_SCOPE = Spec("no-scope", 403, 9603, "Token not sufficient", "This token does not have the scope that is needed.")
    TOO_MANY_FAILURES = Spec(
        "too-many-failures",
        429,
        9604,
        "Too many failures",
        "Too many attempts with no valid token came from there.",
        60,
    )
    NO_RESOURCE = Spec("no-such-resource", 404, 9605, "No such resource", "There is nothing under this path.")
    NO_METHOD = Spec("no-such-method", 405, 9606, "No such method", "This method is not offered here.")
    NO_WORKSPACE = Spec("no-such-workspace", 404, 9607, "No such workspace", "This workspace is not in the directory.")
    NO_MEMBER = Spec("no-such-member", 404, 9608, "No such member", "The workspace has no such member.")
    NO_ACCOUNT = Spec("no-such-account", 404, 9609, "No such account", "This user has no account in that region.")
    NO_KEY = Spec("no-such-key", 404, 9610, "No such key", "This API key is not registered.")
    NO_TRANSFER = Spec("no-such-transfer", 404, 9611, "No such transfer", "There is no such transfer.")
    NO_EVENT = Spec("no-such-event", 404, 9612, "No such event", "There is no such event.")
    NO_REGION = Spec("no-such-region", 422, 9613, "No such region", "This region is not configured.")
    NO_DESTINATION = Spec(
        "no-such-destination", 422, 9614, "No such destination", "No destination of events has this name."
    )
    STALE = Spec(
        "precondition-failed", 412, 9615, "Precondition failed", "It has changed since it was read: read it again."
    )
    KEY_REUSED = Spec(
        "idempotency-key-reused",
        422,
        9616,
        "Idempotency key reused",
        "This idempotency key was sent with another request before.",
    )
    BODY_TOO_LARGE = Spec("control-body-too-large", 413, 9617, "Content too large", "The request's body is too large.")
    MEDIA_TYPE = Spec(
        "unsupported-media-type", 415, 9618, "Unsupported media type", "This content type is not read here."
    )
    BAD_ROWS = Spec("bad-rows", 422, 9619, "Bad rows", "Some rows cannot be taken, so none was.")
    IN_TRANSFER = Spec(
        "workspace-in-transfer",
        409,
        9620,
        "Workspace in transfer",
        "Nothing of a workspace changes while it is in transfer.",
    )
    MOVES_BY_TRANSFER = Spec(
        "moves-by-transfer-only",
        409,
        9621,
        "Moves by transfer only",
        "The workspace lives in another region, and only a transfer moves it.",
    )
    SUBDOMAIN_TAKEN = Spec("subdomain-taken", 409, 9622, "Subdomain taken", "Another workspace has this subdomain.")
    CHANGE_REFUSED = Spec(
        "change-refused", 409, 9623, "Change refused", "The directory's own rules forbid this change."
    )
    NOT_ENDED = Spec("delivery-pending", 409, 9624, "Delivery pending", "This event is still being delivered there.")
    DIRECTORY_UNAVAILABLE = Spec(
        "control-directory-unavailable",
        503,
        9625,
        "Directory unavailable",
        "The directory cannot be read or written right now.",
        2,
    )
    NO_GATEWAY = Spec(
        "no-such-gateway", 404, 9627, "No such gateway", "There is no registration of a gateway with this incarnation."
    )
    STILL_RENEWS = Spec(
        "gateway-still-renews",
        409,
        9628,
        "Gateway still renews",
        "This gateway is not dead: it renews its registration. Stop its process instead.",
    )
    BUG = Spec("control-error", 500, 9626, "Internal error", "The control API failed to handle this request.")

    # The rules of a transfer's start.
    NOT_OWNER = Spec("not-the-owner", 403, 9640, "Not the owner", "Only the workspace's owner may move it.")
    PLAN = Spec(
        "plan-without-regions", 403, 9641, "Plan without regions", "The workspace's plan does not include this."
    )
    TO_HOME = Spec("no-way-home", 409, 9642, "No way home", "No workspace moves to the home region.")
    UNKNOWN_DESTINATION = Spec(
        "destination-unknown", 409, 9643, "Destination unknown", "The destination is not a configured region."
    )
    NOT_ACCEPTING = Spec(
        "destination-not-accepting",
        409,
        9644,
        "Destination not accepting",
        "The destination takes no workspaces right now.",
    )
    ALREADY_THERE = Spec("already-there", 409, 9645, "Already there", "The workspace lives at the destination already.")
    ALREADY_RUNNING = Spec(
        "transfer-running", 409, 9646, "Transfer running", "Another transfer of this workspace is running."
    )
    MEMBER_HAS_ACCOUNT = Spec(
        "member-has-account", 409, 9647, "Member has account", "A member has an account at the destination already."
    )

    # The steps of a transfer.
    STILL_LOCKING = Spec(
        "transfer-still-locking", 409, 9650, "Transfer still locking", "Some gateway has not applied the lock yet."
    )
    ENDED = Spec("transfer-ended", 409, 9651, "Transfer ended", "The transfer has ended otherwise.")
    TOO_LATE_TO_ABORT = Spec(
        "too-late-to-abort", 409, 9652, "Too late to abort", "Copying may have begun: fail the transfer instead."
    )

    @property
    def spec(self) -> Spec:
        """The row of this problem."""
        return self.value

    @property
    def type(self) -> str:
        """The stable URI that names this problem."""
        return TYPE_BASE + self.value.slug


@dataclass(frozen=True, slots=True)
class Objection:
    """One reason why something is not done. `members` are added to the answer's body."""

    problem: ControlProblem
    detail: str
    members: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Declined:
    """Nothing was done, for all of these reasons, the weightiest first; never empty."""

    objections: tuple[Objection, ...]


def decline(problem: ControlProblem, detail: str, **members: Any) -> Declined:
    """For one reason."""
    return Declined((Objection(problem, detail, members),))
