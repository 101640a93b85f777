"""TLS from files: what an origin's certificate is verified with, and what we show of our own, to origins and clients.

The law of the room: an origin is always verified, by name and against the given certificates; there is no setting that
turns it off. HTTP/1.1 is the one protocol that is offered. Nobody is ever asked for a passphrase.
"""

from __future__ import annotations

import ssl
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
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


class FileContext(NamedTuple):
    """A context, and what its files held when it was made."""

    context: ssl.SSLContext
    content: bytes


def renewed(files: TlsFiles, known: FileContext | None) -> FileContext:
    """`known`, if `files` still hold what it was made of; else a new one. Raises as `client_context`."""
    content = fingerprint(file for file in (files.ca, files.cert, files.key) if file is not None)
    if known is not None and known.content == content:
        return known
    return FileContext(client_context(files), content)


class ServerIdentity(NamedTuple):
    """The certificate, with its chain, that clients are shown; without `key` its key is in the same file."""

    cert: Path
    key: Path | None


class ServerTls:
    """What clients shake hands with: `context` for the listeners, which goes on as it is when the identity is renewed.

    A context keeps one certificate for each kind of key, so that a new one would stand beside the old one; and a
    listener keeps its context. So each handshake is handed on to a context that was made for the identity it shows.
    Connections that are there keep what they have.
    """

    def __init__(self, identity: ServerIdentity) -> None:
        self._present = _server_context(identity)
        self.context = _server_context(identity)
        self.context.sni_callback = self._hand_on

    def renew(self, identity: ServerIdentity) -> None:
        """Show `identity` from the next handshake on. Raises as `client_context`, and goes on with what it had."""
        self.prepare(identity)()

    def prepare(self, identity: ServerIdentity) -> Callable[[], None]:
        """What shows `identity` from the next handshake on, and can't fail. Raises as `client_context`."""
        context = _server_context(identity)

        def show() -> None:
            self._present = context

        return show

    def _hand_on(self, tls: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        tls.context = self._present


def _server_context(identity: ServerIdentity) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([ALPN])
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    load_identity(context, *identity)
    return context


def fingerprint(files: Iterable[Path]) -> bytes:
    """What tells whether any of `files` has changed. Raises `OSError`."""
    digest = sha256()
    for file in files:
        content = file.read_bytes()
        digest.update(b"%d:" % len(content))
        digest.update(content)
    return digest.digest()


def load_identity(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    """Let `context` show a certificate; without `key` its key is in the same file. Raises as `client_context`."""
    context.load_cert_chain(cert, key, password=_refuse)


def _refuse() -> str:
    """OpenSSL would ask at the terminal, and wait."""
    raise EncryptedKeyError("the private key is encrypted")
