"""`demo`: the sixty-second tour, in one process."""

from __future__ import annotations

import click

from router.demo import run_demo

_PORT = click.IntRange(0, 65535)


@click.command()
@click.option("--port", type=_PORT, default=8080, show_default=True, help="The gateway's; 0 for any free one.")
@click.option("--ops-port", type=_PORT, default=9090, show_default=True, help="Metrics and health; 0 likewise.")
def demo(port: int, ops_port: int) -> None:
    """Five fake regions, a directory and the gateway, to try out.

    Prints commands to paste. Ctrl-C or SIGTERM ends all of it and leaves nothing behind.
    """
    run_demo(port=port, ops_port=ops_port)
