"""The walk of a request, in six steps. The law: `receive`, `walk` and `act` read as the walk, and nothing else does.

1. *admit*: the head is sane, is not a loop, and has an id (`router.gateway.heads`)
2. *identify*: which service, which workspace (`router.routing.identify`)
3. *locate*: the cached directory; the only await before the decision, and on a hit not even that
4. *decide*: a table (`router.routing.decide`)
5. *act*: proxy, redirect, locked or refuse
6. *record*: every request ends in `end`, cancelled ones too

Steps 3, 4 and the ledger entry of 5 happen in one synchronous step: what an await returned is never decided upon.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final

from router.directory.directory import DirectoryUnavailableError
from router.directory.locate import Found, Missing
from router.gateway import compose, responses
from router.gateway.bodies import BadBodyError, body_of
from router.gateway.cors import answer_lines, is_preflight, preflight_lines
from router.gateway.exchange import Exchange
from router.gateway.guests import Guests
from router.gateway.heads import AnswerHeads, Refusal, RequestHeads
from router.gateway.hints import Hints
from router.gateway.locations import Facade, hide_region, names_location
from router.gateway.observing import Observer
from router.gateway.pool import Pools
from router.gateway.probed import ProbedExchange
from router.gateway.probing import Prober
from router.gateway.request import Request
from router.gateway.rerouting import ask_again
from router.gateway.responses import Wire
from router.gateway.trust import Trust
from router.model.fault import Fault
from router.model.problem import Problem
from router.model.record import Record
from router.model.region import RegionName
from router.routing.decide import decide
from router.routing.fields import answer_rules, forbidden_trailers, has_passed, request_rules
from router.routing.identify import identify
from router.routing.table import Disclose, Mode
from router.routing.values import Locked, Proxy, Redirect, Refuse, Source

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.directory.directory import CachedDirectory
    from router.directory.ledger import Hold
    from router.directory.ports import Clock, Spawner
    from router.gateway.client import ClientConnection
    from router.gateway.guests import Guest
    from router.gateway.heads import AnswerHead
    from router.gateway.options import GatewayOptions
    from router.gateway.pool import PoolStanding
    from router.gateway.ports import Recorder, Reporter
    from router.gateway.rerouting import Disowned
    from router.model.region import Endpoint
    from router.model.transfer import RunningTransfer
    from router.routing.table import RoutingTable
    from router.routing.values import Decision

_log = logging.getLogger(__name__)

MAX_FETCHES: Final = 4
"""A subdomain or key, then its workspace, and once more each if a term ended in between."""


class Gateway:
    """The data plane of one process: the walk, and what its exchanges share.

    `now` is the loop's time as of the last sweep: coarse, and good enough for deadlines of seconds.
    """

    def __init__(
        self,
        table: RoutingTable,
        directory: CachedDirectory,
        options: GatewayOptions,
        *,
        recorder: Recorder,
        clock: Clock,
        spawner: Spawner,
        reporter: Reporter | None = None,
    ) -> None:
        self.directory = directory
        self.connections: set[ClientConnection] = set()
        self.draining = False
        self._emptied = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time()
        self.guests = Guests()
        self.pools = Pools(options, self._loop.time)
        self._recorder = recorder
        self._reporter = reporter
        self._clock = clock
        self.adopt(table, options)
        self._spawner = spawner
        self._hints = Hints(directory, spawner)
        self._id_prefix = secrets.token_hex(6).encode("ascii")
        self._ids = count(1)

    def adopt(self, table: RoutingTable, options: GatewayOptions) -> None:
        """From now on decide by `table` and `options`. What is under way goes on as it was decided.

        Raises what `router.gateway.tls.client_context` raises, and has changed nothing then.
        """
        # Certificates are read now, not while requests wait.
        self.pools.adopt(options, [end for region in table.regions.values() for end in region.endpoints.values()])
        self.options = options
        self.answer_heads = AnswerHeads(answer_rules())
        self.via = f"region-router-{table.policy.home}".encode("ascii")
        self.guests.limit(options.max_connections_per_client, options.max_in_flight_per_client)
        self.trust = Trust(options.trusted_proxies, forwarded=options.forwarded)
        self.stale_statuses = table.policy.stale_statuses
        self._hides_regions = table.policy.hide_regions
        self._observer: Observer | None = None
        if table.policy.mode is Mode.OBSERVE:
            self._observer = Observer(table, self._recorder.observed, self._clock)
        self._prober: Prober | None = None
        if self._reporter is not None and (options.log_sample is not None or options.trace_sample is not None):
            self._prober = Prober(table, options, self._reporter, self._clock.wall)
        self._table = table
        self._disclose = table.policy.disclose_region
        api_key = table.api_key_header
        self._heads = RequestHeads(request_rules(api_key), api_key.encode("ascii"), options)
        self._forbidden_trailers = forbidden_trailers(api_key)
        self._region_lines: dict[Endpoint, bytes] = {}
        home = table.regions[table.policy.home]
        app = next((endpoint for name, endpoint in home.endpoints.items() if name == "app"), None)
        self._app_url = str(app.public_url if app is not None else home.public_url)

    def pools_standing(self) -> dict[RegionName, PoolStanding]:
        """How the connections to each region stand, for a scrape."""
        return {name: self.pools.standing(region.endpoints.values()) for name, region in self._table.regions.items()}

    # --- 1 admit

    def receive(self, client: ClientConnection, block: bytes) -> None:
        """A whole head has come from `client`. The request's answer, or what leads to it, has begun on return."""
        admitted = self._heads.admit(block)
        if isinstance(admitted, Refusal):
            self.refuse_head(client, admitted)
            return
        client.left -= 1
        if client.left <= 0:
            admitted = admitted._replace(persistent=False)
        request_id = admitted.request_id or self._next_id()
        upload = body_of(admitted.body, self._forbidden_trailers)
        request = client.request = Request(client, admitted, upload, request_id, self._loop.time())
        guest = client.guest
        if guest is None and client.peer.trusted:
            guest = self._guest_behind(request)
        request.guest = guest
        if self._prober is not None:
            self._prober.look(request)
        if guest is not None and not self.guests.begin(guest):
            self._warn_of(guest)
            self.act(request, Refuse(Problem.CLIENT_BUSY), ())
        elif admitted.via and has_passed(admitted.via, self.via):
            self.act(request, Refuse(Problem.LOOP_DETECTED), ())
        elif admitted.head.target == b"*":
            self._answer_here(request, 204, responses.options_answer)
        else:
            self.walk(request)

    # --- 2 identify, 3 locate, 4 decide

    def walk(self, request: Request, *, fetched: int = 0) -> None:
        """Steps 2 to 5. `fetched` counts the lookups that were awaited before this walk."""
        head = request.admitted.head
        target = identify(head, self._table)
        if isinstance(target, Refuse):
            self.act(request, target, ())
            return
        lookup = self.directory.locate(target, fetched=fetched > 0)
        if isinstance(lookup, Found):
            request.source = lookup.located.source
            decision = decide(head, target, lookup.located, self._table)
            if isinstance(decision, Redirect) and is_preflight(head.method, request.admitted.block):
                decision = decide(head, target, lookup.located, self._table, may_redirect=False)
            self.act(request, decision, lookup.holds)
        elif isinstance(lookup, Missing) and fetched < MAX_FETCHES:
            request.fetching = self._spawner.spawn(self._fetch(request, lookup, fetched), "fetch")
        else:
            self.act(request, Refuse(Problem.DIRECTORY_UNAVAILABLE), ())

    def walk_again(self, request: Request) -> None:
        """What the request was decided on has changed, or its connection died unused: decide again."""
        request.exchange = None
        self.exchange_ended(request.region)
        self.walk(request)

    async def _fetch(self, request: Request, missing: Missing, fetched: int) -> None:
        try:
            try:
                await self.directory.fetch(missing)
            except DirectoryUnavailableError as error:
                _log.warning("a lookup failed: %s", error)
                request.fetching = None
                self.act(request, Refuse(Problem.DIRECTORY_UNAVAILABLE), ())
            else:
                # No await between here and the decision: the entries are pinned no longer than this step.
                request.fetching = None
                self.walk(request, fetched=fetched + 1)
        except Exception:
            self.break_down(request.client)

    # --- 5 act

    def act(self, request: Request, decision: Decision, holds: tuple[Hold, ...]) -> None:
        """Carry the decision out. `holds` is what it rests on."""
        request.holds = holds
        if self._observer is not None:
            decision, holds = self._observer.instead(request.admitted.head, decision), ()
        match decision:
            case Proxy():
                self._proxy(request, decision, holds)
            case Redirect(region, location):
                request.decision, request.region = "redirect", region
                self._answer_here(request, 307, partial(responses.redirect_answer, location))
            case Locked(region, transfer):
                request.decision, request.region = "locked", region
                if not self._answer_preflight(request):
                    self._answer_locked(request, transfer)
            case Refuse(problem):
                request.decision = "refuse"
                if problem is not Problem.DIRECTORY_UNAVAILABLE or not self._answer_preflight(request):
                    self._answer_problem(request, problem)

    def _proxy(self, request: Request, proxy: Proxy, holds: tuple[Hold, ...]) -> None:
        request.decision, request.region = "proxy", proxy.region
        self._recorder.entered(proxy.region)
        probe = request.probe
        exchange = Exchange(self, request, proxy) if probe is None else ProbedExchange(self, request, proxy, probe)
        request.exchange = exchange
        exchange.begin(self.directory.ledger.enter(holds, exchange) if holds else None)

    def _answer_locked(self, request: Request, transfer: RunningTransfer) -> None:
        # Spread so that a workspace's clients do not come back all at once: no secret.
        spread = random.uniform(-1, 1)  # noqa: S311
        make = partial(
            responses.problem_answer,
            Problem.WORKSPACE_LOCKED,
            retry_after=responses.lock_retry_after(transfer, self._clock.wall(), spread),
            members=responses.lock_members(transfer, disclose=self._disclose is Disclose.ALWAYS),
            app_url=self._app_url,
        )
        self._answer_here(request, Problem.WORKSPACE_LOCKED.spec.status, make)

    def _answer_preflight(self, request: Request) -> bool:
        """Whether it was a preflight, and has been answered in its region's place."""
        cors, admitted = self.options.cors, request.admitted
        if cors is None or not is_preflight(admitted.head.method, admitted.block):
            return False
        lines = preflight_lines(cors, admitted.block)
        self._answer_here(request, 204, partial(responses.preflight_answer, lines))
        return True

    def _answer_problem(self, request: Request, problem: Problem) -> None:
        make = partial(responses.problem_answer, problem, app_url=self._app_url)
        self._answer_here(request, problem.spec.status, make, closes=problem.spec.closes)

    def _answer_here(
        self, request: Request, status: int, make: Callable[[Wire], bytes], *, closes: bool = False
    ) -> None:
        """Answer ourselves, and keep the client's connection if nothing of the request is still to come."""
        admitted = request.admitted
        if request.probe is not None:
            request.probe.decide()
        settled = self._settle_upload(request)
        persistent = admitted.persistent and settled and not closes and not self.draining
        head = admitted.head
        cors = b"" if self.options.cors is None else answer_lines(self.options.cors, admitted.block)
        wire = Wire(head.method, head.minor, admitted.block, request.request_id, self.via, not persistent, cors)
        request.status = status
        request.client.write(make(wire))
        self.end(request)
        request.client.finished(persistent=persistent, upload_done=settled)

    def _settle_upload(self, request: Request) -> bool:
        """Drop what has come of a body that nobody will get; whether that was all of it."""
        if not request.upload.done:
            try:
                _, behind = request.upload.feed(request.client.take_input())
            except BadBodyError:
                return False
            request.client.give_back(behind)
        return request.upload.done

    # --- what exchanges ask

    def request_head(self, request: Request, proxy: Proxy) -> bytes:
        """The head that goes out to the region."""
        peer, admitted = request.client.peer, request.admitted
        forwarded, host = peer.lines, admitted.head.authority
        if not forwarded:
            forwarded, host, _ = self.trust.account(peer, admitted)
        return compose.request_head(
            admitted,
            proxy,
            forwarded=forwarded,
            forwarded_host=host,
            request_id=request.request_id,
            via=self.via,
        )

    def answer_head(self, request: Request, proxy: Proxy, answer: AnswerHead, *, closes: bool) -> bytes:
        """The head that goes back to the client."""
        if self._hides_regions and names_location(answer.kept):
            answer = answer._replace(kept=self._hide_region(request, proxy, answer.kept))
        region = b""
        if compose.discloses(self._disclose, answer.status):
            region = self._region_lines.get(proxy.endpoint) or self._make_region_lines(proxy)
        if answer.status == 401 and self._observer is None:
            region += self._hints.lines(request.admitted.head.api_key)
        return compose.answer_head(
            answer,
            minor=request.admitted.head.minor,
            region=region,
            request_id=request.request_id,
            via=self.via,
            closes=closes,
        )

    def _hide_region(self, request: Request, proxy: Proxy, kept: bytes) -> bytes:
        admitted = request.admitted
        _, host, proto = self.trust.account(request.client.peer, admitted)
        target = identify(admitted.head, self._table)
        if isinstance(target, Refuse):
            # Another table than it was decided by: the service is not there any more.
            return kept
        prefix = admitted.head.target.removesuffix(target.rest)
        return hide_region(kept, proxy.endpoint, Facade(proto, host, prefix))

    def ask_again(self, exchange: Disowned, hold: Hold) -> None:
        """The region of `exchange` disowns the workspace in `hold`: ask whether that has moved."""
        self._spawner.spawn(ask_again(self.directory, exchange, hold), "refresh")

    def must_ask_for_key(self, request: Request) -> bool:
        """Whether only the directory can say if the API key of `request`, which a region refuses, was reissued."""
        return self._observer is None and self._hints.must_ask(request.admitted.head.api_key)

    def ask_for_key(self, exchange: Disowned, request: Request) -> None:
        """Look the API key of `request` up, and tell `exchange` when that is done."""
        key = request.admitted.head.api_key
        assert key is not None
        self._hints.ask(exchange, key)

    def client_address(self, request: Request) -> str:
        """Who asks: the peer, or the client that a trusted proxy names."""
        return self.trust.client_address(request.client.peer, request.admitted.block)

    def exchange_ended(self, region: str) -> None:
        """An exchange with `region` is over."""
        self._recorder.left(RegionName(region))

    def answer_fault(self, request: Request, fault: Fault) -> None:
        """An exchange failed before anything of an answer was relayed."""
        self._answer_problem(request, fault.problem)

    # --- refused heads, clients that leave, and bugs

    def refuse_head(self, client: ClientConnection, refusal: Refusal) -> None:
        """A head that is not admitted: there is no request, but it is answered and recorded like one."""
        request_id = self._next_id()
        wire = Wire("", 1, b"", request_id, self.via, closes=True)
        client.write(responses.problem_answer(refusal.problem, wire, detail=refusal.detail))
        status = refusal.problem.spec.status
        record = Record("", "refuse", "", status, 0.0, Source.NONE, None)
        self._recorder.record(record)
        if self._prober is not None:
            self._prober.report_refused(request_id, record)
        client.finished(persistent=False, upload_done=False)

    def client_gone(self, request: Request) -> None:
        """The connection of `request` ended before its answer did."""
        if request.exchange is not None:
            request.exchange.client_gone()
        else:
            if request.fetching is not None:
                request.fetching.cancel()
            request.fault = request.fault or Fault.CLIENT_GONE
            self.end(request)

    def break_down(self, client: ClientConnection) -> None:
        """A bug of ours, in the `except` that caught it: nothing of `client`'s request may stay behind.

        It is told if it has been told nothing yet.
        """
        _log.exception("a request broke down")
        request = client.request
        if request is not None and request.exchange is None and not request.over:
            request.fault = Fault.INTERNAL
            with contextlib.suppress(Exception):
                self._answer_problem(request, Problem.INTERNAL_ERROR)
                return
        client.abort(Fault.INTERNAL)

    # --- 6 record

    def end(self, request: Request) -> None:
        """The request is over, however it ended."""
        if request.over:
            return
        request.over = True
        if request.guest is not None:
            self.guests.end(request.guest)
        fault = request.fault
        if fault is not None:
            _log.log(
                fault.level,
                "request %s: %s (region %s)",
                request.request_id.decode("ascii"),
                fault.label,
                request.region,
            )
        duration = self._loop.time() - request.started
        method = request.admitted.head.method
        told = (request.region, request.decision, method, request.status, duration, request.source, fault)
        record: Record = tuple.__new__(Record, told)
        self._recorder.record(record)
        if self._prober is not None:
            self._prober.report(request, record)

    # --- connections and time

    def opened(self, client: ClientConnection) -> bool:
        """A client has connected. Whether it may stay: it counts as open until it is `closed`."""
        self.connections.add(client)
        if client.guest is None or self.guests.arrive(client.guest):
            return True
        self._warn_of(client.guest)
        self._recorder.turned_away()
        return False

    def closed(self, client: ClientConnection) -> None:
        """Its connection is gone."""
        self.connections.discard(client)
        if client.guest is not None:
            self.guests.leave(client.guest)
        if self.draining and not self.connections:
            self._emptied.set()

    async def emptied(self) -> None:
        """Return once the last connection is gone. Only while draining."""
        if self.connections:
            await self._emptied.wait()

    def sweep(self) -> None:
        """Look at every deadline. Called by the server a few times a second."""
        now = self.now = self._loop.time()
        for client in list(self.connections):
            try:
                client.sweep(now)
            except Exception:
                self.break_down(client)
        self.pools.sweep(now)

    def _guest_behind(self, request: Request) -> Guest | None:
        """The client that a trusted proxy names. Where it names none, the request counts for nobody."""
        address = self.client_address(request)
        return None if self.trust.trusts(address) else self.guests.find(address)

    def _warn_of(self, guest: Guest) -> None:
        """Once for as long as the guest is here: whoever floods us must not flood the log."""
        if not guest.warned:
            guest.warned = True
            _log.warning(
                "%s wants more connections or requests at a time than one client may have; "
                "a load balancer of yours belongs into gateway.trusted_proxies",
                guest.name,
            )

    def _next_id(self) -> bytes:
        return b"%b-%x" % (self._id_prefix, next(self._ids))

    def _make_region_lines(self, proxy: Proxy) -> bytes:
        lines = self._region_lines[proxy.endpoint] = compose.region_lines(proxy.region, proxy.endpoint)
        return lines
