"""The options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

CONFIG_VARIABLE: Final = "REGION_ROUTER_CONFIG"

config_option = click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    default="router.toml",
    envvar=CONFIG_VARIABLE,
    show_default=True,
    show_envvar=True,
    help="The configuration.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
