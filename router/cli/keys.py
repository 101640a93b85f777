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

from router.cli.drafts import demand, read_region, read_workspace
from router.cli.errors import CommandError, Flaw
from router.cli.options import config_option, json_option
from router.cli.output import print_json
from router.cli.session import directory, settings_of
from router.directory.store import KeyDraft

if TYPE_CHECKING:
    from router.settings.values import Settings

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

    Only the key's SHA-256 is stored.
    """
    settings = settings_of(config)
    if (workspace is None) == (region is None):
        raise click.UsageError("Give either --workspace or --region")
    draft = KeyDraft(
        digest=hashlib.sha256(_read_key(key_file)).hexdigest(),
        workspace=None if workspace is None else demand(read_workspace(workspace, settings.table)),
        region=None if region is None else demand(read_region(region, settings.table)),
    )
    changed = asyncio.run(_put(settings, draft))
    if as_json:
        print_json({"digest": draft.digest, "workspace": draft.workspace, "region": draft.region, "changed": changed})
    else:
        click.echo(f"key of {draft.workspace or draft.region}: {'put' if changed else 'unchanged'}")


async def _put(settings: Settings, draft: KeyDraft) -> bool:
    async with directory(settings) as store:
        return await store.put_keys([draft]) > 0


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
