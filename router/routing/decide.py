"""Decide: head × target × what the directory knows × policy → a decision. A value, not an action.

The table (each row is a test of its own):

| the request names | the directory says | decision |
|---|---|---|
| two different workspaces | — | refuse: workspace-conflict |
| a workspace | in transfer | locked, for every method and route |
| a workspace | lives in R | R |
| a workspace | lives in a region that is not configured | refuse: region-unavailable, never home |
| a workspace | authoritatively unknown | home, or refuse: workspace-unknown |
| no workspace, and a fitting route names a region | — | that region |
| a service that is pinned to a region | — | that region |
| no workspace, at another region's public host | — | that region |
| no workspace, a key | the key's region | that region |
| nothing | — | home |

A region that is not home is redirected to, instead of proxied to, where the first fitting route or else the service
says so, unless only the subdomain names the workspace or the redirect would lead to the host that was just used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.model.problem import Problem
from router.routing.identify import join_target
from router.routing.table import Action, Unknown
from router.routing.values import Decision, Locked, Proxy, Redirect, Refuse

if TYPE_CHECKING:
    from router.model.region import RegionName
    from router.routing.table import Route, RoutingTable
    from router.routing.values import Located, RequestHead, Target

_REDIRECT: Final = Action.REDIRECT


def decide(
    head: RequestHead, target: Target, located: Located, table: RoutingTable, *, may_redirect: bool = True
) -> Decision:
    """What to do with the request. See the table above. What may not be redirected is proxied instead."""
    if target.workspace and located.subdomain_workspace not in (None, target.workspace):
        return Refuse(Problem.WORKSPACE_CONFLICT)
    named = names_workspace(target, located)
    route = _first_fit(table.policy.routes, head, target, named) if table.policy.routes else None
    placement = located.placement
    if placement is not None:
        if placement.transfer is not None:
            return Locked(placement.region, placement.transfer)
        region = placement.region
        if region not in table.regions:
            return Refuse(Problem.REGION_UNAVAILABLE)
    elif named:
        if table.policy.unknown_workspace is Unknown.REFUSE:
            return Refuse(Problem.WORKSPACE_UNKNOWN)
        region = table.policy.home
    else:
        region = _region_without_workspace(target, located, route, table)
        if region not in table.regions:
            return Refuse(Problem.REGION_UNAVAILABLE)
    return _reach(region, head, target, located, route=route, table=table, may_redirect=may_redirect)


def names_workspace(target: Target, located: Located) -> bool:
    """Whether anything of the request names a workspace, known or not."""
    return bool(target.workspace or target.malformed or target.subdomain or located.key_workspace)


def _first_fit(routes: tuple[Route, ...], head: RequestHead, target: Target, named: bool) -> Route | None:
    for route in routes:
        if (
            (route.service is None or route.service == target.service.name)
            and (route.method is None or route.method == head.method)
            and (route.path is None or route.path.pattern.match(target.rest))
            and not (route.region is not None and named)
        ):
            return route
    return None


def _region_without_workspace(target: Target, located: Located, route: Route | None, table: RoutingTable) -> RegionName:
    if route is not None and route.region is not None:
        return route.region
    return target.service.region or target.host_region or located.key_region or table.policy.home


def _reach(
    region: RegionName,
    head: RequestHead,
    target: Target,
    located: Located,
    *,
    route: Route | None,
    table: RoutingTable,
    may_redirect: bool,
) -> Proxy | Redirect:
    """Proxy to `region`, or redirect there where policy says so and it would lead somewhere else."""
    service = target.service
    endpoint = table.regions[region].endpoints[service.name]
    outgoing = join_target(endpoint, target.rest)
    action = service.action if route is None or route.action is None else route.action
    subdomain_known = located.subdomain_workspace is not None
    if (
        action is _REDIRECT
        and may_redirect
        and region != table.policy.home
        and endpoint.public_url.host != head.host
        and not (subdomain_known and target.workspace is None)
    ):
        return Redirect(region, str(endpoint.public_url).encode("ascii") + outgoing)
    # A workspace's own subdomain is part of what its region serves; every other Host is the region's own.
    host = head.authority if subdomain_known else endpoint.public_url.authority.encode("ascii")
    placement = located.placement
    epoch = placement.epoch if placement is not None else 0 if names_workspace(target, located) else None
    return tuple.__new__(Proxy, (region, endpoint, outgoing, host, epoch, placement))
