"""The control plane's rows of workspaces, members, accounts and keys, in one transaction on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.directory.control_rows import KEYS, key_of
from router.directory.postgres import keys, workspaces
from router.directory.postgres.feed import info_of
from router.directory.rows import Payload, record_of
from router.model.placement import Kind, WorkspaceId
from router.model.region import RegionName
from router.model.tenant import Account, Member, MemberId, MemberStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.directory.postgres.control_bridge import Bridge
    from router.directory.store import KeyDraft, WorkspaceDraft, WorkspaceRecord
    from router.model.transfer import TransferId

_FITS: Final = (
    "(%(region)s::text IS NULL OR w.region = %(region)s) AND (%(plan)s::text IS NULL OR w.plan = %(plan)s) "
    "AND (%(owner)s::text IS NULL OR w.owner = %(owner)s) "
    "AND (%(locked)s::boolean IS NULL OR (w.transfer IS NOT NULL) = %(locked)s) "
    "AND (%(member)s::text IS NULL OR w.id IN (SELECT workspace FROM member WHERE member = %(member)s))"
)


class PostgresTenantRows:
    """See `router.control.ports.TenantRows`. The bridge is that of the one transaction this object lives in."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def workspace(self, workspace: WorkspaceId) -> WorkspaceRecord | None:
        """See the protocol."""
        return self._bridge.wait(workspaces.get_workspace(self._bridge.transaction, workspace))

    def workspaces(
        self,
        *,
        region: RegionName | None = None,
        plan: str | None = None,
        owner: str | None = None,
        member: MemberId | None = None,
        locked: bool | None = None,
        after: WorkspaceId | None = None,
        limit: int,
    ) -> tuple[WorkspaceRecord, ...]:
        """See the protocol."""
        generation = self._bridge.wait(info_of(self._bridge.transaction)).generation
        rows = self._bridge.rows(
            f"{workspaces.RECORDS} AND w.id > %(after)s AND {_FITS} ORDER BY w.id LIMIT %(limit)s",
            after=after or "",
            region=region,
            plan=plan,
            owner=owner,
            member=member,
            locked=locked,
            limit=limit,
        )
        return tuple(record_of(row, generation) for row in rows)

    def put_workspaces(self, drafts: Sequence[WorkspaceDraft], *, progress: Callable[[int], None] | None = None) -> int:
        """See the protocol."""
        return self._bridge.wait(workspaces.put_workspaces(self._bridge.feed, drafts, progress))

    def clear_workspace(self, workspace: WorkspaceId, *, subdomain: bool, plan: bool, owner: bool) -> None:
        """See the protocol."""
        self._bridge.run(
            "UPDATE workspace SET plan = CASE WHEN %(plan)s THEN NULL ELSE plan END, "
            "owner = CASE WHEN %(owner)s THEN NULL ELSE owner END WHERE id = %(id)s",
            plan=plan,
            owner=owner,
            id=workspace,
        )
        label = self._value("SELECT label FROM subdomain WHERE workspace = %(id)s", id=workspace) if subdomain else None
        if label is not None:
            seq = self._bridge.feed.take_seq()
            self._bridge.run(
                "UPDATE subdomain SET workspace = NULL, seq = %(seq)s WHERE label = %(label)s", seq=seq, label=label
            )
            self._bridge.feed.write(seq, seq, Payload(Kind.SUBDOMAIN, label))

    def delete_workspace(self, workspace: WorkspaceId) -> bool:
        """See the protocol."""
        deleted = self._bridge.wait(workspaces.delete_workspace(self._bridge.feed, workspace))
        if deleted:
            self._bridge.run("DELETE FROM member WHERE workspace = %(workspace)s", workspace=workspace)
        return deleted

    def workspace_of_subdomain(self, label: str) -> WorkspaceId | None:
        """See the protocol."""
        found = self._value("SELECT workspace FROM subdomain WHERE label = %(label)s", label=label)
        return None if found is None else WorkspaceId(found)

    def member(self, workspace: WorkspaceId, member: MemberId) -> Member | None:
        """See the protocol."""
        status = self._value(
            "SELECT status FROM member WHERE workspace = %(workspace)s AND member = %(member)s",
            workspace=workspace,
            member=member,
        )
        return None if status is None else Member(workspace, member, MemberStatus(status))

    def members(
        self, workspace: WorkspaceId, *, after: MemberId | None = None, limit: int | None = None
    ) -> tuple[Member, ...]:
        """See the protocol."""
        rows = self._bridge.rows(
            "SELECT member, status FROM member WHERE workspace = %(workspace)s AND member > %(after)s "
            "ORDER BY member LIMIT %(limit)s",
            workspace=workspace,
            after=after or "",
            limit=limit,
        )
        return tuple(Member(workspace, MemberId(member), MemberStatus(status)) for member, status in rows)

    def put_member(self, member: Member) -> None:
        """See the protocol."""
        self._bridge.run(
            "INSERT INTO member (workspace, member, status) VALUES (%(workspace)s, %(member)s, %(status)s) "
            "ON CONFLICT (workspace, member) DO UPDATE SET status = excluded.status",
            workspace=member.workspace,
            member=member.member,
            status=member.status.value,
        )

    def remove_member(self, workspace: WorkspaceId, member: MemberId) -> bool:
        """See the protocol."""
        removed = self._bridge.run(
            "DELETE FROM member WHERE workspace = %(workspace)s AND member = %(member)s",
            workspace=workspace,
            member=member,
        )
        return removed > 0

    def accounts(
        self,
        *,
        member: MemberId | None = None,
        region: RegionName | None = None,
        after: Account | None = None,
        limit: int,
    ) -> tuple[Account, ...]:
        """See the protocol."""
        rows = self._bridge.rows(
            "SELECT member, region FROM account WHERE (%(member)s::text IS NULL OR member = %(member)s) "
            "AND (%(region)s::text IS NULL OR region = %(region)s) "
            "AND (member, region) > (%(after_member)s, %(after_region)s) ORDER BY member, region LIMIT %(limit)s",
            member=member,
            region=region,
            after_member="" if after is None else after.member,
            after_region="" if after is None else after.region,
            limit=limit,
        )
        return tuple(Account(MemberId(member), RegionName(region)) for member, region in rows)

    def put_account(self, account: Account) -> bool:
        """See the protocol."""
        put = self._bridge.run(
            "INSERT INTO account (member, region) VALUES (%(member)s, %(region)s) ON CONFLICT DO NOTHING",
            member=account.member,
            region=account.region,
        )
        return put > 0

    def remove_account(self, account: Account) -> bool:
        """See the protocol."""
        removed = self._bridge.run(
            "DELETE FROM account WHERE member = %(member)s AND region = %(region)s",
            member=account.member,
            region=account.region,
        )
        return removed > 0

    def members_with_account(self, workspace: WorkspaceId, region: RegionName, *, limit: int) -> tuple[MemberId, ...]:
        """See the protocol."""
        rows = self._bridge.rows(
            "SELECT member FROM member JOIN account USING (member) "
            "WHERE workspace = %(workspace)s AND region = %(region)s ORDER BY member LIMIT %(limit)s",
            workspace=workspace,
            region=region,
            limit=limit,
        )
        return tuple(MemberId(member) for (member,) in rows)

    def move_accounts(self, workspace: WorkspaceId, source: RegionName, destination: RegionName) -> None:
        """See the protocol."""
        self._bridge.run(
            "INSERT INTO account (member, region) SELECT member, %(destination)s FROM member "
            "WHERE workspace = %(workspace)s ON CONFLICT DO NOTHING",
            destination=destination,
            workspace=workspace,
        )
        self._bridge.run(
            "DELETE FROM account WHERE region = %(source)s "
            "AND member IN (SELECT member FROM member WHERE workspace = %(workspace)s) "
            "AND NOT EXISTS (SELECT 1 FROM member m JOIN workspace w ON w.id = m.workspace "
            "WHERE m.member = account.member AND w.region = %(source)s)",
            source=source,
            workspace=workspace,
        )

    def key(self, digest: str) -> KeyDraft | None:
        """See the protocol."""
        row = self._bridge.row(f"{KEYS} AND digest = %(digest)s", digest=digest)
        return None if row is None else key_of(row)

    def keys(
        self, *, workspace: WorkspaceId | None = None, after: str | None = None, limit: int
    ) -> tuple[KeyDraft, ...]:
        """See the protocol."""
        rows = self._bridge.rows(
            f"{KEYS} AND digest > %(after)s AND (%(workspace)s::text IS NULL OR workspace = %(workspace)s) "
            "ORDER BY digest LIMIT %(limit)s",
            after=after or "",
            workspace=workspace,
            limit=limit,
        )
        return tuple(key_of(row) for row in rows)

    def put_key(self, draft: KeyDraft) -> bool:
        """See the protocol."""
        return self._bridge.wait(keys.put_keys(self._bridge.feed, [draft])) > 0

    def supersede_keys(self, workspace: WorkspaceId, by: TransferId) -> int:
        """See the protocol."""
        found = self._bridge.rows(
            "SELECT digest FROM api_key WHERE workspace = %(workspace)s AND superseded_by IS NULL ORDER BY digest",
            workspace=workspace,
        )
        for (digest,) in found:
            seq = self._bridge.feed.take_seq()
            self._bridge.run(
                "UPDATE api_key SET superseded_by = %(by)s, seq = %(seq)s WHERE digest = %(digest)s",
                by=by,
                seq=seq,
                digest=digest,
            )
            self._bridge.feed.write(seq, seq, Payload(Kind.KEY, digest, workspace=workspace, superseded=True))
        return len(found)

    def _value(self, query: str, **parameters: Any) -> Any:
        row = self._bridge.row(query, **parameters)
        return None if row is None else row[0]
