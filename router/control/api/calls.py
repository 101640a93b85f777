"""One request on its way to its operation, which runs in one transaction.

The law of the room: everything that can be wrong with a request is found before its transaction begins, but for its
preconditions and its idempotency key, which are true only inside: the answer to a POST with a key is stored in the
transaction of the change, so that either both are there or neither. A refusal is not stored: it did nothing, and is
judged anew.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final, TypeVar

from pydantic import BaseModel

from router.control.api.operations import Answer
from router.control.audit import Act
from router.control.problems import ControlProblem, Declined, decline
from router.model.journal import StoredAnswer
from router.model.placement import WorkspaceId

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from router.control.access import Access, Principal
    from router.control.api.operations import Operation
    from router.control.options import ControlOptions
    from router.control.ports import ControlStore, ControlTransaction
    from router.directory.hostlock import HostLocks
    from router.directory.options import DirectoryOptions
    from router.directory.ports import Clock

M = TypeVar("M", bound=BaseModel)

_TAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


@dataclass(frozen=True, slots=True)
class Site:
    """What all operations work with. `directory`: how long gateways are trusted; `locks`: prove some of them dead."""

    store: ControlStore
    access: Access
    options: ControlOptions
    clock: Clock
    directory: DirectoryOptions
    locks: HostLocks


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must hold for a change to be made. Texts as they came; `None`: nothing is asked."""

    if_match: str | None = None
    if_none_match: str | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows that were sent: the file they were put aside in, their content type, the SHA-256 of all of them."""

    file: IO[bytes]
    content_type: str
    digest: str


@dataclass(frozen=True, slots=True)
class Call:
    """A request that may go on: `path` has the names of its operation's path, `idempotency` its key and fingerprint."""

    site: Site
    operation: Operation
    principal: Principal
    path: Mapping[str, str]
    query: BaseModel | None = None
    body: BaseModel | None = None
    sheet: Sheet | None = None
    conditions: Conditions = Conditions()
    idempotency: tuple[str, str] | None = None

    @property
    def workspace(self) -> WorkspaceId:
        """The workspace that the path names."""
        return WorkspaceId(self.path["workspace"])

    def asked(self, model: type[M]) -> M:
        """The query."""
        return _of(self.query, model)

    def sent(self, model: type[M]) -> M:
        """The body."""
        return _of(self.body, model)

    async def read(self, work: Callable[[ControlTransaction], Answer | Declined]) -> Answer | Declined:
        """Answer from one snapshot. Raises `StoreError`."""
        return await self.site.store.read(work)

    async def change(self, work: Callable[[ControlTransaction, Act], Answer | Declined]) -> Answer | Declined:
        """Change something, once for each idempotency key. Raises `StoreError`, `WriteRefusedError`."""
        act = Act(self.principal.name, self.site.clock.wall())

        def once(tx: ControlTransaction) -> Answer | Declined:
            if self.idempotency is None:
                return work(tx, act)
            key, fingerprint = self.idempotency
            stored = tx.stored_answer(act.who, key)
            if stored is not None:
                return _replay(stored, fingerprint)
            done = work(tx, act)
            if isinstance(done, Answer):
                kept = StoredAnswer(fingerprint, done.status, json.dumps(dict(done.fields)), done.body)
                tx.store_answer(act.who, key, kept, now=act.now)
            return done

        return await self.site.store.transact(once)

    def unmet(self, current: Answer | None) -> Declined | None:
        """Why the change must not be made, if `current` is the answer that a GET would get (`None`: nothing there)."""
        wanted, unwanted = self.conditions.if_match, self.conditions.if_none_match
        if wanted is not None and (current is None or not _matches(wanted, current)):
            return decline(ControlProblem.STALE, "If-Match names another state of it than the present one.")
        if unwanted is not None and current is not None and _matches(unwanted, current):
            return decline(ControlProblem.STALE, "If-None-Match names its present state.")
        return None


def _replay(stored: StoredAnswer, fingerprint: str) -> Answer | Declined:
    if stored.fingerprint != fingerprint:
        return decline(ControlProblem.KEY_REUSED, "Take a new idempotency key for a new request.")
    fields = {**json.loads(stored.fields), "Idempotency-Replayed": "true"}
    return Answer(stored.status, stored.body, fields)


def _matches(condition: str, current: Answer) -> bool:
    """RFC 9110 §13.1.1, by the strong comparison: a weak tag matches nothing."""
    if condition.strip() == "*":
        return True
    return current.fields.get("ETag") in _TAG.findall(condition)


def _of(value: BaseModel | None, model: type[M]) -> M:
    if not isinstance(value, model):
        raise TypeError(f"the catalogue promised {model.__name__}")
    return value
