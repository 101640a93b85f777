"""A configuration file, with the environment over it → settings, or every problem at once.

The steps: read the text, parse it, lay the environment over it, read its shape, check it as a whole, build. A text that
is no TOML ends it at once; from then on each step goes on with what is left, so that one run shows all there is.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Final

from router.settings.build import build
from router.settings.check import check
from router.settings.overlay import overlay
from router.settings.problems import ConfigError, ConfigProblem, Findings
from router.settings.shape import Data, read_document

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from router.settings.values import Settings

_LARGEST: Final = 1 << 20


def load(path: Path, environ: Mapping[str, str]) -> Settings:
    """The settings of the file at `path`. Raises `ConfigError`."""
    return load_text(read(path), environ, folder=path.absolute().parent, name=str(path))


def load_text(text: str, environ: Mapping[str, str], *, folder: Path, name: str = "configuration") -> Settings:
    """The settings of a file's text; relative paths in it are under `folder`. Raises `ConfigError`."""
    findings = Findings()
    data = overlay(_parse(text, name), environ, findings)
    document = read_document(data, findings)
    check(document, folder, findings)
    if findings.problems:
        raise ConfigError(findings.problems)
    return build(document, folder, findings.warnings)


def read(path: Path) -> str:
    """The text of the file at `path`. Raises `ConfigError`."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise _single(str(path), f"cannot be read ({reason})", "name a readable TOML file") from error
    if len(content) > _LARGEST:
        raise _single(str(path), "is larger than 1 MiB", "name a configuration file")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _single(str(path), f"is not UTF-8 at line {line}", "save it as UTF-8") from error


def _parse(text: str, name: str) -> Data:
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise _single(name, "is nested too deeply", "write flat tables") from error
    except ValueError as error:  # TOMLDecodeError, or a number that Python refuses to read
        reason = " ".join(str(error).split())
        raise _single(name, f"is not valid TOML: {reason}", "correct the line; text stands in double quotes") from error


def _single(path: str, text: str, mend: str) -> ConfigError:
    return ConfigError([ConfigProblem(path, text, mend)])
