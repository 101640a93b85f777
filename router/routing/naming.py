"""Naming: what logs and traces call the path of a request. Paths carry ids and sometimes secrets; templates do not.

The law of the room: every byte of a name was written by whoever made the configuration, none by a client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.routing.identify import match_prefix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.model.region import ServiceName
    from router.routing.table import RoutingTable, Template
    from router.routing.values import RequestHead

MORE: Final = "/…"
"""Stands for the part of a path that no template names."""


def name_route(head: RequestHead, table: RoutingTable) -> tuple[str, str]:
    """The service of `head`, and the template behind its prefix; both empty if there is no such service.

    The templates of the policy's routes come first: they are the more exact ones.
    """
    prefixes = table.view(head.host).prefixes
    path = head.target.partition(b"?")[0]
    prefix = match_prefix(path, prefixes) if prefixes else None
    if prefix is None:
        return "", ""
    service, rest = prefix.service.name, path[len(prefix.path) :]
    for template in _templates(service, table):
        match = template.pattern.match(rest)
        if match is not None:
            return service, template.text if match.end() == len(rest) else template.text + MORE
    return service, "/" if rest in {b"", b"/"} else MORE


def _templates(service: ServiceName, table: RoutingTable) -> Iterator[Template]:
    for route in table.policy.routes:
        if route.path is not None and route.service in {None, service}:
            yield route.path
    yield from table.templates
