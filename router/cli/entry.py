"""The whole program: arguments in, exit code out. Every error passes here, once, on its way to a person."""

from __future__ import annotations

import contextlib
import os
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, Final, TextIO

from click.exceptions import Exit

from router.cli.commands import PROGRAM, root
from router.cli.errors import tell

if TYPE_CHECKING:
    from collections.abc import Sequence

_BROKEN_PIPE: Final = 128 + 13
"""What a shell reports of a program that SIGPIPE ended."""


def main() -> None:
    """Run the command that the arguments of this process name, and exit."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command, and return its exit code: 0 done, 2 not done and told why, 1 unhealthy or a bug of ours."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that lacks a character shows its code instead of ending the command.
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _invoke(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has gone, and wants to hear nothing more.
        code = _BROKEN_PIPE
        _abandon(sys.stdout)
    except Exception as error:
        code = _tell(error)
    except KeyboardInterrupt as interrupt:
        code = _tell(interrupt)
    return code


def _invoke(arguments: Sequence[str]) -> int:
    command = root()
    try:
        # Not `command.main`: it would translate interrupts and broken pipes its own way, before we can.
        with command.make_context(PROGRAM, list(arguments)) as context:
            command.invoke(context)
    except Exit as ended:
        return ended.exit_code
    return 0


def _tell(error: BaseException) -> int:
    lines, code = tell(error)
    with contextlib.suppress(OSError):
        for line in lines:
            print(line, file=sys.stderr)
        return code
    _abandon(sys.stderr)
    return code


def _abandon(stream: TextIO | None) -> None:
    """Let what is still buffered go nowhere: the interpreter would complain of it while it exits."""
    with contextlib.suppress(OSError, ValueError):
        if stream is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
