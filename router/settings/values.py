"""What the rest of the program gets: one frozen value with everything that was configured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from router.directory.options import DirectoryOptions
    from router.gateway.options import GatewayOptions
    from router.routing.table import RoutingTable
    from router.settings.grammar import Address
    from router.settings.problems import ConfigProblem


@dataclass(frozen=True, slots=True)
class DirectorySettings:
    """Where the directory is. `file` is absolute; `id`, if given, is the only directory that may be used."""

    file: Path
    id: str | None
    options: DirectoryOptions


@dataclass(frozen=True, slots=True)
class Settings:
    """A checked configuration. `warnings` are for people: what works and may not be what was meant."""

    listen: tuple[Address, ...]
    ops_listen: tuple[Address, ...]
    gateway: GatewayOptions
    directory: DirectorySettings
    table: RoutingTable
    warnings: tuple[ConfigProblem, ...] = ()
