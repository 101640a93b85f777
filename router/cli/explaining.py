"""Why a request goes where it goes: the values of the walk's steps, in words. Says what was decided, decides nothing.

The law of the room: no credential is repeated, and of a query only that there is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.model.problem import Problem
from router.routing.decide import names_workspace
from router.routing.values import Locked, Proxy, Redirect, Refuse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.gateway.heads import Admitted
    from router.model.region import RegionName
    from router.routing.table import RoutingTable
    from router.routing.values import Decision, Located, RequestHead, Target


def explain_admitted(admitted: Admitted) -> str:
    """What was read from the request's head."""
    head = admitted.head
    body = "no body" if admitted.body == 0 else "a chunked body" if admitted.body < 0 else f"{admitted.body} bytes"
    key = ", an API key" if head.api_key else ""
    return f"{head.method} {hide_query(head.target)}, HTTP/1.{head.minor}, host {head.host or '(none)'}, {body}{key}"


def explain_target(target: Target, table: RoutingTable) -> str:
    """Which service, and what names the workspace."""
    service = f"service {target.service.name}"
    if target.service.region is not None:
        return f"{service}, which is nobody's workspace"
    named = ", ".join(_names(target, table)) or "no workspace is named"
    return f"{service}; {named}"


def explain_unidentified(head: RequestHead, problem: Problem, table: RoutingTable) -> str:
    """Why no service and no workspace could be told."""
    if problem is Problem.MISDIRECTED:
        return f"no service and no region has the host {head.host or '(none)'}"
    if problem is Problem.NO_SERVICE:
        prefixes = table.view(head.host).prefixes or ()
        served = ", ".join(f"{prefix.path.decode('ascii') or '/'} ({prefix.service.name})" for prefix in prefixes)
        return f"host {head.host} serves {served or 'nothing'}, and the path is under none of it"
    if problem is Problem.WORKSPACE_CONFLICT:
        return "the path names two different workspaces"
    return "a backend could read another path, and so another workspace, than this gateway does"


def explain_located(target: Target, located: Located) -> str:
    """What the directory says."""
    return "; ".join(_facts(target, located)) or "nothing has to be looked up"


def explain_decision(target: Target, located: Located, decision: Decision, table: RoutingTable) -> str:
    """The decision, and why it is that one."""
    match decision:
        case Proxy(region=region):
            return f"proxy to {region}: {_why_there(region, target, located, table)}"
        case Redirect(region=region):
            return f"redirect to {region}: {_why_there(region, target, located, table)}, and policy redirects there"
        case Locked(transfer=transfer):
            return (
                f"locked: transfer {transfer.id} moves the workspace from {transfer.source} to {transfer.destination}"
            )
        case Refuse(problem=problem):
            return f"refuse: {_why_refused(problem, target, located)}"


def hide_query(target: bytes) -> str:
    """A target for people's eyes: a query may carry a secret."""
    path, mark, query = target.decode("ascii", "backslashreplace").partition("?")
    return path + mark + ("…" if query else "")


def _names(target: Target, table: RoutingTable) -> Iterator[str]:
    if target.workspace is not None:
        yield f"workspace {target.workspace} by the path"
    if target.malformed:
        yield f"the text in a workspace's place of the path is no id ({table.workspace_id.pattern})"
    if target.subdomain is not None:
        yield f"subdomain {target.subdomain}"
    if target.key is not None:
        yield "the API key, because nothing else names a workspace"
    if target.host_region is not None:
        yield f"the public host of region {target.host_region}"


def _facts(target: Target, located: Located) -> Iterator[str]:
    if target.malformed and target.subdomain is None and target.workspace is None:
        yield "what is no id names no workspace: nothing is looked up"
        return
    if target.subdomain is not None:
        named = located.subdomain_workspace
        yield f"subdomain {target.subdomain} " + (f"is of workspace {named}" if named else "is not known")
    if target.key is not None:
        named, region = located.key_workspace, located.key_region
        yield "the API key " + (
            f"is of workspace {named}" if named else f"is of region {region}" if region else "is not known"
        )
    placement = located.placement
    if placement is not None:
        moving = f", in transfer ({placement.transfer.id})" if placement.transfer is not None else ""
        yield f"workspace {placement.workspace} lives in {placement.region}, epoch {placement.epoch}{moving}"
    elif workspace := target.workspace or located.subdomain_workspace or located.key_workspace:
        yield f"workspace {workspace} is not known"


def _why_there(region: RegionName, target: Target, located: Located, table: RoutingTable) -> str:
    if located.placement is not None:
        return "the workspace lives there"
    if names_workspace(target, located):
        return "the directory does not know the workspace, and policy sends those home"
    reasons = (
        (target.service.region, "its service is served there only"),
        (target.host_region, "no workspace is named, and the host is that region's"),
        (located.key_region, "no workspace is named, and the API key is of that region"),
        (table.policy.home, "nothing names a workspace or a region, so it goes home"),
    )
    usual, why = next(reason for reason in reasons if reason[0] is not None)
    return why if usual == region else "no workspace is named, and a route of policy.routes names that region"


def _why_refused(problem: Problem, target: Target, located: Located) -> str:
    if problem is Problem.WORKSPACE_CONFLICT:
        return f"the path names {target.workspace}, the subdomain is of {located.subdomain_workspace}"
    if problem is Problem.WORKSPACE_UNKNOWN:
        return "the directory does not know the workspace, and policy refuses those"
    if problem is Problem.REGION_UNAVAILABLE:
        return "the region is not configured here, and home would be a guess"
    return problem.spec.title.lower()
