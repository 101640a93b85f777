"""`key put`: what an API key names. The key itself is read from a file or stdin, hashed, and forgotten.

A key in an argument would stand in the shell's history and in every user's list of processes.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from router.cli.desk import desk
from router.cli.errors import CommandError
from router.cli.options import config_option, json_option
from router.cli.output import print_json
from router.model.flaw import Flaw

if TYPE_CHECKING:
    from router.cli.desk import Fields

_LONGEST: Final = 16384
"""Bytes: the longest header field that a gateway admits."""


@click.command()
@config_option
@click.option("--workspace", help="The workspace that the key belongs to.")
@click.option("--region", help="Or the region of the user that it belongs to.")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path),
    help="A file that holds the key and nothing else. Without it the key is read from stdin.",
)
@json_option
def put(config: Path, workspace: str | None, region: str | None, key_file: Path | None, as_json: bool) -> None:
    """Say what an API key names: a workspace or a region.

    Only the key's SHA-256 is stored. One that was superseded stays so.
    """
    if (workspace is None) == (region is None):
        raise click.UsageError("Give either --workspace or --region")
    digest = hashlib.sha256(_read_key(key_file)).hexdigest()
    fields = asyncio.run(_put(config, digest, workspace, region))
    if as_json:
        print_json(fields)
    else:
        named = fields["workspace"] or fields["region"]
        click.echo(f"key of {named}: {'put' if fields['changed'] else 'unchanged'}")


async def _put(config: Path, digest: str, workspace: str | None, region: str | None) -> Fields:
    async with desk(config) as at:
        return await at.put_key(digest, workspace, region)


def _read_key(key_file: Path | None) -> bytes:
    """The key as a gateway sees it: the bytes of a header field, without blanks around."""
    if key_file is not None:
        with key_file.open("rb") as file:
            content = file.read(_LONGEST + 3)
    elif sys.stdin.isatty():
        content = str(click.prompt("API key", hide_input=True, err=True)).encode("utf-8", "surrogateescape")
    else:
        content = sys.stdin.buffer.read(_LONGEST + 3)
    key = content.strip(b" \t\r\n")
    where = "standard input" if key_file is None else str(key_file)
    if not key:
        raise CommandError([Flaw(where, "holds no key", "write the key there, and nothing else")])
    if len(key) > _LONGEST or min(key) < 0x20 or 0x7F in key:
        raise CommandError([Flaw(where, "is no API key", "write one key there on one line, and nothing else")])
    return key
