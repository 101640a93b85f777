"""Certificates of an authority that lives as long as a test."""

from __future__ import annotations

import ssl
from functools import cache
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from pathlib import Path

REGION_NAME = "euc1.clockify.me"
"""The name that the tests' region `eu` is verified by, if nothing else is set."""


OURS = "ours"


@cache
def authority(name: str) -> trustme.CA:
    """One that signs; each name is another."""
    return trustme.CA(organization_name=name)


def write_authority(file: Path, name: str = OURS) -> Path:
    authority(name).cert_pem.write_to_path(str(file))
    return file


def write_identity(cert: Path, key: Path, name: str = "gateway.internal") -> None:
    """A certificate and its key, each in its file."""
    issued = authority(OURS).issue_cert(name)
    issued.private_key_pem.write_to_path(str(key))
    for index, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(str(cert), append=index > 0)


def region_context(name: str = REGION_NAME, *, alpn: tuple[str, ...] = ("http/1.1",)) -> ssl.SSLContext:
    """What a region serves TLS with, under a certificate for `name`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority(OURS).issue_cert(name).configure_cert(context)
    context.set_alpn_protocols(list(alpn))
    return context


def wants_a_certificate(context: ssl.SSLContext) -> ssl.SSLContext:
    """`context`, but whoever connects has to show a certificate of ours."""
    authority(OURS).configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return context
