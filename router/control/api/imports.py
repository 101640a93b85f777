"""The import of many workspaces: a sheet of rows, all or none, in one transaction."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any, Final

from router.control.api import shown
from router.control.api.operations import Answer, answer
from router.control.problems import ControlProblem, Declined, decline
from router.control.sheets import Form, Sheet, read_sheet
from router.control.tenants import Tenants
from router.directory.store import WriteRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.control.api.calls import Call
    from router.control.audit import Act
    from router.control.options import ControlOptions
    from router.control.ports import ControlTransaction

FORMS: Final[Mapping[str, Form]] = {"application/x-ndjson": Form.JSONL, "text/csv": Form.CSV}


async def import_workspaces(call: Call) -> Answer | Declined:
    """Put all workspaces of a sheet, or none and say what is wrong with which rows."""
    sent = call.sheet
    if sent is None:
        raise TypeError("the catalogue promised rows")
    # Long enough to keep everybody waiting: not on the loop, and not in the transaction.
    sheet = await asyncio.to_thread(_read, sent.file, FORMS[sent.content_type], call.site.options)
    if sheet.flaws:
        problems = [{"place": flaw.place, "detail": flaw.text, "mend": flaw.mend} for flaw in sheet.flaws]
        return _bad_rows(problems, len(problems) + sheet.hidden)

    def work(tx: ControlTransaction, act: Act) -> Answer:
        changed = Tenants(tx, act, call.site.options).import_workspaces(sheet.drafts, sent.digest)
        return answer(shown.Imported(rows=len(sheet.drafts), changed=changed))

    try:
        return await call.change(work)
    except WriteRefusedError as refused:
        return _bad_rows(_refusals(refused, sheet), len(refused.problems))


def _read(file: Any, form: Form, options: ControlOptions) -> Sheet:
    # Without its mark, and with bytes that are no UTF-8 kept until the line they stand on is known.
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        return read_sheet(text, form, options)
    finally:
        text.detach()


def _refusals(refused: WriteRefusedError, sheet: Sheet) -> list[dict[str, str]]:
    """What the directory's own rules say, by line."""
    problems = [
        {"place": f"line {sheet.lines[draft - 1]}", "detail": problem.removeprefix(f"draft {draft}, ")}
        for problem, draft in zip(refused.problems, refused.drafts, strict=False)
    ]
    return [*problems, *({"detail": problem} for problem in refused.problems[len(problems) :])]


def _bad_rows(problems: list[dict[str, str]], count: int) -> Declined:
    return decline(ControlProblem.BAD_ROWS, f"{count} problems; the first: {problems[0]['detail']}", errors=problems)
