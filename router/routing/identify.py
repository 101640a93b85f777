"""Identify: which service and which workspace a request is for, from its own bytes alone.

The law of the room: nothing is guessed. A host that is not ours, a path that could be read two ways and two different
ids are refused; the id that is looked up is the id that the backend will see. What goes out is the service's path at
the region and then the rest of the target, byte for byte.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from router.model.placement import WorkspaceId
from router.model.problem import Problem
from router.routing import path as one_view
from router.routing.table import shared_depth
from router.routing.values import Refuse, RequestHead, Target

if TYPE_CHECKING:
    from router.model.region import Endpoint
    from router.routing.table import HostView, Prefix, RoutingTable

_SLASH: Final = ord("/")
_WORKSPACE_LIST: Final = re.compile(rb"(?:/v[0-9]+)?/workspaces/?(?=\?|\Z)")
"""The list of all workspaces lives at home, whatever key asks for it."""


def identify(head: RequestHead, table: RoutingTable) -> Target | Refuse:
    """The service and the workspace that `head` names, or why it can't be served."""
    view = table.view(head.host)
    target = head.target
    match = view.plain.match(target) if view.plain is not None else None
    if match is None:
        return _identify_asking(head, view, table)
    prefix = match[1]
    service, rest = view.services[prefix], target[len(prefix) :]
    if service.region is not None:
        return Target(service, rest, host_region=view.region)
    workspace = WorkspaceId(match[match.lastindex or 0].decode("ascii").lower())
    return tuple.__new__(Target, (service, rest, workspace, False, view.subdomain, None, view.region))


def _identify_asking(head: RequestHead, view: HostView, table: RoutingTable) -> Target | Refuse:
    """The same, one question after the other."""
    if view.prefixes is None:
        return Refuse(Problem.MISDIRECTED)
    target = head.target
    query = target.find(b"?")
    path = target if query < 0 else target[:query]
    suspect = one_view.is_suspect(path)
    if suspect and one_view.climbs(path):
        return Refuse(Problem.AMBIGUOUS_PATH)
    prefix = match_prefix(path, view.prefixes)
    if prefix is None:
        return Refuse(Problem.NO_SERVICE)
    found = _identify_behind(prefix, head, view, table)
    if isinstance(found, Refuse):
        return found
    identified, id_end = found
    if suspect and one_view.reads_two_ways(path, _end_of_ids(path, len(prefix.path), id_end, table)):
        return Refuse(Problem.AMBIGUOUS_PATH)
    return identified


def match_prefix(path: bytes, prefixes: tuple[Prefix, ...]) -> Prefix | None:
    """The longest of `prefixes` (they come longest first) that ends at a segment's border of `path`."""
    for prefix in prefixes:
        text = prefix.path
        if not text or (path.startswith(text) and (len(path) == len(text) or path[len(text)] == _SLASH)):
            return prefix
    return None


def join_target(endpoint: Endpoint, rest: bytes) -> bytes:
    """The target that is sent to `endpoint`: its path, then `rest` as it came."""
    joined = endpoint.path + rest
    return joined if joined.startswith(b"/") else b"/" + joined


def _identify_behind(
    prefix: Prefix, head: RequestHead, view: HostView, table: RoutingTable
) -> tuple[Target, int] | Refuse:
    """The target behind `prefix`, and where in its rest the workspace's id ends (0: there is none)."""
    service = prefix.service
    rest = head.target[len(prefix.path) :]
    if service.region is not None:
        return Target(service, rest, host_region=view.region), 0
    path_names = _workspace_in(rest, table)
    if isinstance(path_names, Refuse):
        return path_names
    workspace, malformed, id_end = path_names
    # Text in the id's place is an unknown workspace already: never a reason to look elsewhere.
    subdomain = None if malformed else view.subdomain
    key = None
    named = workspace is not None or malformed or subdomain is not None
    if not named and head.api_key and not _WORKSPACE_LIST.match(rest):
        key = sha256(head.api_key).hexdigest()
    return Target(service, rest, workspace, malformed, subdomain, key, view.region), id_end


def _workspace_in(rest: bytes, table: RoutingTable) -> tuple[WorkspaceId | None, bool, int] | Refuse:
    """The id in `rest`, whether text that is none stands in an id's place, and where the id ends (0: no id)."""
    workspace: str | None = None
    malformed = False
    end = 0
    for template in table.templates:
        match = template.pattern.match(rest)
        if match is None or not match[1]:
            continue
        text = match[1].decode("latin-1").lower()
        if table.workspace_id.fullmatch(text) is None:
            malformed = True
        elif workspace is None or workspace == text:
            workspace = text
            end = max(end, match.end(1))
        else:
            return Refuse(Problem.WORKSPACE_CONFLICT)
    if workspace is None:
        return None, malformed, 0
    return WorkspaceId(workspace), False, end


def _end_of_ids(path: bytes, start: int, id_end: int, table: RoutingTable) -> int:
    """Up to where some reader could find an id in `path`, whose rest begins at `start`: all of it if we found none."""
    if not id_end:
        return len(path)
    end = start
    for _ in range(shared_depth(table.templates)):
        end = path.find(b"/", end + 1)
        if end < 0:
            return len(path)
    # With the slash behind it: an empty last segment shows only there.
    return max(end + 1, start + id_end)
