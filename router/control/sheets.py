"""Files of workspaces → drafts, each with the line it stands on; and all that is wrong with the others.

Two forms: CSV with a header (RFC 4180; a byte order mark is fine), and JSON lines, one object a line. Their columns are
those of `router.control.drafts`. The law of the room: a row is taken whole or not at all, no bad row hides another, and
the same workspace or subdomain twice is a mistake of the file's, whatever the two rows say.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TextIO

from router.control.drafts import COLUMNS, REQUIRED, read_draft
from router.model.flaw import Flaw, did_you_mean, quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from router.control.drafts import Names
    from router.directory.store import WorkspaceDraft

SHOWN: Final = 100
"""Bad rows' flaws that are kept; the rest is only counted."""

_LONGEST: Final = 1 << 17
"""Characters of one line of JSON, as many as the CSV reader takes of one field."""


class Form(StrEnum):
    """How a file is written."""

    CSV = "csv"
    JSONL = "jsonl"


class Row(NamedTuple):
    """The texts of one row, or why it has none."""

    line: int
    texts: Mapping[str, str | None]
    flaws: tuple[Flaw, ...] = ()


@dataclass(slots=True)
class Sheet:
    """What a file holds. `lines[n]` is where `drafts[n]` stands; `hidden` flaws were only counted."""

    drafts: list[WorkspaceDraft] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    flaws: list[Flaw] = field(default_factory=list)
    hidden: int = 0

    def blame(self, line: int, flaw: Flaw) -> None:
        """Note what is wrong with a row."""
        if len(self.flaws) < SHOWN:
            self.flaws.append(flaw.at(f"line {line}"))
        else:
            self.hidden += 1


def read_sheet(file: TextIO, form: Form, names: Names) -> Sheet:
    """Read all of `file`, which was opened with `newline=""` and with bytes that are no UTF-8 as surrogates."""
    sheet = Sheet()
    firsts: dict[tuple[str, str], int] = {}
    for row in _csv_rows(file) if form is Form.CSV else _json_rows(file):
        flaws = [*row.flaws]
        draft = read_draft(row.texts, names) if not flaws else ()
        if isinstance(draft, tuple):
            flaws += draft
        else:
            flaws += _repeated(draft, row.line, firsts)
            sheet.drafts.append(draft)
            sheet.lines.append(row.line)
        for flaw in flaws:
            sheet.blame(row.line, flaw)
    return sheet


def _repeated(draft: WorkspaceDraft, line: int, firsts: dict[tuple[str, str], int]) -> Iterator[Flaw]:
    for column, text in (("workspace", draft.workspace), ("subdomain", draft.subdomain)):
        if text is not None and (first := firsts.setdefault((column, text), line)) != line:
            yield Flaw(column, f"{quote(text)} stands on line {first} already", "keep one of the two")


def _csv_rows(file: TextIO) -> Iterator[Row]:
    reader = csv.reader(file, strict=True)
    head: list[str] | None = None
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            yield Row(line, {}, (Flaw("", f"is not CSV ({error})", 'double each " inside quotes, and close them'),))
            continue
        if not cells:
            continue
        if head is not None:
            yield _csv_row(line, head, cells)
            continue
        head = [cell.strip() for cell in cells]
        flaws = tuple(_head_flaws(head))
        if flaws:
            # Without a header nothing behind it can be read.
            yield Row(line, {}, flaws)
            return
    if head is None:
        yield Row(1, {}, (Flaw("", "there is no header", f"begin with a line like {','.join(COLUMNS)}"),))


def _csv_row(line: int, head: list[str], cells: list[str]) -> Row:
    if len(cells) != len(head):
        what = f"has {len(cells)} cells under a header of {len(head)}"
        return Row(line, {}, (Flaw("", what, "write one cell for each column, quoted if it has a comma"),))
    return Row(line, dict(zip(head, cells, strict=True)), tuple(_undecoded(cells)))


def _head_flaws(head: list[str]) -> Iterator[Flaw]:
    yield from _undecoded(head)
    for name in REQUIRED:
        if name not in head:
            yield Flaw("", f"the header has no column {name}", f"begin with a line like {','.join(COLUMNS)}")
    for name, times in Counter(head).items():
        if name not in COLUMNS:
            yield _unknown("column", name)
        if times > 1:
            yield Flaw("", f"the header has the column {quote(name)} twice", "keep one of the two")


def _json_rows(file: TextIO) -> Iterator[Row]:
    for line, text in enumerate(file, start=1):
        if text.strip():
            yield _json_row(line, text)


def _json_row(line: int, text: str) -> Row:
    mend = 'write one object a line, like {"workspace": "…", "region": "…"}'
    flaws = tuple(_undecoded([text]))
    if flaws:
        return Row(line, {}, flaws)
    if len(text) > _LONGEST:
        return Row(line, {}, (Flaw("", "is too long", mend),))
    try:
        pairs = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "too deep, or a number too long"
        return Row(line, {}, (Flaw("", f"is not JSON ({reason})", mend),))
    if not isinstance(pairs, _Pairs):
        return Row(line, {}, (Flaw("", "is not an object", mend),))
    return Row(line, dict(pairs), tuple(_pair_flaws(pairs)))


class _Pairs(list[tuple[str, Any]]):
    """An object as it stands in the file, where a name may stand twice."""


def _pair_flaws(pairs: _Pairs) -> Iterator[Flaw]:
    for name, times in Counter(name for name, _ in pairs).items():
        if name not in COLUMNS:
            yield _unknown("member", name)
        if times > 1:
            yield Flaw("", f"the member {quote(name)} stands twice", "keep one of the two")
    for name, value in pairs:
        if not isinstance(value, str | None) and name in COLUMNS:
            yield Flaw(name, "is not a string", "write it in double quotes, or null to leave it as it is")


def _unknown(what: str, name: str) -> Flaw:
    known = did_you_mean(get_close_matches(name, COLUMNS), COLUMNS)
    return Flaw("", f"there is no {what} {quote(name)}", known)


def _undecoded(texts: list[str]) -> Iterator[Flaw]:
    if any("\udc80" <= character <= "\udcff" for text in texts if not text.isascii() for character in text):
        yield Flaw("", "is not UTF-8", "save the file as UTF-8")
