"""`serve`: the gateway as a process."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import click

from router.cli.options import config_option
from router.runtime.descriptors import fit
from router.runtime.role import Role
from router.runtime.serve import run
from router.runtime.serve import serve as serve_until_stopped
from router.runtime.source import Source
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
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Gateway processes that share the listeners; one uses one core.",
)
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.ALL.value,
    show_default=True,
    help="What it runs: the data plane, the control plane, or both.",
)
def serve(config: Path, log_level: str, workers: int, role: str) -> None:
    """Run the gateway until SIGTERM or Ctrl-C, then drain.

    The directory need not be there yet: until it is, requests that need it get 503. SIGHUP, or a change of the
    configuration, makes it go on by the new one; what is wrong with it is logged, and the one before goes on.
    """
    source = Source(config, os.environ)
    present = source.read()
    set_up_logging(log_level, present.settings.telemetry.form)
    for warning in present.settings.warnings:
        _log.warning("configuration: %s", warning)
    fitting = present._replace(settings=fit(present.settings))
    run(serve_until_stopped(source, fitting, role=Role(role), workers=workers, log_level=log_level))
