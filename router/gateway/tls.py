"""What an origin's certificate is verified with, and how we show our own: a context from files.

The law of the room: an origin is always verified, by name and against the given certificates; there is no setting that
turns it off. HTTP/1.1 is the one protocol that is offered. Nobody is ever asked for a passphrase.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from router.model.region import TlsFiles

ALPN: Final = "http/1.1"


class EncryptedKeyError(ssl.SSLError):
    """A private key wants a passphrase."""


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """What connections with `files` are made with. Raises `OSError`, among them `ssl.SSLError`."""
    context = ssl.create_default_context(cafile=files.ca)
    context.set_alpn_protocols([ALPN])
    # Renegotiation would make a write wait for a read; a region has no use for it.
    context.options |= ssl.OP_NO_RENEGOTIATION
    if files.cert is not None:
        load_identity(context, files.cert, files.key)
    return context


def load_identity(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    """Let `context` show a certificate; without `key` its key is in the same file. Raises as `client_context`."""
    context.load_cert_chain(cert, key, password=_refuse)


def _refuse() -> str:
    """OpenSSL would ask at the terminal, and wait."""
    raise EncryptedKeyError("the private key is encrypted")
