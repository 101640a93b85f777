"""The desk: where a command has things done, on this machine's directory or by a control API elsewhere.

Theory. A command says what is wanted and shows what came of it. Who does it is the same code either way, the control
plane's: called here on the directory that the configuration names (`router.cli.here`), or asked for over the wire where
`--url` names a control API (`router.cli.there`). What comes back is the same: the fields that `--json` prints.
"""

from __future__ import annotations

import contextlib
import getpass
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import click

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from router.cli.rows import Rows

Fields: TypeAlias = "dict[str, Any]"
"""One thing as it is shown, by names that never change."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A control API: its URL without a path, and the file that holds the token (`None`: the environment may)."""

    url: str
    token_file: Path | None = field(default=None, repr=False)


class Desk(Protocol):
    """What commands ask for. Raises `CommandError` with every reason, `StoreError`."""

    async def put_workspace(self, texts: Mapping[str, str | None]) -> Fields:
        """Put one, from the texts of its columns; what is left out stays as it is. The workspace, and `changed`."""

    async def get_workspace(self, workspace: str) -> Fields:
        """One workspace."""

    def list_workspaces(self, region: str | None, limit: int | None) -> AsyncIterator[Fields]:
        """Workspaces by id."""

    async def delete_workspace(self, workspace: str) -> Fields:
        """Delete one: `workspace` and `deleted`."""

    async def import_workspaces(self, rows: Rows, progress: Callable[[int, int], None]) -> Fields:
        """Put many: `rows` and `changed`. `progress` is told now and then how much is done, and of how much."""

    async def put_key(self, digest: str, workspace: str | None, region: str | None) -> Fields:
        """Say what an API key names: `digest`, `workspace`, `region`, `changed`."""

    async def preview(self, workspace: str, destination: str, requested_by: str) -> Fields:
        """What a start would be answered, and what it would do: `allowed`, `refusals`, `effects`, `warnings`."""

    async def start(self, workspace: str, destination: str, requested_by: str, duration: float | None) -> Fields:
        """Start a transfer, and wait for its barrier for a moment. The transfer."""

    async def show(self, transfer: str) -> Fields:
        """A transfer, by its id or its workspace's."""

    async def list_transfers(self, workspace: str | None, *, running: bool) -> Sequence[Fields]:
        """The newest first."""

    async def complete(self, transfer: str) -> Fields:
        """The data is at the destination. The transfer."""

    async def fail(self, transfer: str, reason: str) -> Fields:
        """The move did not succeed. The transfer."""

    async def abort(self, transfer: str) -> Fields:
        """Call it off while it is locking. The transfer."""

    async def list_gateways(self) -> Sequence[Fields]:
        """The registrations."""

    async def forget_gateway(self, incarnation: str) -> Fields:
        """Forget one: who it was, `ending`, and `may_write_until` unless it was proved dead."""


@contextlib.asynccontextmanager
async def desk(config: Path) -> AsyncIterator[Desk]:
    """The desk of the command that runs: a control API's if `--url` names one, else that of `config`'s directory.

    Raises `ConfigError`, `CommandError`.
    """
    elsewhere = click.get_current_context().find_object(Elsewhere)
    # Each brings an HTTP stack or a store that the other has no use for.
    if elsewhere is not None:
        from router.cli.there import api_desk  # noqa: PLC0415 - see above

        async with api_desk(elsewhere) as there:
            yield there
        return
    from router.cli.here import directory_desk  # noqa: PLC0415 - see above

    async with directory_desk(config) as here:
        yield here


def this_user() -> str:
    """Who runs this process, as the system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # In a container the user may have a number only.
        return f"uid-{os.getuid()}"
