"""Whether certificate files can be used: what would otherwise be found out by the first request.

The law of the room: OpenSSL judges, because it is what will use them; here its verdicts become sentences. Each file is
judged on its own first, so that the one to mend is named.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, NamedTuple

from router.gateway.tls import EncryptedKeyError, load_identity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class CertificateFault(NamedTuple):
    """What is wrong with the file of that setting."""

    name: str
    text: str
    mend: str


def certificate_faults(
    *, ca: Path | None = None, cert: Path | None = None, key: Path | None = None
) -> Iterator[CertificateFault]:
    """What is wrong with the files of one `tls` table. They can be read; what is `None` is not judged."""
    if ca is not None and not _holds_certificates(ca):
        yield CertificateFault("ca", "the file holds no certificate in PEM form", "name a file of CA certificates")
    if cert is None:
        return
    if not _holds_certificates(cert):
        yield CertificateFault("cert", "the file holds no certificate in PEM form", "name our own certificate's file")
        return
    name = "cert" if key is None else "key"
    try:
        load_identity(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), cert, key)
    except EncryptedKeyError:
        text = "the private key is encrypted, and nobody can be asked for its passphrase"
        yield CertificateFault(name, text, "store it unencrypted, in a file that only the gateway may read")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            yield CertificateFault(
                name, "the private key is not that of the certificate", "name the key it was made for"
            )
        elif key is None:
            text = "the file holds no private key in PEM form beside the certificate"
            yield CertificateFault(name, text, "add the key to it, or name the key's file as key")
        else:
            yield CertificateFault(name, "the file holds no private key in PEM form", "name the certificate's key")


def _holds_certificates(file: Path) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except ssl.SSLError:
        return False
    return True
