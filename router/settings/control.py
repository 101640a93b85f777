"""The control plane's settings: their small languages, what they say as a whole, and the values that are built of them.

The law of the room: that of `router.settings.grammar` and `router.settings.check`, to which these belong. No message
repeats a URL or a secret.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from router.control.access import Token
from router.control.options import ControlOptions, RegionOffer
from router.control.secret_files import SecretFile
from router.control.webhooks import Destination, signing_keys
from router.gateway.tls import ServerIdentity
from router.routing.table import Action
from router.settings.grammar import GrammarError, SocketFile, is_loopback
from router.settings.problems import show_place
from router.settings.values import ControlSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from router.routing.table import RoutingTable
    from router.settings.problems import Findings, Place
    from router.settings.schema import ControlTable, Document

SHORTEST_SECRET: Final = 20
"""Characters of a token: fewer can be guessed."""

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_HOOK: Final = re.compile(r"(https?)://([^/?#@\\\s]+)(/[^#\s]*)?", re.IGNORECASE)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def read_digest(text: str) -> str:
    """The SHA-256 of a token in hex. Raises `GrammarError`."""
    if not _DIGEST.fullmatch(text.lower()):
        raise GrammarError("this is not a SHA-256 in hex", "write what `printf %s TOKEN | sha256sum` prints")
    return text.lower()


def read_moment(text: str) -> float:
    """A time with its zone, as seconds since 1970. Raises `GrammarError`."""
    mend = 'write it like "2027-01-31T12:00:00Z"'
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise GrammarError("this is not a time", mend) from error
    if moment.tzinfo is None:
        raise GrammarError("the time has no zone", mend)
    return moment.astimezone(UTC).timestamp()


def read_hook(text: str) -> str:
    """Where events are sent: `http[s]://host[:port][/path]`. Raises `GrammarError`."""
    if not _HOOK.fullmatch(text) or not text.isascii() or not _has_authority(text):
        mend = 'write scheme, host and path, without user and fragment, as in "https://api.example.com/hooks/regions"'
        raise GrammarError("this is not a URL that events can be sent to", mend)
    return text


def read_name(text: str) -> str:
    """The name of a token or a destination. Raises `GrammarError`."""
    if not _NAME.fullmatch(text):
        raise GrammarError("the name cannot be used", "use at most 63 letters, digits and inner . _ -")
    return text


def check_control(document: Document, findings: Findings) -> None:
    """Somebody may use the control API, over a listener on which tokens can be shown."""
    control = document.control
    place: Place = ("control",)
    used = bool(control.tokens) or control.open_to_loopback
    if control.listen and not used and not findings.echoes((*place, "tokens")):
        mend = "declare one, as in [[control.tokens]]"
        findings.problem((*place, "tokens"), "the control API has a listener and nobody has a token", mend)
    if used and not control.listen and not findings.echoes((*place, "listen")):
        for index, listener in enumerate(document.ops.listen):
            if not isinstance(listener, SocketFile) and not is_loopback(listener.host):
                text = f"the control API would share {show_place(('ops', 'listen', index))}, which is not on loopback"
                findings.problem((*place, "listen"), text, 'give it its own, as in listen = ["127.0.0.1:9091"]')
                break
    if control.tls.key is not None and control.tls.cert is None:
        findings.problem((*place, "tls", "cert"), "there is a key without its certificate", "name the file")
    if control.tls.cert is not None and not control.listen:
        findings.problem((*place, "tls"), "nothing listens with this certificate", "set control.listen")
    for index, listener in enumerate(control.listen):
        if control.tls.cert is None and not isinstance(listener, SocketFile) and not is_loopback(listener.host):
            text = "tokens travel to it unencrypted"
            findings.warn((*place, "listen", index), text, "name a certificate in control.tls")
    _check_tokens(control, findings)
    _check_webhooks(control, findings)


def check_control_files(document: Document, folder: Path, findings: Findings) -> None:
    """Every secret's file can be read, and holds one that can be used."""
    for index, token in enumerate(document.control.tokens):
        if token.file is not None:
            place: Place = ("control", "tokens", index, "file")
            secret = _secret(folder / token.file, place, findings)
            if secret is not None and len(secret) < SHORTEST_SECRET:
                text = f"the token in the file is shorter than {SHORTEST_SECRET} characters"
                findings.problem(place, text, "make one with `openssl rand -hex 32`")
    for index, hook in enumerate(document.control.webhooks):
        if hook.secret_file is not None:
            place = ("control", "webhooks", index, "secret_file")
            secret = _secret(folder / hook.secret_file, place, findings)
            try:
                signing_keys(secret if secret is not None else b"whsec_" + b"A" * 32)
            except ValueError as error:
                findings.problem(place, str(error), "write whsec_ and `openssl rand -base64 32` into it")


def build_control(document: Document, folder: Path, table: RoutingTable) -> ControlSettings:
    """The control plane of a document that has passed the checks."""
    control = document.control
    tls = control.tls
    identity = None
    if tls.cert is not None:
        identity = ServerIdentity(folder / tls.cert, None if tls.key is None else folder / tls.key)
    return ControlSettings(
        listen=control.listen,
        identity=identity,
        tokens=tuple(_tokens(control, folder)),
        open_to_loopback=control.open_to_loopback,
        options=_options(document, table),
        destinations=tuple(
            Destination(hook.name or "", hook.url or "", SecretFile(folder / (hook.secret_file or "")))
            for hook in control.webhooks
        ),
    )


def redirecting_services(table: RoutingTable) -> tuple[str, ...]:
    """The services of which some request is redirected."""
    hosts = (*table.exact_hosts.values(), *table.suffix_hosts.values(), table.any_host)
    services = {prefix.service.name: prefix.service for prefixes in hosts for prefix in prefixes}
    routed = {route.service for route in table.policy.routes if route.action is Action.REDIRECT}
    return tuple(
        name
        for name, service in services.items()
        if service.region is None and (service.action is Action.REDIRECT or {name, None} & routed)
    )


def _options(document: Document, table: RoutingTable) -> ControlOptions:
    control = document.control
    return ControlOptions(
        home=table.policy.home,
        regions={
            name: RegionOffer(name, region.label, str(region.public_url), document.regions[name].accepting)
            for name, region in table.regions.items()
        },
        workspace_id=table.workspace_id,
        subdomain_suffix=table.subdomain_suffix,
        own_hosts=table.own_hosts,
        redirecting=redirecting_services(table),
        plans=control.plans,
        transfer_duration=control.transfer_duration,
        backup_lock=control.backup_lock,
        requires_tenant_data=_requires_tenant_data(control),
        losses_window=document.directory.unanswered_window,
        destinations=tuple(hook.name or "" for hook in control.webhooks),
    )


def _requires_tenant_data(control: ControlTable) -> bool:
    """Where nobody can use the API no backend tells of its tenants, unless somebody imports them."""
    if control.require_tenant_data is not None:
        return control.require_tenant_data
    return bool(control.tokens) or control.open_to_loopback


def _tokens(control: ControlTable, folder: Path) -> Iterator[Token]:
    for table in control.tokens:
        yield Token(
            table.name or "",
            frozenset(table.scopes),
            table.hash,
            None if table.file is None else SecretFile(folder / table.file),
            math.inf if table.expires is None else table.expires,
        )


def _check_tokens(control: ControlTable, findings: Findings) -> None:
    seen: set[str] = set()
    for index, token in enumerate(control.tokens):
        place: Place = ("control", "tokens", index)
        if token.name is None:
            findings.problem((*place, "name"), "the token has no name", "name who holds it: the audit log says so")
        elif token.name in seen:
            findings.problem((*place, "name"), "another token has this name", "give each its own")
        seen.add(token.name or "")
        wrong = any(findings.echoes((*place, name)) for name in ("hash", "file"))
        if (token.hash is None) == (token.file is None) and not wrong:
            text = "the token has no hash and no file" if token.hash is None else "the token has a hash and a file"
            findings.problem(place, text, "give it one of hash and file")
        if not token.scopes:
            findings.problem((*place, "scopes"), "the token may do nothing", 'name what it is for, as in ["read"]')


def _check_webhooks(control: ControlTable, findings: Findings) -> None:
    seen: set[str] = set()
    for index, hook in enumerate(control.webhooks):
        place: Place = ("control", "webhooks", index)
        if hook.name is None:
            findings.problem((*place, "name"), "the destination has no name", "name who is told")
        elif hook.name in seen:
            findings.problem((*place, "name"), "another destination has this name", "give each its own")
        seen.add(hook.name or "")
        if hook.url is None:
            findings.problem((*place, "url"), "the destination has no URL", "write where events are sent")
        elif hook.url.startswith("http:") and not is_loopback(_host(hook.url)):
            text = "who may move which workspace travels to it unencrypted"
            findings.warn((*place, "url"), text, "use https outside one machine")
        if hook.secret_file is None:
            mend = "name a file that holds whsec_ and 32 random bytes in base64"
            findings.problem((*place, "secret_file"), "the destination has no secret", mend)


def _secret(path: Path, place: Place, findings: Findings) -> bytes | None:
    secret = SecretFile(path).read()
    if secret is None:
        findings.problem(place, "the file cannot be read, or holds no secret", "name a readable file with a secret")
    return secret


def _has_authority(url: str) -> bool:
    """Whether its host can be a name or an address, and its port a port."""
    try:
        found = urlsplit(url)
        (found.hostname or "").encode("idna")
        return found.port != 0
    except ValueError:
        return False


def _host(url: str) -> str:
    authority = url.split("/")[2].lower()
    return re.sub(r":[0-9]*$", "", authority).strip("[]")
