"""One service in one region: what the region says, and what its override says instead.

The law of the room: an override wins setting by setting, `tls` as a whole; what neither says comes from the service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from router.model.region import PublicUrl
    from router.settings.grammar import OriginUrl
    from router.settings.problems import Place
    from router.settings.schema import Document, TlsTable


class Resolved(NamedTuple):
    """One pair, and the places that its parts come from. What is `None` is missing."""

    origin: OriginUrl | None
    public_url: PublicUrl | None
    path: bytes | None
    tls: TlsTable | None
    origin_place: Place
    tls_place: Place


def resolve(document: Document, region: str, service: str) -> Resolved:
    """What holds for `service` in `region`; both exist."""
    base = document.regions[region]
    own: Place = ("regions", region)
    override = base.services.get(service)
    path = document.services[service].path
    if override is None:
        return Resolved(base.origin, base.public_url, path, base.tls, (*own, "origin"), (*own, "tls"))
    over: Place = (*own, "services", service)
    return Resolved(
        origin=override.origin or base.origin,
        public_url=override.public_url or base.public_url,
        path=path if override.path is None else override.path,
        tls=override.tls or base.tls,
        origin_place=(*(over if override.origin else own), "origin"),
        tls_place=(*(over if override.tls else own), "tls"),
    )
