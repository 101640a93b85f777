"""Operations on regions, workspaces, members, accounts and API keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.control.api import sent, shown
from router.control.api.operations import Answer, answer, tagged
from router.control.api.pages import cut, read_account
from router.control.api.pictures import fenced_copies, key_state, refusals, workspace_state
from router.control.audit import Act
from router.control.lifecycle import Lifecycle, Wish, no_workspace
from router.control.problems import ControlProblem, Declined, decline
from router.control.tenants import Details, Tenants, details_of
from router.model.placement import WorkspaceId
from router.model.region import RegionName
from router.model.tenant import Account, MemberId

if TYPE_CHECKING:
    from router.control.api.calls import Call
    from router.control.ports import ControlTransaction
    from router.control.tenants import Put

NO_CONTENT = Answer(204)


async def list_regions(call: Call) -> Answer | Declined:
    """All regions, and whether a workspace may move there."""
    query = call.asked(sent.RegionQuery)
    options = call.site.options
    act = Act(call.principal.name, call.site.clock.wall())

    def state(tx: ControlTransaction, name: RegionName) -> shown.RegionState:
        offer = options.regions[name]
        judged = None
        if query.workspace is not None:
            wish = Wish(WorkspaceId(query.workspace.lower()), name, query.requested_by)
            seen = Lifecycle(tx, act, options).preview(wish)
            judged = refusals(seen.objections)
        return shown.RegionState(
            name=name,
            label=offer.label,
            home=name == options.home,
            accepting=offer.accepting and name != options.home,
            public_url=offer.public_url,
            allowed=None if judged is None else not judged,
            refusals=judged or [],
        )

    def work(tx: ControlTransaction) -> Answer | Declined:
        if query.workspace is not None:
            workspace = WorkspaceId(query.workspace.lower())
            if tx.workspace(workspace) is None:
                return no_workspace(workspace)
        return answer(shown.Regions(items=[state(tx, name) for name in options.regions]))

    return await call.read(work)


async def list_workspaces(call: Call) -> Answer | Declined:
    """Workspaces by id."""
    query = call.asked(sent.WorkspaceQuery)

    def work(tx: ControlTransaction) -> Answer:
        found = tx.workspaces(
            region=None if query.region is None else RegionName(query.region),
            plan=query.plan,
            owner=query.owner,
            member=None if query.member is None else MemberId(query.member),
            locked=None if query.locked is None else query.locked == "true",
            after=None if query.after is None else WorkspaceId(query.after),
            limit=query.limit + 1,
        )
        page, after = cut(found, query.limit, lambda record: record.placement.workspace)
        return answer(shown.Workspaces(items=[workspace_state(record) for record in page], next=after))

    return await call.read(work)


async def get_workspace(call: Call) -> Answer | Declined:
    """One workspace."""
    return await call.read(lambda tx: _workspace(tx, call.workspace) or no_workspace(call.workspace))


async def put_workspace(call: Call) -> Answer | Declined:
    """Make it, or replace all that is known of it."""
    body = call.sent(sent.WorkspacePut)
    wanted = Details(RegionName(body.region), body.subdomain, body.plan, body.owner)

    def work(tx: ControlTransaction, act: Act) -> Answer | Declined:
        unmet = call.unmet(_workspace(tx, call.workspace))
        if unmet is not None:
            return unmet
        return _shown(Tenants(tx, act, call.site.options).put_workspace(call.workspace, wanted))

    return await call.change(work)


async def patch_workspace(call: Call) -> Answer | Declined:
    """Change some of what is known of it."""
    changes = call.sent(sent.WorkspacePatch).model_dump(exclude_unset=True)

    def work(tx: ControlTransaction, act: Act) -> Answer | Declined:
        unmet = call.unmet(_workspace(tx, call.workspace))
        if unmet is not None:
            return unmet
        found = tx.workspace(call.workspace)
        if found is None:
            return no_workspace(call.workspace)
        wanted = details_of(found)._replace(**changes)
        return _shown(Tenants(tx, act, call.site.options).put_workspace(call.workspace, wanted))

    return await call.change(work)


async def delete_workspace(call: Call) -> Answer | Declined:
    """Forget it; its subdomain and keys name nothing from then on."""

    def work(tx: ControlTransaction, act: Act) -> Answer | Declined:
        unmet = call.unmet(_workspace(tx, call.workspace))
        return unmet or Tenants(tx, act, call.site.options).delete_workspace(call.workspace) or NO_CONTENT

    return await call.change(work)


async def list_members(call: Call) -> Answer | Declined:
    """The members of a workspace."""
    query = call.asked(sent.Page)

    def work(tx: ControlTransaction) -> Answer | Declined:
        if tx.workspace(call.workspace) is None:
            return no_workspace(call.workspace)
        after = None if query.after is None else MemberId(query.after)
        found = tx.members(call.workspace, after=after, limit=query.limit + 1)
        page, cursor = cut(found, query.limit, lambda one: one.member)
        items = [shown.MemberState(member=one.member, status=one.status) for one in page]
        return answer(shown.Members(items=items, next=cursor))

    return await call.read(work)


async def put_member(call: Call) -> Answer | Declined:
    """Make a user a member, or change the member's status."""
    member, status = MemberId(call.path["member"]), call.sent(sent.MemberPut).status

    def work(tx: ControlTransaction, act: Act) -> Answer | Declined:
        put = Tenants(tx, act, call.site.options).put_member(call.workspace, member, status)
        return put if isinstance(put, Declined) else answer(shown.MemberState(member=put.member, status=put.status))

    return await call.change(work)


async def remove_member(call: Call) -> Answer | Declined:
    """The user is no member any more."""
    member = MemberId(call.path["member"])
    return await call.change(
        lambda tx, act: Tenants(tx, act, call.site.options).remove_member(call.workspace, member) or NO_CONTENT
    )


async def list_accounts(call: Call) -> Answer | Declined:
    """Who has an account in which region."""
    query = call.asked(sent.AccountQuery)
    after = read_account(query.after)
    if isinstance(after, Declined):
        return after

    def work(tx: ControlTransaction) -> Answer:
        found = tx.accounts(
            member=None if query.member is None else MemberId(query.member),
            region=None if query.region is None else RegionName(query.region),
            after=after,
            limit=query.limit + 1,
        )
        page, cursor = cut(found, query.limit, lambda one: f"{one.member}/{one.region}")
        items = [shown.AccountState(member=one.member, region=one.region) for one in page]
        return answer(shown.Accounts(items=items, next=cursor))

    return await call.read(work)


async def put_account(call: Call) -> Answer | Declined:
    """The user has an account there."""
    account = Account(MemberId(call.path["member"]), RegionName(call.path["region"]))
    there = answer(shown.AccountState(member=account.member, region=account.region))
    return await call.change(lambda tx, act: Tenants(tx, act, call.site.options).put_account(account) or there)


async def remove_account(call: Call) -> Answer | Declined:
    """The user has no account there any more."""
    account = Account(MemberId(call.path["member"]), RegionName(call.path["region"]))
    return await call.change(lambda tx, act: Tenants(tx, act, call.site.options).remove_account(account) or NO_CONTENT)


async def list_keys(call: Call) -> Answer | Declined:
    """API keys by their hash."""
    query = call.asked(sent.KeyQuery)

    def work(tx: ControlTransaction) -> Answer:
        workspace = None if query.workspace is None else WorkspaceId(query.workspace.lower())
        found = tx.keys(workspace=workspace, after=query.after, limit=query.limit + 1)
        page, cursor = cut(found, query.limit, lambda key: key.digest)
        return answer(shown.Keys(items=[key_state(key) for key in page], next=cursor))

    return await call.read(work)


async def get_key(call: Call) -> Answer | Declined:
    """One API key."""

    def work(tx: ControlTransaction) -> Answer | Declined:
        found = tx.key(call.path["digest"])
        return _no_key() if found is None else answer(key_state(found))

    return await call.read(work)


async def put_key(call: Call) -> Answer | Declined:
    """Register an API key by its hash."""
    named = call.sent(sent.KeyPut).root
    digest = call.path["digest"]

    def work(tx: ControlTransaction, act: Act) -> Answer | Declined:
        tenants = Tenants(tx, act, call.site.options)
        if isinstance(named, sent.KeyOfWorkspace):
            put = tenants.register_key(digest, workspace=WorkspaceId(named.workspace.lower()))
        else:
            put = tenants.register_key(digest, region=RegionName(named.region))
        return put if isinstance(put, Declined) else answer(key_state(put))

    return await call.change(work)


async def supersede_key(call: Call) -> Answer | Declined:
    """Another key stands in its place."""
    by = call.sent(sent.Supersession).by

    def work(tx: ControlTransaction, act: Act) -> Answer | Declined:
        superseded = Tenants(tx, act, call.site.options).supersede_key(call.path["digest"], by)
        return superseded if isinstance(superseded, Declined) else answer(key_state(superseded))

    return await call.change(work)


async def resolve(call: Call) -> Answer | Declined:
    """Where a workspace, a subdomain or an API key leads."""
    query = call.asked(sent.ResolveQuery)
    if sum(one is not None for one in (query.workspace, query.subdomain, query.key)) != 1:
        return decline(ControlProblem.INVALID_REQUEST, "Name one of workspace, subdomain and key.")
    return await call.read(lambda tx: _resolution(tx, call, query))


def _resolution(tx: ControlTransaction, call: Call, query: sent.ResolveQuery) -> Answer | Declined:
    key = None if query.key is None else tx.key(query.key)
    if query.key is not None and key is None:
        return _no_key()
    workspace = None if query.workspace is None else WorkspaceId(query.workspace.lower())
    if query.subdomain is not None:
        workspace = tx.workspace_of_subdomain(query.subdomain)
    if key is not None:
        workspace = key.workspace
    found = None if workspace is None else tx.workspace(workspace)
    region = key.region if key is not None else None
    if found is not None:
        region = found.placement.region
    if region is None:
        return decline(ControlProblem.NO_WORKSPACE, "It leads to no workspace.")
    offer = call.site.options.regions.get(region)
    running = None if found is None else found.placement.transfer
    return answer(
        shown.Resolution(
            workspace=workspace,
            region=region,
            public_url=None if offer is None else offer.public_url,
            epoch=None if found is None else found.placement.epoch,
            transfer=None if running is None else running.id,
            key_superseded=key is not None and key.superseded_by is not None,
            backups=fenced_copies(tx, workspace),
        )
    )


def _workspace(tx: ControlTransaction, workspace: WorkspaceId) -> Answer | None:
    found = tx.workspace(workspace)
    return None if found is None else tagged(workspace_state(found))


def _shown(put: Put | Declined) -> Answer | Declined:
    return put if isinstance(put, Declined) else tagged(workspace_state(put.record), 201 if put.created else 200)


def _no_key() -> Declined:
    return decline(ControlProblem.NO_KEY, "This API key is not registered.")
