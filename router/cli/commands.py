"""All commands, as a table: the name, one line of help, and where it is loaded from when it is run.

Theory. A command's module imports what the command needs, at its top like any other: a configuration's schema, an HTTP
stack, a terminal's bars. Loaded together they would cost half a second before `--help` could say a word, and before
each health check. So groups know this table only, and the help they print is the table's.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from router import __version__
from router.cli.desk import Elsewhere

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PROGRAM: Final = "region-router"


class Entry(NamedTuple):
    """One command: its help, and the `module:attribute` it is loaded from, or the commands under it.

    `travels`: it has things done at a desk, which may be that of a control API elsewhere.
    """

    help: str
    where: str = ""
    commands: Mapping[str, Entry] = {}
    travels: bool = False


COMMANDS: Final[Mapping[str, Entry]] = {
    "serve": Entry("Run the gateway until SIGTERM or Ctrl-C, then drain.", "router.cli.serving:serve"),
    "check-config": Entry(
        "Check a configuration and show every problem at once.", "router.cli.configuration:check_config"
    ),
    "migrate": Entry("Make the directory, or bring it to this release's schema.", "router.cli.maintenance:migrate"),
    "directory": Entry(
        "The directory as a whole.",
        commands={
            "open": Entry("Open the directory for traffic: its workspaces are in.", "router.cli.maintenance:open_"),
            "show": Entry("Show what the directory says of itself.", "router.cli.maintenance:show"),
        },
    ),
    "workspace": Entry(
        "Workspaces and where they live.",
        commands={
            "put": Entry(
                "Put one workspace, or change what is known of it.", "router.cli.workspaces:put", travels=True
            ),
            "get": Entry("Show one workspace.", "router.cli.workspaces:get", travels=True),
            "list": Entry("List workspaces in the order of their ids.", "router.cli.workspaces:list_", travels=True),
            "import": Entry(
                "Put many workspaces from a file, all or none.", "router.cli.importing:import_", travels=True
            ),
            "delete": Entry("Delete one workspace.", "router.cli.workspaces:delete", travels=True),
        },
    ),
    "key": Entry(
        "API keys.",
        commands={
            "put": Entry("Say what an API key names: a workspace or a region.", "router.cli.keys:put", travels=True)
        },
    ),
    "resolve": Entry("Explain what would happen to a request, step by step.", "router.cli.resolving:resolve"),
    "transfer": Entry(
        "Moves of workspaces between regions.",
        commands={
            "start": Entry("Lock a workspace and begin to move it.", "router.cli.transfers:start", travels=True),
            "preview": Entry(
                "Say what a move would do, and what forbids it.", "router.cli.transfers:preview", travels=True
            ),
            "watch": Entry("Follow a transfer until it has ended.", "router.cli.watching:watch", travels=True),
            "show": Entry(
                "Show a transfer, what it waits for, and what nobody knows the end of.",
                "router.cli.transfers:show",
                travels=True,
            ),
            "list": Entry("List transfers, the newest first.", "router.cli.transfers:list_", travels=True),
            "complete": Entry(
                "The data has arrived: end a transfer well.", "router.cli.transfers:complete", travels=True
            ),
            "fail": Entry(
                "End a transfer; the workspace stays where it was.", "router.cli.transfers:fail", travels=True
            ),
            "abort": Entry(
                "Call a transfer off while it is still locking.", "router.cli.transfers:abort", travels=True
            ),
        },
    ),
    "gateway": Entry(
        "The registered gateways, whom transfers wait for.",
        commands={
            "list": Entry(
                "List the registered gateways: whom transfers wait for.", "router.cli.gateways:list_", travels=True
            ),
            "forget": Entry(
                "Forget a gateway whose process is dead, so that transfers do not wait for its lease.",
                "router.cli.gateways:forget",
                travels=True,
            ),
        },
    ),
    "healthcheck": Entry("Ask a running gateway how it is; exit 0 or 1.", "router.cli.health:healthcheck"),
    "demo": Entry("Five fake regions, a directory and the gateway, to try out.", "router.cli.touring:demo"),
}


class TableGroup(click.Group):
    """A group of commands that are loaded when they are run."""

    def __init__(
        self,
        name: str,
        text: str,
        table: Mapping[str, Entry],
        *,
        callback: Callable[..., None] | None = None,
        params: list[click.Parameter] | None = None,
    ) -> None:
        super().__init__(name, help=text, no_args_is_help=False, callback=callback, params=params)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table, which is that of a first day with the program."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command; `None` if there is no such."""
        entry = self.table.get(cmd_name)
        if entry is None:
            return None
        # Of the root's own parameters: a command is found before its group's callback has run.
        if entry.where and not entry.travels and ctx.find_root().params.get("url") is not None:
            raise click.UsageError(f"{cmd_name} works on this machine and its configuration, not with --url", ctx)
        if entry.commands:
            return TableGroup(cmd_name, entry.help, entry.commands)
        module, _, attribute = entry.where.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """As usual; but the parser forgets where it was, and the line on stderr should name whose help to read."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without loading anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self.table.items()])


def root() -> click.Group:
    """The program's own group."""
    text = "Send each request on a global API host to the region of its workspace."
    group = TableGroup(PROGRAM, text, COMMANDS, callback=_look_elsewhere, params=list(_ELSEWHERE))
    told = f"%(prog)s, version %(version)s{' (compiled)' if is_compiled() else ''}"
    return click.version_option(__version__, prog_name=PROGRAM, message=told)(group)


def is_compiled() -> bool:
    """Whether the rooms that every request passes through are native code here."""
    room = find_spec("router.gateway.exchange_table")
    assert room is not None
    assert room.origin is not None
    return any(Path(room.origin).parent.glob("exchange.*.so"))


_ELSEWHERE: Final[tuple[click.Parameter, ...]] = (
    click.Option(
        ["--url"],
        metavar="URL",
        help="A control API that is asked instead of the configured directory. Its token is read from "
        "REGION_ROUTER_TOKEN, or from --token-file.",
    ),
    click.Option(
        ["--token-file"],
        type=click.Path(path_type=Path),
        metavar="FILE",
        envvar="REGION_ROUTER_TOKEN_FILE",
        help="A file that holds the token for --url and nothing else.",
    ),
)


@click.pass_context
def _look_elsewhere(ctx: click.Context, url: str | None, token_file: Path | None) -> None:
    ctx.obj = None if url is None else Elsewhere(url, token_file)
