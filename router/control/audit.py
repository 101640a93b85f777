"""The audit log: who changed what, and what it was before and after. Written in the transaction of the change.

The law of the room: a change without its line is not made. Of an API key only its hash is written. A repeated call that
changes nothing writes nothing; a job's progress is not a change of the workspace and is not written either.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, is_dataclass
from typing import TYPE_CHECKING, Any

from router.directory.store import WorkspaceRecord

if TYPE_CHECKING:
    from router.control.ports import ControlTransaction


@dataclass(frozen=True, slots=True)
class Act:
    """Who does something, and when (seconds since 1970). `who` is a token's name, or a part of this program."""

    who: str
    now: float


def record(
    tx: ControlTransaction, act: Act, action: str, subject: str, *, before: Any = None, after: Any = None
) -> None:
    """Write one line. `subject` is `kind:id`; `before` and `after` are values of the model, or what JSON can hold."""
    tx.append_audit(
        at=act.now, who=act.who, action=action, subject=subject, before=_picture(before), after=_picture(after)
    )


def _picture(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, WorkspaceRecord):
        placement = value.placement
        value = {
            "region": placement.region,
            "epoch": placement.epoch,
            "subdomain": value.subdomain,
            "plan": value.plan,
            "owner": value.owner,
        }
    elif is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    return json.dumps(value, ensure_ascii=False)
