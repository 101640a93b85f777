"""`healthcheck`: for container runtimes, which have no other client at hand. Loads nothing that it does not need."""

from __future__ import annotations

import http.client
from typing import Final
from urllib.parse import urlsplit

import click

from router.cli.errors import CommandError, one_line
from router.cli.output import say
from router.model.flaw import Flaw

_LARGEST: Final = 4096
_CONNECTIONS: Final = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}


@click.command()
@click.option(
    "--url",
    default="http://127.0.0.1:9090/readyz",
    show_default=True,
    help="/readyz: may it get traffic? /livez: does it run?",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, 60, min_open=True),
    default=2.0,
    show_default=True,
    help="Seconds of silence that are an answer too.",
)
@click.pass_context
def healthcheck(context: click.Context, url: str, timeout: float) -> None:
    """Ask a running gateway how it is; exit 0 or 1.

    Any answer but 200 and none at all are exit 1, with one line on stderr.
    """
    connection, path = _connection(url, timeout)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        status, body = answer.status, answer.read(_LARGEST)
    except (OSError, http.client.HTTPException) as error:
        say(f"unhealthy: no answer ({one_line(str(error)) or type(error).__name__})")
        context.exit(1)
    finally:
        connection.close()
    if status != http.HTTPStatus.OK:
        say(f"unhealthy: {status} {one_line(body.decode('utf-8', 'replace'))}")
        context.exit(1)
    click.echo("healthy")


def _connection(url: str, timeout: float) -> tuple[http.client.HTTPConnection, str]:
    """Straight there, not yet connected: a proxy of the environment would be asked about itself. And the path."""
    flaw = CommandError([Flaw("--url", "is not an http or https URL", "write it like http://127.0.0.1:9090/readyz")])
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise flaw from None
    make = _CONNECTIONS.get(parts.scheme)
    path = parts.path or "/"
    if make is None or not host or not (path.isascii() and path.isprintable()) or " " in path:
        raise flaw
    return make(host, port, timeout=timeout), path
