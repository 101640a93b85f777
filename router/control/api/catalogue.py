"""All operations of the control API, as a table, and the names that stand in their paths."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from router.control.access import Scope
from router.control.api import imports, moves, records, sent, shown, tenants
from router.control.api.operations import Operation
from router.control.problems import ControlProblem
from router.control.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.control.options import ControlOptions

_P = ControlProblem
_UNCHANGEABLE: Final = (_P.NO_WORKSPACE, _P.IN_TRANSFER, _P.CHANGE_REFUSED)
_PUT: Final = (*_UNCHANGEABLE, _P.MOVES_BY_TRANSFER, _P.NO_REGION, _P.SUBDOMAIN_TAKEN)


class Parameter(NamedTuple):
    """A name in a path. What does not match leads nowhere: 404."""

    pattern: str
    description: str
    flags: int = 0

    def fits(self, text: str) -> bool:
        """Whether it may stand there."""
        return re.fullmatch(self.pattern, text, self.flags) is not None


def parameters(options: ControlOptions) -> Mapping[str, Parameter]:
    """All names. Workspace ids are as the configuration has them, whatever their case."""
    return {
        "workspace": Parameter(
            f"^(?:{options.workspace_id.pattern})$", "the workspace's id", options.workspace_id.flags & ~re.UNICODE
        ),
        "member": Parameter(sent.NAME, "the user's id"),
        "region": Parameter(sent.REGION, "the region's name"),
        "digest": Parameter(sent.DIGEST, "the SHA-256 of an API key in hex"),
        "transfer": Parameter(sent.IDENTIFIER, "the transfer's id"),
        "event": Parameter(sent.IDENTIFIER, "the event's id"),
        "incarnation": Parameter(sent.IDENTIFIER, "the random name of a gateway's registration"),
    }


OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation("whoAmI", "GET", "/me", "Who the token says you are.", Scope.READ, records.who_am_i, {200: shown.Me}),
    Operation(
        "listRegions",
        "GET",
        "/regions",
        "Regions, and where a workspace may move.",
        Scope.READ,
        tenants.list_regions,
        {200: shown.Regions},
        (_P.NO_WORKSPACE,),
        query=sent.RegionQuery,
    ),
    Operation(
        "listWorkspaces",
        "GET",
        "/workspaces",
        "Workspaces by id.",
        Scope.READ,
        tenants.list_workspaces,
        {200: shown.Workspaces},
        query=sent.WorkspaceQuery,
    ),
    Operation(
        "getWorkspace",
        "GET",
        "/workspaces/{workspace}",
        "One workspace.",
        Scope.READ,
        tenants.get_workspace,
        {200: shown.WorkspaceState},
        (_P.NO_WORKSPACE,),
        tagged=True,
    ),
    Operation(
        "putWorkspace",
        "PUT",
        "/workspaces/{workspace}",
        "Make a workspace, or replace all that is known of it.",
        Scope.WORKSPACES,
        tenants.put_workspace,
        {200: shown.WorkspaceState, 201: shown.WorkspaceState},
        _PUT,
        body=sent.WorkspacePut,
        conditional=True,
        tagged=True,
    ),
    Operation(
        "patchWorkspace",
        "PATCH",
        "/workspaces/{workspace}",
        "Change a workspace's subdomain, plan or owner.",
        Scope.WORKSPACES,
        tenants.patch_workspace,
        {200: shown.WorkspaceState},
        _PUT,
        body=sent.WorkspacePatch,
        conditional=True,
        tagged=True,
    ),
    Operation(
        "deleteWorkspace",
        "DELETE",
        "/workspaces/{workspace}",
        "Forget a workspace; its subdomain and keys name nothing from then on.",
        Scope.WORKSPACES,
        tenants.delete_workspace,
        {204: None},
        _UNCHANGEABLE,
        conditional=True,
    ),
    Operation(
        "importWorkspaces",
        "POST",
        "/imports",
        "Put many workspaces, all or none: JSON lines, or CSV with a header. Columns: workspace and region, and if you "
        "like subdomain, plan and owner; what is left out stays as it is.",
        Scope.WORKSPACES,
        imports.import_workspaces,
        {200: shown.Imported},
        (_P.BAD_ROWS,),
        takes_rows=True,
    ),
    Operation(
        "listMembers",
        "GET",
        "/workspaces/{workspace}/members",
        "The members of a workspace.",
        Scope.READ,
        tenants.list_members,
        {200: shown.Members},
        (_P.NO_WORKSPACE,),
        query=sent.Page,
    ),
    Operation(
        "putMember",
        "PUT",
        "/workspaces/{workspace}/members/{member}",
        "Make a user a member, or change the member's status.",
        Scope.WORKSPACES,
        tenants.put_member,
        {200: shown.MemberState},
        _UNCHANGEABLE,
        body=sent.MemberPut,
    ),
    Operation(
        "removeMember",
        "DELETE",
        "/workspaces/{workspace}/members/{member}",
        "The user is no member any more.",
        Scope.WORKSPACES,
        tenants.remove_member,
        {204: None},
        (*_UNCHANGEABLE, _P.NO_MEMBER),
    ),
    Operation(
        "listAccounts",
        "GET",
        "/accounts",
        "Who has an account in which region. At home everybody has one.",
        Scope.READ,
        tenants.list_accounts,
        {200: shown.Accounts},
        query=sent.AccountQuery,
    ),
    Operation(
        "putAccount",
        "PUT",
        "/accounts/{member}/{region}",
        "The user has an account in the region.",
        Scope.WORKSPACES,
        tenants.put_account,
        {200: shown.AccountState},
        (_P.NO_REGION,),
    ),
    Operation(
        "removeAccount",
        "DELETE",
        "/accounts/{member}/{region}",
        "The user has no account in the region any more.",
        Scope.WORKSPACES,
        tenants.remove_account,
        {204: None},
        (_P.NO_ACCOUNT,),
    ),
    Operation(
        "listKeys",
        "GET",
        "/keys",
        "API keys by their hash.",
        Scope.READ,
        tenants.list_keys,
        {200: shown.Keys},
        query=sent.KeyQuery,
    ),
    Operation(
        "getKey",
        "GET",
        "/keys/{digest}",
        "One API key.",
        Scope.READ,
        tenants.get_key,
        {200: shown.KeyState},
        (_P.NO_KEY,),
    ),
    Operation(
        "putKey",
        "PUT",
        "/keys/{digest}",
        "Register an API key by its hash. A superseded one stays superseded.",
        Scope.WORKSPACES,
        tenants.put_key,
        {200: shown.KeyState},
        (*_UNCHANGEABLE, _P.NO_REGION),
        body=sent.KeyPut,
    ),
    Operation(
        "supersedeKey",
        "POST",
        "/keys/{digest}/supersede",
        "Another key stands in the place of this one: it is routed on, and known to be dead.",
        Scope.WORKSPACES,
        tenants.supersede_key,
        {200: shown.KeyState},
        (*_UNCHANGEABLE, _P.NO_KEY, _P.NO_REGION),
        body=sent.Supersession,
    ),
    Operation(
        "resolve",
        "GET",
        "/resolve",
        "Where a workspace, a subdomain or an API key leads, and where locked copies are.",
        Scope.READ,
        tenants.resolve,
        {200: shown.Resolution},
        (_P.NO_WORKSPACE, _P.NO_KEY),
        query=sent.ResolveQuery,
    ),
    Operation(
        "startTransfer",
        "POST",
        "/workspaces/{workspace}/transfers",
        "Lock a workspace and begin to move it; with preview=true only say what that would do.",
        Scope.TRANSFERS,
        moves.start_transfer,
        {200: shown.MovePreview, 201: shown.TransferReport},
        (_P.NO_WORKSPACE, _P.CHANGE_REFUSED, *(rule.problem for rule in RULES)),
        query=sent.StartQuery,
        body=sent.TransferStart,
        conditional=True,
        tagged=True,
    ),
    Operation(
        "listTransfers",
        "GET",
        "/transfers",
        "Transfers, the newest first.",
        Scope.READ,
        moves.list_transfers,
        {200: shown.Transfers},
        query=sent.TransferQuery,
    ),
    Operation(
        "getTransfer",
        "GET",
        "/transfers/{transfer}",
        "One transfer, and what it waits for.",
        Scope.READ,
        moves.get_transfer,
        {200: shown.TransferReport},
        (_P.NO_TRANSFER,),
        tagged=True,
    ),
    *(
        Operation(
            f"{name}Transfer" if name != "progress" else "reportProgress",
            "POST",
            f"/transfers/{{transfer}}/{name}",
            summary,
            Scope.TRANSFERS,
            handle,
            {200: shown.TransferReport},
            moves.STEP_PROBLEMS,
            body=body,
            conditional=True,
            tagged=True,
        )
        for name, summary, handle, body in (
            ("progress", "Say how far the job has come.", moves.report_progress, sent.ProgressReport),
            (
                "complete",
                "The data is at the destination: the workspace lives there from now on.",
                moves.complete_transfer,
                None,
            ),
            (
                "fail",
                "The move did not succeed: the workspace stays where it was.",
                moves.fail_transfer,
                sent.Failure,
            ),
            ("abort", "Call it off before anything can have been copied.", moves.abort_transfer, None),
        )
    ),
    Operation(
        "listBackups",
        "GET",
        "/backups",
        "The copies that transfers left at their sources.",
        Scope.READ,
        records.list_backups,
        {200: shown.Backups},
        query=sent.BackupQuery,
    ),
    Operation(
        "listGateways",
        "GET",
        "/gateways",
        "The registered gateways, whom a transfer waits for.",
        Scope.READ,
        records.list_gateways,
        {200: shown.Gateways},
    ),
    Operation(
        "forgetGateway",
        "POST",
        "/gateways/{incarnation}/forget",
        "Forget a gateway whose process is dead, so that transfers do not wait for its lease. It is watched first, for "
        "some seconds, and never forgotten while it renews.",
        Scope.ADMIN,
        records.forget_gateway,
        {200: shown.ForgottenGateway},
        (_P.NO_GATEWAY, _P.STILL_RENEWS),
    ),
    Operation(
        "listEvents",
        "GET",
        "/events",
        "Events with their deliveries, the oldest first.",
        Scope.READ,
        records.list_events,
        {200: shown.Events},
        query=sent.EventQuery,
    ),
    Operation(
        "getEvent",
        "GET",
        "/events/{event}",
        "One event with its deliveries.",
        Scope.READ,
        records.get_event,
        {200: shown.EventData},
        (_P.NO_EVENT,),
    ),
    Operation(
        "resendEvent",
        "POST",
        "/events/{event}/resend",
        "Send an event once more, with a whole day to be tried.",
        Scope.TRANSFERS,
        records.resend_event,
        {200: shown.EventData},
        (_P.NO_EVENT, _P.NO_DESTINATION, _P.NOT_ENDED),
        body=sent.Resend,
    ),
    Operation(
        "listAudit",
        "GET",
        "/audit",
        "Who changed what, the newest first.",
        Scope.ADMIN,
        records.list_audit,
        {200: shown.AuditLog},
        query=sent.AuditQuery,
    ),
)
