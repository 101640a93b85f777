"""The listener's side of the control API: from a request to a call, from an outcome to a response.

The steps of a request, in this order: who is it (nobody learns anything without a token), which operation, may they,
what was sent; then the operation, in one transaction. All answers are made here, none is to be stored by a cache, and
none repeats what was sent but the caller's own sane request id.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import re
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from router.control.access import Credentials, Scope
from router.control.api.calls import Call
from router.control.api.catalogue import OPERATIONS, parameters
from router.control.api.openapi import PROBLEM, document
from router.control.api.operations import JSON, PREFIX, Answer
from router.control.api.reading import read_call
from router.control.problems import ControlProblem, Declined, Objection, decline
from router.directory.store import StoreError, WriteRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.control.access import Principal
    from router.control.api.calls import Site
    from router.control.api.operations import Operation
    from router.control.options import ControlOptions

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._~:@+/=-]{1,128}")
_BROWSERS_AND_PROXIES: Final = ("Origin", "Sec-Fetch-Site", "Forwarded", "X-Forwarded-For", "Via")
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})

_log = logging.getLogger(__name__)


class ControlApi:
    """The routes of the control API. They may stand in any application of a listener of ours."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.adopt(site.options)
        self._operations: dict[str, dict[str, Operation]] = {}
        for operation in OPERATIONS:
            self._operations.setdefault(PREFIX + operation.path, {})[operation.method] = operation

    def adopt(self, options: ControlOptions) -> None:
        """Answer by `options` from the next request on."""
        self._site = replace(self._site, options=options)
        self._parameters = parameters(options)
        self._document = json.dumps(document(options), ensure_ascii=False)

    def routes(self) -> list[web.RouteDef]:
        """All paths, whatever their method; and one that catches what leads nowhere."""
        return [
            *(web.route("*", path, self._respond) for path in self._operations),
            web.route("*", "/control/openapi.json", self._respond_document),
            web.route("*", "/control{rest:(?:/.*)?}", self._respond),
        ]

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        request_id = _request_id(request)
        try:
            outcome = await self._answer(request)
        except WriteRefusedError as refused:
            outcome = decline(ControlProblem.CHANGE_REFUSED, "; ".join(refused.problems[:3]))
        except StoreError as error:
            _log.warning("request %s: %s", request_id, error)
            outcome = decline(ControlProblem.DIRECTORY_UNAVAILABLE, ControlProblem.DIRECTORY_UNAVAILABLE.spec.message)
        except ConnectionError:
            # Whoever sent it left in the middle: nobody reads this.
            outcome = decline(ControlProblem.MALFORMED, "The body ended too early.")
        except Exception:
            _log.exception("request %s failed", request_id)
            outcome = decline(ControlProblem.BUG, ControlProblem.BUG.spec.message)
        return _response(outcome, request_id)

    async def _respond_document(self, request: web.Request) -> web.StreamResponse:
        principal = self._admit(request, Scope.READ)
        if isinstance(principal, Declined):
            return _response(principal, _request_id(request))
        if request.method not in {"GET", "HEAD"}:
            return _response(_no_method(("GET",)), _request_id(request))
        return _response(Answer(200, self._document), _request_id(request))

    async def _answer(self, request: web.Request) -> Answer | Declined:
        resource = request.match_info.route.resource
        methods = self._operations.get(resource.canonical if resource is not None else "", {})
        # A HEAD is a GET whose body the listener leaves out.
        operation = methods.get("GET" if request.method == "HEAD" else request.method)
        principal = self._admit(request, Scope.READ if operation is None else operation.scope)
        if isinstance(principal, Declined):
            return principal
        if operation is None:
            return _no_method(tuple(methods)) if methods else _no_resource()
        path = self._path(request.match_info)
        if path is None:
            return _no_resource()
        async with read_call(request, Call(self._site, operation, principal, path)) as call:
            return call if isinstance(call, Declined) else await operation.handle(call)

    def _admit(self, request: web.Request, scope: Scope) -> Principal | Declined:
        clock = self._site.clock
        values = request.headers.getall("Authorization", [])
        address = request.remote or ""
        shown = Credentials(
            # Two of them are none that is known.
            authorization=None if not values else values[0] if len(values) == 1 else "",
            address=address,
            same_machine=_is_loopback(address) and _is_direct(request),
        )
        admitted = self._site.access.admit(shown, scope, now=clock.wall(), pace=clock.monotonic())
        if isinstance(admitted, Declined) and values:
            _log.warning("%s from %s: %s", request.method, address, admitted.objections[0].problem.spec.slug)
        return admitted

    def _path(self, named: Mapping[str, str]) -> Mapping[str, str] | None:
        """The names of the path; `None` if one cannot be any. Ids of workspaces count whatever their case."""
        path = {name: text.lower() if name == "workspace" else text for name, text in named.items()}
        return path if all(self._parameters[name].fits(text) for name, text in path.items()) else None


def _response(outcome: Answer | Declined, request_id: str) -> web.Response:
    fields = {"Cache-Control": "no-store", "X-Request-ID": request_id, "Server": "region-router"}
    if isinstance(outcome, Declined):
        return _problem(outcome, request_id, fields)
    fields |= outcome.fields
    if not outcome.body:
        return web.Response(status=outcome.status, headers=fields)
    return web.Response(
        status=outcome.status, body=outcome.body.encode() + b"\n", headers={**fields, "Content-Type": JSON}
    )


def _problem(declined: Declined, request_id: str, fields: dict[str, str]) -> web.Response:
    """The weightiest reason makes the document; all of them stand in it where there is more than one."""
    first: Objection = declined.objections[0]
    spec = first.problem.spec
    members = dict(first.members)
    body: dict[str, Any] = {
        "type": first.problem.type,
        "title": spec.title,
        "status": spec.status,
        "detail": first.detail,
        "instance": f"urn:request:{request_id}",
        "request_id": request_id,
        "message": spec.message,
        "code": spec.code,
    }
    fields["Content-Type"] = PROBLEM
    retry_after = members.pop("retry_after", spec.retry_after)
    if retry_after is not None:
        fields["Retry-After"] = str(retry_after)
    if first.problem is ControlProblem.NO_TOKEN:
        fields["WWW-Authenticate"] = 'Bearer realm="region-router control"'
    if "allow" in members:
        fields["Allow"] = members.pop("allow")
    if len(declined.objections) > 1:
        body["refusals"] = [
            {
                "type": one.problem.type,
                "title": one.problem.spec.title,
                "detail": one.detail,
                "code": one.problem.spec.code,
            }
            for one in declined.objections
        ]
    content = json.dumps({**body, **members}, ensure_ascii=False).encode() + b"\n"
    response = web.Response(status=spec.status, body=content, headers=fields)
    if first.problem in {ControlProblem.BODY_TOO_LARGE, ControlProblem.NO_TOKEN, ControlProblem.TOO_MANY_FAILURES}:
        # What else was sent is not read.
        response.force_close()
    return response


def _no_method(methods: tuple[str, ...]) -> Declined:
    allow = ", ".join(sorted({*methods, *({"HEAD"} if "GET" in methods else ())}))
    return decline(ControlProblem.NO_METHOD, f"Offered here: {allow}.", allow=allow)


def _no_resource() -> Declined:
    return decline(ControlProblem.NO_RESOURCE, ControlProblem.NO_RESOURCE.spec.message)


def _request_id(request: web.Request) -> str:
    given = request.headers.get("X-Request-ID", "")
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _is_direct(request: web.Request) -> bool:
    """No page in a browser here can be made to send this, and no proxy here has passed it on."""
    host = request.headers.get("Host", "").lower()
    name = host.rpartition(":")[0] if re.search(r":[0-9]+$", host) else host
    return name in _LOOPBACK_NAMES and not any(field in request.headers for field in _BROWSERS_AND_PROXIES)
