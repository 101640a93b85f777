"""The mutator: bytes and a source of chance in, other bytes out. Pure, so that a seed is a finding's whole story."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from tests.fuzz.seeds import TOKENS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random


def mutated(seeds: Sequence[bytes], chance: Random) -> bytes:
    """One or a few of `seeds`, one behind the other, with up to six changes. One in ten is left as it is."""
    data = b"".join(chance.choice(seeds) for _ in range(chance.choice((1, 1, 1, 2, 3))))
    if chance.random() < 0.1:
        return data
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 6))):
        data = chance.choice(_STEPS)(data, chance)
    return data


def cut(data: bytes, chance: Random) -> tuple[bytes, ...]:
    """`data` in segments: in one, in bytes, at its line ends, or anywhere."""
    how = chance.randrange(4)
    if how == 0 or not data:
        return (data,)
    if how == 1 and len(data) < 600:
        places = list(range(1, len(data)))
    elif how == 2:
        places = [at + side for at, byte in enumerate(data) if byte in b"\r\n" for side in (0, 1)]
    else:
        places = [chance.randrange(len(data)) for _ in range(chance.randint(1, 8))]
    borders = sorted({0, len(data), *places})
    return tuple(data[start:end] for start, end in pairwise(borders))


def _place(data: bytes, chance: Random) -> int:
    """Where something is done: half of the time at a line's border, where it hurts most."""
    ends = [at + 1 for at, byte in enumerate(data) if byte == 0x0A]
    if ends and chance.random() < 0.5:
        return chance.choice(ends)
    return chance.randrange(len(data) + 1)


def _insert(data: bytes, chance: Random) -> bytes:
    at = _place(data, chance)
    return data[:at] + chance.choice(TOKENS) + data[at:]


def _overwrite(data: bytes, chance: Random) -> bytes:
    at = _place(data, chance)
    token = chance.choice(TOKENS)
    return data[:at] + token + data[at + len(token) :]


def _flip(data: bytes, chance: Random) -> bytes:
    if not data:
        return data
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]


def _delete(data: bytes, chance: Random) -> bytes:
    at = _place(data, chance)
    return data[:at] + data[at + chance.choice((1, 1, 2, 3, 8, 30)) :]


def _truncate(data: bytes, chance: Random) -> bytes:
    return data[: _place(data, chance)]


def _repeat(data: bytes, chance: Random) -> bytes:
    start, end = sorted((_place(data, chance), _place(data, chance)))
    return data[:end] + data[start:end] * chance.choice((1, 1, 2, 50) if end - start < 200 else (1,)) + data[end:]


def _swap_lines(data: bytes, chance: Random) -> bytes:
    lines = data.split(b"\r\n")
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\r\n".join(lines)


def _change_number(data: bytes, chance: Random) -> bytes:
    digits = [at for at, byte in enumerate(data) if 0x30 <= byte <= 0x39]
    if not digits:
        return data
    at = chance.choice(digits)
    return data[:at] + b"%d" % chance.randrange(12) + data[at + 1 :]


def _change_case(data: bytes, chance: Random) -> bytes:
    at = _place(data, chance)
    return data[:at] + data[at : at + 12].swapcase() + data[at + 12 :]


_STEPS: Final = (
    *(_insert, _insert, _insert, _overwrite, _flip, _delete, _delete, _truncate, _repeat),
    *(_swap_lines, _change_number, _change_number, _change_case),
)
