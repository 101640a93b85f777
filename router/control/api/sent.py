"""What the control API is sent: bodies and queries, from which the document that describes them is made.

The law of the room: what is sent is read strictly, and an unknown member is refused, because a typing error in an
optional one must not be silent.
"""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, RootModel

from router.model.journal import EventType
from router.model.tenant import BackupState, MemberStatus
from router.model.transfer import TransferState

DEFAULT_PAGE: Final = 100
LONGEST_PAGE: Final = 500

NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._:@+-]{0,99}$"
REGION: Final = r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$"
DIGEST: Final = r"^[0-9a-f]{64}$"
VISIBLE: Final = r"^[\x21-\x7e]{1,200}$"
IDENTIFIER: Final = r"^[A-Za-z0-9_-]{1,64}$"

Name = Annotated[str, Field(pattern=NAME, examples=["5f8d0c2e7a1b4c3d9e6f7a80"])]
Region = Annotated[str, Field(pattern=REGION, examples=["eu"])]
Label = Annotated[str, Field(pattern=r"^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$", examples=["acme"])]
Plan = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._ -]{0,49}$", examples=["PRO"])]
Line = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]
Cursor = Annotated[str, Field(pattern=VISIBLE, description="what the page before gave as `next`")]


def _digits(value: object) -> object:
    """Python reads numbers in more forms than a caller of HTTP should rely on."""
    if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) < 10):
        raise ValueError("not a whole number")
    return value


Limit = Annotated[int, Field(ge=1, le=LONGEST_PAGE, description="at most so many"), BeforeValidator(_digits)]
Switch = Literal["true", "false"]


class Model(BaseModel):
    """Unknown members are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# What is sent


class WorkspacePut(Model):
    """A whole workspace: what is left out, it does not have."""

    region: Region
    subdomain: Label | None = None
    plan: Plan | None = None
    owner: Name | None = None


class WorkspacePatch(Model):
    """What changes of a workspace: what is left out stays as it is, null takes it away."""

    subdomain: Label | None = None
    plan: Plan | None = None
    owner: Name | None = None


class MemberPut(Model):
    """A member's status."""

    status: MemberStatus


class KeyOfWorkspace(Model):
    """The key belongs to a workspace."""

    workspace: Name


class KeyOfRegion(Model):
    """The key belongs to a user of a region, and names no workspace."""

    region: Region


class KeyPut(RootModel[KeyOfWorkspace | KeyOfRegion]):
    """What an API key names: a workspace or a region, never both."""


class Supersession(Model):
    """What stands in the key's place: a transfer's id, or words."""

    by: Name


class TransferStart(Model):
    """Who wants the workspace to move where. Whoever holds the token vouches for `requested_by`."""

    destination: Region
    requested_by: Name


class ProgressReport(Model):
    """How far a transfer's job has come."""

    percent: Annotated[int, Field(ge=0, le=100)]
    note: Line | None = None


class Failure(Model):
    """Why a transfer did not succeed."""

    reason: Line


class Resend(Model):
    """To whom an event is sent once more. Left out: to everybody whose delivery has ended."""

    destination: Name | None = None


# What is asked for


class Page(Model):
    """Which part of a list."""

    limit: Limit = DEFAULT_PAGE
    after: Cursor | None = None


class RegionQuery(Model):
    """For whom regions are listed."""

    workspace: Annotated[Name | None, Field(description="say of each region whether it may move there")] = None
    requested_by: Annotated[Name | None, Field(description="who wants to move it; left out: its owner")] = None


class WorkspaceQuery(Page):
    """Which workspaces."""

    region: Region | None = None
    plan: Plan | None = None
    owner: Name | None = None
    member: Name | None = None
    locked: Annotated[Switch | None, Field(description="whether a transfer of it is running")] = None


class AccountQuery(Page):
    """Which accounts."""

    member: Name | None = None
    region: Region | None = None


class KeyQuery(Page):
    """Which keys."""

    workspace: Name | None = None


class ResolveQuery(Model):
    """Exactly one of them."""

    workspace: Name | None = None
    subdomain: Label | None = None
    key: Annotated[str | None, Field(pattern=DIGEST, description="the SHA-256 of an API key in hex")] = None


class StartQuery(Model):
    """Whether it is only to be judged."""

    preview: Annotated[Switch, Field(description="true: start nothing, and say what would happen")] = "false"


class TransferQuery(Page):
    """Which transfers."""

    workspace: Name | None = None
    state: TransferState | None = None
    running: Annotated[Switch | None, Field(description="true: locking or transferring; false: ended")] = None


class BackupQuery(Page):
    """Which backups."""

    workspace: Name | None = None
    region: Region | None = None
    state: BackupState | None = None


class EventQuery(Page):
    """Which events."""

    workspace: Name | None = None
    type: EventType | None = None
    undelivered: Annotated[Switch, Field(description="true: those that some destination has not got")] = "false"


class AuditQuery(Page):
    """Which changes."""

    who: Name | None = None
    subject: Annotated[str | None, Field(pattern=VISIBLE, description="`kind:id`, as in `workspace:64a6…`")] = None
