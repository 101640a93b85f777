"""What the backends tell of their tenants: workspaces, members, accounts, API keys.

The law of the room: nothing of a workspace changes while it is in transfer, and only a transfer moves it. Each change
is one step over a `ControlTransaction` with its line in the audit log; what is there already is no change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from router.control.audit import record
from router.control.lifecycle import no_workspace
from router.control.problems import ControlProblem, Declined, decline
from router.directory.store import KeyDraft, WorkspaceDraft
from router.model.tenant import Account, Member, MemberId, MemberStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.control.audit import Act
    from router.control.options import ControlOptions
    from router.control.ports import ControlTransaction
    from router.directory.store import WorkspaceRecord
    from router.model.placement import WorkspaceId
    from router.model.region import RegionName
    from router.model.transfer import RunningTransfer


class Details(NamedTuple):
    """All that can be said of a workspace. `None`: it has none."""

    region: RegionName
    subdomain: str | None = None
    plan: str | None = None
    owner: str | None = None


class Put(NamedTuple):
    """A workspace as it is now; `created` if it was not there, `changed` if it was not like this."""

    record: WorkspaceRecord
    created: bool
    changed: bool


class Tenants:
    """What may be done with tenants in one transaction, by whoever acts."""

    def __init__(self, tx: ControlTransaction, act: Act, options: ControlOptions) -> None:
        self._tx = tx
        self._act = act
        self._options = options

    def put_workspace(self, workspace: WorkspaceId, wanted: Details) -> Put | Declined:
        """Make it, or make it be as `wanted` says and no different."""
        before = self._tx.workspace(workspace)
        found = None if before is None else details_of(before)
        if before is None or found != wanted:
            refused = self._refusal(workspace, before, wanted)
            if refused is not None:
                return refused
            self._write(workspace, found, wanted)
        after = self._tx.workspace(workspace)
        if after is None:
            raise LookupError("a workspace that was put is not there")
        if found != wanted:
            record(self._tx, self._act, "workspace.put", f"workspace:{workspace}", before=before, after=after)
        return Put(after, created=before is None, changed=found != wanted)

    def delete_workspace(self, workspace: WorkspaceId) -> Declined | None:
        """Leave tombstones of it and of what names it."""
        before = self._tx.workspace(workspace)
        if before is None:
            return no_workspace(workspace)
        if before.placement.transfer is not None:
            return _in_transfer(workspace, before.placement.transfer)
        self._tx.delete_workspace(workspace)
        record(self._tx, self._act, "workspace.delete", f"workspace:{workspace}", before=before)
        return None

    def amend_workspace(self, draft: WorkspaceDraft) -> Put | Declined:
        """As `put_workspace`, but what the draft leaves out stays as it is."""
        found = self._tx.workspace(draft.workspace)
        wanted = Details(draft.region, draft.subdomain, draft.plan, draft.owner)
        if found is not None:
            wanted = wanted._replace(
                subdomain=wanted.subdomain or found.subdomain,
                plan=wanted.plan or found.plan,
                owner=wanted.owner or found.owner,
            )
        return self.put_workspace(draft.workspace, wanted)

    def import_workspaces(
        self, drafts: Sequence[WorkspaceDraft], digest: str, progress: Callable[[int], None] | None = None
    ) -> int:
        """Put all or none, and return how many changed. `digest` names what they came from in the audit log;
        `progress` is told now and then how many are done.

        Raises `WriteRefusedError`.
        """
        changed = self._tx.put_workspaces(drafts, progress=progress)
        after = {"rows": len(drafts), "changed": changed, "sha256": digest}
        record(self._tx, self._act, "workspace.import", "workspaces", after=after)
        return changed

    def put_member(self, workspace: WorkspaceId, member: MemberId, status: MemberStatus) -> Member | Declined:
        """Make a user a member, or give the member that status."""
        wanted = Member(workspace, member, status)
        before = self._tx.member(workspace, member)
        refused = self._unchangeable(workspace) if before != wanted else None
        if refused is not None:
            return refused
        if before != wanted:
            self._tx.put_member(wanted)
            subject = f"member:{workspace}/{member}"
            record(self._tx, self._act, "member.put", subject, before=before, after=wanted)
        return wanted

    def remove_member(self, workspace: WorkspaceId, member: MemberId) -> Declined | None:
        """The user is no member any more."""
        before = self._tx.member(workspace, member)
        refused = self._unchangeable(workspace)
        if refused is not None:
            return refused
        if before is None:
            return decline(ControlProblem.NO_MEMBER, f"Workspace {workspace} has no member {member!r}.")
        self._tx.remove_member(workspace, member)
        record(self._tx, self._act, "member.remove", f"member:{workspace}/{member}", before=before)
        return None

    def put_account(self, account: Account) -> Declined | None:
        """The user has an account there. Everybody has one at home, so none is kept of that."""
        refused = self._region_refusal(account.region)
        if refused is not None:
            return refused
        if account.region == self._options.home:
            return decline(ControlProblem.NO_REGION, f"{account.region!r} is home, where everybody has an account.")
        if self._tx.put_account(account):
            record(self._tx, self._act, "account.put", f"account:{account.member}/{account.region}", after=account)
        return None

    def remove_account(self, account: Account) -> Declined | None:
        """The user has no account there any more."""
        if not self._tx.remove_account(account):
            return decline(ControlProblem.NO_ACCOUNT, f"{account.member!r} has no account in {account.region!r}.")
        record(self._tx, self._act, "account.remove", f"account:{account.member}/{account.region}", before=account)
        return None

    def register_key(
        self, digest: str, *, workspace: WorkspaceId | None = None, region: RegionName | None = None
    ) -> KeyDraft | Declined:
        """Say what an API key names, a workspace or a region, by the key's hash."""
        found = self._tx.key(digest)
        # A registration that comes late must not bring a dead key back to life.
        return self.put_key(KeyDraft(digest, workspace, region, None if found is None else found.superseded_by))

    def put_key(self, wanted: KeyDraft) -> KeyDraft | Declined:
        """Let the key be as `wanted` says and no different."""
        before = self._tx.key(wanted.digest)
        if before == wanted:
            return wanted
        if wanted.region is not None and (refused := self._region_refusal(wanted.region)) is not None:
            return refused
        for workspace in {row.workspace for row in (before, wanted) if row is not None and row.workspace is not None}:
            if (refused := self._unchangeable(workspace)) is not None:
                return refused
        self._tx.put_key(wanted)
        record(self._tx, self._act, "key.put", f"key:{wanted.digest}", before=before, after=wanted)
        return wanted

    def supersede_key(self, digest: str, by: str) -> KeyDraft | Declined:
        """Another key stands in the place of this one: it is still routed, and known to be dead."""
        before = self._tx.key(digest)
        if before is None:
            return decline(ControlProblem.NO_KEY, "This API key is not registered: register it first.")
        return self.put_key(KeyDraft(digest, before.workspace, before.region, by))

    def _refusal(self, workspace: WorkspaceId, before: WorkspaceRecord | None, wanted: Details) -> Declined | None:
        if before is not None and before.placement.transfer is not None:
            return _in_transfer(workspace, before.placement.transfer)
        if before is not None and before.placement.region != wanted.region:
            text = f"Workspace {workspace} lives in {before.placement.region!r}: start a transfer to {wanted.region!r}."
            return decline(ControlProblem.MOVES_BY_TRANSFER, text)
        refused = self._region_refusal(wanted.region)
        if refused is None and wanted.subdomain is not None:
            refused = self._subdomain_refusal(workspace, wanted.subdomain)
        return refused

    def _region_refusal(self, region: RegionName) -> Declined | None:
        if region in self._options.regions:
            return None
        known = ", ".join(sorted(self._options.regions))
        return decline(ControlProblem.NO_REGION, f"There is no region {region!r}; there are {known}.")

    def _subdomain_refusal(self, workspace: WorkspaceId, label: str) -> Declined | None:
        if f"{label}.{self._options.subdomain_suffix}" in self._options.own_hosts:
            return decline(ControlProblem.SUBDOMAIN_TAKEN, f"{label!r} is a host of a service or of a region.")
        if self._tx.workspace_of_subdomain(label) not in {None, workspace}:
            return decline(ControlProblem.SUBDOMAIN_TAKEN, f"Another workspace has the subdomain {label!r}.")
        return None

    def _unchangeable(self, workspace: WorkspaceId) -> Declined | None:
        found = self._tx.workspace(workspace)
        if found is None:
            return no_workspace(workspace)
        if found.placement.transfer is not None:
            return _in_transfer(workspace, found.placement.transfer)
        return None

    def _write(self, workspace: WorkspaceId, found: Details | None, wanted: Details) -> None:
        self._tx.put_workspaces([WorkspaceDraft(workspace, *wanted)])
        if found is not None:
            gone = {name: had is not None and has is None for name, had, has in _pairs(found, wanted)}
            if any(gone.values()):
                self._tx.clear_workspace(workspace, subdomain=gone["subdomain"], plan=gone["plan"], owner=gone["owner"])


def details_of(found: WorkspaceRecord) -> Details:
    """What a workspace is like, apart from its placement's history."""
    return Details(found.placement.region, found.subdomain, found.plan, found.owner)


def _pairs(found: Details, wanted: Details) -> tuple[tuple[str, str | None, str | None], ...]:
    return tuple(zip(Details._fields, found, wanted, strict=True))


def _in_transfer(workspace: WorkspaceId, running: RunningTransfer) -> Declined:
    text = f"Workspace {workspace} is in transfer {running.id}: wait until that has ended."
    return decline(ControlProblem.IN_TRANSFER, text, transfer=running.id)
