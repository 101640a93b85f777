"""gunicorn's raw requests, as bytes, with what gunicorn says of them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).with_name("gunicorn")

_ESCAPE: Final = re.compile(rb"\\(?:(r\\n)|([0nt])|x([0-9A-Fa-f]{2}))")
_PLAIN: Final = {b"0": b"\0", b"n": b"\n", b"t": b"\t"}
_HOST: Final = re.compile(rb"(?im)^host[ \t]*:")
_REQUEST_LINE: Final = re.compile(rb"(?:\A(?:\r\n)*|(?<=\r\n\r\n))[^\r\n]* HTTP/[^\r\n]*\r\n")


@dataclass(frozen=True)
class Expected:
    """A request as it should reach a backend."""

    method: str
    target: str
    body: bytes


@dataclass(frozen=True)
class RawRequest:
    """One file. `expected` is empty for an invalid one."""

    name: str
    data: bytes
    expected: tuple[Expected, ...]

    def with_host(self) -> bytes:
        """The bytes with a Host where there is none: many of the files lack it, and would be refused for that alone."""
        if _HOST.search(self.data):
            return self.data
        # What looks like a second request behind a length is the first one's body.
        count = 1 if b"content-length" in self.data.lower() else 0
        return _REQUEST_LINE.sub(lambda line: line[0] + b"Host: example.com\r\n", self.data, count)


def read(kind: str) -> dict[str, RawRequest]:
    """The files of `kind`, which is `valid` or `invalid`, by name."""
    said = json.loads((FOLDER / "expected.json").read_text("utf-8"))[kind]
    found = {}
    for file in sorted((FOLDER / kind).glob("*.http")):
        expected = tuple(
            Expected(each["method"], each["target"], each["body"].encode("latin-1"))
            for each in said[file.stem].get("requests", ())
        )
        found[file.stem] = RawRequest(file.stem, _decode(file.read_bytes()), expected)
    assert found.keys() == said.keys()
    return found


def _decode(text: bytes) -> bytes:
    return _ESCAPE.sub(_unescape, text.replace(b"\n", b""))


def _unescape(escape: re.Match[bytes]) -> bytes:
    if escape[1]:
        return b"\r\n"
    return _PLAIN[escape[2]] if escape[2] else bytes([int(escape[3], 16)])
