"""`check-config`: every problem at once, each with its place and the mend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from router.cli.options import config_option, json_option
from router.cli.output import print_json, say
from router.cli.session import settings_of
from router.settings.problems import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from router.settings.problems import ConfigProblem


@click.command("check-config")
@config_option
@json_option
def check_config(config: Path, as_json: bool) -> None:
    """Check a configuration and show every problem at once.

    Prints OK and exits with 0 if it can be used, warnings or not. Connects to nothing.
    """
    try:
        settings = settings_of(config)
    except ConfigError as error:
        if as_json:
            _print(problems=error.problems, warnings=())
        raise
    for warning in settings.warnings:
        say(f"warning: {warning}")
    if as_json:
        _print(problems=(), warnings=settings.warnings)
    else:
        click.echo("OK")


def _print(*, problems: Sequence[ConfigProblem], warnings: Sequence[ConfigProblem]) -> None:
    print_json({"ok": not problems, "problems": _objects(problems), "warnings": _objects(warnings)})


def _objects(problems: Sequence[ConfigProblem]) -> list[dict[str, str]]:
    return [{"path": problem.path, "text": problem.text, "mend": problem.mend} for problem in problems]
