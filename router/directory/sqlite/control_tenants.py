"""The control plane's rows of workspaces, members, accounts and keys, in one transaction on the SQLite file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.directory.control_rows import KEYS, key_of
from router.directory.rows import Payload, record_of
from router.directory.sqlite import keys, workspaces
from router.directory.sqlite.feed import info_of
from router.model.placement import Kind, WorkspaceId
from router.model.region import RegionName
from router.model.tenant import Account, Member, MemberId, MemberStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.directory.sqlite.feed import Feed
    from router.directory.store import KeyDraft, WorkspaceDraft, WorkspaceRecord
    from router.model.transfer import TransferId

_FITS: Final = (
    "(:region IS NULL OR w.region = :region) AND (:plan IS NULL OR w.plan = :plan) "
    "AND (:owner IS NULL OR w.owner = :owner) AND (:locked IS NULL OR (w.transfer IS NOT NULL) = :locked) "
    "AND (:member IS NULL OR w.id IN (SELECT workspace FROM member WHERE member = :member))"
)


class SqliteTenantRows:
    """See `router.control.ports.TenantRows`. The feed is that of the one transaction this object lives in."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._connection = feed.connection

    def workspace(self, workspace: WorkspaceId) -> WorkspaceRecord | None:
        """See the protocol."""
        return workspaces.get_workspace(self._connection, workspace)

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
        rows = self._connection.execute(
            f"{workspaces.RECORDS} AND w.id > :after AND {_FITS} ORDER BY w.id LIMIT :limit",
            {
                "after": after or "",
                "region": region,
                "plan": plan,
                "owner": owner,
                "member": member,
                "locked": locked,
                "limit": limit,
            },
        )
        generation = info_of(self._connection).generation
        return tuple(record_of(row, generation) for row in rows.fetchall())

    def put_workspaces(self, drafts: Sequence[WorkspaceDraft], *, progress: Callable[[int], None] | None = None) -> int:
        """See the protocol."""
        return workspaces.put_workspaces(self._feed, drafts, progress)

    def clear_workspace(self, workspace: WorkspaceId, *, subdomain: bool, plan: bool, owner: bool) -> None:
        """See the protocol."""
        self._connection.execute(
            "UPDATE workspace SET plan = CASE WHEN :plan THEN NULL ELSE plan END, "
            "owner = CASE WHEN :owner THEN NULL ELSE owner END WHERE id = :id",
            {"plan": plan, "owner": owner, "id": workspace},
        )
        if subdomain:
            label = self._value("SELECT label FROM subdomain WHERE workspace = ?", workspace)
            if label is not None:
                seq = self._feed.take_seq()
                self._connection.execute("UPDATE subdomain SET workspace = NULL, seq = ? WHERE label = ?", (seq, label))
                self._feed.write(seq, seq, Payload(Kind.SUBDOMAIN, label))

    def delete_workspace(self, workspace: WorkspaceId) -> bool:
        """See the protocol."""
        deleted = workspaces.delete_workspace(self._feed, workspace)
        if deleted:
            self._connection.execute("DELETE FROM member WHERE workspace = ?", (workspace,))
        return deleted

    def workspace_of_subdomain(self, label: str) -> WorkspaceId | None:
        """See the protocol."""
        found = self._value("SELECT workspace FROM subdomain WHERE label = ?", label)
        return None if found is None else WorkspaceId(found)

    def member(self, workspace: WorkspaceId, member: MemberId) -> Member | None:
        """See the protocol."""
        status = self._value("SELECT status FROM member WHERE workspace = ? AND member = ?", workspace, member)
        return None if status is None else Member(workspace, member, MemberStatus(status))

    def members(
        self, workspace: WorkspaceId, *, after: MemberId | None = None, limit: int | None = None
    ) -> tuple[Member, ...]:
        """See the protocol."""
        rows = self._connection.execute(
            "SELECT member, status FROM member WHERE workspace = ? AND member > ? ORDER BY member LIMIT ?",
            (workspace, after or "", -1 if limit is None else limit),
        )
        return tuple(Member(workspace, MemberId(member), MemberStatus(status)) for member, status in rows)

    def put_member(self, member: Member) -> None:
        """See the protocol."""
        self._connection.execute(
            "INSERT INTO member (workspace, member, status) VALUES (:workspace, :member, :status) "
            "ON CONFLICT (workspace, member) DO UPDATE SET status = :status",
            {"workspace": member.workspace, "member": member.member, "status": member.status},
        )

    def remove_member(self, workspace: WorkspaceId, member: MemberId) -> bool:
        """See the protocol."""
        removed = self._connection.execute("DELETE FROM member WHERE workspace = ? AND member = ?", (workspace, member))
        return removed.rowcount > 0

    def accounts(
        self,
        *,
        member: MemberId | None = None,
        region: RegionName | None = None,
        after: Account | None = None,
        limit: int,
    ) -> tuple[Account, ...]:
        """See the protocol."""
        rows = self._connection.execute(
            "SELECT member, region FROM account WHERE (:member IS NULL OR member = :member) "
            "AND (:region IS NULL OR region = :region) AND (member, region) > (:after_member, :after_region) "
            "ORDER BY member, region LIMIT :limit",
            {
                "member": member,
                "region": region,
                "after_member": "" if after is None else after.member,
                "after_region": "" if after is None else after.region,
                "limit": limit,
            },
        )
        return tuple(Account(MemberId(member), RegionName(region)) for member, region in rows)

    def put_account(self, account: Account) -> bool:
        """See the protocol."""
        put = self._connection.execute(
            "INSERT INTO account (member, region) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (account.member, account.region),
        )
        return put.rowcount > 0

    def remove_account(self, account: Account) -> bool:
        """See the protocol."""
        removed = self._connection.execute(
            "DELETE FROM account WHERE member = ? AND region = ?", (account.member, account.region)
        )
        return removed.rowcount > 0

    def members_with_account(self, workspace: WorkspaceId, region: RegionName, *, limit: int) -> tuple[MemberId, ...]:
        """See the protocol."""
        rows = self._connection.execute(
            "SELECT member FROM member JOIN account USING (member) "
            "WHERE workspace = ? AND region = ? ORDER BY member LIMIT ?",
            (workspace, region, limit),
        )
        return tuple(MemberId(member) for (member,) in rows)

    def move_accounts(self, workspace: WorkspaceId, source: RegionName, destination: RegionName) -> None:
        """See the protocol."""
        self._connection.execute(
            "INSERT INTO account (member, region) SELECT member, ? FROM member WHERE workspace = ? "
            "ON CONFLICT DO NOTHING",
            (destination, workspace),
        )
        self._connection.execute(
            "DELETE FROM account WHERE region = :source "
            "AND member IN (SELECT member FROM member WHERE workspace = :workspace) "
            "AND NOT EXISTS (SELECT 1 FROM member m JOIN workspace w ON w.id = m.workspace "
            "WHERE m.member = account.member AND w.region = :source)",
            {"source": source, "workspace": workspace},
        )

    def key(self, digest: str) -> KeyDraft | None:
        """See the protocol."""
        row = self._connection.execute(f"{KEYS} AND digest = ?", (digest,)).fetchone()
        return None if row is None else key_of(row)

    def keys(
        self, *, workspace: WorkspaceId | None = None, after: str | None = None, limit: int
    ) -> tuple[KeyDraft, ...]:
        """See the protocol."""
        rows = self._connection.execute(
            f"{KEYS} AND digest > ? AND (? IS NULL OR workspace = ?) ORDER BY digest LIMIT ?",
            (after or "", workspace, workspace, limit),
        )
        return tuple(key_of(row) for row in rows)

    def put_key(self, draft: KeyDraft) -> bool:
        """See the protocol."""
        return keys.put_keys(self._feed, [draft]) > 0

    def supersede_keys(self, workspace: WorkspaceId, by: TransferId) -> int:
        """See the protocol."""
        found = self._connection.execute(
            "SELECT digest FROM api_key WHERE workspace = ? AND superseded_by IS NULL ORDER BY digest", (workspace,)
        ).fetchall()
        for (digest,) in found:
            seq = self._feed.take_seq()
            self._connection.execute(
                "UPDATE api_key SET superseded_by = ?, seq = ? WHERE digest = ?", (by, seq, digest)
            )
            self._feed.write(seq, seq, Payload(Kind.KEY, digest, workspace=workspace, superseded=True))
        return len(found)

    def _value(self, query: str, *parameters: object) -> Any:
        row = self._connection.execute(query, parameters).fetchone()
        return None if row is None else row[0]
