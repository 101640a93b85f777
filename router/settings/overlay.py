"""The environment over the file: `REGION_ROUTER__POLICY__HOME=eu`; `…__URL_FILE=/run/secrets/url` reads it from a file.

The law of the room: a variable names a setting of the schema, in services and regions that the file declares; one that
names nothing is a problem, because a typing error in a variable must not be silent. Case does not count, and `-` is
written `_`. No message made here repeats a value: secrets come this way.
"""

from __future__ import annotations

import copy
import json
import re
import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from router.model.flaw import did_you_mean
from router.settings.problems import Findings, Place, show_place
from router.settings.schema import Document
from router.settings.walk import Annotation, is_named, is_table, item_of, settings_of, step, unwrap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.settings.shape import Data

PREFIX: Final = "REGION_ROUTER__"
_FILE: Final = "_file"
_FLAGS: Final = {"true": True, "false": False}
_LARGEST: Final = 1 << 20
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,18}(?:\.[0-9]{0,18})?(?:[eE][+-]?[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class _Setting:
    """Where a variable points, and what stands there."""

    place: Place
    annotation: Annotation


@dataclass(frozen=True, slots=True)
class _Nowhere:
    """A variable that points to no setting."""

    text: str
    mend: str


class _UnreadableError(Exception):
    """A variable's value cannot be read."""

    def __init__(self, text: str, mend: str) -> None:
        super().__init__(text)
        self.text = text
        self.mend = mend


def overlay(data: Data, environ: Mapping[str, str], findings: Findings) -> Data:
    """`data` with the values that `environ` sets; `findings` learns which values came from where."""
    result = copy.deepcopy(data)
    seen: dict[Place, str] = {}
    for variable in sorted(environ):
        if not variable.upper().startswith(PREFIX):
            continue
        setting, from_file = _find(variable, data)
        if isinstance(setting, _Nowhere):
            findings.problem((variable,), setting.text, setting.mend)
        elif (other := seen.setdefault(setting.place, variable)) != variable:
            findings.problem((variable,), f"sets the same as {other}", "keep one of the two")
        else:
            try:
                text = _read_file(environ[variable]) if from_file else environ[variable]
                _put(result, setting.place, _read_value(text, setting.annotation))
                findings.names[setting.place] = variable
            except _UnreadableError as error:
                findings.problem((variable,), error.text, error.mend)
                findings.mark(setting.place)
    return result


def _find(variable: str, data: Data) -> tuple[_Setting | _Nowhere, bool]:
    """The setting, and whether the variable names a file to read it from."""
    parts = variable[len(PREFIX) :].lower().split("__")
    found = _locate(parts, data)
    if isinstance(found, _Nowhere) and parts[-1].endswith(_FILE):
        with_file = _locate([*parts[:-1], parts[-1].removesuffix(_FILE)], data)
        if isinstance(with_file, _Setting):
            return with_file, True
    return found, False


def _locate(parts: list[str], data: Data) -> _Setting | _Nowhere:
    annotation: Annotation = Document
    place: Place = ()
    for part in parts:
        if is_named(annotation):
            # The names of services are those of [services.*] for a region's overrides, too.
            declared = data.get(str(place[-1]))
            known = list(declared) if isinstance(declared, dict) else []
        elif is_table(unwrap(annotation)):
            known = list(settings_of(unwrap(annotation)))
        else:
            return _Nowhere("goes on behind a setting", f"end it with the setting: {show_place(place)}")
        folded = {name.lower().replace("-", "_"): name for name in known}
        if part not in folded:
            return _Nowhere("names no setting", did_you_mean(get_close_matches(part, list(folded), n=2), list(folded)))
        place = (*place, folded[part])
        annotation = step(annotation, folded[part])
    if is_table(unwrap(annotation)) or is_named(annotation):
        return _Nowhere("names a table", "name one of the settings in it")
    return _Setting(place, annotation)


def _put(data: Data, place: Place, value: object) -> None:
    holder: Any = data
    for part in place[:-1]:
        holder = holder.setdefault(part, {})
        if not isinstance(holder, dict):
            return  # the file has something else where a table belongs, and is told so
    holder[place[-1]] = value


def _read_file(name: str) -> str:
    mend = "name a readable text file"
    try:
        with Path(name).open("rb") as file:
            content = file.read(_LARGEST + 1)
        text = content.decode("utf-8")
    except OSError as error:
        raise _UnreadableError(f"its file cannot be read ({error.strerror})", mend) from error
    except ValueError as error:
        raise _UnreadableError("its file's name or content is not text", mend) from error
    if len(content) > _LARGEST:
        raise _UnreadableError("its file is larger than 1 MiB", mend)
    return text.removesuffix("\n").removesuffix("\r")


def _read_value(text: str, annotation: Annotation) -> object:
    bare = unwrap(annotation)
    if (item := item_of(bare)) is not None:
        listed = _read_list(text.strip(), of_tables=is_table(unwrap(item)))
        return [_read_value(each, item) if isinstance(each, str) else each for each in listed]
    if bare is bool:
        if text.strip() not in _FLAGS:
            raise _UnreadableError("is neither true nor false", "write true or false")
        return _FLAGS[text.strip()]
    if bare is float:
        if not _NUMBER.fullmatch(text.strip()):
            raise _UnreadableError("is not a number", "write one, as in 2.5")
        return float(text)
    if bare is int:
        if not _WHOLE.fullmatch(text.strip()):
            raise _UnreadableError("is not a whole number", "write one, as in 256")
        return int(text)
    return text


def _read_list(text: str, *, of_tables: bool) -> list[object]:
    # "[::]:8080" begins like a list and is none: only what also ends like one is read as TOML or JSON.
    if text.startswith("[") and text.endswith("]"):
        for read in (_read_toml, json.loads):
            try:
                value = read(text)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, list):
                return value
        raise _UnreadableError("is not a list", 'write it in TOML or JSON, as in ["a", "b"]')
    if of_tables:
        mend = 'write it in TOML or JSON, as in [{method = "POST", action = "proxy"}]'
        raise _UnreadableError("is not a list of tables", mend)
    return [item.strip() for item in text.split(",")] if text else []


def _read_toml(text: str) -> object:
    parsed = tomllib.loads(f"value = {text}")
    if list(parsed) != ["value"]:
        raise ValueError("more than one value")
    return parsed["value"]
