"""What the document says of its listeners: that they can all be opened, and who may come by them.

The law of the room: that of `router.settings.check`, to which these checks belong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.settings.grammar import SocketFile
from router.settings.problems import show_place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.settings.grammar import Address
    from router.settings.problems import Findings, Place
    from router.settings.schema import Document

WILDCARDS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not bound to


def check_listeners(document: Document, findings: Findings) -> None:
    """There is one for clients, and no two want the same port of the same address, or the same socket."""
    seen: list[tuple[Place, Address | SocketFile]] = []
    for place, listener in listeners(document):
        other_place = next((other_place for other_place, other in seen if _collide(listener, other)), None)
        if other_place is not None:
            mend = "give each its own path" if isinstance(listener, SocketFile) else "give each listener its own port"
            findings.problem(place, f"{listener} is taken by {show_place(other_place)}", mend)
        seen.append((place, listener))
    gateway = document.gateway
    if not gateway.listen and not gateway.tls.listen and not findings.echoes(("gateway", "tls", "listen")):
        mend = 'name at least one, as in listen = ["127.0.0.1:8080"], or one in gateway.tls.listen'
        findings.problem(("gateway", "listen"), "there is no listener for clients", mend)
    if not document.ops.listen:
        mend = 'name at least one, as in listen = ["127.0.0.1:9090"]'
        findings.problem(("ops", "listen"), "there is no listener for metrics and health", mend)


def check_gateway_tls(document: Document, findings: Findings) -> None:
    """TLS for clients has a certificate, and a certificate has a use."""
    tls = document.gateway.tls
    place: Place = ("gateway", "tls")
    if tls.listen and tls.cert is None:
        mend = "name the file of the gateway's certificate and its chain"
        findings.problem((*place, "cert"), "there are TLS listeners and no certificate", mend)
    elif tls.key is not None and tls.cert is None:
        findings.problem((*place, "cert"), "there is a key without its certificate", "name the certificate's file")
    if tls.cert is not None and not tls.listen:
        findings.problem((*place, "listen"), "nothing listens with this certificate", "name where, or remove the table")


def check_proxy_protocol(document: Document, findings: Findings) -> None:
    """Somebody may send the PROXY header that every connection has to begin with."""
    gateway = document.gateway
    by_tcp = [*gateway.tls.listen, *(one for one in gateway.listen if not isinstance(one, SocketFile))]
    if gateway.proxy_protocol and by_tcp and not gateway.trusted_proxies:
        text = "nobody may send a PROXY header, so that every connection would be refused"
        findings.problem(("gateway", "trusted_proxies"), text, "name the load balancers' own addresses")


def listeners(document: Document) -> Iterator[tuple[Place, Address | SocketFile]]:
    """Every listener and its place."""
    lists = (
        (("gateway", "listen"), document.gateway.listen),
        (("gateway", "tls", "listen"), document.gateway.tls.listen),
        (("ops", "listen"), document.ops.listen),
        (("control", "listen"), document.control.listen),
    )
    for place, listen in lists:
        for index, listener in enumerate(listen):
            yield (*place, index), listener


def overlap(host: str, other: str) -> bool:
    """Whether a listener on one host takes what comes to the other."""
    if host == other:
        return True
    if not {host, other} & WILDCARDS:
        return False
    return (":" in host) == (":" in other)


def _collide(one: Address | SocketFile, other: Address | SocketFile) -> bool:
    if isinstance(one, SocketFile) or isinstance(other, SocketFile):
        return isinstance(one, SocketFile) and isinstance(other, SocketFile) and one.path == other.path
    return one.port != 0 and one.port == other.port and overlap(one.host, other.host)
