"""`serve`: the gateway as a process."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import click

from router.cli.options import config_option
from router.cli.session import settings_of
from router.runtime.serve import run
from router.runtime.serve import serve as serve_until_stopped
from router.telemetry.logs import set_up_logging

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)


@click.command()
@config_option
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error", "critical"], case_sensitive=False),
    default="info",
    show_default=True,
    help="The least level that is logged.",
)
def serve(config: Path, log_level: str) -> None:
    """Run the gateway until SIGTERM or Ctrl-C, then drain.

    The directory need not be there yet: until it is, requests that need it get 503.
    """
    settings = settings_of(config)
    set_up_logging(log_level)
    for warning in settings.warnings:
        _log.warning("configuration: %s", warning)
    run(serve_until_stopped(settings))
