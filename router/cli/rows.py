"""A file of workspaces as an import takes it: its name for people, its form, its bytes."""

from __future__ import annotations

import hashlib
import io
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from router.control.sheets import Form

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TextIO

_FORMS: Final = {".csv": Form.CSV, ".jsonl": Form.JSONL, ".ndjson": Form.JSONL}


@dataclass(frozen=True, slots=True)
class Rows:
    """The whole of a file."""

    name: str
    form: Form
    content: bytes

    @property
    def digest(self) -> str:
        """The SHA-256 of the bytes in hex."""
        return hashlib.sha256(self.content).hexdigest()

    def text(self) -> TextIO:
        """Without its mark, and with bytes that are no UTF-8 kept until the line they stand on is known."""
        return io.TextIOWrapper(io.BytesIO(self.content), encoding="utf-8-sig", errors="surrogateescape", newline="")


def read_rows(file: Path, form: str | None) -> Rows:
    """The rows in `file`, `-` for stdin. Raises `OSError`, `UsageError` if its form can't be told."""
    told = Form(form) if form is not None else _FORMS.get(file.suffix.lower())
    if told is None:
        raise click.UsageError("The format of FILE cannot be told by its name: give --format")
    if str(file) == "-":
        return Rows("standard input", told, sys.stdin.buffer.read())
    return Rows(str(file), told, file.read_bytes())
